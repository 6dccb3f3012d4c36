"""A content-addressed store of photos (by SHA-256), with the URLs they were fetched from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType

from database.collection.photos import stored_path
from database.field.photo_files import write_whole
from indexer.archives.container import Container, open_container

__all__ = ["PhotoStore", "write_whole"]


class PhotoStore:
    """A folder of photos named by their SHA-256. Writes are atomic; equal bytes are stored once.

    It also keeps the last archive open, since opening a large one takes seconds.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._archive: Container | None = None

    def __enter__(self) -> PhotoStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the open archive."""
        if self._archive is not None:
            self._archive.close()
            self._archive = None

    def path(self, sha256: str) -> Path:
        """Return the photo's path, whether or not it exists."""
        return stored_path(self.folder, sha256)

    def put(self, photo: bytes) -> str:
        """Store `photo`; return its SHA-256."""
        sha256 = hashlib.sha256(photo).hexdigest()
        if not self.path(sha256).is_file():
            write_whole(self.path(sha256), photo)
        return sha256

    def remember(self, address: str, sha256: str) -> None:
        """Record that the photo was fetched from `address`."""
        write_whole(self._note(address), f"{sha256} {address}\n".encode())

    def recall(self, address: str) -> str | None:
        """Return the SHA-256 of the photo fetched from `address`, or None if it is not stored."""
        try:
            sha256 = self._note(address).read_text(encoding="utf-8").partition(" ")[0]
        except FileNotFoundError:
            return None
        return sha256 if self.path(sha256).is_file() else None

    def archive(self, path: Path) -> Container:
        """Open an archive of photos; it stays open until another is opened or the store is closed."""
        if self._archive is None or self._archive.path != path:
            self.close()
            self._archive = open_container(path)
        return self._archive

    def _note(self, address: str) -> Path:
        name = hashlib.sha256(address.encode()).hexdigest()
        return self.folder / "addresses" / name[:2] / name
