"""What holds an archive's files: a folder, a zip or a tar. Members are read in place, never unpacked to disk.

An archive may come from anybody. No name in it is ever used as a path outside it, and what unpacks to a multiple of
its size that no text or photo reaches is refused before it is read.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, BinaryIO, Protocol, cast

from indexer.archives.lines import DAMAGED, HEAD
from retrieval.errors import ArchiveError

BOMB_RATIO = 300  # DEFLATE reaches 1032 on nothing but zeros; tables of text stay below 50
BOMB_BYTES = 50 * 2**20  # below this, unpacked, nothing can do harm
MOST_MEMBERS = 5_000_000


class Container(AbstractContextManager["Container"], Protocol):
    """Named files, read in place. Names are relative to the folder the archive's content stands in."""

    path: Path

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading; ArchiveError where there is none of that name."""
        ...

    def close(self) -> None:
        """Let go of whatever is held open."""
        ...


class _Closing:
    """The `with` half of a container."""

    def close(self) -> None:
        """Nothing is held open."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FolderContainer(_Closing):
    """A folder. Links that lead out of it are not followed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = path.resolve()
        deeper = [entry for entry in path.iterdir() if not _is_clutter(entry.name)]
        if len(deeper) == 1 and deeper[0].is_dir():
            self.root = deeper[0].resolve()

    def __enter__(self) -> FolderContainer:
        return self

    def names(self) -> list[str]:
        files = (file.relative_to(self.root).as_posix() for file in self.root.rglob("*") if file.is_file())
        return sorted(name for name in files if not _is_clutter(name))

    def has(self, name: str) -> bool:
        """Say whether there is a file of that name, without listing them all."""
        return is_there(self.root / name)

    def open(self, name: str) -> BinaryIO:
        file = (self.root / name).resolve()
        if not file.is_relative_to(self.root):
            raise ArchiveError(f"{self.path}: the name {name!r} leads out of the archive")
        try:
            return file.open("rb")
        except OSError as error:
            raise ArchiveError(f"{self.path}: there is no readable file {name!r}") from error


class ZipContainer(_Closing):
    """A zip file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except DAMAGED as error:
            raise ArchiveError(f"{path}: the zip file is damaged ({error})") from error
        members = [member for member in self._zip.infolist() if not member.is_dir()]
        self._prefix = _prefix(member.filename for member in members)
        self._members = {
            member.filename.removeprefix(self._prefix): member for member in members if not _is_clutter(member.filename)
        }

    def __enter__(self) -> ZipContainer:
        return self

    def names(self) -> list[str]:
        return sorted(self._members)

    def open(self, name: str) -> BinaryIO:
        member = self._members.get(name)
        if member is None:
            raise ArchiveError(f"{self.path}: there is no file {name!r} in the archive")
        if member.file_size > max(BOMB_BYTES, BOMB_RATIO * member.compress_size):
            raise ArchiveError(
                f"{self.path}: {name!r} would unpack to {member.file_size:,} bytes, more than it can honestly hold"
            )
        try:
            return cast(BinaryIO, self._zip.open(member))
        except (*DAMAGED, RuntimeError) as error:  # RuntimeError: the member is encrypted
            raise ArchiveError(f"{self.path}: {name!r} cannot be read ({error})") from error

    def close(self) -> None:
        self._zip.close()


class TarContainer(_Closing):
    """A tar file, compressed or not. Members of a compressed one are best read in their order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._tar = tarfile.open(path, "r:*")  # noqa: SIM115 - held open for as long as the container is
            members = self._list(path.stat().st_size)
        except DAMAGED as error:
            raise ArchiveError(f"{path}: the tar file is damaged ({error})") from error
        self._prefix = _prefix(members)
        self._members = {name.removeprefix(self._prefix): member for name, member in members.items()}

    def _list(self, packed: int) -> dict[str, tarfile.TarInfo]:
        members: dict[str, tarfile.TarInfo] = {}
        unpacked = 0
        for member in self._tar:
            unpacked += member.size
            if unpacked > max(BOMB_BYTES, BOMB_RATIO * packed) or len(members) > MOST_MEMBERS:
                raise ArchiveError(
                    f"{self.path}: {member.name!r} unpacks to more bytes than the archive can honestly hold"
                )
            name = member.name.removeprefix("./")
            if member.isreg() and not _is_clutter(name):  # links, devices and the like are nobody's data
                members[name] = member
        return members

    def __enter__(self) -> TarContainer:
        return self

    def names(self) -> list[str]:
        return sorted(self._members)

    def open(self, name: str) -> BinaryIO:
        member = self._members.get(name)
        opened = self._tar.extractfile(member) if member else None
        if opened is None:
            raise ArchiveError(f"{self.path}: there is no file {name!r} in the archive")
        return cast(BinaryIO, opened)

    def close(self) -> None:
        self._tar.close()


class FileContainer(_Closing):
    """One file, plain or gzipped, that is an archive by itself."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> FileContainer:
        return self

    def names(self) -> list[str]:
        return [self.path.name]

    def open(self, name: str) -> BinaryIO:
        if name != self.path.name:
            raise ArchiveError(f"{self.path}: there is no file {name!r} beside it")
        return cast(BinaryIO, open_file(self.path))


def open_container(path: Path) -> Container:
    """Open a folder, zip, tar or single file, told by content. Raises ArchiveError."""
    if path.is_dir():
        return FolderContainer(path)
    if not path.is_file():
        raise ArchiveError(f"{path}: there is no such file or folder")
    if zipfile.is_zipfile(path):
        return ZipContainer(path)
    if tarfile.is_tarfile(path):
        return TarContainer(path)
    return FileContainer(path)


def is_there(path: Path) -> bool:
    """Say whether there is a file of that name, however impossible the name is."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, or with signs that no name has
        return False


def open_file(path: Path) -> io.BufferedReader[Any]:
    """Open a file, gzipped or not, told by content. Raises ArchiveError."""
    try:
        stream: io.BufferedReader[Any] = io.BufferedReader(io.FileIO(path), HEAD)
    except OSError as error:
        raise ArchiveError(f"{path}: the file cannot be read ({error.strerror})") from error
    if stream.peek(2)[:2] == b"\x1f\x8b":
        return io.BufferedReader(cast(io.RawIOBase, _OwningGzip(stream)), HEAD)
    return stream


class _OwningGzip(gzip.GzipFile):
    """A gzip reader that closes the file below it."""

    def __init__(self, stream: io.BufferedReader[Any]) -> None:
        super().__init__(fileobj=stream, mode="rb")
        self._below = stream

    def close(self) -> None:
        super().close()
        self._below.close()


def _prefix(names: Iterable[str]) -> str:
    """The one folder that everything lies in, with its slash, or nothing."""
    firsts = {PurePosixPath(name).parts[0] + "/" if "/" in name else "" for name in names if not _is_clutter(name)}
    return firsts.pop() if len(firsts) == 1 else ""


def _is_clutter(name: str) -> bool:
    return name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith(("._", ".DS_Store", "Thumbs.db"))
