"""Containers of an archive's files: folder, zip or tar. Members are read in place; only workbooks are unpacked.

Archives are untrusted. No name is ever used as a path outside the container, and what unpacks to more than it can
honestly hold is refused before it is read, or where it passes the bound. Names match regardless of backslashes, Unicode
normalisation, letter case, and UTF-8 that a zip does not declare.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, BinaryIO, Protocol, cast

from indexer.archives.lines import DAMAGED, HEAD
from indexer.archives.workbook import ENDINGS as WORKBOOK_ENDINGS
from indexer.archives.workbook import is_workbook, open_workbook
from indexer.bounded import BOMB_BYTES, BOMB_RATIO, BoundedStream, is_tar, list_tar, open_member, open_tar
from retrieval.errors import ArchiveError

MOST_MEMBERS = 2_000_000
GZIP = b"\x1f\x8b"
META = "meta.xml"
NESTED = (".zip", ".tgz", ".tar.gz", ".tar", ".7z", ".rar")


class Container(AbstractContextManager["Container"], Protocol):
    """Named files, read in place. Names are relative to the root folder of the archive's content."""

    path: Path

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        ...

    def find(self, name: str) -> str | None:
        """Return the name of the file that matches a name in another spelling; None without a unique match."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading, by any spelling of its name; raises ArchiveError if there is none."""
        ...

    def close(self) -> None:
        """Close all open files."""
        ...


class _Base:
    """Common parts of the containers."""

    _spellings: dict[str, str] | None = None

    def names(self) -> list[str]:
        raise NotImplementedError

    def find(self, name: str) -> str | None:
        if self._spellings is None:
            self._spellings = _spellings(self.names())
        return self._spellings.get(_spelling(name)) or None

    def close(self) -> None:
        """Do nothing: no file is kept open."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FolderContainer(_Base):
    """A folder. Links to targets outside it are not followed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = path.resolve()
        deeper = [entry for entry in path.iterdir() if not _is_clutter(entry.name)]
        if len(deeper) == 1 and deeper[0].is_dir():
            self.root = deeper[0].resolve()
        elif not (path / META).is_file():
            described = sorted(path.glob(f"*/{META}"))
            self.root = described[0].parent.resolve() if len(described) == 1 else self.root

    def __enter__(self) -> FolderContainer:
        return self

    def names(self) -> list[str]:
        files = (file.relative_to(self.root).as_posix() for file in self.root.rglob("*") if file.is_file())
        return sorted(name for name in files if not _is_clutter(name))

    def has(self, name: str) -> bool:
        """Return whether a file of that name exists, without listing all files."""
        return is_there(self.root / name)

    def open(self, name: str) -> BinaryIO:
        file = (self.root / name).resolve()
        if not is_there(file) and (meant := self.find(name)):
            file = (self.root / meant).resolve()
        if not file.is_relative_to(self.root):
            raise ArchiveError(f"{self.path}: the name {name!r} leads out of the archive")
        try:
            return cast(BinaryIO, open_file(file)) if _is_workbook_name(name) else file.open("rb")
        except OSError as error:
            raise ArchiveError(f"{self.path}: there is no readable file {name!r}") from error


class ZipContainer(_Base):
    """A zip file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except DAMAGED as error:
            raise ArchiveError(f"{path}: the zip file is damaged ({error})") from error
        if len(self._zip.infolist()) > MOST_MEMBERS:
            self._zip.close()
            raise ArchiveError(f"{path}: the zip file has more than {MOST_MEMBERS:,} members")
        members = {_zip_name(member): member for member in self._zip.infolist() if not member.is_dir()}
        self._members = _below(members)

    def __enter__(self) -> ZipContainer:
        return self

    def names(self) -> list[str]:
        return sorted(self._members)

    def open(self, name: str) -> BinaryIO:
        member = self._members.get(name) or self._members.get(self.find(name) or "")
        if member is None:
            raise ArchiveError(f"{self.path}: there is no file {name!r} in the archive")
        packed = min(member.compress_size, self.path.stat().st_size)  # a zip can say that it is larger than its file
        if member.file_size > max(BOMB_BYTES, BOMB_RATIO * packed):
            raise ArchiveError(
                f"{self.path}: {name!r} would unpack to {member.file_size:,} bytes, more than it can honestly hold"
            )
        try:
            opened = cast(BinaryIO, self._zip.open(member))
            return _open_packed_workbook(opened, name) if _is_workbook_name(name) else opened
        except (*DAMAGED, RuntimeError) as error:  # RuntimeError: the member is encrypted
            raise ArchiveError(f"{self.path}: {name!r} cannot be read ({error})") from error

    def close(self) -> None:
        self._zip.close()


class TarContainer(_Base):
    """A tar file, compressed or not. Compressed ones are best read in the order of their members."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._tar, self._stream = open_tar(path)
        except DAMAGED as error:
            raise ArchiveError(f"{path}: the tar file is damaged ({error})") from error
        try:
            members = self._list(path.stat().st_size)
        except DAMAGED as error:
            self.close()
            raise ArchiveError(f"{path}: the tar file is damaged ({error})") from error
        except ArchiveError:
            self.close()
            raise
        self._members = _below(members)

    def _list(self, packed: int) -> dict[str, tuple[int, int]]:
        """Return place and length of the content of each regular file, by name."""
        members: dict[str, tuple[int, int]] = {}
        unpacked = 0
        for number, member in enumerate(list_tar(self._tar, self._stream)):
            unpacked += member.size
            if unpacked > max(BOMB_BYTES, BOMB_RATIO * packed):
                raise ArchiveError(
                    f"{self.path}: {member.name!r} unpacks to more bytes than the archive can honestly hold"
                )
            if number >= MOST_MEMBERS:
                raise ArchiveError(f"{self.path}: the tar file has more than {MOST_MEMBERS:,} members")
            if member.isreg() and not member.issparse():  # links, devices and other special members hold no data
                members[_plain(member.name)] = member.offset_data, member.size
        return members

    def __enter__(self) -> TarContainer:
        return self

    def names(self) -> list[str]:
        return sorted(self._members)

    def open(self, name: str) -> BinaryIO:
        member = self._members.get(name) or self._members.get(self.find(name) or "")
        if member is None:
            raise ArchiveError(f"{self.path}: there is no file {name!r} in the archive")
        opened = open_member(self._tar, name, *member)
        return _open_packed_workbook(opened, name) if _is_workbook_name(name) else opened

    def close(self) -> None:
        self._tar.close()
        self._stream.close()


class FileContainer(_Base):
    """A single file, plain or gzipped, as an archive."""

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
    """Open a folder, zip, tar or single file, detected by content. Raises ArchiveError."""
    if path.is_dir():
        return FolderContainer(path)
    if not path.is_file():
        raise ArchiveError(f"{path}: there is no such file or folder")
    if is_workbook(path):
        return FileContainer(path)
    if zipfile.is_zipfile(path):
        return ZipContainer(path)
    if is_tar(path):
        return TarContainer(path)
    return FileContainer(path)


def is_there(path: Path) -> bool:
    """Return whether a file of that name exists; False for names that are invalid on this system."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # name too long, or with invalid characters
        return False


def open_file(path: Path) -> io.BufferedReader[Any]:
    """Open a file, gzipped or not, or the table in a workbook, detected by content. Raises ArchiveError."""
    if is_workbook(path):
        return cast("io.BufferedReader[Any]", open_workbook(path, path.name))
    try:
        return io.BufferedReader(BoundedStream(path, (GZIP,)), HEAD)
    except OSError as error:
        raise ArchiveError(f"{path}: the file cannot be read ({error.strerror})") from error


def find_spelling(folder: Path, name: str) -> Path | None:
    """Return the file in a folder with this name, composed or decomposed; None without one."""
    for form in (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD") if not name.isascii())):
        if is_there(folder / form):
            return folder / form
    return None


def refuse_nested(path: Path, names: Iterable[str]) -> None:
    """Raise ArchiveError for an archive that contains only archives, which are not opened."""
    inner = [name for name in names if name.lower().endswith(NESTED)]
    if inner:
        raise ArchiveError(f"{path}: there is an archive {inner[0]!r} within this archive; unpack the outer one first")


def _is_workbook_name(name: str) -> bool:
    return name.lower().endswith(WORKBOOK_ENDINGS)


def _open_packed_workbook(stream: Any, name: str) -> BinaryIO:
    """Unpack a workbook to a temporary file, since reading it requires seeking."""
    with stream, tempfile.NamedTemporaryFile(suffix=PurePosixPath(name).suffix) as unpacked:
        shutil.copyfileobj(stream, unpacked)
        unpacked.flush()
        return open_workbook(Path(unpacked.name), name)


def _zip_name(member: zipfile.ZipInfo) -> str:
    """Return a member's name, decoded as UTF-8 where possible even if the zip does not declare it."""
    name = member.filename
    if not member.flag_bits & 0x800 and not name.isascii():
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return _plain(name)


def _plain(name: str) -> str:
    """Normalise a member's name: slashes only, without leading `./` or `/`."""
    name = name.replace("\\", "/")
    while name.startswith(("./", "/")):
        name = name.removeprefix("./").removeprefix("/")
    return name


def _spelling(name: str) -> str:
    return unicodedata.normalize("NFC", _plain(name)).casefold()


def _spellings(members: Iterable[str]) -> dict[str, str]:
    """Return the members that match a name in another spelling; none if the match is ambiguous."""
    found: dict[str, str] = {}
    for name in members:
        spelling = _spelling(name)
        found[spelling] = "" if spelling in found else name
    return found


def _below(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members by their names relative to the root folder of the content.

    The root is the folder that contains everything, or else the one that contains the only descriptor.
    """
    names = [name for name in members if not _is_clutter(name)]
    firsts = {PurePosixPath(name).parts[0] + "/" if "/" in name else "" for name in names}
    described = {name.rpartition(META)[0] for name in names if PurePosixPath(name).name == META}
    prefix = firsts.pop() if len(firsts) == 1 else ""
    if prefix + META not in names and len(described) == 1:
        prefix = described.pop()
    return {name.removeprefix(prefix): members[name] for name in names if name.startswith(prefix)}


def _is_clutter(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or parts[-1].startswith(("._", ".DS_Store", "Thumbs.db"))
