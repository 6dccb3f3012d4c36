"""The descriptor of a Darwin Core Archive (meta.xml), or a description of its tables by their headers.

python-dwca-reader reads the sections. What it does not check, or reads differently from the standard, is handled first:
missing encodings, several files in a section, missing ids, document types, missing files.
"""

from __future__ import annotations

import codecs
import io
import logging
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import cast
from xml.parsers import expat

from dwca.descriptors import DataFileDescriptor

from indexer.archives.container import META, Container, refuse_nested
from indexer.archives.lines import HEAD, Dialect, Row, check_encoding, read_rows, sniff_dialect
from indexer.archives.terms import NAMING, photo_columns, plain_term
from indexer.archives.workbook import ENDINGS as WORKBOOK_ENDINGS
from indexer.records import RejectedRecord
from retrieval.errors import ArchiveError

logger = logging.getLogger(__name__)

LARGEST_META = 8 * 2**20
TABLE_ENDINGS = (".txt", ".csv", ".tsv", *WORKBOOK_ENDINGS)
FIRST_ROWS = 100  # rows that determine the width of a table without header
PHOTO_TABLE = "photo-table"
"""The row type of a table without descriptor that has a photo on every line."""
KEYS = ("id", "coreid", "gbifid", "occurrenceid", "taxonid", "recordnumber")
KEYS_OF_TAXA = ("taxonid", "coreid", "id", "recordnumber", "gbifid")
OF_TAXA = frozenset({"taxon", "distribution", "vernacularname"})


@dataclass(frozen=True, slots=True)
class Field:
    """A term of a table with its column, None if only the default applies."""

    term: str
    index: int | None
    default: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the archive: one or more files of the same format."""

    files: tuple[str, ...]
    row_type: str  # last part, lower case: occurrence, taxon, multimedia, document, image ...
    key: int | None  # column of the id (core) or of the core's id (extension)
    fields: tuple[Field, ...]
    header_lines: int
    dialect: Dialect

    @property
    def terms(self) -> list[str]:
        """Return the terms, as the header of the rows from `read_table`."""
        return [field.term for field in self.fields]

    @property
    def width(self) -> int:
        """Return the required number of columns of a row."""
        return 1 + max(
            (place for place in (self.key, *(field.index for field in self.fields)) if place is not None), default=-1
        )


@dataclass(frozen=True, slots=True)
class KeyedRow:
    """A row of a table in the order of the table's terms, with defaults."""

    key: str
    cells: list[str]
    file: str
    line: int


def read_tables(archive: Container, encoding: str = "") -> list[Table]:
    """Return the core, then the extensions. `encoding` overrides the encoding, if the user gave one.

    Raises ArchiveError with file and line.
    """
    names = archive.names()
    if META in names:
        tables = _described_tables(archive)
        if encoding and check_encoding(encoding):
            tables = [replace(table, dialect=replace(table.dialect, encoding=encoding, told=True)) for table in tables]
        return tables
    tables = _find_tables(archive, names, encoding)
    by_stem = {_stem(table): table for table in tables}
    for stem in ("occurrence", "taxon"):  # the first two are in GBIF's downloads
        if stem in by_stem and "multimedia" in by_stem:
            _tell_unread(archive, tables, {stem, "multimedia", "verbatim"})
            return [replace(by_stem[stem], row_type=stem), replace(by_stem["multimedia"], row_type="multimedia")]
    named = [table for table in tables if names_taxa(table)]
    if len(named) != 1:
        refuse_nested(archive.path, names)
        found = ", ".join(table.files[0] for table in named or tables) or "none"
        wanted = "several have" if named else "none has"
        raise ArchiveError(
            f"{archive.path}: there is no {META}, and one table has to be the core; of its tables ({found}) {wanted} "
            "a column for names, such as scientificName"
        )
    table = named[0]
    _tell_unread(archive, tables, {_stem(table)})
    if table.row_type != "taxon" and any(photo_columns(table.terms)):
        return [replace(table, row_type=PHOTO_TABLE, key=None)]
    return [table]


def _stem(table: Table) -> str:
    return table.files[0].rsplit(".", 1)[0].lower()


def _tell_unread(archive: Container, tables: list[Table], read: set[str]) -> None:
    """Log the tables that are ignored because no descriptor declares them."""
    if unread := [table.files[0] for table in tables if _stem(table) not in read]:
        logger.warning("%s: nothing is read from %s: there is no %s", archive.path.name, ", ".join(unread), META)


def _find_tables(archive: Container, names: list[str], encoding: str) -> list[Table]:
    """Describe every table of an archive without descriptor by its header; other files are ignored."""
    tables = []
    for name in names if len(names) == 1 else [name for name in names if name.lower().endswith(TABLE_ENDINGS)]:
        try:
            stem = name.rsplit("/", 1)[-1].rsplit(".", 1)[0].lower()
            tables.append(sniff_table(archive, name, "taxon" if stem in ("taxon", "taxa") else "occurrence", encoding))
        except ArchiveError:
            if len(names) == 1:
                refuse_nested(archive.path, names)
                raise
    return tables


def names_taxa(table: Table) -> bool:
    """Return whether a table has a column for names."""
    terms = {plain_term(term) for term in table.terms}
    return bool(terms & NAMING) or {"genus", "specificepithet"} <= terms


def read_table(archive: Container, table: Table) -> Iterator[KeyedRow | RejectedRecord]:
    """Yield every row of every file of a table. Rows with a wrong number of cells are rejected."""
    for file in table.files:
        with archive.open(file) as stream:
            rows = read_rows(cast(io.BufferedReader, stream), table.dialect, file)
            header = list(islice(rows, table.header_lines))
            for line in header:
                _check_header(line, table, file)
            first = list(islice(rows, 0 if header else FIRST_ROWS))
            width = _width(header[-1:] or first, table)
            for row in chain(first, rows):
                if isinstance(row, RejectedRecord):
                    yield row
                elif len(row.cells) < width or any(cell.strip() for cell in row.cells[width:]):
                    detail = f"{file}, line {row.line}: the line has {len(row.cells)} columns, {width} are needed"
                    yield RejectedRecord("malformed-line", detail, file, row.line)
                else:
                    key = row.cells[table.key].strip() if table.key is not None else ""
                    yield KeyedRow(key, _fill(row, table), file, row.line)


def _width(rows: list[Row | RejectedRecord], table: Table) -> int:
    """Return the width of a table: that of its header, or else the most frequent one of its first rows."""
    widths = Counter(len("\t".join(row.cells).rstrip().split("\t")) for row in rows if isinstance(row, Row))
    return max(table.width, widths.most_common(1)[0][0] if widths else 0)


def _check_header(row: Row | RejectedRecord, table: Table, file: str) -> None:
    """Raise ArchiveError if the header has fewer columns than the descriptor: it describes another table."""
    if isinstance(row, Row) and 1 < len(row.cells) < table.width:
        raise ArchiveError(
            f"{file}, line {row.line}: the header has {len(row.cells)} columns, but {META} speaks of {table.width}"
        )


def _fill(row: Row, table: Table) -> list[str]:
    return [
        (row.cells[field.index].strip() if field.index is not None else "") or field.default for field in table.fields
    ]


def _described_tables(archive: Container) -> list[Table]:
    with archive.open(META) as stream:
        text = stream.read(LARGEST_META + 1)
    if len(text) > LARGEST_META:
        raise ArchiveError(f"{META}: the descriptor has more than {LARGEST_META:,} bytes")
    root, lines = _parse_xml(text)
    sections = [*root.findall("core"), *root.findall("extension")]
    if len(root.findall("core")) != 1:
        raise ArchiveError(
            f"{META}, line {lines[root]}: one core is needed, and {len(root.findall('core'))} are described"
        )
    many = len(sections) > 1
    return [_described_table(section, lines[section], archive, many) for section in sections]


def _described_table(section: ET.Element, line: int, archive: Container, many: bool) -> Table:
    where = f"{META}, line {line}: the {section.tag}"
    files = tuple((location.text or "").strip() for location in section.findall("./files/location"))
    if not files or "" in files:
        raise ArchiveError(f"{where} does not say in which file it is")
    if missing := [file for file in files if archive.find(file) is None]:
        raise ArchiveError(f"{where} is in {missing[0]!r}, which is not in the archive")
    key_tag = "id" if section.tag == "core" else "coreid"
    if section.find(key_tag) is None:
        if many:
            raise ArchiveError(f"{where} has no <{key_tag}>, so its rows cannot be joined")
        ET.SubElement(section, key_tag, {"index": "-1"})
    encoding = section.get("encoding", "").strip() or "utf-8"
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise ArchiveError(f"{where} is in encoding {encoding!r}, which is not known") from error
    section.set("encoding", "ascii")  # or the reader would decode the attributes by it
    try:
        described = DataFileDescriptor.make_from_metafile_section(section)
        key = described.id_index if section.tag == "core" else described.coreid_index
        header_lines = int(described.lines_to_ignore)
        places = [field["index"] for field in described.fields if field["index"] is not None]
    except (AttributeError, TypeError, ValueError) as error:
        raise ArchiveError(f"{where} is not described as the standard asks ({error})") from error
    if any(place < 0 for place in places) or key < -1 or header_lines < 0:
        raise ArchiveError(f"{where} has a column or a number of header lines below 0")
    if len(described.fields_terminated_by) != 1 or len(described.fields_enclosed_by) > 1:
        raise ArchiveError(f"{where} separates or encloses its columns by more than one sign, which is not supported")
    if described.lines_terminated_by not in ("\n", "\r\n", "\r", "\n\r"):
        raise ArchiveError(f"{where} ends its lines by {described.lines_terminated_by!r}, which is not supported")
    return Table(
        files=files,
        row_type=plain_term(described.type or ""),
        key=None if key == -1 else key,
        fields=tuple(Field(field["term"] or "", field["index"], field["default"] or "") for field in described.fields),
        header_lines=header_lines,
        dialect=Dialect(
            described.fields_terminated_by,
            described.fields_enclosed_by,
            encoding,
            "\r" if described.lines_terminated_by == "\r" else "\n",
        ),
    )


def _parse_xml(text: bytes) -> tuple[ET.Element, dict[ET.Element, int]]:
    """Parse a descriptor into elements without namespaces; returns them with the line of each."""
    parser, builder, lines = expat.ParserCreate(), ET.TreeBuilder(), dict[ET.Element, int]()

    def start(tag: str, attributes: dict[str, str]) -> None:
        lines[builder.start(tag.rsplit(":", 1)[-1], attributes)] = parser.CurrentLineNumber

    def doctype(*_: object) -> None:
        raise ArchiveError(
            f"{META}, line {parser.CurrentLineNumber}: a descriptor has no document type; this one is not trusted"
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: builder.end(tag.rsplit(":", 1)[-1])
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text.strip(), True)
    except expat.ExpatError as error:
        raise ArchiveError(f"{META}, line {error.lineno}: this is no XML ({expat.ErrorString(error.code)})") from error
    return builder.close(), lines


def sniff_table(archive: Container, file: str, row_type: str, encoding: str = "") -> Table:
    """Describe a table by its own header. Raises ArchiveError."""
    with archive.open(file) as stream:
        dialect = sniff_dialect(stream.read(HEAD), file, encoding)
    with archive.open(file) as stream:
        header = next(read_rows(cast(io.BufferedReader, stream), dialect, file), None)
    if not isinstance(header, Row):
        raise ArchiveError(header.detail if header else f"{file}, line 1: the file is empty, there is no header")
    terms = [plain_term(cell) for cell in header.cells]
    return Table(
        files=(file,),
        row_type=row_type,
        key=next((terms.index(key) for key in (KEYS_OF_TAXA if row_type in OF_TAXA else KEYS) if key in terms), None),
        fields=tuple(Field(cell.strip(), place, "") for place, cell in enumerate(header.cells)),
        header_lines=1,
        dialect=dialect,
    )
