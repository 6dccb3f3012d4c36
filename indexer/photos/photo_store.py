"""Photos kept under their content's sha256, with the addresses they were fetched from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType

from database.collection.photos import stored_path
from database.field.photo_files import write_whole
from indexer.archives.container import Container, open_container

__all__ = ["PhotoStore", "write_whole"]


class PhotoStore:
    """A folder of photos named by their sha256. Writing is atomic; the same bytes are kept once.

    It also holds open the archive that photos were last taken from, for opening a large one takes seconds.
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
        """Let go of the archive that is held open."""
        if self._archive is not None:
            self._archive.close()
            self._archive = None

    def path(self, sha256: str) -> Path:
        """Return where the photo lies, whether or not it is there."""
        return stored_path(self.folder, sha256)

    def put(self, photo: bytes) -> str:
        """Keep `photo`; return its sha256."""
        sha256 = hashlib.sha256(photo).hexdigest()
        if not self.path(sha256).is_file():
            write_whole(self.path(sha256), photo)
        return sha256

    def remember(self, address: str, sha256: str) -> None:
        """Note that the photo was fetched from `address`."""
        write_whole(self._note(address), f"{sha256} {address}\n".encode())

    def recall(self, address: str) -> str | None:
        """Return the sha256 of the photo that was fetched from `address`, if it is still here."""
        try:
            sha256 = self._note(address).read_text(encoding="utf-8").partition(" ")[0]
        except FileNotFoundError:
            return None
        return sha256 if self.path(sha256).is_file() else None

    def archive(self, path: Path) -> Container:
        """Return an archive to take photos from; it stays open until another is asked for or the store is closed."""
        if self._archive is None or self._archive.path != path:
            self.close()
            self._archive = open_container(path)
        return self._archive

    def _note(self, address: str) -> Path:
        name = hashlib.sha256(address.encode()).hexdigest()
        return self.folder / "addresses" / name[:2] / name
