"""The store of observations' photos, by sha256, in a folder or in an S3-compatible store.

The only module that uses fsspec. Writes are atomic, and durable before they are acknowledged.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec

from database.errors import StoreFull, StoreUnavailable
from retrieval.errors import UnknownPhoto
from retrieval.snapshots.manifest import sync_folder

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DIGEST = re.compile(r"[0-9a-f]{64}")


class PhotoFiles:
    """Photos by their sha256. Equal bytes are stored once; two characters per folder keep folders small."""

    def __init__(self, address: str) -> None:
        """Open a store; `address` is a folder or an fsspec URL like `s3://BUCKET/PREFIX`. Raises StoreUnavailable."""
        try:
            self._files, root = fsspec.core.url_to_fs(address)
        except (ImportError, ValueError) as error:
            raise StoreUnavailable(
                f"photos cannot be kept at {address.split('://')[0]}://...: {error};"
                " for S3 install requirements-s3.txt, or name a folder"
            ) from error
        self.root: str = root.rstrip("/")
        self.folder = Path(self.root) if "file" in _protocols(self._files) else None

    def put(self, photo: bytes) -> str:
        """Store a photo; returns its sha256. Raises StoreFull, StoreUnavailable.

        In a folder, a photo that is there already is read, and written again if it is damaged. Its name is flushed too:
        whoever is storing the same photo at this moment may not have done so yet.
        """
        sha256 = hashlib.sha256(photo).hexdigest()
        try:
            if self.folder is not None:
                path = Path(self._path(sha256))
                if path.is_file() and path.read_bytes() == photo:
                    sync_names(path)
                else:
                    write_whole(path, photo, durable=True)
            elif not self.has(sha256):
                self._files.pipe_file(self._path(sha256), photo)  # one request, which object stores apply atomically
        except OSError as error:
            if error.errno in NO_ROOM:
                raise StoreFull("the photo storage is full; the administrator has to free some space") from error
            raise StoreUnavailable(f"a photo could not be kept ({error.strerror or type(error).__name__})") from error
        return sha256

    def get(self, sha256: str) -> bytes:
        """Return the bytes of a photo. Raises UnknownPhoto if it is missing or damaged."""
        try:
            photo: bytes = self._files.cat_file(self._path(sha256))
        except FileNotFoundError as error:
            raise UnknownPhoto(f"there is no photo {sha256[:64]}") from error
        except OSError as error:
            raise StoreUnavailable(
                f"photo {sha256} cannot be read ({error.strerror or type(error).__name__})"
            ) from error
        if hashlib.sha256(photo).hexdigest() != sha256:
            raise UnknownPhoto(f"photo {sha256} is damaged")
        return photo

    def has(self, sha256: str) -> bool:
        """Return whether a photo is stored. Raises StoreUnavailable."""
        try:
            return bool(self._files.exists(self._path(sha256)))
        except OSError as error:
            raise StoreUnavailable(f"the photos cannot be reached ({type(error).__name__})") from error

    def remove(self, sha256: str) -> None:
        """Remove a photo. Idempotent. Raises StoreUnavailable."""
        try:
            self._files.rm_file(self._path(sha256))
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreUnavailable(f"photo {sha256} could not be removed ({type(error).__name__})") from error

    def everything(self) -> Iterator[tuple[str, datetime]]:
        """Yield every file of the store with its time of writing (UTC): digests of photos, paths of leftovers."""
        self._files.invalidate_cache()
        found: dict[str, dict[str, Any]] = self._files.find(self.root, detail=True)
        for path, about in sorted(found.items()):
            name = path.rpartition("/")[2]
            yield (name if _DIGEST.fullmatch(name) else path), _written(about)

    def remove_leftover(self, path: str) -> None:
        """Remove a leftover of an interrupted write, by its path from `everything`."""
        self._files.rm_file(path)

    def _path(self, sha256: str) -> str:
        if not _DIGEST.fullmatch(sha256):  # paths may come from URLs
            raise UnknownPhoto("a photo is named by the 64 hexadecimal digits of its sha256")
        return f"{self.root}/{sha256[:2]}/{sha256}"


def write_whole(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file atomically, also with concurrent writers or if the process is killed.

    `durable` waits until the file and its name are on disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(prefix=".unfinished-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
    if durable:
        sync_names(path)


def sync_names(path: Path) -> None:
    """Sync a file's folder and the one above, which may be new."""
    for folder in (path.parent, path.parent.parent):
        sync_folder(folder)


def _protocols(files: Any) -> tuple[str, ...]:
    named = files.protocol
    return (named,) if isinstance(named, str) else tuple(named)


def _written(about: dict[str, Any]) -> datetime:
    """Return the time a file was written, from the attributes of any kind of store; the epoch if unknown."""
    when = about.get("mtime", about.get("LastModified", about.get("created")))
    if isinstance(when, datetime):
        return when if when.tzinfo else when.replace(tzinfo=UTC)
    return datetime.fromtimestamp(float(when or 0), UTC)
