"""Darwin Core Archives: a core of occurrences or taxa, with photos in an extension.

Every row of the media extension is a photo line; so is every occurrence without one (`no-photo`), and every taxon of a
taxon core that neither media nor occurrences speak of. The core is put aside on disk, the media stream past it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from indexer.archives.container import Container, open_container
from indexer.archives.descriptor import KeyedRow, Table, read_table, read_tables
from indexer.archives.shelf import RowShelf, ShelvedRow
from indexer.archives.terms import MEDIA_TERMS, OCCURRENCE_TERMS, TAXON_TERMS, Columns, find_columns, plain_term
from indexer.records import ArchiveSource, Record, RejectedRecord

MEDIA = frozenset({"multimedia", "image", "document", "audiovisual", "simplemultimedia"})
IDENTIFIER_IS_ADDRESS = frozenset({"multimedia", "image", "simplemultimedia"})
SEVERAL = re.compile(r"\s*(?:\||[;,](?=\s*https?://))\s*")  # between the addresses of associatedMedia


def read_dwca(source: ArchiveSource) -> Iterator[Record | RejectedRecord]:
    """Read a zip, tgz or folder with or without descriptor."""
    with open_container(source.path) as archive, RowShelf() as rows:
        core, *extensions = read_tables(archive)
        yield from shelve_core(archive, core, rows)
        for table in extensions:
            if table.row_type in MEDIA:
                yield from read_media(archive, table, rows)
        if core.row_type == "taxon":  # the occurrence extension of an occurrence core is its verbatim copy
            for table in extensions:
                if table.row_type == "occurrence":
                    yield from read_occurrences(archive, table, rows)
        for row in rows.unused():
            yield from read_without_media(row)


@dataclass(frozen=True, slots=True)
class CoreColumns:
    """Where the core says what."""

    columns: Columns
    accepted_id: int | None
    associated_media: int | None
    dynamic_properties: int | None = None

    def read(self, row: KeyedRow) -> dict[str, str]:
        """Return the record fields of a row, and under `+` names what the reader needs beside them."""
        fields = self.columns.read(row.cells)
        if self.accepted_id is not None and row.cells[self.accepted_id]:
            fields["+accepted_id"] = row.cells[self.accepted_id]
        if self.associated_media is not None and row.cells[self.associated_media]:
            fields["+media"] = row.cells[self.associated_media]
        if self.dynamic_properties is not None and "substrate" not in fields:
            fields |= read_properties(row.cells[self.dynamic_properties])
        return fields


def read_properties(text: str) -> dict[str, str]:
    """What dynamicProperties say of the substrate, for which Darwin Core has no term; nothing where it is no JSON."""
    try:
        properties = json.loads(text) if "substrate" in text else {}
    except (ValueError, RecursionError):
        return {}
    said = properties.get("substrate") if isinstance(properties, dict) else None
    return {"substrate": said.strip()} if isinstance(said, str) and said.strip() else {}


def find_core_columns(table: Table) -> CoreColumns:
    """Say where a core, or an occurrence extension, has which field."""
    terms = [plain_term(term) for term in table.terms]
    return CoreColumns(
        find_columns(table.terms, {**TAXON_TERMS, **OCCURRENCE_TERMS}),
        terms.index("acceptednameusageid") if "acceptednameusageid" in terms else None,
        terms.index("associatedmedia") if "associatedmedia" in terms else None,
        terms.index("dynamicproperties") if "dynamicproperties" in terms else None,
    )


def shelve_core(archive: Container, core: Table, rows: RowShelf) -> Iterator[RejectedRecord]:
    """Put the core aside. Rows without an id can have no media; rows that repeat one cannot be told from the first."""
    columns = find_core_columns(core)
    for row in read_table(archive, core):
        if isinstance(row, RejectedRecord):
            yield row
            continue
        fields = columns.read(row)
        if core.row_type != "taxon" and row.key:
            fields.setdefault("observation", row.key)
        key = row.key or f"\0{row.file}:{row.line}"
        if not rows.put(key, fields, row.file, row.line):
            yield RejectedRecord(
                "duplicate", f"{row.file}, line {row.line}: id {row.key} has been there before", row.file, row.line
            )


def read_media(archive: Container, table: Table, rows: RowShelf) -> Iterator[Record | RejectedRecord]:
    """Read a media extension, each row joined with its core row."""
    terms = dict(MEDIA_TERMS)
    if table.row_type not in IDENTIFIER_IS_ADDRESS or any(plain_term(term) == "accessuri" for term in table.terms):
        terms["photo"] = tuple(term for term in terms["photo"] if term != "identifier")
    columns = find_columns(table.terms, terms)
    for row in read_table(archive, table):
        if isinstance(row, RejectedRecord):
            yield row
            continue
        fields = columns.read(row.cells)
        found = rows.find(row.key) if row.key else None
        if found is None:
            detail = f"{row.file}, line {row.line}: there is no row {row.key!r} in the core"
            yield RejectedRecord("orphan", detail, row.file, row.line, fields.get("photo", ""))
            continue
        rows.use(row.key)
        if "photo" not in fields:
            detail = f"{row.file}, line {row.line}: the media row has no address of a photo"
            yield RejectedRecord("no-photo", detail, row.file, row.line)
            continue
        fields.setdefault("position", str(found.uses))
        yield Record(**{**accept(found, rows), **fields}, file=row.file, line=row.line)


def read_occurrences(archive: Container, table: Table, rows: RowShelf) -> Iterator[Record | RejectedRecord]:
    """Read the occurrences of a taxon core; they have photos only where associatedMedia names them."""
    columns = find_core_columns(table)
    for row in read_table(archive, table):
        if isinstance(row, RejectedRecord):
            yield row
            continue
        taxon = rows.find(row.key) if row.key else None
        if taxon is None:
            detail = f"{row.file}, line {row.line}: there is no row {row.key!r} in the core"
            yield RejectedRecord("orphan", detail, row.file, row.line)
            continue
        rows.use(row.key)
        fields = {**taxon.fields, **columns.read(row)}
        yield from read_without_media(ShelvedRow(row.key, fields, row.file, row.line, 0))


def read_without_media(row: ShelvedRow) -> Iterator[Record | RejectedRecord]:
    """Read a row that no media row speaks of: the photos it names itself, or why there is none."""
    addresses = [part for part in SEVERAL.split(row.fields.get("+media", "")) if part.strip()]
    if not addresses:
        yield RejectedRecord(
            "no-photo", f"{row.file}, line {row.line}: no photo belongs to this row", row.file, row.line
        )
    fields = {field: text for field, text in row.fields.items() if not field.startswith("+")}
    for position, address in enumerate(addresses):
        yield Record(**{**fields, "photo": address, "position": str(position)}, file=row.file, line=row.line)


def accept(row: ShelvedRow, rows: RowShelf) -> dict[str, str]:
    """Return the record fields of a core row, with the accepted name where the core refers to it by id."""
    fields = {field: text for field, text in row.fields.items() if not field.startswith("+")}
    accepted_id = row.fields.get("+accepted_id", "")
    if accepted_id and accepted_id != row.key and "accepted_name" not in fields:
        accepted = rows.find(accepted_id)
        if accepted and accepted.fields.get("scientific_name"):
            fields["accepted_name"] = accepted.fields["scientific_name"]
            fields.setdefault("accepted_taxon_key", accepted.fields.get("taxon_key", ""))
    return fields
