"""Looks at the photos that records speak of, each file once: what has not changed is remembered."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from database.collection.imports import Inspection
from database.collection.photos import STORED
from indexer.photos.finding import (
    Fetcher,
    FoundPhoto,
    LocalPhoto,
    Location,
    MemberPhoto,
    PhotoStore,
    locate,
    open_photo,
)
from indexer.records import ArchiveSource, CuratedRecord, RejectedRecord

Located = tuple[CuratedRecord, Location]
Inspected = tuple[CuratedRecord, Inspection]


@dataclass(frozen=True, slots=True)
class PhotoDesk:
    """Where the photos of one import come from and where they are kept."""

    source: ArchiveSource
    store: PhotoStore
    fetcher: Fetcher | None = None  # None: photos behind addresses are rejected
    copy: bool = False  # keep a copy of local files in the store
    base_url: str = ""  # address that photo paths are relative to, where the photos are not on this disk


def locate_photo(record: CuratedRecord | RejectedRecord, source: ArchiveSource) -> Located | RejectedRecord:
    """Say where the photo of a record is; a rejection stays one."""
    if isinstance(record, RejectedRecord):
        return record
    location = locate(record, source)
    return location if isinstance(location, RejectedRecord) else (record, location)


def inspect_photos(
    desk: PhotoDesk, located: Sequence[Located | RejectedRecord], remembered: dict[str, Inspection]
) -> Iterator[Inspected | RejectedRecord]:
    """Look at every photo whose address is not among `remembered`, or whose file has changed since; in order."""

    def look(item: Located | RejectedRecord) -> Inspected | RejectedRecord:
        if isinstance(item, RejectedRecord):
            return item
        record, location = item
        inspection = _look(desk, record, location, remembered.get(address_of(location)))
        return inspection if isinstance(inspection, RejectedRecord) else (record, inspection)

    if all(isinstance(item, RejectedRecord) or isinstance(item[1], LocalPhoto) for item in located):
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # hashing gives up the interpreter lock
            yield from pool.map(look, located)
    else:
        yield from map(look, located)


def address_of(location: Location) -> str:
    """Return the one name under which a photo's inspection is remembered."""
    if isinstance(location, LocalPhoto):
        return str(location.path.absolute())
    if isinstance(location, MemberPhoto):
        return f"{location.archive.absolute()}!{location.member}"
    return location.address


def _look(
    desk: PhotoDesk, record: CuratedRecord, location: Location, known: Inspection | None
) -> Inspection | RejectedRecord:
    """Return what is known of the photo, from memory while its file is unchanged; a rejection where nothing can be."""
    size, modified = _file_state(location)
    if known is not None and (known.size, known.modified) == (size, modified) and _still_there(desk, known):
        return known
    found = open_photo(record, desk.source, desk.store, desk.fetcher)
    if isinstance(found, RejectedRecord):
        # A file is judged until it changes; a web address gets another chance in the next run.
        if size is None:
            return found
        return Inspection(address_of(location), size, modified, reason=found.reason, detail=found.detail)
    return Inspection(
        address=address_of(location),
        size=size,
        modified=modified,
        location=_keep(desk, found),
        sha256=found.facts.sha256,
        byte_count=found.facts.byte_count,
        width=found.facts.width,
        height=found.facts.height,
        media_format=found.facts.media_format,
    )


def _file_state(location: Location) -> tuple[int | None, float | None]:
    """Return size and time of the file that holds the photo; nothing for an address or where there is no file."""
    path = {LocalPhoto: "path", MemberPhoto: "archive"}.get(type(location))
    if path is None:
        return None, None
    try:
        state = Path(getattr(location, path)).stat()
    except OSError:
        return None, None
    return state.st_size, state.st_mtime


def _still_there(desk: PhotoDesk, known: Inspection) -> bool:
    if known.location.startswith(STORED):
        return desk.store.path(known.sha256).is_file()
    return not (desk.copy and known.sha256)  # a file that is now to be copied is looked at again


def _keep(desk: PhotoDesk, found: FoundPhoto) -> str:
    if desk.copy and not found.location.startswith(STORED):
        return STORED + desk.store.put(found.path.read_bytes())
    return found.location
