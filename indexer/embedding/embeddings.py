"""The store of embeddings, computed once for each photo and model, by the photo's digest."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from retrieval.errors import BuildError
from retrieval.models.embedder import DIM, Embeddings
from retrieval.photos.views import RULE
from retrieval.progress import Progress, silent

STORED = np.dtype("<f2")  # float16 as in segments, so that new and stored rows are identical

TOGETHER = 500  # photos per SQL statement

UNCONVERTED = 1  # the rule of stores from before there was any; see retrieval.photos.views.RULE
TOLD = "told of the photo rule"
TABLES = (
    "CREATE TABLE IF NOT EXISTS embeddings (photo TEXT PRIMARY KEY, embedding BLOB NOT NULL,"
    f" rule INTEGER NOT NULL DEFAULT {UNCONVERTED}) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS failures (photo TEXT PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID",
)


class EmbeddingStore:
    """All embeddings of one model, in one SQLite file; batches are written atomically.

    `width` is 256, except for the features that `fit-head` stores, which have the network's own width.
    Raises BuildError where the file cannot be opened or written.
    """

    def __init__(self, folder: Path, model: str, width: int = DIM) -> None:
        self.width = width
        folder.mkdir(parents=True, exist_ok=True)
        self.path = self.file_of(folder, model)
        try:
            self._table = sqlite3.connect(self.path, isolation_level=None, timeout=60)
        except sqlite3.Error as error:
            raise BuildError(f"{self.path} cannot be opened: {error}") from error
        try:
            self._table.execute("PRAGMA journal_mode = WAL")
            for statement in TABLES:
                self._table.execute(statement)
            self._add_rule()
        except sqlite3.Error as error:
            self._table.close()
            raise BuildError(f"{self.path} cannot be opened: {error}") from error

    @staticmethod
    def file_of(folder: Path, model: str) -> Path:
        """Return the file of a model's embeddings."""
        return folder / f"{re.sub(r'[^A-Za-z0-9.@_-]', '_', model)}.sqlite"

    def __enter__(self) -> EmbeddingStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._table.close()

    def _add_rule(self) -> None:
        """Bring a store from before there were photo rules up to date: instantly, as no row is touched."""
        if "rule" in {column[1] for column in self._table.execute("PRAGMA table_info(embeddings)")}:
            return
        with suppress(sqlite3.OperationalError):  # another process was first
            self._table.execute(f"ALTER TABLE embeddings ADD COLUMN rule INTEGER NOT NULL DEFAULT {UNCONVERTED}")
        if self._table.execute("SELECT 1 FROM embeddings LIMIT 1").fetchone():
            self._note(f"rule {UNCONVERTED}")

    def _note(self, name: str) -> None:
        self._table.execute("INSERT OR IGNORE INTO notes VALUES (?, 1)", (name,))

    def _noted(self, name: str) -> bool:
        return self._table.execute("SELECT 1 FROM notes WHERE name = ?", (name,)).fetchone() is not None

    @property
    def rules(self) -> list[int]:
        """The rules by which photos became views of these embeddings, ascending; see `retrieval.photos.views.RULE`."""
        notes = self._table.execute("SELECT name FROM notes WHERE name LIKE 'rule %'")
        return sorted(int(name.removeprefix("rule ")) for (name,) in notes)

    def tell_once(self) -> str:
        """What the person has to know of old embeddings in this store; empty where that is nothing, or was told."""
        if not self.rules or self.rules[0] == RULE or self._noted(TOLD):
            return ""
        self._note(TOLD)
        return (
            "embeddings in this store were made before colour profiles were read: photos in Display P3, Adobe RGB or"
            " CMYK are embedded in duller colours than new ones. They keep working. To make all anew, delete"
            f" {self.path} and run `index embed`, `index build` and `index publish` again"
        )

    def __len__(self) -> int:
        return int(self._table.execute("SELECT count(*) FROM embeddings").fetchone()[0])

    def known(self, photos: Sequence[str]) -> set[str]:
        """Return the photos that have an embedding or a stored failure."""
        found: set[str] = set()
        for table in ("embeddings", "failures"):
            for start in range(0, len(photos), TOGETHER):
                part = photos[start : start + TOGETHER]
                found.update(photo for (photo,) in self._find("photo", table, part))
        return found

    def _find(self, columns: str, table: str, photos: Sequence[str]) -> sqlite3.Cursor:
        """Select the rows of at most TOGETHER photos, in any order."""
        marks = ",".join("?" * len(photos))
        return self._table.execute(f"SELECT {columns} FROM {table} WHERE photo IN ({marks})", photos)  # noqa: S608 - ours

    def add(self, photos: Sequence[str], embeddings: Embeddings, *, rule: int = RULE) -> None:
        """Store the embeddings (photos, width) of a batch, in one transaction.

        Longer rows have the network's features behind the embedding (`KeepingEmbedder`), which are not stored here.
        `rule` is the one by which the photos became views.
        """
        rows = np.ascontiguousarray(embeddings[:, : self.width], dtype=STORED)
        if rows.shape[1] != self.width:
            raise BuildError(f"rows of {rows.shape[1]} numbers are no rows of {self.path.name}, which has {self.width}")
        with self._written():
            self._table.execute("BEGIN")
            self._table.executemany(
                "INSERT OR REPLACE INTO embeddings (photo, embedding, rule) VALUES (?, ?, ?)",
                ((photo, row.tobytes(), rule) for photo, row in zip(photos, rows, strict=True)),
            )
            self._note(f"rule {rule}")

    def add_failure(self, photo: str, reason: str) -> None:
        """Store why a photo cannot be embedded, so that it is not tried again each time."""
        with self._written():
            self._table.execute("INSERT OR REPLACE INTO failures VALUES (?, ?)", (photo, reason))

    @contextmanager
    def _written(self) -> Iterator[None]:
        """Commit the block or roll it back: an open transaction would block all later writes. Raises BuildError."""
        try:
            with self._table:  # commits or rolls back
                yield
        except sqlite3.Error as error:  # a full disk, a locked file
            raise BuildError(f"{self.path} cannot be written: {error}") from error

    def forget_failures(self) -> int:
        """Delete all stored failures, so that they are tried again; returns their number."""
        return self._table.execute("DELETE FROM failures").rowcount

    def failures(self) -> dict[str, str]:
        """Return the reasons of all stored failures, by photo."""
        return dict(self._table.execute("SELECT photo, reason FROM failures ORDER BY photo"))

    def missing(self, photos: Iterable[str]) -> list[str]:
        """Return the photos without an embedding, in order."""
        missing: list[str] = []
        asked = iter(photos)
        while part := list(islice(asked, TOGETHER)):
            held = {photo for (photo,) in self._find("photo", "embeddings", part)}
            missing += [photo for photo in part if photo not in held]
        return missing

    def by_rule(self, photos: Sequence[str]) -> dict[int, list[str]]:
        """Return those of the photos that have an embedding, in order, by the rule it was made by."""
        rules: dict[str, int] = {}
        for start in range(0, len(photos), TOGETHER):
            rules.update(self._find("photo, rule", "embeddings", photos[start : start + TOGETHER]))
        found: dict[int, list[str]] = {}
        for photo in photos:
            if photo in rules:
                found.setdefault(rules[photo], []).append(photo)
        return found

    def read(self, photos: Sequence[str]) -> Embeddings:
        """Return the embeddings (photos, width), in order; raises KeyError for a photo without one.

        Look-ups are in the order of the file, so that they share pages read from disk.
        """
        rows = np.empty((len(photos), self.width), dtype=STORED)
        order = sorted(range(len(photos)), key=photos.__getitem__)
        for start in range(0, len(order), TOGETHER):
            places = order[start : start + TOGETHER]
            part = [photos[place] for place in places]
            found = dict(self._find("photo, embedding", "embeddings", part))
            stored = np.frombuffer(b"".join([found[photo] for photo in part]), dtype=STORED)
            rows[places] = stored.reshape(len(part), self.width)
        return rows.astype(np.float32)


class StoredRows:
    """A lazy `RowSource` of the embeddings of a segment's photos, in the order of the segment's table."""

    def __init__(self, store: EmbeddingStore, table: Path, progress: Progress = silent) -> None:
        self._store = store
        self._table = table
        self._progress = progress

    def __len__(self) -> int:
        return self._rows

    @cached_property
    def _rows(self) -> int:
        """Counted once, when the table has been written: SQLite reads all of it."""
        return int(self._ask("SELECT count(*) FROM photo_references")[0][0])

    def __getitem__(self, rows: slice) -> Embeddings:
        first, end, _ = rows.indices(len(self))
        query = "SELECT photo FROM photo_references WHERE photo_row >= ? AND photo_row < ? ORDER BY photo_row"
        found = self._store.read([photo for (photo,) in self._ask(query, first, end)])
        self._progress("embeddings", end - first, len(self))
        return found

    def _ask(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._table)) as table:
            return table.execute(query, values).fetchall()
