"""Archives that unpack to more than they can honestly hold are refused where they pass the bound, of whatever kind."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from indexer import bounded
from indexer.archives import container
from indexer.archives.container import open_container, open_file
from indexer.archives.detect import detect_kind
from indexer.archives.workbook import open_workbook
from indexer.bounded import BoundedStream, is_tar, list_tar, open_tar
from retrieval.errors import ArchiveError
from tests.indexer.archives.test_workbook import write_workbook

TABLE = b"scientificName,file\nRussula emetica,1.jpg\n"
LONG = "long" * 40
FAR = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'


@pytest.fixture
def size(monkeypatch: pytest.MonkeyPatch, rounds: Callable[..., int]) -> int:
    """Bytes that a bomb unpacks to: gigabytes on request, else twice a smaller bound."""
    size = rounds(2**21, exhaustively=3 * 2**30)
    if size == 2**21:
        monkeypatch.setattr(bounded, "BOMB_BYTES", 2**20)
        monkeypatch.setattr(container, "MOST_MEMBERS", 2000)
    return size


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def zeros(size: int) -> Iterable[bytes]:
    for _ in range(size // 2**16):
        yield bytes(2**16)


def long_header(kind: bytes, size: int) -> Iterable[bytes]:
    """A header that its reader takes into memory at once."""
    yield header("././@LongLink", kind, size)
    yield from zeros(size)
    yield header("table.csv") + bytes(1024)


def many_headers(size: int) -> Iterable[bytes]:
    """Files without content: the archive holds nothing but headers."""
    block = 1024 * header("1.jpg")
    for _ in range(size // len(block)):
        yield block


def long_content(size: int) -> Iterable[bytes]:
    yield header("table.csv", size=size)
    yield from zeros(size)
    yield bytes(1024)


BOMBS: dict[str, Callable[[int], Iterable[bytes]]] = {
    "attributes": lambda size: long_header(tarfile.XHDTYPE, size),
    "long name": lambda size: long_header(tarfile.GNUTYPE_LONGNAME, size),
    "long link": lambda size: long_header(tarfile.GNUTYPE_LONGLINK, size),
    "headers": many_headers,
    "content": long_content,
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("opener", [gzip.open, bz2.open, lzma.open], ids=["gz", "bz2", "xz"])
def test_a_packed_tar_is_refused_before_its_headers_or_its_content_fill_the_memory(
    tmp_path: Path, size: int, bomb: str, opener: Callable[..., io.BufferedIOBase]
) -> None:
    path = tmp_path / "archive.tgz"
    with opener(path, "wb") as file:
        for block in BOMBS[bomb](size):
            file.write(block)

    assert detect_kind(path) == "dwca"  # it is a tar
    with pytest.raises(ArchiveError, match=r"honest|none can have|more than [0-9,]+ members"):
        open_container(path)


def test_headers_are_bounded_in_a_tar_that_is_not_packed_too(tmp_path: Path) -> None:
    path = tmp_path / "archive.tar"
    path.write_bytes(b"".join(long_header(tarfile.XHDTYPE, 2 * bounded.HEADER_BYTES)))

    with pytest.raises(ArchiveError, match="longer than any honest one"):
        open_container(path)


def test_members_that_lie_within_each_other_are_refused(tmp_path: Path) -> None:
    """A negative length leads the reader back to where it has been, for ever."""
    block = bytearray(header("table.csv"))
    block[124:136] = b"\xff" + struct.pack(">q", -1024).rjust(11, b"\xff")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    path = tmp_path / "archive.tar"
    path.write_bytes(header("first.csv") + header("second.csv") + bytes(block) + bytes(1024))

    with pytest.raises(ArchiveError, match=r"lie within|none can have|damaged"):
        open_container(path)


def test_a_packed_table_is_read_as_far_as_it_can_be_honest(tmp_path: Path, size: int) -> None:
    path = tmp_path / "table.csv.gz"
    with gzip.open(path, "wb") as file:
        for block in (TABLE, *zeros(size)):
            file.write(block)

    with open_file(path) as stream:
        assert stream.read(len(TABLE)) == TABLE
        with pytest.raises(ArchiveError, match="than it can honestly hold"):
            stream.read()


def test_a_zip_that_says_that_it_is_larger_than_its_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table.csv", TABLE)
    content = path.read_bytes()
    entry = content.index(b"PK\x01\x02")
    path.write_bytes(content[: entry + 20] + struct.pack("<II", 2**30, 2**31 - 1) + content[entry + 28 :])

    with open_container(path) as opened, pytest.raises(ArchiveError, match="than it can honestly hold"):
        opened.open("table.csv")


def test_a_sheet_with_two_cells_in_opposite_corners_does_not_end_the_process(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "near.xlsx", {"finds": [["scientificName", "file"], ["Russula emetica", "1.jpg"]]})
    far = tmp_path / "far.xlsx"
    with zipfile.ZipFile(path) as near, zipfile.ZipFile(far, "w") as written:
        for name in near.namelist():
            text = near.read(name).decode()
            written.writestr(name, text.replace("</sheetData>", f"{FAR}</sheetData>"))

    with open_workbook(path, "near.xlsx") as table:
        assert b"Russula emetica" in table.read()
    with pytest.raises(ArchiveError, match="save its sheet as CSV"):
        open_workbook(far, "far.xlsx")


@pytest.mark.parametrize("opener", [open, gzip.open, bz2.open, lzma.open], ids=["tar", "gz", "bz2", "xz"])
def test_an_honest_tar_is_read_in_any_order(tmp_path: Path, opener: Callable[..., io.BufferedIOBase]) -> None:
    path, content = tmp_path / "archive", {f"root/{LONG}{number}.csv": bytes([number]) * 9999 for number in range(9)}
    with opener(path, "wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, member in content.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.pax_headers = len(member), {"comment": "ø" * 20_000}
            archive.addfile(entry, io.BytesIO(member))

    with open_container(path) as archived:
        for number in (5, 0, 8, 3):
            with archived.open(f"{LONG}{number}.csv") as opened:
                assert opened.read() == bytes([number]) * 9999
    assert is_tar(path)


def test_a_list_of_members_is_not_kept_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "archive.tar"
    path.write_bytes(b"".join([*many_headers(2**20), bytes(1024)]))
    tar, stream = open_tar(path)

    with stream, tar:
        assert sum(1 for _ in list_tar(tar, stream)) == 2048
        assert len(tar.getmembers()) < 2


def test_what_is_no_tar_is_none(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(TABLE)

    assert not is_tar(path)
    with BoundedStream(path) as stream:
        assert stream.read() == TABLE
