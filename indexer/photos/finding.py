"""Locates the photo bytes of records in a folder or an archive, or fetches them, and inspects them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from indexer.archives.container import Container, FolderContainer, find_spelling
from indexer.archives.lines import DAMAGED
from indexer.photos.fetching import Fetcher
from indexer.photos.photo_facts import PhotoFacts, inspect_photo, reason_of
from indexer.photos.photo_store import PhotoStore
from indexer.records import ArchiveSource, CuratedRecord, Record, RejectedRecord
from retrieval.errors import ArchiveError, PhotoTooLarge, UnreadablePhoto
from retrieval.photos.addresses import SCHEMES
from retrieval.photos.views import CURATED

__all__ = [
    "Fetcher", "FoundPhoto", "LocalPhoto", "Location", "MemberPhoto", "PhotoFacts", "PhotoStore", "RemotePhoto",
    "inspect_photo", "locate", "open_photo", "read_member",
]  # fmt: skip

ADDRESS = re.compile(r"^(?:[a-z][a-z0-9+.-]+://|data:|file:)", re.I)


@dataclass(frozen=True, slots=True)
class LocalPhoto:
    """A file in a folder of the person."""

    path: Path


@dataclass(frozen=True, slots=True)
class MemberPhoto:
    """A member of a zip or tar archive."""

    archive: Path
    member: str


@dataclass(frozen=True, slots=True)
class RemotePhoto:
    """A photo at a URL."""

    address: str


Location = LocalPhoto | MemberPhoto | RemotePhoto


@dataclass(frozen=True, slots=True)
class FoundPhoto:
    """A photo with its bytes. `location` is stored in the database."""

    path: Path
    location: str  # absolute path, or `store:SHA256`
    modified: float | None  # file time of a local file
    facts: PhotoFacts


def locate(record: Record | CuratedRecord, source: ArchiveSource) -> Location | RejectedRecord:
    """Return the location of the record's photo, never outside the archive or the photos folder.

    Photos with a URL are first looked up in `source.photos`, as `host/path` and as `path`.
    """
    photo = record.photo.strip()
    if not photo:
        return _reject(record, "no-photo", "the record names no photo")
    if ADDRESS.match(photo):
        return _locate_address(record, photo, source)
    photo = photo if "\\" not in photo else photo.replace("\\", "/")
    if source.photos is None and source.path.is_file() and source.kind == "dwca":
        if ".." in PurePosixPath(photo).parts or photo.startswith("/"):
            return _reject(record, "outside-folder", f"{photo!r} leads out of the archive")
        return MemberPhoto(source.path, photo.removeprefix("./"))
    for folder in _folders(source):
        try:
            path = (folder / photo).resolve()
        except (OSError, ValueError):
            return _reject(record, "bad-address", f"{photo[:200]!r} is no name of a file")
        if not path.is_relative_to(folder.resolve()):
            return _reject(record, "outside-folder", f"{photo!r} leads out of {folder}")
        if found := find_spelling(folder, photo):
            return LocalPhoto(found.resolve())
    return _reject(record, "photo-missing", f"there is no photo {photo[:200]!r} below {_folders(source)[0]}")


def open_photo(
    record: Record | CuratedRecord, source: ArchiveSource, store: PhotoStore, fetcher: Fetcher | None = None
) -> FoundPhoto | RejectedRecord:
    """Locate the record's photo and inspect it; without a `fetcher`, no photo is fetched.

    Members of archives and fetched photos are copied to the store; local files stay in place.
    """
    location = locate(record, source)
    if isinstance(location, RejectedRecord):
        return location
    try:
        if isinstance(location, LocalPhoto):
            modified = location.path.stat().st_mtime
            return FoundPhoto(location.path, str(location.path), modified, inspect_photo(location.path))
        if isinstance(location, MemberPhoto):
            photo = read_member(store.archive(location.archive), location.member)
            inspect_photo(photo)
            return _stored(store, store.put(photo))
        if fetcher is None:
            return _reject(
                record, "not-fetched", f"{location.address} is not on this disk and fetching was not asked for"
            )
        fetched = fetcher.fetch(location.address)
        if isinstance(fetched, RejectedRecord):
            return _reject(record, fetched.reason, fetched.detail)
        return _stored(store, fetched)
    except (UnreadablePhoto, PhotoTooLarge) as error:
        return _reject(record, reason_of(error), f"{record.photo}: {error}")
    except ArchiveError as error:
        return _reject(record, "photo-missing", str(error))
    except OSError as error:
        return _reject(record, "unreadable", f"{record.photo} cannot be read ({error.strerror or error})")


def read_member(archive: Container, member: str) -> bytes:
    """Read a photo from an archive, up to the size limit of photos.

    Raises ArchiveError for an unknown member, UnreadablePhoto for a damaged one, PhotoTooLarge.
    """
    with archive.open(member) as stream:
        try:
            photo = stream.read(CURATED.bytes + 1)
        except DAMAGED as error:
            raise UnreadablePhoto(f"the photo is damaged within the archive ({error})") from error
    if len(photo) > CURATED.bytes:
        raise PhotoTooLarge(f"the photo has more than {CURATED.bytes:,} bytes")
    return photo


def _locate_address(record: Record | CuratedRecord, photo: str, source: ArchiveSource) -> Location | RejectedRecord:
    try:
        parts = urlsplit(photo)
        host = parts.hostname or ""
    except ValueError:
        return _reject(record, "bad-address", f"{photo!r} is no address")
    if parts.scheme.lower() not in SCHEMES or not host:
        return _reject(record, "bad-address", f"{photo!r} is no web address")
    if source.photos is not None:
        path = unquote(parts.path).lstrip("/")
        for candidate in (f"{host}/{path}", path):
            local = (source.photos / candidate).resolve()
            inside = path and local.is_relative_to(source.photos.resolve())
            if inside and (found := find_spelling(source.photos, candidate)):
                return LocalPhoto(found.resolve())
    return RemotePhoto(photo)


def _folders(source: ArchiveSource) -> list[Path]:
    if source.photos is not None:
        return [source.photos]
    if not source.path.is_dir():
        return [source.path.parent]
    return [source.path, *([_content_root(source.path)] if source.kind == "dwca" else [])]


@lru_cache(maxsize=8)
def _content_root(folder: Path) -> Path:
    """Return the root folder of an archive's content; cached, since listing it for each photo is slow."""
    return FolderContainer(folder).root


def _stored(store: PhotoStore, sha256: str) -> FoundPhoto:
    path = store.path(sha256)
    return FoundPhoto(path, f"store:{sha256}", None, inspect_photo(path))


def _reject(record: Record | CuratedRecord, reason: str, detail: str) -> RejectedRecord:
    return RejectedRecord(reason, detail, record.file, record.line, record.photo)
