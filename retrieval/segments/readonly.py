"""Published tables are SQLite files that nobody writes any more."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from retrieval.errors import DamagedSnapshot


class ReadOnlyTable:
    """An immutable SQLite file, shared by the threads of a process.

    `immutable` tells SQLite that no lock and no journal is needed; one connection
    under a lock serves all threads, since a look-up takes microseconds.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(
                f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1", uri=True, check_same_thread=False
            )
            weakref.finalize(self, self._connection.close)  # nobody closes what a replaced snapshot leaves behind
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            raise DamagedSnapshot(f"{path.name} cannot be read as a table") from error

    def execute(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()


def open_readonly(path: Path) -> ReadOnlyTable:
    """Open a published SQLite file; raises DamagedSnapshot if it is none."""
    return ReadOnlyTable(path)
