"""The taxon table of a checklist: the name of each line, and the accepted taxon it refers to.

Lines refer to each other in any order, in lists of hundreds of thousands: they are shelved on disk with their names
parsed once, and then read in order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from indexer.archives.container import Container
from indexer.archives.core_rows import unkeyed
from indexer.archives.descriptor import KeyedRow, Table
from indexer.archives.shelf import RowShelf, ShelvedRow
from indexer.archives.terms import TAXON_TERMS, find_columns, plain_term
from indexer.curation.names import ABOVE_SPECIES, ParsedName, compose_name, parse_name
from indexer.curation.species import KINGDOMS
from indexer.curation.texts import read_text
from indexer.records import RejectedRecord
from retrieval.domain import RANKS

CHECKLIST_TERMS: Mapping[str, tuple[str, ...]] = {
    **TAXON_TERMS,
    "scientific_name": (*TAXON_TERMS["scientific_name"], "nameoffungus"),
    "scientific_name_authorship": (*TAXON_TERMS["scientific_name_authorship"], "authors", "author", "authority"),
    "accepted_name": (
        *TAXON_TERMS["accepted_name"], "currentname", "currentnametaxonname", "currentscientificname",
        "acceptedtaxonname",
    ),
    "taxonomic_status": (*TAXON_TERMS["taxonomic_status"], "status"),
    "kingdom": ("kingdom", "kingdomname"), "phylum": ("phylum", "phylumname"), "class_": ("class", "classname"),
    "order": ("order", "ordername"), "family": ("family", "familyname"),
}  # fmt: skip
REFERRING = {
    "+accepted": ("acceptednameusageid", "acceptedid", "acceptedtaxonid", "currentnamerecordnumber"),
    "+parent": ("parentnameusageid", "parentid", "parenttaxonid"),
    "+name_status": ("namestatus", "nomenclaturalstatus"),
    "+code": ("nomenclaturalcode", "code"),
    "+ids": ("alternativeid", "taxonconceptid", "scientificnameid"),
    "+classification": ("higherclassification", "classification"),
    "+countrycode": ("countrycode",),
    "+locationid": ("locationid",),
    "+country": ("country",),
    "+area": ("area",),
    "+occurrencestatus": ("occurrencestatus",),
    "+establishmentmeans": ("establishmentmeans",),
}
"""Columns without a record field, by their keys in a line's fields; the first one present is used."""

SYNONYM = re.compile(r"synonym|homotypic|heterotypic|not accepted|unaccepted|replaced|orthographic variant", re.I)
NO_TAXON = re.compile(r"misapplied|bare name|deleted|not in use", re.I)
NO_NAME = re.compile(
    r"\binvalid|illegitimate|orthographic|deleted|unavailable|unpublished|\bnud(?:um|a)?\b|\brej", re.I
)
OTHER_CODE = re.compile(r"zool|iczn|bacter|icnp|icsp|virus|viral|ictv", re.I)
SHORT_RANKS = {
    "sp": "species", "gen": "genus", "fam": "family", "ord": "order", "cl": "class", "phyl": "phylum", "div": "phylum",
    "division": "phylum", "regn": "kingdom", "reg": "kingdom", "var": "variety", "f": "form", "ssp": "subspecies",
    "subsp": "subspecies", "subgen": "subgenus", "sect": "section", "ser": "series", "tr": "tribe",
}  # fmt: skip
ENDINGS = (("mycota", "phylum"), ("mycetes", "class"), ("ales", "order"), ("aceae", "family"))
GREAT_KINGDOMS = frozenset(
    {"Fungi", "Protozoa", "Plantae", "Animalia", "Chromista", "Bacteria", "Archaea", "Viruses"}
)  # fmt: skip
GBIF_ID = re.compile(r"(?:^|[,;|\s])(?:gbif:|https?://(?:www\.)?gbif\.org/(?:\w\w/)?species/)(\d+)(?=$|[,;|\s])", re.I)
BACKBONE = b"d7dddbf4-2cf0-4f39-9b2a-bb099caae36c"  # GBIF's own key of its backbone taxonomy
METADATA = ("eml.xml", "metadata.xml", "metadata.yaml", "metadata.yml")
MOST_METADATA = 1_000_000  # bytes searched
DEPTH = 50  # steps up a classification; bounds circular references

Lineage = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TaxonLine:
    """A line of the taxon table with its parsed name."""

    key: str  # of the table; empty where it has none
    name: ParsedName
    rank: str
    fields: Mapping[str, str]
    file: str
    line: int

    @property
    def is_synonym(self) -> bool:
        """Return whether the line itself marks its name as a synonym."""
        return SYNONYM.search(self.fields.get("taxonomic_status", "")) is not None

    @property
    def is_ambiguous(self) -> bool:
        """Return whether another line has the same key and another name: references to the key are then ambiguous."""
        return "+other" in self.fields


class TaxonLines:
    """The shelved lines of a taxon table, and the references between them."""

    def __init__(self, rows: RowShelf, standing: RowShelf, leads: RowShelf) -> None:
        self._rows = rows
        self._standing = standing  # accepted names of lines -> key of the line
        self._leads = leads  # names accepted by no line -> key or name they refer to
        self._lineage = lru_cache(maxsize=20_000)(self._read_lineage)

    def shelve(
        self, rows: Iterable[KeyedRow | RejectedRecord], table: Table, *, is_backbone: bool
    ) -> Iterator[RejectedRecord]:
        """Shelve the rows of a table; yields invalid lines as rejections."""
        read = line_reader(table, is_backbone=is_backbone)
        for row in rows:
            if isinstance(row, RejectedRecord):
                yield row
            elif not self._rows.put(row.key or unkeyed(row), fields := read(row), row.file, row.line):
                if (first := self.find(row.key)) and first.name.full != as_name(fields).full:
                    self._rows.mark(row.key, "+other", as_name(fields).full or "nothing named")
                    fields["+other"] = first.name.full or "nothing named"
                self._rows.put(unkeyed(row), fields, row.file, row.line)

    def link(self) -> None:
        """Resolve the references between names; to be called after all lines are shelved."""
        for line in self:
            if (lead := self.lead(line)) == "":
                self._standing.put(line.name.full, {"key": line.fields["+shelved"]})
            else:
                self._leads.put(line.name.full, {"lead": lead or "", "synonym": "yes" if line.is_synonym else ""})

    def __iter__(self) -> Iterator[TaxonLine]:
        """Yield every line in the order of the table."""
        return (as_line(row) for row in self._rows.rows())

    def find(self, key: str) -> TaxonLine | None:
        """Return the line of a key."""
        row = self._rows.find(key) if key else None
        return as_line(row) if row else None

    def lead(self, line: TaxonLine) -> str | None:
        """Return the name that a line refers to; empty if it is accepted itself, None for a synonym without a target.

        ColDP gives the accepted taxon of a synonym as its parent.
        """
        accepted = line.fields.get("+accepted_full", "")
        accepted_id = line.fields.get("+accepted", "")
        if not accepted and accepted_id not in ("", line.key) and (other := self.find(accepted_id)):
            if other.is_ambiguous:
                return None
            accepted = other.name.full
        if (
            not accepted
            and line.is_synonym
            and (parent := self.find(line.fields.get("+parent", "")))
            and parent.name.species
            and not parent.is_ambiguous
        ):
            accepted = parent.name.full
        if accepted and accepted not in (line.name.full, line.name.species):
            return accepted
        return None if not accepted and line.is_synonym else ""

    def accepted(self, line: TaxonLine) -> str | None:
        """Return the accepted name of a line: empty for its own; None if references are circular or have no target.

        Synonyms of synonyms are followed to the end, or else those in between would become accepted species. In a
        circle, the name that is not marked as a synonym is the accepted one.
        """
        own = line.name.full
        found, path = self.lead(line), [own]
        while found and (step := self._step(found)):
            if found in path:
                circle = path[path.index(found) :]
                free = [name for name in circle if (other := self._step(name)) and not other["synonym"]]
                found = own if own in free else next(iter(free), None)
                break
            path.append(found)
            found = step["lead"] or None
        return "" if found == own else found

    def _step(self, name: str) -> Mapping[str, str] | None:
        if self._standing.find(name):
            return None
        lead = self._leads.find(name)
        return lead.fields if lead else None

    def standing(self, name: str) -> TaxonLine | None:
        """Return the line that has a name as accepted."""
        found = self._standing.find(name)
        return self.find(found.fields["key"]) if found else None

    def lineage(self, line: TaxonLine) -> Lineage:
        """Return (rank, name) from kingdom to family: from the line's own columns, else from its ancestors."""
        own = {
            rank: name for rank, field in LINEAGE if (name := as_kingdom(rank, read_text(line.fields.get(field, ""))))
        }
        above = dict(self._lineage(line.fields.get("+parent", "")))
        told = read_classification(line.fields.get("+classification", ""))
        known = told | above | own
        return tuple((rank, known[rank]) for rank, _ in LINEAGE if rank in known)

    def _read_lineage(self, key: str) -> Lineage:
        found: dict[str, str] = {}
        for _ in range(DEPTH):
            line = self.find(key)
            if line is None:
                break
            if line.rank in RANKS and not line.name.species:
                found.setdefault(line.rank, as_kingdom(line.rank, line.name.genus))
            for rank, field in LINEAGE:
                if name := read_text(line.fields.get(field, "")):
                    found.setdefault(rank, as_kingdom(rank, name))
            key = line.fields.get("+parent", "")
        return tuple(found.items())


LINEAGE = (("kingdom", "kingdom"), ("phylum", "phylum"), ("class", "class_"), ("order", "order"), ("family", "family"))


def find_first(terms: Sequence[str], known: Sequence[str]) -> int | None:
    """Return the index of the first of some terms that is present."""
    return next((terms.index(term) for term in known if term in terms), None)


def find_own_key(row: KeyedRow, fields: Mapping[str, str], of_taxa: int | None, *, is_backbone: bool) -> str:
    """Find the GBIF key of a line without a column for it.

    It is the id in GBIF's own list, a `gbifID` of taxa (that of an occurrence is another number), or one of the name's
    other ids.
    """
    if is_backbone and row.key.isdecimal():
        return row.key
    if of_taxa is not None and row.cells[of_taxa].strip():
        return row.cells[of_taxa].strip()
    found = GBIF_ID.search(fields.get("+ids", ""))
    return found[1] if found else ""


def line_reader(table: Table, *, is_backbone: bool = False) -> Callable[[KeyedRow], dict[str, str]]:
    """Return the function that reads a row of a taxon table: record fields, REFERRING fields, parsed name.

    In GBIF's backbone, the ids of the lines are GBIF keys.
    """
    terms = [plain_term(term) for term in table.terms]
    columns = find_columns(table.terms, CHECKLIST_TERMS)
    beside = {name: find_first(terms, known) for name, known in REFERRING.items()}

    of_taxa = None if {"taxonkey", "occurrenceid", "basisofrecord"} & {*terms} else find_first(terms, ("gbifid",))

    def read(row: KeyedRow) -> dict[str, str]:
        fields = columns.read(row.cells)
        fields.update(
            (name, text) for name, place in beside.items() if place is not None and (text := row.cells[place])
        )
        if "taxon_key" not in fields and (key := find_own_key(row, fields, of_taxa, is_backbone=is_backbone)):
            fields["taxon_key"] = key
        if is_backbone and fields.get("+accepted", "").isdecimal():
            fields.setdefault("accepted_taxon_key", fields["+accepted"])
        rank = read_rank(fields.get("taxon_rank", ""))
        name = read_taxon_name(fields, rank)
        fields |= {"+key": row.key, "+shelved": row.key or unkeyed(row), "taxon_rank": rank}
        fields |= {f"+{part}": text for part in PARTS if (text := getattr(name, part))}
        if accepted := parse_name(read_text(fields.get("accepted_name", ""))).full:
            fields["+accepted_full"] = accepted
        return fields

    return read


PARTS = ("genus", "species", "authorship", "infraspecific", "uncertain", "loose")


def is_backbone(archive: Container) -> bool:
    """Return whether an archive is GBIF's backbone taxonomy, by its metadata."""
    named = [name for name in archive.names() if name.rsplit("/", 1)[-1].lower() in METADATA]
    for name in named:
        with archive.open(name) as stream:
            if BACKBONE in stream.read(MOST_METADATA):
                return True
    return False


def as_line(row: ShelvedRow) -> TaxonLine:
    """Return the line that a row was shelved from."""
    fields = row.fields
    return TaxonLine(fields["+key"], as_name(fields), fields["taxon_rank"], fields, row.file, row.line)


def as_name(fields: Mapping[str, str]) -> ParsedName:
    """Return the name that a line was shelved with."""
    return ParsedName(**{part: fields.get(f"+{part}", "") for part in PARTS})


def read_taxon_name(fields: Mapping[str, str], rank: str) -> ParsedName:
    """Read the name from its own column or from genus and epithet; for ranks above genus, its first word."""
    text = read_text(fields.get("scientific_name", ""))
    if rank in RANKS[:-1] and (word := re.match(r"[A-ZÀ-Þ][a-zß-ÿ-]+(?=\s|$)", text)):
        return ParsedName(word[0], "", "")
    name = parse_name(text)
    if not name.species and read_text(fields.get("specific_epithet", "")):
        composed = parse_name(
            compose_name(read_text(fields.get("genus", "")) or name.genus, read_text(fields["specific_epithet"]))
        )
        return composed if composed.species else name
    return name if name.full else parse_name(read_text(fields.get("genus", "")))


def read_rank(text: str) -> str:
    """Return a rank in lower case, with abbreviations expanded."""
    rank = read_text(text).lower()
    return SHORT_RANKS.get(rank.rstrip("."), rank)


def read_classification(text: str) -> dict[str, str]:
    """Read the ranks of a classification in one text, by the endings of names."""
    found: dict[str, str] = {}
    for part in re.split(r"\s*[,;|>/]\s*", text):
        if part.capitalize() in GREAT_KINGDOMS:
            found.setdefault("kingdom", part.capitalize())
        for ending, rank in ENDINGS:
            if part.endswith(ending):
                found.setdefault(rank, part)
    return found


def as_kingdom(rank: str, name: str) -> str:
    """Normalise the name of a kingdom; other names are kept."""
    return KINGDOMS.get(name.lower(), name.capitalize()) if rank == "kingdom" else name


def find_kingdom(line: TaxonLine, lineage: Sequence[tuple[str, str]]) -> str:
    """Return the kingdom of a line, by its classification or nomenclatural code; empty if not stated."""
    kingdom = line.name.genus if line.rank == "kingdom" else dict(lineage).get("kingdom", "")
    if not kingdom and OTHER_CODE.search(line.fields.get("+code", "")):
        return f"none of fungi: its code is {line.fields['+code']}"
    return as_kingdom("kingdom", kingdom)


def refuse_name(line: TaxonLine, where: str) -> tuple[str, str] | None:
    """Return why a line names no taxon: reason and detail; None if it does."""
    text = read_text(line.fields.get("scientific_name", ""))
    if not line.name.full:
        return (
            ("not-a-name", f"{where}: {text!r} is not a scientific name")
            if text
            else ("no-identification", f"{where}: there is no name")
        )
    if line.name.uncertain:
        return "uncertain-identification", f"{where}: {text!r} is marked {line.name.uncertain}"
    status, name_status = line.fields.get("taxonomic_status", ""), line.fields.get("+name_status", "")
    if NO_TAXON.search(status):
        return "not-accepted", f"{where}: {line.name.full} is called {status.lower()}: it is the name of no taxon here"
    if NO_NAME.search(name_status) and not points_elsewhere(line):
        return (
            "not-accepted",
            f"{where}: the name {line.name.full} is {name_status.lower()}, and no other is given for it",
        )
    return None


def points_elsewhere(line: TaxonLine) -> bool:
    """Return whether a line refers to another taxon as accepted."""
    accepted = line.fields.get("+accepted_full", "")
    return (
        line.is_synonym
        or accepted not in ("", line.name.full)
        or line.fields.get("+accepted", "") not in ("", line.key)
    )


def infer_rank(name: ParsedName) -> str:
    """Infer the rank of a name without a rank from its form."""
    if name.infraspecific:
        return "infraspecific"
    return "species" if name.species else "genus"


def settle_rank(line: TaxonLine) -> str:
    """Return the stated rank if the name can have it: `Larix spp.` is sometimes called a species."""
    return line.rank if line.rank and (line.name.species or line.rank in ABOVE_SPECIES) else infer_rank(line.name)
