"""Sampling-event archives: a core of events, whose occurrences, in an extension, inherit place and date."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from indexer.archives.container import Container
from indexer.archives.core_rows import (
    find_core_columns,
    read_media_rows,
    read_without_media,
    refuse_ambiguous,
    shelve_row,
    unkeyed,
)
from indexer.archives.descriptor import Table, read_table
from indexer.archives.shelf import RowShelf
from indexer.records import Record, RejectedRecord
from retrieval.errors import ArchiveError

DEPTH = 8  # nested events; bounds circular references


def read_events(
    archive: Container, core: Table, occurrences: Sequence[Table], media: Sequence[Table]
) -> Iterator[Record | RejectedRecord]:
    """Yield the photos of every occurrence, and a rejection for every occurrence and event without one.

    Media are joined with events: if an event has several occurrences, only an occurrenceID in the media row tells which
    one it shows.
    """
    if not occurrences:
        raise ArchiveError(f"{archive.path}: the core is of events, and no extension says which fungi were found there")
    with RowShelf() as events, RowShelf() as finds, RowShelf() as only:
        yield from shelve_events(archive, core, events)
        for table in occurrences:
            yield from shelve_finds(archive, table, events, finds, only)
        for table in media:
            yield from read_media(archive, table, events, finds, only)
        for find in finds.unused():
            yield from read_without_media(find)
        for event in events.unused():
            detail = (
                f"{event.file}, line {event.line}: nothing was found at event {event.key}, or its rows were refused"
            )
            yield RejectedRecord("no-photo", detail, event.file, event.line)


def shelve_events(archive: Container, core: Table, events: RowShelf) -> Iterator[RejectedRecord]:
    """Shelve the events; if an id is repeated with different values, neither row is used."""
    columns = find_core_columns(core)
    for row in read_table(archive, core):
        if isinstance(row, RejectedRecord):
            yield row
            continue
        fields = columns.read(row)
        fields.pop("observation", None)
        if events.put(row.key or unkeyed(row), fields, row.file, row.line):
            continue
        detail = f"{row.file}, line {row.line}: event {row.key} has been there before"
        first = events.find(row.key)
        if first and dict(first.fields) != fields:
            events.mark(row.key, "+other", "yes")
            detail += f", in line {first.line}, with another day or place: neither is taken"
        yield RejectedRecord("duplicate", detail, row.file, row.line)


def shelve_finds(
    archive: Container, table: Table, events: RowShelf, finds: RowShelf, only: RowShelf
) -> Iterator[RejectedRecord]:
    """Shelve the occurrences with place and date of their events, and note the first occurrence of each event."""
    columns = find_core_columns(table)
    for row in read_table(archive, table):
        if isinstance(row, RejectedRecord):
            yield row
            continue
        above = find_event(row.key, events)
        if above is None:
            detail = f"{row.file}, line {row.line}: there is no event {row.key!r} in the core"
            yield RejectedRecord("orphan", detail, row.file, row.line)
            continue
        own = columns.read(row)
        key = own.setdefault("observation", f"{row.key}:{row.file}:{row.line}")
        if refused := shelve_row(finds, key, {**above, **own}, row, "occurrence"):
            yield refused
            continue
        events.use(row.key)
        only.put(row.key, {"find": key})
        only.use(row.key)


def find_event(key: str, events: RowShelf) -> dict[str, str] | None:
    """Return the fields of an event, completed from its parent events; None for an unknown event."""
    event = events.find(key) if key else None
    if event is None:
        return None
    fields: dict[str, str] = {}
    for _ in range(DEPTH):
        if "+other" in event.fields:  # defined twice with different values
            break
        fields = {**event.fields, **fields}
        parent = events.find(event.fields.get("+parent", ""))
        if parent is None:
            break
        if not parent.uses:
            events.use(parent.key)
        event = parent
    fields.pop("+parent", None)
    return fields


def read_media(
    archive: Container, table: Table, events: RowShelf, finds: RowShelf, only: RowShelf
) -> Iterator[Record | RejectedRecord]:
    """Yield the rows of a media extension, each joined with the occurrence it shows."""
    for item in read_media_rows(archive, table):
        if isinstance(item, RejectedRecord):
            yield item
            continue
        row, fields = item
        where, photo = f"{row.file}, line {row.line}", fields.get("photo", "")
        event = events.find(row.key) if row.key else None
        if event is None:
            detail = f"{where}: there is no event {row.key!r} in the core"
            yield RejectedRecord("orphan", detail, row.file, row.line, photo)
            continue
        if not photo:
            yield RejectedRecord("no-photo", f"{where}: the media row has no address of a photo", row.file, row.line)
            continue
        stated = fields.pop("observation", "")
        first = only.find(row.key)
        find = finds.find(stated or (first.fields["find"] if first and first.uses == 1 else ""))
        if find is None:
            reason, detail = explain_no_find(row.key, stated, first.uses if first else 0)
            yield RejectedRecord(reason, f"{where}: {detail}", row.file, row.line, photo)
            continue
        finds.use(find.key)
        if refused := refuse_ambiguous(find, row, photo):
            yield refused
            continue
        known = {field: text for field, text in find.fields.items() if not field.startswith("+")}
        yield Record(**{"position": str(find.uses), **known, **fields}, file=row.file, line=row.line)


def explain_no_find(event: str, stated: str, occurrences: int) -> tuple[str, str]:
    """Return why a photo of an event belongs to no occurrence: reason and detail."""
    if stated:
        return "orphan", f"there is no occurrence {stated!r}"
    if not occurrences:
        return "orphan", f"no occurrence of event {event} was read, so nothing says what this photo shows"
    detail = (
        f"event {event} has {occurrences} occurrences, and the row has no occurrenceID that says which one it shows"
    )
    return "ambiguous-identification", detail
