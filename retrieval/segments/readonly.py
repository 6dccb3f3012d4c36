"""Read-only access to the immutable SQLite files of published snapshots."""

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
    """An immutable SQLite file, shared by the threads of a process. Raises DamagedSnapshot where it is unreadable.

    With `immutable`, SQLite needs neither file locks nor a journal. One connection under a lock serves all threads,
    since a look-up takes microseconds.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(
                f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1", uri=True, check_same_thread=False
            )
            weakref.finalize(self, self._connection.close)  # replaced snapshots are not closed explicitly
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            raise DamagedSnapshot(f"{path.name} cannot be read as a table") from error

    def execute(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a query and return all rows."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def open_readonly(path: Path) -> ReadOnlyTable:
    """Open a published SQLite file; raises DamagedSnapshot if it is not one."""
    return ReadOnlyTable(path)
