"""Darwin Core Archives: a core of occurrences, taxa or events, with photos in an extension.

Every row of the media extension is a photo line; so is every occurrence without media (`no-photo`), and every taxon or
event without media and occurrences. The core is shelved on disk while the media are streamed.
"""

from __future__ import annotations

from collections.abc import Iterator

from indexer.archives.container import META, Container, open_container
from indexer.archives.core_rows import (
    find_core_columns,
    read_media_rows,
    read_without_media,
    refuse_ambiguous,
    shelve_row,
    unkeyed,
)
from indexer.archives.descriptor import PHOTO_TABLE, Table, names_taxa, read_table, read_tables
from indexer.archives.events import read_events
from indexer.archives.shelf import RowShelf, ShelvedRow
from indexer.records import ArchiveSource, Record, RejectedRecord
from retrieval.errors import ArchiveError

MEDIA = frozenset({"multimedia", "image", "document", "audiovisual", "simplemultimedia"})


def read_dwca(source: ArchiveSource) -> Iterator[Record | RejectedRecord]:
    """Read a zip, tgz or folder with or without descriptor. Raises ArchiveError for a core without names."""
    with open_container(source.path) as archive:
        core, *extensions = read_tables(archive, source.encoding)
        occurrences = [table for table in extensions if table.row_type == "occurrence"]
        media = [table for table in extensions if table.row_type in MEDIA]
        if core.row_type == "event":
            yield from read_events(archive, core, occurrences, media)
            return
        if core.row_type not in ("occurrence", "taxon") and not names_taxa(core):
            raise ArchiveError(
                f"{META}: the core is of {core.row_type or 'nothing named'}, and none of its columns holds names; "
                "cores of occurrences, taxa and events are read"
            )
        with RowShelf() as rows:
            yield from shelve_core(archive, core, rows)
            for table in media:
                yield from read_media(archive, table, rows)
            if core.row_type == "taxon":  # the occurrence extension of an occurrence core is its verbatim copy
                for table in occurrences:
                    yield from read_occurrences(archive, table, rows)
            for row in rows.unused():
                yield from read_without_media(row)


def shelve_core(archive: Container, core: Table, rows: RowShelf) -> Iterator[RejectedRecord]:
    """Shelve the core. Rows without an id can have no media; of rows with the same id, the first counts.

    If they name different species, their photos are ambiguous and rejected.

    An occurrenceID identifies an observation only if it is unique: many publishers number from 1, and a download
    combines several. If any is repeated, the archive's own ids are used as keys throughout.
    """
    columns = find_core_columns(core)
    is_keyed = core.row_type not in ("taxon", PHOTO_TABLE)
    for row in read_table(archive, core):
        if isinstance(row, RejectedRecord):
            yield row
            continue
        fields = columns.read(row)
        if is_keyed and row.key:
            fields.setdefault("observation", row.key)
            fields["+key"] = row.key
        if refused := shelve_row(rows, row.key or unkeyed(row), fields, row, "id"):
            yield refused
    if is_keyed and rows.repeats("observation"):
        rows.rename("observation", "+key")


def read_media(archive: Container, table: Table, rows: RowShelf) -> Iterator[Record | RejectedRecord]:
    """Yield the rows of a media extension, each joined with its core row."""
    for item in read_media_rows(archive, table):
        if isinstance(item, RejectedRecord):
            yield item
            continue
        row, fields = item
        fields.pop("observation", None)
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
        if refused := refuse_ambiguous(found, row, fields["photo"]):
            yield refused
            continue
        fields.setdefault("position", str(found.uses))
        yield Record(**{**accept(found, rows), **fields}, file=row.file, line=row.line)


def read_occurrences(archive: Container, table: Table, rows: RowShelf) -> Iterator[Record | RejectedRecord]:
    """Yield the occurrences of a taxon core; only associatedMedia can give them photos."""
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
        if refused := refuse_ambiguous(taxon, row):
            yield refused
            continue
        fields = {**accept(taxon, rows), **columns.read(row)}
        yield from read_without_media(ShelvedRow(row.key, fields, row.file, row.line, 0))


def accept(row: ShelvedRow, rows: RowShelf) -> dict[str, str]:
    """Return the record fields of a core row, with the accepted name where the core refers to it by id."""
    fields = {field: text for field, text in row.fields.items() if not field.startswith("+")}
    accepted_id = row.fields.get("+accepted", "")
    if accepted_id and accepted_id != row.key and "accepted_name" not in fields:
        accepted = rows.find(accepted_id)
        if accepted and accepted.fields.get("scientific_name"):
            fields["accepted_name"] = accepted.fields["scientific_name"]
            fields.setdefault("accepted_taxon_key", accepted.fields.get("taxon_key", ""))
    return fields
