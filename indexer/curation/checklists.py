"""Reader of published checklists: Darwin Core, ColDP, spreadsheets, or one name per line."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, cast

from indexer.archives.container import META, Container, FileContainer, FolderContainer, open_container, refuse_nested
from indexer.archives.descriptor import Table, read_table, read_tables, sniff_table
from indexer.archives.lines import HEAD, Dialect, read_lines, refuse_unreadable, sniff_dialect
from indexer.archives.shelf import GroupShelf, RowShelf
from indexer.archives.terms import NAMING, plain_term
from indexer.curation.checklist_taxa import (
    TaxonLine,
    TaxonLines,
    find_kingdom,
    infer_rank,
    is_backbone,
    refuse_name,
    settle_rank,
)  # fmt: skip
from indexer.curation.coldp import by_term, describe_usages, find_split_tables, read_usages
from indexer.curation.curate import find_toxicity
from indexer.curation.names import parse_name, same_authorship
from indexer.curation.occurrence_status import read_status
from indexer.curation.places import is_no_language, parse_country, parse_language
from indexer.curation.species import find_lineage_keys, read_gbif_key
from indexer.curation.texts import read_text
from indexer.records import DroppedValue, RejectedRecord
from retrieval.errors import ArchiveError

FUNGAL_KINGDOMS = frozenset({"Fungi", "Protozoa", ""})
PLACE = re.compile(
    r"^ISO[\s_]?(?:3166(?:-[12])?)?\s*:\s*([A-Za-z]{2,3})(?:-\w+)?$", re.I
)  # `ISO_3166-2:BE`, `ISO:BE-VLG`
TABLE_STEMS = (
    ("taxon", ("taxon", "taxa", "nameusage")),
    ("distribution", ("distribution", "distributions")),
    ("vernacularname", ("vernacularname", "vernacularnames", "vernacular")),
)
SPLIT_STEMS = frozenset({"Name", "Taxon", "Synonym"})
SEVERAL = re.compile(r"\s*[|;,]\s*")
NAME_HEADERS = NAMING | {"nameoffungus"}


@dataclass(frozen=True, slots=True)
class ChecklistLine:
    """A taxon of a checklist as in the file, trimmed. Includes absent and doubtful ones.

    A taxon whose status differs between countries gives one line per status.
    """

    scientific_name: str  # without authorship; for an infraspecific taxon the whole name
    scientific_name_authorship: str = ""
    taxon_rank: str = ""  # lower case, as written; by default species, genus or infraspecific
    lineage: tuple[tuple[str, str], ...] = ()  # (rank, name) from kingdom to genus
    lineage_keys: tuple[tuple[str, int], ...] = ()  # (rank, GBIF key) of the lineage
    gbif_key: int | None = None  # of the name
    accepted_key: int | None = None  # GBIF key of the species or higher taxon of the line
    country_codes: tuple[str, ...] = ()  # ISO 3166-1 alpha-2, sorted
    occurrence_status: str = "present"  # present, absent, doubtful, or as written in lower case
    establishment_means: str = ""
    toxicity: str = ""
    vernacular_names: tuple[tuple[str, str], ...] = ()  # (BCP 47 language or "", name)
    synonym_of: str = ""  # accepted name without authorship, if this line is a synonym
    is_homonym: bool = False  # a synonym spelt like an accepted name of this list: names are ambiguous
    listed: bool = True  # False for a synonym without its own places: those of its accepted name apply
    dropped: tuple[RejectedRecord, ...] = ()  # invalid values of an accepted line
    file: str = ""
    line: int = 0

    @property
    def species(self) -> str:
        """Return the species of the line, or that of its infraspecific taxon; empty for a genus or higher taxon."""
        return parse_name(self.scientific_name).species


def read_checklist(
    path: Path, kingdoms: frozenset[str] = FUNGAL_KINGDOMS, encoding: str = ""
) -> Iterator[ChecklistLine | RejectedRecord]:
    """Yield every taxon line of a checklist, and the lines of its other tables without a taxon.

    The source is a folder or archive with taxa, distribution and vernacular names, as Darwin Core or ColDP; a
    spreadsheet with a column of names; or plain text. `taxon.csv` includes a `distribution.csv` in its folder. Lines of
    other kingdoms (hosts in a list of rusts) are rejected. Raises ArchiveError for an unreadable source.
    """
    if path.stem.lower() in TABLE_STEMS[0][1] and any(path.parent.glob("[Dd]istribution*.*")):
        path = path.parent  # absent and doubtful taxa are marked in that table
    if path.stem in SPLIT_STEMS and all((path.with_stem(stem)).is_file() for stem in ("Name", "Taxon")):
        path = path.parent  # one table of a ColDP list
    if path.is_file():
        with open_container(path) as container:
            single = isinstance(container, FileContainer)
        if single and is_plain(path, encoding):
            yield from read_names(path, encoding)
            return
    with open_container(path) as archive:
        tables = find_tables(archive, encoding)
        yield from read_taxa(archive, tables, kingdoms)


def find_tables(archive: Container, encoding: str = "") -> dict[str, Table]:
    """Return the tables by content: taxon always, distribution and vernacularname if present."""
    names = archive.names()
    if META in names:
        core, *extensions = read_tables(archive, encoding)
        if core.row_type != "taxon":
            raise ArchiveError(
                f"{META}: a checklist has a core of taxa, and this one is of {core.row_type or 'nothing named'}"
            )
        return {"taxon": core, **{table.row_type: table for table in extensions}}
    by_stem = {name.rsplit("/", 1)[-1].split(".")[0].lower(): name for name in names if "." in name}
    if isinstance(archive, FolderContainer) or len(names) > 1:
        split = find_split_tables(archive, by_stem, encoding)
        found = split | {
            kind: sniff_table(archive, by_stem[stem], kind, encoding)
            for kind, stems in TABLE_STEMS
            for stem in stems
            if stem in by_stem and kind not in split
        }
        if "taxon" in found:
            return found
        if len(names) != 1:
            raise ArchiveError(
                f"{archive.path}: there is neither {META} nor a table called taxon or NameUsage in this checklist"
            )
    refuse_nested(archive.path, names)
    return {"taxon": sniff_table(archive, names[0], "taxon", encoding)}


def read_taxa(
    archive: Container, tables: Mapping[str, Table], kingdoms: frozenset[str]
) -> Iterator[ChecklistLine | RejectedRecord]:
    """Yield the taxa, each joined with its places and vernacular names."""
    taxon = describe_usages(tables) if "name" in tables else tables["taxon"]
    rows_of_taxa = read_usages(archive, tables) if "name" in tables else read_table(archive, taxon)
    terms = {plain_term(term) for term in taxon.terms}
    if not terms & NAME_HEADERS and not {"genus", "specificepithet"} <= terms:
        raise ArchiveError(f"{taxon.files[0]}, line 1: no column holds names; the columns are {', '.join(taxon.terms)}")
    with (
        GroupShelf() as places, GroupShelf() as names, RowShelf() as rows, RowShelf() as standing, RowShelf() as leads
    ):  # fmt: skip
        for kind, shelf in (("distribution", places), ("vernacularname", names)):
            for row in read_table(archive, tables[kind]) if kind in tables else ():
                if isinstance(row, RejectedRecord):
                    yield row
                else:
                    cells = by_term(tables[kind], row) | {"+file": row.file, "+line": str(row.line)}
                    shelf.put(row.key, cells, row.file, row.line)
        lines = TaxonLines(rows, standing, leads)
        yield from lines.shelve(rows_of_taxa, taxon, is_backbone=is_backbone(archive))
        lines.link()
        for line in lines:
            key = "" if line.is_ambiguous else line.key
            yield from read_taxon(line, lines, places.find(key), names.find(key), kingdoms)
        for key, file, number in (*places.places(), *names.places()):
            meant = lines.find(key)
            if meant is None:
                yield RejectedRecord("orphan", f"{file}, line {number}: there is no taxon {key!r}", file, number)
            elif meant.is_ambiguous:
                detail = f"{file}, line {number}: {key} is the key of {meant.name.full} and {meant.fields['+other']}"
                yield RejectedRecord("ambiguous-identification", detail, file, number)


def read_taxon(
    line: TaxonLine,
    lines: TaxonLines,
    places: Iterable[Mapping[str, str]],
    names: Iterable[Mapping[str, str]],
    kingdoms: frozenset[str],
) -> Iterator[ChecklistLine | RejectedRecord]:
    """Yield one taxon: a line per status, or a rejection."""
    where = f"{line.file}, line {line.line}"
    if fault := refuse_name(line, where):
        yield RejectedRecord(*fault, line.file, line.line)
        return
    accepted = lines.accepted(line)
    stands_for = lines.standing(accepted) if accepted else None
    lineage = lines.lineage(line)
    kingdom = find_kingdom(line, lineage) or (find_kingdom(stands_for, lines.lineage(stands_for)) if stands_for else "")
    if kingdom not in kingdoms:
        detail = f"{where}: {line.name.full} is of kingdom {kingdom}"
        yield RejectedRecord("not-a-fungus", detail, line.file, line.line)
        return
    if accepted is None:
        detail = f"{where}: {line.name.full} is a synonym, but of what is not said"
        yield RejectedRecord("unresolved-synonym", detail, line.file, line.line)
        return
    rank = settle_rank(line)
    if line.name.species or rank == "genus":
        lineage = (*lineage, ("genus", line.name.genus))
    vernacular_names, unknown = find_vernacular_names(line, names)
    found, unread = find_places(line, places)
    for place, ((status, means), countries) in enumerate(found):
        yield ChecklistLine(
            scientific_name=line.name.full,
            scientific_name_authorship=same_authorship(read_text(line.fields.get("scientific_name_authorship", "")))
            or line.name.authorship,
            taxon_rank=rank,
            lineage=lineage,
            lineage_keys=find_lineage_keys(lineage, line.fields),
            gbif_key=read_gbif_key(line.fields.get("taxon_key", "")),
            accepted_key=find_accepted_key(line, accepted),
            country_codes=tuple(sorted(countries)),
            occurrence_status=status,
            establishment_means=means,
            toxicity=find_toxicity(line.fields.get("toxicity", "")),
            vernacular_names=vernacular_names,
            synonym_of=accepted,
            is_homonym=bool(accepted and lines.standing(line.name.full)),
            listed=not (stands_for and not countries and not line.fields.get("+occurrencestatus")),
            dropped=(*unknown, *unread) if not place else (),
            file=line.file,
            line=line.line,
        )


def find_accepted_key(line: TaxonLine, accepted: str) -> int | None:
    """Return the GBIF key of the line's species or higher taxon; the key of an infraspecific taxon is not used."""
    if line.name.species and (key := read_gbif_key(line.fields.get("species_key", ""))):
        return key
    if parse_name(accepted).infraspecific if accepted else line.name.infraspecific:
        return None
    key = read_gbif_key(line.fields.get("accepted_taxon_key", ""))
    return key if key or accepted else read_gbif_key(line.fields.get("taxon_key", ""))


Places: TypeAlias = list[tuple[tuple[str, str], set[str]]]


def find_places(line: TaxonLine, places: Iterable[Mapping[str, str]]) -> tuple[Places, list[RejectedRecord]]:
    """Return the countries of a taxon by (status, means): from its tables, else from its own line.

    Also returns values that are not known countries.
    """
    unread: list[RejectedRecord] = []
    found: dict[tuple[str, str], set[str]] = {}
    own = {name.removeprefix("+"): text for name, text in line.fields.items() if name.startswith("+")}
    for cells in list(places) or [own | {"status": line.fields.get("taxonomic_status", "")}]:
        said = cells.get("occurrencestatus", "")
        if not said and (status := read_status(cells.get("status", ""))) in ("present", "absent", "doubtful"):
            said = status  # ColDP and private tables, whose `status` can be of the name or of the occurrence
        key = (
            read_status("" if said.lower() in UNSAID else said),
            read_text(cells.get("establishmentmeans", "")).lower(),
        )
        codes, doubts = find_countries(cells)
        found.setdefault(key, set()).update(codes)
        unread += [drop_value(line, cells, doubt.reason, doubt.field, doubt.text, doubt.detail) for doubt in doubts]
    return sorted(found.items()), unread


UNSAID = frozenset({"n/a", "na", "nan", "null", "none", "\\n"})


def drop_value(
    line: TaxonLine, cells: Mapping[str, str], reason: str, term: str, text: str, detail: str
) -> RejectedRecord:
    """Return an invalid value with its location: the line itself or a line of a related table."""
    file, number = cells.get("+file", line.file), int(cells.get("+line", line.line))
    return RejectedRecord(reason, f"{file}, line {number}: {text!r}: {detail}", file, number, field=term, text=text)


def find_vernacular_names(
    line: TaxonLine, names: Iterable[Mapping[str, str]]
) -> tuple[tuple[tuple[str, str], ...], list[RejectedRecord]]:
    """Return distinct (BCP 47 language or empty text, name), that of the line itself first.

    Also returns values that are not languages.
    """
    unknown: list[RejectedRecord] = []
    own = {
        "vernacularname": line.fields.get("vernacular_name", ""),
        "language": line.fields.get("vernacular_language", ""),
    }
    found = []
    for cells in (own, *names):
        if name := read_text(cells.get("vernacularname") or cells.get("name", "")):
            said = read_text(cells.get("language") or cells.get("languagecode", ""))
            language = parse_language(said)
            found.append((language, name))
            if said and not language and not is_no_language(said):
                detail = "no language is known by this name"
                unknown.append(drop_value(line, cells, "language-not-known", "language", said, detail))
    return tuple(dict.fromkeys(found)), unknown


def find_countries(cells: Mapping[str, str]) -> tuple[set[str], list[DroppedValue]]:
    """Return the ISO 3166-1 alpha-2 codes named by a line: by code, `ISO_3166-2:BE`, name, or ColDP's area.

    Also returns values that are not countries. An area counts only if it is marked as a country.
    """
    texts = SEVERAL.split(read_text(cells.get("countrycode", "")))
    if not any(texts):
        found = PLACE.match(read_text(cells.get("locationid", "")))
        area = cells.get("country") or cells.get("areaid") or cells.get("area", "")
        texts = [found[1]] if found else [re.sub(r"^iso:", "", read_text(area), flags=re.I)]
    read = [parse_country(text) for text in texts]
    stated = cells.get("countrycode") or cells.get("country") or cells.get("gazetteer", "").lower().startswith("iso")
    return {code for code, _ in read if code}, [doubt for _, doubt in read if doubt and stated]


def is_plain(path: Path, encoding: str = "") -> bool:
    """Return whether a file has one name per line: the first line of a table is a header with a known word."""
    with open_container(path) as archive, archive.open(path.name) as stream:
        dialect = sniff_dialect(stream.read(HEAD), path.name, encoding)
    first = next((text.strip() for _, text in plain_lines(path, replace(dialect, quiet=True)) if text), "")
    headers = {plain_term(cell) for cell in first.replace('"', "").split(dialect.delimiter)}
    if headers & NAME_HEADERS or {"genus", "specificepithet"} <= headers:
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
    """Return whether a line has several cells, as opposed to a name with commas in its authorship."""
    return re.search(r"[;|\t]", text) is not None or ("," in text and not parse_name(text).species)


def plain_lines(path: Path, dialect: Dialect) -> Iterator[tuple[int, str | None]]:
    """Yield the lines of a text without comments after a #, except blank ones; None for undecodable lines."""
    with open_container(path) as archive, archive.open(path.name) as stream:
        for number, text in read_lines(cast(io.BufferedReader, stream), dialect, path.name):
            if number <= dialect.preamble:
                continue
            if text is None:
                yield number, None
            elif name := re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip():
                yield number, name


def read_names(path: Path, encoding: str = "") -> Iterator[ChecklistLine | RejectedRecord]:
    """Yield the names of a file with one name per line."""
    with open_container(path) as archive, archive.open(path.name) as stream:
        dialect = sniff_dialect(stream.read(HEAD), path.name, encoding)
    for number, text in plain_lines(path, dialect):
        if text is None:
            yield refuse_unreadable(dialect, path.name, number)
            continue
        name = parse_name(text)
        if is_table_line(text):
            detail = f"{path.name}, line {number}: {text!r} holds more than a name, and no header says which part is it"
            yield RejectedRecord("not-a-name", detail, path.name, number)
        elif name.full and name.uncertain:
            detail = f"{path.name}, line {number}: {text!r} is marked {name.uncertain}"
            yield RejectedRecord("uncertain-identification", detail, path.name, number)
        elif name.full:
            yield ChecklistLine(
                name.full, name.authorship, infer_rank(name), (("genus", name.genus),), file=path.name, line=number
            )
        else:
            detail = f"{path.name}, line {number}: {text!r} is not a scientific name"
            yield RejectedRecord("not-a-name", detail, path.name, number)
