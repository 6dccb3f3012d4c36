"""Embeddings between the stages: made once per photo and model, kept by the photo's digest."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from retrieval.errors import BuildError
from retrieval.models.embedder import DIM, Embeddings
from retrieval.progress import Progress, silent

STORED = np.dtype("<f2")  # what segments hold: a row is the same whether it was embedded now or a year ago

TOGETHER = 500  # photos that one statement asks for

TABLES = (
    "CREATE TABLE IF NOT EXISTS embeddings (photo TEXT PRIMARY KEY, embedding BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS failures (photo TEXT PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID",
)


class EmbeddingStore:
    """All embeddings of one model, in one SQLite file: each batch is there whole or not at all.

    `width` is 256, but for what a network gives before its head: `fit-head` keeps that in a store of its own.
    Raises BuildError where the file cannot be opened or written.
    """

    def __init__(self, folder: Path, model: str, width: int = DIM) -> None:
        self.width = width
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{re.sub(r'[^A-Za-z0-9.@_-]', '_', model)}.sqlite"
        try:
            self._table = sqlite3.connect(self.path, isolation_level=None, timeout=60)
        except sqlite3.Error as error:
            raise BuildError(f"{self.path} cannot be opened: {error}") from error
        try:
            self._table.execute("PRAGMA journal_mode = WAL")
            for statement in TABLES:
                self._table.execute(statement)
        except sqlite3.Error as error:
            self._table.close()
            raise BuildError(f"{self.path} cannot be opened: {error}") from error

    def __enter__(self) -> EmbeddingStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._table.close()

    def __len__(self) -> int:
        return int(self._table.execute("SELECT count(*) FROM embeddings").fetchone()[0])

    def known(self, photos: Sequence[str]) -> set[str]:
        """Those of the photos that have been embedded, or were tried and cannot be."""
        found: set[str] = set()
        for table in ("embeddings", "failures"):
            for start in range(0, len(photos), TOGETHER):
                part = photos[start : start + TOGETHER]
                found.update(photo for (photo,) in self._find("photo", table, part))
        return found

    def _find(self, columns: str, table: str, photos: Sequence[str]) -> sqlite3.Cursor:
        """What a table has of some photos, TOGETHER at most, in any order."""
        marks = ",".join("?" * len(photos))
        return self._table.execute(f"SELECT {columns} FROM {table} WHERE photo IN ({marks})", photos)  # noqa: S608 - ours

    def add(self, photos: Sequence[str], embeddings: Embeddings) -> None:
        """Keep the embeddings (photos, width) of a batch, all or none; the next can be kept whatever befell this."""
        rows = np.ascontiguousarray(embeddings, dtype=STORED)
        with self._written():
            self._table.execute("BEGIN")
            self._table.executemany(
                "INSERT OR REPLACE INTO embeddings VALUES (?, ?)",
                ((photo, row.tobytes()) for photo, row in zip(photos, rows, strict=True)),
            )

    def add_failure(self, photo: str, reason: str) -> None:
        """Remember that a photo cannot be embedded, and why, so that it is not tried again each time."""
        with self._written():
            self._table.execute("INSERT OR REPLACE INTO failures VALUES (?, ?)", (photo, reason))

    @contextmanager
    def _written(self) -> Iterator[None]:
        """What is written in the block stays, or none of it: a transaction left open would refuse all that follows."""
        try:
            with self._table:  # commits what was begun, or takes it back
                yield
        except sqlite3.Error as error:  # a full disk, a file that another process holds
            raise BuildError(f"{self.path} cannot be written: {error}") from error

    def forget_failures(self) -> int:
        """Let all failed photos be tried again; how many there were."""
        return self._table.execute("DELETE FROM failures").rowcount

    def failures(self) -> dict[str, str]:
        """Photo and reason of everything that could not be embedded."""
        return dict(self._table.execute("SELECT photo, reason FROM failures ORDER BY photo"))

    def missing(self, photos: Iterable[str]) -> list[str]:
        """Those of the photos that have no embedding."""
        missing: list[str] = []
        asked = iter(photos)
        while part := list(islice(asked, TOGETHER)):
            held = {photo for (photo,) in self._find("photo", "embeddings", part)}
            missing += [photo for photo in part if photo not in held]
        return missing

    def read(self, photos: Sequence[str]) -> Embeddings:
        """The embeddings of the photos, in their order; raises KeyError for one that has none.

        They are looked up in the order of the file, so that what one look-up has brought from the disk serves the next.
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
    """The embeddings of a segment's photos, as the segment's own table names them, read as they are asked for."""

    def __init__(self, store: EmbeddingStore, table: Path, progress: Progress = silent) -> None:
        self._store = store
        self._table = table
        self._progress = progress

    def __len__(self) -> int:
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
