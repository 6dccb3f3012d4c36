"""Checklists as people publish them: Darwin Core taxon and distribution, CSV, or one name per line."""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from indexer.archives.container import Container, FileContainer, FolderContainer, open_container
from indexer.archives.descriptor import META, KeyedRow, Table, read_table, read_tables, sniff_table
from indexer.archives.lines import HEAD, Dialect, read_lines, sniff_dialect
from indexer.archives.terms import TAXON_TERMS, Columns, find_columns, plain_term
from indexer.curation.curate import KINGDOMS, find_toxicity, read_gbif_key, read_text
from indexer.curation.names import ABOVE_SPECIES, ParsedName, compose_name, parse_name, same_authorship
from indexer.curation.places import parse_country, parse_language
from indexer.records import RejectedRecord
from retrieval.errors import ArchiveError

FUNGAL_KINGDOMS = frozenset({"Fungi", "Protozoa", ""})
LINEAGE = (("kingdom", "kingdom"), ("phylum", "phylum"), ("class", "class_"), ("order", "order"), ("family", "family"))
PLACE = re.compile(
    r"^ISO[\s_]?(?:3166(?:-[12])?)?\s*:\s*([A-Za-z]{2,3})(?:-\w+)?$", re.I
)  # `ISO_3166-2:BE`, `ISO:BE-VLG`
TAXON_TABLES = ("taxon", "taxa")
SEVERAL = re.compile(r"\s*[|;,]\s*")
STATUSES = {
    "": "present",
    "yes": "present",
    "1": "present",
    "present": "present",
    "no": "absent",
    "0": "absent",
    "?": "doubtful",
}
SYNONYM = re.compile(r"synonym|misapplied|not accepted|unaccepted|replaced", re.I)
NAMING = frozenset({"scientificname", "canonicalname", "species", "taxonname", "latinname", "taxon", "name"})


@dataclass(frozen=True, slots=True)
class ChecklistLine:
    """A taxon of a checklist as the file gives it, blanks trimmed. Absent and doubtful lines are here too.

    A taxon whose status differs between countries gives one line per status.
    """

    scientific_name: str  # without authorship; of an infraspecific taxon the whole name
    scientific_name_authorship: str = ""
    taxon_rank: str = ""  # lower case, as written; where nothing is written species, genus or infraspecific
    lineage: tuple[tuple[str, str], ...] = ()  # (rank, name) from kingdom to genus
    gbif_key: int | None = None
    country_codes: tuple[str, ...] = ()  # ISO 3166-1 alpha-2, sorted
    occurrence_status: str = "present"  # present, absent, doubtful, or as written in lower case
    establishment_means: str = ""
    toxicity: str = ""
    vernacular_names: tuple[tuple[str, str], ...] = ()  # (BCP 47 language or "", name)
    synonym_of: str = ""  # accepted name without authorship, where this line is a synonym
    file: str = ""
    line: int = 0

    @property
    def species(self) -> str:
        """The species the line is of or belongs to; empty for a genus or wider."""
        return parse_name(self.scientific_name).species


def read_checklist(path: Path, kingdoms: frozenset[str] = FUNGAL_KINGDOMS) -> Iterator[ChecklistLine | RejectedRecord]:
    """Read every taxon line of a checklist, and those lines of its other tables that belong to none.

    A folder or archive with taxon core, distribution and vernacular names; a CSV with a column for the name; or plain
    text. Of `taxon.csv` with `distribution.csv` beside it, both are read. Lines of other kingdoms (the hosts in a list
    of rusts) are rejections. Raises ArchiveError where nothing can be read.
    """
    if path.stem.lower() in TAXON_TABLES and any(path.parent.glob("distribution*.*")):
        path = path.parent  # what is absent or doubtful stands in the table beside it
    if path.is_file():
        with open_container(path) as container:
            single = isinstance(container, FileContainer)
        if single and is_plain(path):
            yield from read_names(path)
            return
    with open_container(path) as archive:
        tables = find_tables(archive)
        yield from read_taxa(archive, tables, kingdoms)


def find_tables(archive: Container) -> dict[str, Table]:
    """Return the tables by what they hold: taxon always, distribution and vernacularname where there are such."""
    names = archive.names()
    if META in names:
        core, *extensions = read_tables(archive)
        if core.row_type != "taxon":
            raise ArchiveError(
                f"{META}: a checklist has a core of taxa, and this one is of {core.row_type or 'nothing named'}"
            )
        return {"taxon": core, **{table.row_type: table for table in extensions}}
    by_stem = {name.rsplit("/", 1)[-1].split(".")[0].lower(): name for name in names if "." in name}
    if isinstance(archive, FolderContainer) or len(names) > 1:
        found = {
            kind: sniff_table(archive, by_stem[stem], kind)
            for kind, stems in (
                ("taxon", TAXON_TABLES),
                ("distribution", ("distribution", "distributions")),
                ("vernacularname", ("vernacularname", "vernacularnames", "vernacular")),
            )
            for stem in stems
            if stem in by_stem
        }
        if "taxon" in found:
            return found
        if len(names) != 1:
            raise ArchiveError(f"{archive.path}: there is neither {META} nor a table called taxon in this checklist")
    return {"taxon": sniff_table(archive, names[0], "taxon")}


@dataclass(slots=True)
class ListedPlaces:
    """Where a taxon is listed: countries by (status, means)."""

    countries: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def add(self, cells: Mapping[str, str]) -> None:
        """Add a line of distribution."""
        status = read_text(cells.get("occurrencestatus", "")).lower()
        means = read_text(cells.get("establishmentmeans", "")).lower()
        self.countries.setdefault((STATUSES.get(status, status), means), set()).update(find_countries(cells))


def read_taxa(
    archive: Container, tables: Mapping[str, Table], kingdoms: frozenset[str]
) -> Iterator[ChecklistLine | RejectedRecord]:
    """Read the taxa, each joined with its places and vernacular names."""
    taxon = tables["taxon"]
    terms = {plain_term(term) for term in taxon.terms}
    if not terms & NAMING and not {"genus", "specificepithet"} <= terms:
        raise ArchiveError(f"{taxon.files[0]}, line 1: no column holds names; the columns are {', '.join(taxon.terms)}")
    places, names = defaultdict[str, ListedPlaces](ListedPlaces), defaultdict[str, list[tuple[str, str]]](list)
    others: list[tuple[str, KeyedRow]] = []
    for kind in ("distribution", "vernacularname"):
        for row in read_table(archive, tables[kind]) if kind in tables else ():
            if isinstance(row, RejectedRecord):
                yield row
                continue
            cells = by_term(tables[kind], row)
            if kind == "distribution":
                places[row.key].add(cells)
            elif name := read_text(cells.get("vernacularname", "")):
                names[row.key].append((parse_language(cells.get("language") or cells.get("languagecode", "")), name))
            others.append((row.key, row))
    columns = find_columns(taxon.terms, TAXON_TERMS)
    claims = [read_claim(row, taxon, columns) for row in read_table(archive, taxon) if isinstance(row, KeyedRow)]
    known = {claim.key: claim for claim in claims}
    leads = find_leads(claims, known)
    for row in read_table(archive, taxon):
        if isinstance(row, RejectedRecord):
            yield row
        else:
            accepted = find_accepted(read_claim(row, taxon, columns), known, leads)
            yield from read_taxon(row, taxon, columns, accepted, places.get(row.key), names.get(row.key, []), kingdoms)
    for key, row in others:
        if key not in known:
            yield RejectedRecord(
                "orphan", f"{row.file}, line {row.line}: there is no taxon {key!r}", row.file, row.line
            )


def read_taxon(
    row: KeyedRow, table: Table, columns: Columns, accepted: str | None, places: ListedPlaces | None,
    names: list[tuple[str, str]], kingdoms: frozenset[str],
) -> Iterator[ChecklistLine | RejectedRecord]:  # fmt: skip
    """Read one taxon: a line per status, or a rejection. `accepted` is what `find_accepted` gives."""
    fields, cells = columns.read(row.cells), by_term(table, row)
    where = f"{row.file}, line {row.line}"
    name = read_taxon_name(fields)
    text = read_text(fields.get("scientific_name", ""))
    if not name.full:
        reason, detail = (
            ("not-a-name", f"{text!r} is not a scientific name") if text else ("no-identification", "there is no name")
        )
        yield RejectedRecord(reason, f"{where}: {detail}", row.file, row.line)
        return
    kingdom = KINGDOMS.get(
        read_text(fields.get("kingdom", "")).lower(), read_text(fields.get("kingdom", "")).capitalize()
    )
    if kingdom not in kingdoms:
        yield RejectedRecord("not-a-fungus", f"{where}: {name.full} is of kingdom {kingdom}", row.file, row.line)
        return
    if accepted is None:
        yield RejectedRecord(
            "unresolved-synonym", f"{where}: {name.full} is a synonym, but of what is not said", row.file, row.line
        )
        return
    if vernacular := read_text(fields.get("vernacular_name", "")):
        names = [(parse_language(fields.get("vernacular_language", "")), vernacular), *names]
    if places is None:
        places = ListedPlaces()
        places.add(cells)
    rank = read_text(fields.get("taxon_rank", "")).lower()
    if not rank or (not name.species and rank not in ABOVE_SPECIES):  # `Larix spp.` is called a species here and there
        rank = infer_rank(name)
    above = [(upper, read_text(fields.get(field, ""))) for upper, field in LINEAGE]
    lineage = [(upper, KINGDOMS.get(text.lower(), text)) for upper, text in above if text]
    if name.species or rank == "genus":
        lineage.append(("genus", name.genus))
    for (status, means), countries in sorted(places.countries.items()):
        yield ChecklistLine(
            scientific_name=name.full,
            scientific_name_authorship=same_authorship(read_text(fields.get("scientific_name_authorship", "")))
            or name.authorship,
            taxon_rank=rank,
            lineage=tuple(lineage),
            gbif_key=read_gbif_key(fields.get("taxon_key", "")),
            country_codes=tuple(sorted(countries)),
            occurrence_status=status,
            establishment_means=means,
            toxicity=find_toxicity(fields.get("toxicity", "")),
            vernacular_names=tuple(dict.fromkeys(names)),
            synonym_of=accepted,
            file=row.file,
            line=row.line,
        )


def read_taxon_name(fields: Mapping[str, str]) -> ParsedName:
    """Read the name from its own column or from genus and epithet."""
    name = parse_name(read_text(fields.get("scientific_name", "")))
    if not name.species and read_text(fields.get("specific_epithet", "")):
        composed = parse_name(
            compose_name(read_text(fields.get("genus", "")) or name.genus, read_text(fields["specific_epithet"]))
        )
        return composed if composed.species else name
    return name if name.full else parse_name(read_text(fields.get("genus", "")))


@dataclass(frozen=True, slots=True)
class Claim:
    """What a line says of the standing of its own name."""

    name: ParsedName
    key: str
    accepted: str  # name of what is accepted in its stead, where one is given
    accepted_id: str  # the same by the key of another line
    synonym: bool  # whether it is called one


def read_claim(row: KeyedRow, table: Table, columns: Columns) -> Claim:
    """Read what a line says of its name."""
    fields = columns.read(row.cells)
    return Claim(
        read_taxon_name(fields),
        row.key,
        parse_name(read_text(fields.get("accepted_name", ""))).full,
        read_text(by_term(table, row).get("acceptednameusageid", "")),
        SYNONYM.search(fields.get("taxonomic_status", "")) is not None,
    )


def find_lead(claim: Claim, known: Mapping[str, Claim]) -> str | None:
    """The name that a line points to; empty where it is accepted itself, None for a synonym of nothing that is said."""
    accepted = claim.accepted
    if not accepted and claim.accepted_id not in ("", claim.key) and claim.accepted_id in known:
        accepted = known[claim.accepted_id].name.full
    if accepted and accepted not in (claim.name.full, claim.name.species):
        return accepted
    return None if not accepted and claim.synonym else ""


Leads = Mapping[str, tuple[str | None, bool]]  # name -> what it points to, and whether it is called a synonym


def find_leads(claims: Iterable[Claim], known: Mapping[str, Claim]) -> Leads:
    """Where each name points that no line calls accepted."""
    leads: dict[str, tuple[str | None, bool]] = {}
    standing = set()
    for claim in claims:  # without a column of keys, `known` holds one of them only
        if (lead := find_lead(claim, known)) == "":
            standing.add(claim.name.full)
        else:
            leads.setdefault(claim.name.full, (lead, claim.synonym))
    return {name: lead for name, lead in leads.items() if name not in standing}


def find_accepted(claim: Claim, known: Mapping[str, Claim], leads: Leads) -> str | None:
    """The accepted name of a line: empty for its own; None where synonyms point to nothing, or in a circle.

    A synonym of a synonym is followed to its end, or else the one between would become an accepted species. In a
    circle, the name that is not called a synonym is the accepted one.
    """
    own = claim.name.full
    found, path = find_lead(claim, known), [own]
    while found and found in leads:
        if found in path:
            circle = path[path.index(found) :]
            free = [name for name in circle if name in leads and not leads[name][1]]
            found = own if own in free else next(iter(free), None)
            break
        path.append(found)
        found = leads[found][0]
    return "" if found == own else found


def infer_rank(name: ParsedName) -> str:
    """Say from its shape what a name without a rank is of."""
    if name.infraspecific:
        return "infraspecific"
    return "species" if name.species else "genus"


def find_countries(cells: Mapping[str, str]) -> set[str]:
    """Return the ISO 3166-1 alpha-2 codes that a line names: by code, by `ISO_3166-2:BE`, or by name."""
    texts = SEVERAL.split(read_text(cells.get("countrycode", "")))
    if not any(texts):
        found = PLACE.match(read_text(cells.get("locationid", "")))
        texts = [found[1]] if found else [read_text(cells.get("country", ""))]
    return {code for code, _ in map(parse_country, texts) if code}


def by_term(table: Table, row: KeyedRow) -> dict[str, str]:
    """Return a row's cells by their plain terms, the first of a repeated one."""
    cells: dict[str, str] = {}
    for term, cell in zip(table.terms, row.cells, strict=True):
        cells.setdefault(plain_term(term), cell)
    return cells


def is_plain(path: Path) -> bool:
    """Tell one name per line from a table: a table's first line is a header with a word that we know."""
    with open_container(path) as archive, archive.open(path.name) as stream:
        dialect = sniff_dialect(stream.read(HEAD), path.name)
    first = next((text.strip() for _, text in plain_lines(path, dialect)), "")
    headers = {plain_term(cell) for cell in first.replace('"', "").split(dialect.delimiter)}
    if headers & NAMING or {"genus", "specificepithet"} <= headers:
        return False
    if parse_name(first).full and is_table_line(first):
        raise ArchiveError(
            f"{path.name}, line 1: {first[:80]!r} holds more than a name; "
            "put a line above it that names the columns, one of them scientificName"
        )
    if not parse_name(first).full:
        raise ArchiveError(
            f"{path.name}, line 1: {first[:80]!r} is neither a header with scientificName nor a scientific name"
        )
    return True


def is_table_line(text: str) -> bool:
    """Tell a line of several cells from a name, whose authorship may have commas: read as one, it lost its species."""
    return re.search(r"[;|\t]", text) is not None or ("," in text and not parse_name(text).species)


def plain_lines(path: Path, dialect: Dialect) -> Iterator[tuple[int, str]]:
    """Read the lines of a text that are neither empty nor remarks behind a #."""
    with open_container(path) as archive, archive.open(path.name) as stream:
        for number, text in read_lines(cast(io.BufferedReader, stream), dialect, path.name):
            if name := re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip():
                yield number, name


def read_names(path: Path) -> Iterator[ChecklistLine | RejectedRecord]:
    """Read one name per line."""
    with open_container(path) as archive, archive.open(path.name) as stream:
        dialect = sniff_dialect(stream.read(HEAD), path.name)
    for number, text in plain_lines(path, dialect):
        name = parse_name(text)
        if is_table_line(text):
            detail = f"{path.name}, line {number}: {text!r} holds more than a name, and no header says which part is it"
            yield RejectedRecord("not-a-name", detail, path.name, number)
        elif name.full:
            yield ChecklistLine(
                name.full, name.authorship, infer_rank(name), (("genus", name.genus),), file=path.name, line=number
            )
        else:
            detail = f"{path.name}, line {number}: {text!r} is not a scientific name"
            yield RejectedRecord("not-a-name", detail, path.name, number)
