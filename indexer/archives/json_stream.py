"""Streams JSON files larger than memory: the members of the outermost object, and the items of its lists.

Unlike ijson, it reports the line of each item, which rejections need.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from indexer.archives.lines import DAMAGED
from retrieval.errors import ArchiveError

CHUNK = 2**20
LARGEST_VALUE = 64 * 2**20  # characters of one list item, or of one member that is no list
BLANK = " \t\r\n"
ENDS = tuple(BLANK + ",]}:")  # characters that can follow a complete value


def read_members(stream: BinaryIO, file: str, *, lists: bool = False) -> Iterator[tuple[str, Any, int]]:
    """Yield (key, value, line) of the outermost object; list items are yielded singly, with the list's key.

    With `lists`, the outermost value may be a list: its items have no key. Raises ArchiveError with the line for
    malformed or truncated JSON.
    """
    text = _Window(stream, file)
    if lists and text.accept("["):
        yield from _read_list(text, "")
    else:
        text.expect("{")
        yield from _read_object(text)
    if text.peek():
        raise text.fault("there is more after the end")


def _read_object(text: _Window) -> Iterator[tuple[str, Any, int]]:
    if text.accept("}"):
        return
    while True:
        key = text.value()
        if not isinstance(key, str):
            raise text.fault("a name in quotes is expected")
        text.expect(":")
        if text.accept("["):
            yield from _read_list(text, key)
        else:
            line = text.line()
            yield key, text.value(), line
        if not text.accept(","):
            break
    text.expect("}")


def _read_list(text: _Window, key: str) -> Iterator[tuple[str, Any, int]]:
    if text.accept("]"):
        return
    while True:
        line = text.line()
        yield key, text.value(), line
        if not text.accept(","):
            break
    text.expect("]")


class _Window:
    """The part of the file in memory, with the number of lines before it."""

    def __init__(self, stream: BinaryIO, file: str) -> None:
        self._stream = stream
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder()
        self._text = ""
        self._place = 0
        self._lines = 1  # number of the window's first line
        self._counted = 0  # offset in the window up to which line ends have been counted
        self._ended = False

    def peek(self) -> str:
        """Return the next non-blank character, or empty text at the end."""
        while True:
            while self._place < len(self._text):
                sign = self._text[self._place]
                if sign not in BLANK:
                    return sign
                self._place += 1
            if not self._fill():
                return ""

    def accept(self, sign: str) -> bool:
        """Consume `sign` if it is next."""
        if self.peek() != sign:
            return False
        self._place += 1
        return True

    def expect(self, sign: str) -> None:
        """Consume `sign`, or raise ArchiveError."""
        if not self.accept(sign):
            raise self.fault(f"{sign!r} is expected")

    def value(self) -> Any:
        """Read one complete value."""
        self.peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._place)
            except (json.JSONDecodeError, RecursionError) as error:
                if self._room() and self._fill():
                    continue
                raise self.fault(f"this is no JSON ({error})") from error
            if self._text[end : end + 1] not in ENDS and self._fill():
                continue  # a number may continue in the next chunk: `1` is complete, and so is the start of `1.5e3`
            self._place = end
            return value

    def line(self) -> int:
        """Return the line of the next value, from 1."""
        self.peek()
        self._lines += self._text.count("\n", self._counted, self._place)
        self._counted = self._place
        return self._lines

    def fault(self, detail: str) -> ArchiveError:
        """Make the error for the current position."""
        return ArchiveError(f"{self._file}, line {self.line()}: {detail}")

    def _room(self) -> bool:
        return len(self._text) - self._place < LARGEST_VALUE

    def _fill(self) -> bool:
        if self._ended:
            return False
        if self._place > CHUNK:
            self._lines += self._text.count("\n", self._counted, self._place)
            self._text, self._place, self._counted = self._text[self._place :], 0, 0
        # Twice the pending text: a long value is then parsed a few times, not once per chunk.
        wanted = max(CHUNK, len(self._text) - self._place)
        try:
            chunk = self._stream.read(wanted)
            self._text += self._decoder.decode(chunk, final=not chunk)
        except (*DAMAGED, UnicodeDecodeError) as error:
            self._ended = True
            raise ArchiveError(f"{self._file}, line {self._lines}: the file is damaged ({error})") from error
        self._ended = not chunk
        return not self._ended
