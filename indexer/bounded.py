"""Decompression that stops where an archive unpacks to more than it can honestly hold.

A few megabytes can unpack to gigabytes: of content, of headers between the files of a tar, or of one header that its
reader takes into memory at once.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from retrieval.errors import ArchiveError

BOMB_RATIO = 300  # DEFLATE reaches 1032 for zeros only; text tables stay below 50
BOMB_BYTES = 50 * 2**20  # bytes unpacked below which any ratio is harmless
HEADER_BYTES = 2**20  # of all headers of one member of a tar: names and attributes
LONGEST_NAME = 4096  # characters of a member's name, as in file systems
HEAD = 64 * 2**10
MAGIC: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
"""The first two bytes of compressed files, with their readers."""


class BoundedStream(io.RawIOBase):
    """A compressed or plain file, read to a maximum of bytes. Raises ArchiveError beyond."""

    def __init__(self, path: Path, kinds: tuple[bytes, ...] = tuple(MAGIC)) -> None:
        """Open a file; `kinds` are the first bytes of compressed files that are unpacked."""
        self.path = path
        self._file = path.open("rb")
        start = self._file.read(2)
        self._file.seek(0)
        self.is_packed = start in kinds
        opened = MAGIC[start](self._file) if self.is_packed else self._file
        self._stream = cast(BinaryIO, opened)
        packed = os.fstat(self._file.fileno()).st_size
        self._most = max(BOMB_BYTES, BOMB_RATIO * packed) if self.is_packed else packed
        self.allowance: int | None = None  # bytes that may still be read, besides the maximum of all

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read at most the bytes that the buffer holds; returns their number, 0 at the end."""
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes; all of them if it is negative."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(HEAD), b""))
        if self.allowance is not None:
            self.allowance -= size
            if self.allowance < 0:
                raise ArchiveError(f"{self.path}: a header of the tar file is longer than any honest one")
        block = self._stream.read(size)
        if self.is_packed:
            self._check(self._stream.tell())
        return block

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place; only forward as long as there is an allowance, since a tar is listed from its beginning."""
        if whence == os.SEEK_SET and self.is_packed:
            self._check(offset)
        if self.allowance is not None and (whence != os.SEEK_SET or offset < self._stream.tell() - 1):
            raise ArchiveError(f"{self.path}: the members of the tar file lie within each other")
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Return the place in the unpacked content."""
        return self._stream.tell()

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._stream.close()
            self._file.close()
        super().close()

    def _check(self, reached: int) -> None:
        if reached > self._most:
            raise ArchiveError(f"{self.path}: it unpacks to more bytes than it can honestly hold")


def open_tar(path: Path) -> tuple[tarfile.TarFile, BoundedStream]:
    """Open a tar file, compressed or not. Raises ArchiveError, and tarfile.TarError if it is none."""
    stream = BoundedStream(path)
    stream.allowance = HEADER_BYTES
    try:
        return tarfile.open(fileobj=stream, mode="r:"), stream
    except BaseException:
        stream.close()
        raise


def is_tar(path: Path) -> bool:
    """Return whether a file is a tar file; one with a header beyond all bounds is, too. Raises no error."""
    try:
        tar, stream = open_tar(path)
    except ArchiveError:
        return True
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError, ValueError):
        return False
    with stream, tar:
        return True


def list_tar(tar: tarfile.TarFile, stream: BoundedStream) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar file in constant memory. Raises ArchiveError for headers beyond all bounds."""
    while (member := tar.next()) is not None:
        if len(member.name) > LONGEST_NAME or member.size < 0:
            raise ArchiveError(f"{stream.path}: a member has a name or size that none can have")
        yield member
        vars(tar)["members"].clear()  # the list of all that were read
        stream.allowance = HEADER_BYTES
    stream.allowance = None


def open_member(tar: tarfile.TarFile, name: str, offset: int, size: int) -> BinaryIO:
    """Open a member for reading by the place of its content."""
    member = tarfile.TarInfo(name)
    member.offset_data, member.size = offset, size
    return cast(BinaryIO, tar.extractfile(member))
