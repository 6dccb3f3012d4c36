"""Inspection of the photos of records: hash, size and format. Results are cached while a file is unchanged."""

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
    """Source and store of the photos of one import."""

    source: ArchiveSource
    store: PhotoStore
    fetcher: Fetcher | None = None  # None: photos given by URL are rejected
    copy: bool = False  # whether to copy local files to the store
    base_url: str = ""  # base URL of photo paths, for photos not on the local disk


def locate_photo(record: CuratedRecord | RejectedRecord, source: ArchiveSource) -> Located | RejectedRecord:
    """Locate the photo of a record; rejections are passed through."""
    if isinstance(record, RejectedRecord):
        return record
    location = locate(record, source)
    return location if isinstance(location, RejectedRecord) else (record, location)


def inspect_photos(
    desk: PhotoDesk, located: Sequence[Located | RejectedRecord], remembered: dict[str, Inspection]
) -> Iterator[Inspected | RejectedRecord]:
    """Inspect photos in order, reusing the `remembered` inspections (by address) of unchanged files."""

    def look(item: Located | RejectedRecord) -> Inspected | RejectedRecord:
        if isinstance(item, RejectedRecord):
            return item
        record, location = item
        inspection = _look(desk, record, location, remembered.get(address_of(location)))
        return inspection if isinstance(inspection, RejectedRecord) else (record, inspection)

    if all(isinstance(item, RejectedRecord) or isinstance(item[1], LocalPhoto) for item in located):
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # hashing releases the GIL
            yield from pool.map(look, located)
    else:
        yield from map(look, located)


def address_of(location: Location) -> str:
    """Return the key under which a photo's inspection is stored."""
    if isinstance(location, LocalPhoto):
        return str(location.path.absolute())
    if isinstance(location, MemberPhoto):
        return f"{location.archive.absolute()}!{location.member}"
    return location.address


def _look(
    desk: PhotoDesk, record: CuratedRecord, location: Location, known: Inspection | None
) -> Inspection | RejectedRecord:
    """Return the photo's inspection, stored or new; a rejection if its URL cannot be fetched."""
    size, modified = _file_state(location)
    if known is not None and (known.size, known.modified) == (size, modified) and _still_there(desk, known):
        return known
    found = open_photo(record, desk.source, desk.store, desk.fetcher)
    if isinstance(found, RejectedRecord):
        # A file's rejection is stored until the file changes; a URL is tried again in the next run.
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
    """Return size and mtime of the photo's file or archive; None for a URL or a missing file."""
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
    return not (desk.copy and known.sha256)  # a file that must now be copied is inspected again


def _keep(desk: PhotoDesk, found: FoundPhoto) -> str:
    if desk.copy and not found.location.startswith(STORED):
        return STORED + desk.store.put(found.path.read_bytes())
    return found.location
