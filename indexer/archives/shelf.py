"""Rows put aside until others ask for them: a private temporary database on disk, gone when closed.

An archive's tables refer to each other in any order and may hold millions of lines; memory holds a few megabytes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType

write_json = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode


@dataclass(frozen=True, slots=True)
class ShelvedRow:
    """A row put aside, with where it came from and how often it was asked for before."""

    key: str
    fields: Mapping[str, str]
    file: str
    line: int
    uses: int


class RowShelf:
    """Rows of one table by their key."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)  # an empty name is a temporary file that SQLite removes
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("PRAGMA synchronous = OFF")
        self._rows.execute(
            "CREATE TABLE rows (place INTEGER PRIMARY KEY, key TEXT UNIQUE, fields TEXT, file TEXT, line INTEGER, "
            "uses INTEGER DEFAULT 0)"
        )
        self._rows.execute("BEGIN")

    def __enter__(self) -> RowShelf:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()

    def put(self, key: str, fields: Mapping[str, str], file: str = "", line: int = 0) -> bool:
        """Put a row aside; False where the key is taken, and the first row stays."""
        placed = self._rows.execute(
            "INSERT OR IGNORE INTO rows (key, fields, file, line) VALUES (?, ?, ?, ?)",
            (key, write_json(fields), file, line),
        )
        return placed.rowcount == 1

    def find(self, key: str) -> ShelvedRow | None:
        """Return the row of that key."""
        found = self._rows.execute("SELECT key, fields, file, line, uses FROM rows WHERE key = ?", (key,)).fetchone()
        return ShelvedRow(found[0], json.loads(found[1]), *found[2:]) if found else None

    def repeats(self, field: str) -> bool:
        """Say whether any two rows say the same in a field."""
        found = self._rows.execute(
            "SELECT 1 FROM rows GROUP BY json_extract(fields, ?) HAVING count(json_extract(fields, ?)) > 1 LIMIT 1",
            (f'$."{field}"',) * 2,
        )
        return found.fetchone() is not None

    def rename(self, field: str, source: str) -> None:
        """Let every row's `field` be what its field `source` says."""
        there = f'$."{source}"'
        self._rows.execute(
            "UPDATE rows SET fields = json_set(fields, ?, json_extract(fields, ?)) "
            "WHERE json_extract(fields, ?) NOT NULL",
            (f'$."{field}"', there, there),
        )

    def mark(self, key: str, field: str, text: str) -> None:
        """Let a row say `text` in a field beside what it says itself."""
        self._rows.execute("UPDATE rows SET fields = json_set(fields, ?, ?) WHERE key = ?", (f'$."{field}"', text, key))

    def use(self, key: str) -> None:
        """Note that a row was asked for."""
        self._rows.execute("UPDATE rows SET uses = uses + 1 WHERE key = ?", (key,))

    def unused(self) -> Iterator[ShelvedRow]:
        """Return the rows nobody asked for, in the order they came."""
        rows = self._rows.execute("SELECT key, fields, file, line, uses FROM rows WHERE uses = 0 ORDER BY place")
        for key, fields, file, line, uses in rows:
            yield ShelvedRow(key, json.loads(fields), file, line, uses)

    def rows(self) -> Iterator[ShelvedRow]:
        """Return every row, in the order they came."""
        for found in self._rows.execute("SELECT key, fields, file, line, uses FROM rows ORDER BY place"):
            yield ShelvedRow(found[0], json.loads(found[1]), *found[2:])


class GroupShelf:
    """Rows that several may share a key, such as the places of a taxon."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute(
            "CREATE TABLE rows (place INTEGER PRIMARY KEY, key TEXT, fields TEXT, file TEXT, line INTEGER)"
        )
        self._rows.execute("CREATE INDEX by_key ON rows (key)")
        self._rows.execute("BEGIN")

    def __enter__(self) -> GroupShelf:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()

    def put(self, key: str, fields: Mapping[str, str], file: str, line: int) -> None:
        """Put a row aside."""
        self._rows.execute(
            "INSERT INTO rows (key, fields, file, line) VALUES (?, ?, ?, ?)",
            (key, write_json(fields), file, line),
        )

    def find(self, key: str) -> list[dict[str, str]]:
        """Return what the rows of a key say, in the order they came."""
        found = self._rows.execute("SELECT fields FROM rows WHERE key = ? ORDER BY place", (key,))
        return [json.loads(fields) for (fields,) in found]

    def places(self) -> Iterator[tuple[str, str, int]]:
        """Return key, file and line of every row, in the order they came."""
        yield from self._rows.execute("SELECT key, file, line FROM rows ORDER BY place")
