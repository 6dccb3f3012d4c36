"""Rows shelved on disk for later joins, in a private temporary database that is deleted when closed.

The tables of an archive refer to each other in any order and can have millions of lines, so memory use is bounded.
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
    """A shelved row, with its origin and the number of earlier uses."""

    key: str
    fields: Mapping[str, str]
    file: str
    line: int
    uses: int


class RowShelf:
    """Rows of one table by unique key."""

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
        """Shelve a row; returns False if the key is taken, and keeps the first row."""
        placed = self._rows.execute(
            "INSERT OR IGNORE INTO rows (key, fields, file, line) VALUES (?, ?, ?, ?)",
            (key, write_json(fields), file, line),
        )
        return placed.rowcount == 1

    def find(self, key: str) -> ShelvedRow | None:
        """Return the row of a key, or None."""
        found = self._rows.execute("SELECT key, fields, file, line, uses FROM rows WHERE key = ?", (key,)).fetchone()
        return ShelvedRow(found[0], json.loads(found[1]), *found[2:]) if found else None

    def repeats(self, field: str) -> bool:
        """Return whether any two rows have the same value in a field."""
        found = self._rows.execute(
            "SELECT 1 FROM rows GROUP BY json_extract(fields, ?) HAVING count(json_extract(fields, ?)) > 1 LIMIT 1",
            (f'$."{field}"',) * 2,
        )
        return found.fetchone() is not None

    def rename(self, field: str, source: str) -> None:
        """Set `field` of every row to the value of its field `source`."""
        there = f'$."{source}"'
        self._rows.execute(
            "UPDATE rows SET fields = json_set(fields, ?, json_extract(fields, ?)) "
            "WHERE json_extract(fields, ?) NOT NULL",
            (f'$."{field}"', there, there),
        )

    def mark(self, key: str, field: str, text: str) -> None:
        """Set a field of a row to `text`."""
        self._rows.execute("UPDATE rows SET fields = json_set(fields, ?, ?) WHERE key = ?", (f'$."{field}"', text, key))

    def use(self, key: str) -> None:
        """Record that a row was used."""
        self._rows.execute("UPDATE rows SET uses = uses + 1 WHERE key = ?", (key,))

    def unused(self) -> Iterator[ShelvedRow]:
        """Yield the unused rows in order of insertion."""
        rows = self._rows.execute("SELECT key, fields, file, line, uses FROM rows WHERE uses = 0 ORDER BY place")
        for key, fields, file, line, uses in rows:
            yield ShelvedRow(key, json.loads(fields), file, line, uses)

    def rows(self) -> Iterator[ShelvedRow]:
        """Yield all rows in order of insertion."""
        for found in self._rows.execute("SELECT key, fields, file, line, uses FROM rows ORDER BY place"):
            yield ShelvedRow(found[0], json.loads(found[1]), *found[2:])


class GroupShelf:
    """Rows with non-unique keys, such as the places of a taxon."""

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
        """Shelve a row."""
        self._rows.execute(
            "INSERT INTO rows (key, fields, file, line) VALUES (?, ?, ?, ?)",
            (key, write_json(fields), file, line),
        )

    def find(self, key: str) -> list[dict[str, str]]:
        """Return the rows of a key, in order of insertion."""
        found = self._rows.execute("SELECT fields FROM rows WHERE key = ? ORDER BY place", (key,))
        return [json.loads(fields) for (fields,) in found]

    def places(self) -> Iterator[tuple[str, str, int]]:
        """Yield key, file and line of every row, in order of insertion."""
        yield from self._rows.execute("SELECT key, file, line FROM rows ORDER BY place")
