"""Tables of text, line by line: encodings, delimiters and quotes as they come, within bounds.

Python's csv module does the quoting, but line by line under this module's eye: an unclosed quote costs the line it
stands in, not the rest of the file, and every row knows the line it began on.
"""

from __future__ import annotations

import codecs
import csv
import io
import lzma
import tarfile
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from indexer.records import RejectedRecord
from retrieval.errors import ArchiveError

LONGEST_LINE = 8 * 2**20  # bytes; no archive's line is longer, and memory stays bounded
LONGEST_ROW = 500  # physical lines; a quoted cell that runs on longer was never closed
HEAD = 64 * 2**10
DELIMITERS = ("\t", ";", ",", "|")
DAMAGED = (OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, NotImplementedError)
"""What reading a damaged compressed file can raise, whatever packed it."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a table is written."""

    delimiter: str
    quote: str = '"'  # empty: quotes are text
    encoding: str = "utf-8"
    terminator: str = "\n"  # \r\n is read by \n
    bare_quotes: bool = False  # take the quotes off cells that stand in them, though the table has no quoting


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table, with the line it began on, counted from 1."""

    line: int
    cells: list[str]


def sniff_dialect(head: bytes, file: str) -> Dialect:
    """Find out delimiter, quotes, encoding and line ends from the first bytes of a table with a header."""
    encoding = sniff_encoding(head)
    text = head.decode(encoding, errors="replace")
    if "\0" in text:
        raise ArchiveError(f"{file}, line 1: this is no text but a binary file")
    terminator = "\r" if "\r" in text and "\n" not in text else "\n"
    header = next((line for line in text.split(terminator) if line.strip()), "")
    if not header:
        raise ArchiveError(f"{file}, line 1: the file is empty, there is no header")
    outside_quotes = "".join(header.split('"')[::2])
    delimiter = max(DELIMITERS, key=lambda sign: outside_quotes.count(sign))
    quoted = delimiter != "\t" or '"' in header
    return Dialect(delimiter, '"' if quoted else "", encoding, terminator, bare_quotes=not quoted)


def sniff_encoding(head: bytes) -> str:
    """Name the encoding by its byte order mark; without one it is UTF-8, with Windows-1252 for lines that are not."""
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8"


def read_rows(stream: BinaryIO, dialect: Dialect, file: str) -> Iterator[Row | RejectedRecord]:
    """Read every row that is not blank; a line that is no row is a rejection `malformed-line`."""
    lines = read_lines(stream, dialect, file)
    if dialect.quote:
        yield from _read_quoted(lines, dialect, file)
    else:
        for number, text in lines:
            cells = text.rstrip("\r\n").split(dialect.delimiter)
            if any(cells):
                yield Row(number, [_unquote(cell) for cell in cells] if dialect.bare_quotes else cells)


def read_lines(stream: BinaryIO, dialect: Dialect, file: str) -> Iterator[tuple[int, str]]:
    """Read numbered lines with their ends on. Only the terminator ends a line: U+0085 and U+2028 are text."""
    number = 0
    try:
        if codecs.lookup(dialect.encoding).name.startswith(("utf-16", "utf-32")):
            for number, text in enumerate(_read_wide(stream, dialect), start=1):
                if len(text) > LONGEST_LINE:
                    raise ArchiveError(f"{file}, line {number}: the line is longer than {LONGEST_LINE:,} characters")
                yield number, text
            return
        for raw in _read_narrow(stream, dialect.terminator):
            number += 1
            if len(raw) > LONGEST_LINE:
                raise ArchiveError(f"{file}, line {number}: the line is longer than {LONGEST_LINE:,} bytes")
            if number == 1:
                raw = raw.removeprefix(codecs.BOM_UTF8)
            yield number, _decode(raw, dialect.encoding)
    except (*DAMAGED, UnicodeError) as error:
        raise ArchiveError(f"{file}, line {number + 1}: the file is damaged ({error})") from error


def _read_narrow(stream: BinaryIO, terminator: str) -> Iterator[bytes]:
    """Read lines where a line end is one byte; one too long comes cut, and is refused for its length."""
    if terminator == "\n":
        while raw := stream.readline(LONGEST_LINE + 1):
            yield raw
        return
    pending = b""
    while chunk := stream.read(HEAD):
        *lines, pending = (pending + chunk).split(b"\r")
        yield from (line + b"\n" for line in lines)
        if len(pending) > LONGEST_LINE:
            yield pending
    if pending:
        yield pending


def _read_wide(stream: BinaryIO, dialect: Dialect) -> Iterator[str]:
    text = io.TextIOWrapper(stream, encoding=dialect.encoding, newline=dialect.terminator)
    try:
        while line := text.readline(LONGEST_LINE + 1):
            yield line
    finally:
        text.detach()


def _decode(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")  # the commonest lie about encodings, in both directions


def _unquote(cell: str) -> str:
    if len(cell) >= 2 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell


class _Unclosed(Exception):
    """A row wants more lines than a row may have."""


class _Feed:
    """Gives csv.reader its lines, remembers those of the row at hand, and takes them back."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._lines = lines
        self._returned: deque[tuple[int, str]] = deque()
        self.row: list[tuple[int, str]] = []
        self.ran_out = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.row) >= LONGEST_ROW:
            raise _Unclosed
        try:
            numbered = self._returned.popleft() if self._returned else next(self._lines)
        except StopIteration:
            self.ran_out = True
            raise
        self.row.append(numbered)
        return numbered[1]

    def give_back_all_but_first(self) -> None:
        self._returned.extendleft(reversed(self.row[1:]))
        self.ran_out = False


def _read_quoted(lines: Iterator[tuple[int, str]], dialect: Dialect, file: str) -> Iterator[Row | RejectedRecord]:
    feed = _Feed(lines)
    reader = csv.reader(feed, delimiter=dialect.delimiter, quotechar=dialect.quote)
    while True:
        feed.row = []
        fault = ""
        cells: list[str] = []
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _Unclosed:
            fault = f"a quote is opened and not closed within {LONGEST_ROW} lines"
        except csv.Error as error:
            fault = f"the line cannot be split into columns ({error})"
        if not fault and feed.ran_out:
            fault = "a quote is opened and never closed"
        if fault:
            number = feed.row[0][0]
            feed.give_back_all_but_first()
            reader = csv.reader(feed, delimiter=dialect.delimiter, quotechar=dialect.quote)
            yield RejectedRecord("malformed-line", f"{file}, line {number}: {fault}", file, number)
        elif any(cell.strip() for cell in cells):
            yield Row(feed.row[0][0], cells)


def with_header(rows: Iterator[Row | RejectedRecord], file: str) -> tuple[Row, Iterator[Row | RejectedRecord]]:
    """Take the header off a table and check every row against its number of columns."""
    header = next(rows, None)
    if not isinstance(header, Row):
        raise ArchiveError(header.detail if header else f"{file}, line 1: the file is empty, there is no header")
    return header, _check_widths(rows, len(header.cells), file)


def _check_widths(rows: Iterator[Row | RejectedRecord], width: int, file: str) -> Iterator[Row | RejectedRecord]:
    for row in rows:
        if isinstance(row, RejectedRecord):
            yield row
        elif len(row.cells) < width or any(cell.strip() for cell in row.cells[width:]):
            detail = f"{file}, line {row.line}: the line has {len(row.cells)} columns, the header has {width}"
            yield RejectedRecord("malformed-line", detail, file, row.line)
        else:
            yield replace(row, cells=row.cells[:width])
