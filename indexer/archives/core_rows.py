"""Reads rows of a core, an occurrence extension or a media extension into record fields."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from indexer.archives.container import Container
from indexer.archives.descriptor import PHOTO_TABLE, KeyedRow, Table, read_table
from indexer.archives.shelf import RowShelf, ShelvedRow
from indexer.archives.terms import (
    MEDIA_TERMS,
    OCCURRENCE_TERMS,
    TABLE_TERMS,
    TAXON_TERMS,
    Columns,
    find_columns,
    photo_columns,
    plain_term,
    split_photos,
)  # fmt: skip
from indexer.records import Record, RejectedRecord

IDENTIFIER_IS_ADDRESS = frozenset({"multimedia", "image", "simplemultimedia"})
BESIDE = {
    "+accepted": "acceptednameusageid", "+media": "associatedmedia", "+properties": "dynamicproperties",
    "+parent": "parenteventid",
}  # fmt: skip
"""Terms that readers need beyond the fields of records, by their keys in a row's fields."""


@dataclass(frozen=True, slots=True)
class CoreColumns:
    """The columns of the fields in a core or an occurrence extension."""

    columns: Columns
    beside: tuple[tuple[str, int], ...]

    def read(self, row: KeyedRow) -> dict[str, str]:
        """Return the record fields of a row, and its terms of BESIDE."""
        fields = self.columns.read(row.cells)
        fields.update((name, row.cells[place]) for name, place in self.beside if row.cells[place])
        if properties := fields.pop("+properties", ""):
            fields = read_properties(properties) | fields
        return fields


def find_core_columns(table: Table) -> CoreColumns:
    """Find the columns of the fields in a core or an occurrence extension."""
    terms = [plain_term(term) for term in table.terms]
    beside = {name: terms.index(term) for name, term in BESIDE.items() if term in terms}
    if table.row_type == PHOTO_TABLE:
        files, addresses = photo_columns(table.terms)
        beside.setdefault("+media", (files or addresses)[0])
        return CoreColumns(find_columns(table.terms, TABLE_TERMS), tuple(beside.items()))
    return CoreColumns(find_columns(table.terms, {**TAXON_TERMS, **OCCURRENCE_TERMS}), tuple(beside.items()))


def read_properties(text: str) -> dict[str, str]:
    """Return the substrate in dynamicProperties, for which Darwin Core has no term; empty without valid JSON."""
    try:
        properties = json.loads(text) if "substrate" in text else {}
    except (ValueError, RecursionError):
        return {}
    said = properties.get("substrate") if isinstance(properties, dict) else None
    return {"substrate": said.strip()} if isinstance(said, str) and said.strip() else {}


def shelve_row(rows: RowShelf, key: str, fields: Mapping[str, str], row: KeyedRow, kind: str) -> RejectedRecord | None:
    """Shelve a row, or reject it if its key is taken; rows of one key with different species are noted."""
    if rows.put(key, fields, row.file, row.line):
        return None
    detail = f"{row.file}, line {row.line}: {kind} {key} has been there before"
    first = rows.find(key)
    if first and (name := name_of(fields)) != (known := name_of(first.fields)):
        rows.mark(key, "+other", name)
        detail += f", in line {first.line}, as {known or 'nothing named'}; here it is {name or 'nothing named'}"
    return RejectedRecord("duplicate", detail, row.file, row.line)


def name_of(fields: Mapping[str, str]) -> str:
    """Return the name of a row for comparison: genus and epithet, or else the raw text."""
    text = fields.get("scientific_name") or f"{fields.get('genus', '')} {fields.get('specific_epithet', '')}"
    return " ".join(text.replace("_", " ").split()[:2]).capitalize()


def refuse_ambiguous(found: ShelvedRow, row: KeyedRow, photo: str = "") -> RejectedRecord | None:
    """Reject a photo whose key belongs to rows of different species; None for others."""
    other = found.fields.get("+other")
    if other is None:
        return None
    names = f"{name_of(found.fields) or 'nothing named'} and {other or 'nothing named'}"
    detail = f"{row.file}, line {row.line}: {found.key} is the key of two rows, of {names}"
    return RejectedRecord("ambiguous-identification", detail, row.file, row.line, photo)


def unkeyed(row: KeyedRow) -> str:
    """Return a key for a row without one: its file and line."""
    return f"\0{row.file}:{row.line}"


def read_media_rows(archive: Container, table: Table) -> Iterator[tuple[KeyedRow, dict[str, str]] | RejectedRecord]:
    """Yield the rows of a media extension with their record fields."""
    terms = {**MEDIA_TERMS, "observation": ("occurrenceid",)}
    if table.row_type not in IDENTIFIER_IS_ADDRESS or any(plain_term(term) == "accessuri" for term in table.terms):
        terms["photo"] = tuple(term for term in terms["photo"] if term != "identifier")
    columns = find_columns(table.terms, terms)
    for row in read_table(archive, table):
        if isinstance(row, RejectedRecord):
            yield row
            continue
        yield row, columns.read(row.cells)


def read_without_media(row: ShelvedRow) -> Iterator[Record | RejectedRecord]:
    """Yield the photos in a row without media rows, or a rejection."""
    photos = split_photos(row.fields.get("+media", ""))
    if not photos:
        yield RejectedRecord(
            "no-photo", f"{row.file}, line {row.line}: no photo belongs to this row", row.file, row.line
        )
    fields = {field: text for field, text in row.fields.items() if not field.startswith("+")}
    if len(photos) > 1:  # one row is one observation
        fields.setdefault("observation", f"{row.file}:{row.line}")
    for position, photo in enumerate(photos):
        yield Record(**{"position": str(position), **fields, "photo": photo}, file=row.file, line=row.line)
