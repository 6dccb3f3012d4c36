"""Text tables, line by line: any encoding, delimiter and quoting, in bounded memory.

Every physical line is accounted for: it is part of one row, blank, or rejected. An unclosed quote costs only its own
line.
"""

from __future__ import annotations

import codecs
import io
import logging
import lzma
import re
import tarfile
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from indexer.archives.encodings import decode_legacy, explain_reading, read_legacy
from indexer.records import RejectedRecord
from retrieval.errors import ArchiveError

logger = logging.getLogger(__name__)

LONGEST_LINE = 8 * 2**20  # bytes; bounds memory, and no archive has longer lines
LONGEST_ROW = 500  # physical lines of a quoted cell; beyond this its quote is unclosed
HEAD = 64 * 2**10
SAMPLE = 2**20  # bytes read ahead to detect an encoding
DELIMITERS = ("\t", ";", ",", "|")
SEP = re.compile(r"^\ufeff?\"?sep=(.)\"?\s*$", re.I)  # Excel's separator line above a header
DAMAGED = (OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, NotImplementedError)
"""Exceptions from damaged compressed files of any format."""
NEVER_CLOSED = -1  # instead of a cell's number: the next quote does not close its quote
NO_TEXT = re.compile("[\0-\x08\x0e-\x1f\ufffd]")
SINGLE_BYTE = re.compile(r"^(?:cp12\d\d|iso8859|latin|ascii|mac|koi8|cp4|cp8)")


@dataclass(frozen=True, slots=True)
class Dialect:
    """The format of a table."""

    delimiter: str
    quote: str = '"'  # empty: quotes are text
    encoding: str = "utf-8"
    terminator: str = "\n"  # \n covers \r\n
    lax_quotes: bool = False  # an unclosed quote is text if the line has all its columns without it
    told: bool = False  # the user named the encoding: it is not second-guessed
    preamble: int = 0  # lines above the header
    quiet: bool = False  # no warning about its encoding: this is a preview


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table with its first line, from 1, and its number of physical lines."""

    line: int
    cells: list[str]
    lines: int = 1


def sniff_dialect(head: bytes, file: str, encoding: str = "") -> Dialect:
    """Detect delimiter, quotes, encoding and line ends from the first bytes of a table with a header.

    `encoding` is the user's, if given. Raises ArchiveError for a binary file.
    """
    marked = sniff_encoding(head)
    told = encoding if encoding and marked == "utf-8" else ""  # a byte order mark outranks the user's encoding
    encoding = check_encoding(told) if told else marked
    text = head.decode(encoding, errors="replace").removeprefix("\ufeff")
    if "\0" in text and len(NO_TEXT.findall(text)) * 20 > len(text):  # a single one can occur in a cell
        raise ArchiveError(f"{file}, line 1: this is no text but a binary file")
    terminator = "\r" if "\r" in text and "\n" not in text else "\n"
    lines = text.split(terminator)
    header = next((line for line in lines if line.strip()), "")
    preamble = 0
    if separator := SEP.match(header):
        preamble = 1 + lines.index(header)
        header = next((line for line in lines[preamble:] if line.strip()), "")
    if not header:
        raise ArchiveError(f"{file}, line 1: the file is empty, there is no header")
    outside_quotes = "".join(header.split('"')[::2])
    delimiter = separator[1] if separator else max(DELIMITERS, key=lambda sign: outside_quotes.count(sign))
    lax = delimiter == "\t" and '"' not in header
    return Dialect(delimiter, '"', encoding, terminator, lax_quotes=lax, told=bool(told), preamble=preamble)


def sniff_encoding(head: bytes) -> str:
    """Detect the encoding by its byte order mark, or by the zeros of UTF-16; otherwise assume UTF-8."""
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    start = head[:200]
    for encoding, zeros, letters in (("utf-16-le", start[1::2], start[::2]), ("utf-16-be", start[::2], start[1::2])):
        if len(zeros) > 3 and zeros.count(0) > 0.8 * len(zeros) and not letters.count(0):
            return encoding
    return "utf-8"


def check_encoding(encoding: str) -> str:
    """Return the encoding named by the user; raises ArchiveError for an unknown one."""
    try:
        " ".encode(encoding)
    except (LookupError, UnicodeError) as error:
        raise ArchiveError(
            f"there is no encoding {encoding!r}; examples are utf-8, cp1252, cp1250, cp1251, shift_jis, gb18030"
        ) from error
    return encoding


Line = tuple[int, str | None]
"""A physical line with its number, from 1; None if its encoding cannot be determined."""


def read_rows(stream: BinaryIO, dialect: Dialect, file: str, width: int = 0) -> Iterator[Row | RejectedRecord]:
    """Yield every non-blank row; invalid lines are rejected as `malformed-line` or `unreadable-text`.

    `width` is the number of cells, if known; otherwise the first row's. It only decides whether lines after an open
    quote belong to the quoted cell; the caller rejects rows of another width.
    """
    lines = _Lines(read_lines(stream, dialect, file))
    for number, text in lines:
        if number <= dialect.preamble:
            continue
        if text is None:
            yield refuse_unreadable(dialect, file, number)
            continue
        row = _read_row(number, text, lines, dialect, width)
        if row is None:
            detail = "a quote is opened and not closed where the cell ends"
            yield RejectedRecord("malformed-line", f"{file}, line {number}: {detail}", file, number)
        elif any(cell.strip() for cell in row.cells):
            width = width or len(row.cells)
            yield row


def refuse_unreadable(dialect: Dialect, file: str, number: int) -> RejectedRecord:
    """Reject a line whose encoding cannot be determined."""
    detail = "the line is not in UTF-8, and in which encoding it is cannot be told: say it with --encoding"
    if dialect.told:
        detail = f"the line is not in {dialect.encoding}, which was said to be its encoding"
    return RejectedRecord("unreadable-text", f"{file}, line {number}: {detail}", file, number)


class _Lines:
    """The lines of a file, with lookahead."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._ahead: deque[Line] = deque()

    def __iter__(self) -> Iterator[Line]:
        return self

    def __next__(self) -> Line:
        return self._ahead.popleft() if self._ahead else next(self._lines)

    def ahead(self, place: int) -> str | None:
        """Return the line `place` lines ahead; None at the end, or for an undecodable line."""
        while len(self._ahead) <= place:
            following = next(self._lines, None)
            if following is None:
                return None
            self._ahead.append(following)
        return self._ahead[place][1]

    def take(self, count: int) -> None:
        """Consume lines after lookahead."""
        for _ in range(count):
            self._ahead.popleft()


def _read_row(number: int, text: str, lines: _Lines, dialect: Dialect, width: int) -> Row | None:
    """Read the next row, including the lines of its quoted cells; None if a quote is unclosed."""
    first = text.rstrip("\r\n")
    cells, opened = split_line(first, dialect)
    if opened is None:
        return Row(number, cells)
    taken = 0
    while taken < LONGEST_ROW:
        following = lines.ahead(taken)
        if following is None or (dialect.quote not in following and _is_row(following, dialect, width)):
            break
        taken += 1
        text += following
        if len(text) > LONGEST_LINE:
            break
        if dialect.quote not in following:
            continue
        whole, still = split_line(text.rstrip("\r\n"), dialect)
        if still == opened:
            continue
        before = following.partition(dialect.quote)[0]
        if opened and before.count(dialect.delimiter) == opened and not _is_prose(before, dialect):
            break  # the line has all its columns before the quote, so it closes nothing
        if still is None and len(whole) >= width and not (width and any(cell.strip() for cell in whole[width:])):
            lines.take(taken)
            return Row(number, whole, 1 + taken)
        if still is None or still < opened:  # wrong width, or a character after the closing quote
            break
        opened = still  # the cell is closed, and a later cell of the row is open
    if dialect.lax_quotes:
        return Row(number, first.split(dialect.delimiter))
    return None


def split_line(text: str, dialect: Dialect) -> tuple[list[str], int | None]:
    """Split a line into cells; also returns the index of a cell with an unclosed quote, if any.

    Only a quote at the start of a cell counts. Within one line, text after a closing quote belongs to the cell; a cell
    over several lines must end at its closing quote, or it is NEVER_CLOSED.
    """
    delimiter, quote = dialect.delimiter, dialect.quote
    if not quote or quote not in text:
        return text.split(delimiter), None
    cells: list[str] = []
    place = 0
    while True:
        start = place
        while text.startswith(" ", start) and delimiter != " ":
            start += 1
        if text.startswith(quote, start):
            close = text.find(quote, start + 1)
            while close >= 0 and text.startswith(quote, close + 1):
                close = text.find(quote, close + 2)
            if close < 0:
                return cells, len(cells)
            end = text.find(delimiter, close + 1)
            end = len(text) if end < 0 else end
            inside, after = text[start + 1 : close].replace(quote * 2, quote), text[close + 1 : end]
            if after.strip() and "\n" in inside:
                return cells, NEVER_CLOSED
            cells.append(inside + (after if after.strip() else ""))
        else:
            end = text.find(delimiter, place)
            end = len(text) if end < 0 else end
            cells.append(text[place:end])
        if end >= len(text):
            return cells, None
        place = end + len(delimiter)


def _is_row(text: str, dialect: Dialect, width: int) -> bool:
    """Return whether a line is a row by itself, not text within a cell: it has all columns."""
    cells = text.rstrip("\r\n").split(dialect.delimiter)
    return width > 1 and len(cells) == width and not _is_prose(text, dialect)


def _is_prose(text: str, dialect: Dialect) -> bool:
    """Return whether every delimiter is followed by a blank, as in sentences and unlike in tables."""
    return all(cell.startswith(" ") for cell in text.rstrip("\r\n").split(dialect.delimiter)[1:])


def read_lines(stream: BinaryIO, dialect: Dialect, file: str) -> Iterator[Line]:
    """Yield numbered lines with their ends. Only the terminator ends a line: U+0085 and U+2028 are text."""
    number = 0
    try:
        if codecs.lookup(dialect.encoding).name.startswith(("utf-16", "utf-32")):
            for number, text in enumerate(_read_wide(stream, dialect), start=1):
                if len(text) > LONGEST_LINE:
                    raise ArchiveError(f"{file}, line {number}: the line is longer than {LONGEST_LINE:,} characters")
                yield number, text.removeprefix("\ufeff") if number == 1 else text
            return
        decoder = _Decoder(dialect, file)
        raw_lines = _read_narrow(stream, dialect.terminator)
        for raw in decoder.watch(raw_lines):
            number += 1
            decoder.tell()
            if len(raw) > LONGEST_LINE:
                raise ArchiveError(f"{file}, line {number}: the line is longer than {LONGEST_LINE:,} bytes")
            if number == 1:
                raw = raw.removeprefix(codecs.BOM_UTF8)
            yield number, decoder.decode(raw)
        decoder.tell()
    except (*DAMAGED, UnicodeError) as error:
        raise ArchiveError(f"{file}, line {number + 1}: the file is damaged ({error})") from error


class _Decoder:
    """Decodes lines by the given or declared encoding or as UTF-8, and others by their letters.

    The first undecodable line triggers reading ahead, since other such lines help to detect the encoding.
    """

    def __init__(self, dialect: Dialect, file: str) -> None:
        self._file = file
        self._encoding = dialect.encoding
        self._told = dialect.told
        self._quiet = dialect.quiet
        self._doubtful = not dialect.told and SINGLE_BYTE.match(codecs.lookup(dialect.encoding).name) is not None
        self._legacy: list[str] | None = None
        self._untold = ""
        self._lines: Iterator[bytes] = iter(())
        self._ahead: deque[bytes] = deque()

    def watch(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        """Pass the lines on, with a buffer for reading ahead."""
        self._lines = lines
        while True:
            if self._ahead:
                yield self._ahead.popleft()
            elif (raw := next(lines, None)) is not None:
                yield raw
            else:
                return

    def decode(self, raw: bytes) -> str | None:
        """Return the text of a line; None if its encoding cannot be determined."""
        if raw.isascii():
            return raw.decode("ascii") if self._encoding.startswith("utf-8") else raw.decode(self._encoding)
        if self._doubtful and _is_utf8(raw):  # declared as Latin-1 or similar, but valid UTF-8
            return raw.decode("utf-8")
        try:
            return raw.decode(self._encoding)
        except UnicodeDecodeError:
            if self._told:
                return None
        if self._legacy is None:
            sample = self._sample(raw)
            self._legacy = read_legacy(sample)
            self._untold = explain_reading(sample, self._legacy)
        return decode_legacy(raw, self._legacy)

    def tell(self) -> None:
        """Log how lines that are not UTF-8 are read: once, and not for previews."""
        if self._untold and not self._quiet:
            logger.warning("%s is not in UTF-8; %s", self._file, self._untold)
            self._untold = ""

    def _sample(self, raw: bytes) -> list[bytes]:
        size, found = 0, [raw]
        while size < SAMPLE and (following := next(self._lines, None)) is not None:
            self._ahead.append(following)
            size += len(following)
            if not following.isascii() and not _is_utf8(following):
                found.append(following)
        return found


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _read_narrow(stream: BinaryIO, terminator: str) -> Iterator[bytes]:
    """Read lines of an encoding with one-byte line ends; overlong ones are cut, and later refused for their length."""
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


def with_header(rows: Iterator[Row | RejectedRecord], file: str) -> tuple[Row, Iterator[Row | RejectedRecord]]:
    """Separate the header of a table, and check every row against its number of columns."""
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
