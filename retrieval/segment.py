"""A segment: an immutable block of embeddings with their references, in one folder.

    embeddings.faiss   the index, which is also the store: each embedding lies there once
    species.npy        (lists,) int64: taxon id of each list, ascending
    offsets.npy        (lists + 1,) int64: the rows of list i are offsets[i] .. offsets[i + 1]
    observations.npy   (rows,) int64: the observation each row's photo belongs to
    references.sqlite  who took each photo, under which licence, and where it comes from

Rows lie sorted by species, observation and photo, so that the same references give the same bytes.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import Neighbour, Reference
from retrieval.embedder import Embeddings
from retrieval.errors import DamagedSnapshot
from retrieval.faiss_index import FaissIndex, write_index
from retrieval.readonly import open_readonly

FILES = ("embeddings.faiss", "species.npy", "offsets.npy", "observations.npy", "references.sqlite")

TABLE = """
CREATE TABLE photo_references (
    photo_row INTEGER PRIMARY KEY,
    photo TEXT NOT NULL UNIQUE,
    observation TEXT NOT NULL,
    species INTEGER NOT NULL,
    author TEXT NOT NULL,
    licence TEXT NOT NULL,
    source TEXT NOT NULL,
    aspect TEXT NOT NULL
)
"""
COLUMNS = "photo_row, photo, observation, species, author, licence, source, aspect"


@dataclass(frozen=True, slots=True)
class ReferenceEntry:
    """A reference on its way into a segment: `observation_id` groups its votes, `observation` names it for people."""

    photo: str
    observation_id: int
    observation: str
    species: int
    author: str
    licence: str
    source: str
    aspect: str = ""

    @property
    def place(self) -> tuple[int, int, str]:
        """Where the reference stands among the rows."""
        return (self.species, self.observation_id, self.photo)


def write_segment(folder: Path, entries: Sequence[ReferenceEntry], embeddings: Embeddings) -> None:
    """Write the references, sorted by their `place`, with their embeddings (rows in the same order) to a new folder."""
    if not entries or len(entries) != len(embeddings):
        raise ValueError(f"{len(entries)} references and {len(embeddings)} embeddings make no segment")
    if any(a.place >= b.place for a, b in pairwise(entries)):
        raise ValueError("references must come sorted by species, observation and photo, each once")
    folder.mkdir(parents=True)
    species, lists = np.unique(np.array([entry.species for entry in entries], dtype=np.int64), return_inverse=True)
    offsets = np.searchsorted(lists, np.arange(len(species) + 1)).astype(np.int64)
    np.save(folder / "species.npy", species)
    np.save(folder / "offsets.npy", offsets)
    np.save(folder / "observations.npy", np.array([entry.observation_id for entry in entries], dtype=np.int64))
    write_index(folder / "embeddings.faiss", embeddings, lists.astype(np.int64), len(species))
    table = sqlite3.connect(folder / "references.sqlite", isolation_level=None)
    try:
        table.execute("PRAGMA journal_mode = OFF")
        table.execute("BEGIN")
        table.execute(TABLE)
        table.executemany(
            "INSERT INTO photo_references VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (row, e.photo, e.observation, e.species, e.author, e.licence, e.source, e.aspect)
                for row, e in enumerate(entries)
            ),
        )
        table.execute("COMMIT")
    finally:
        table.close()


def name_entries(entries: Iterable[ReferenceEntry], model: str) -> str:
    """Name a segment after what it holds: the same references under the same model are the same segment."""
    digest = hashlib.sha256(model.encode())
    for e in entries:
        line = (e.photo, str(e.observation_id), e.observation, str(e.species), e.author, e.licence, e.source, e.aspect)
        digest.update("\x1f".join(line).encode() + b"\n")
    return digest.hexdigest()[:16]


class Segment:
    """An open segment. `base` is added to its row numbers, so that they are unique in the snapshot."""

    def __init__(self, folder: Path, base: int) -> None:
        self.base = base
        self.index = FaissIndex(folder / "embeddings.faiss")
        try:
            self.species, self.offsets, self.observations = (
                open_array(folder / f"{name}.npy") for name in ("species", "offsets", "observations")
            )
        except (OSError, ValueError, EOFError) as error:
            raise DamagedSnapshot(f"segment {folder.name} cannot be read") from error
        self.rows = self.index.rows
        if self.rows != len(self.observations) or self.rows != self.offsets[-1]:
            raise DamagedSnapshot(f"the files of segment {folder.name} do not belong together")
        self._references = open_readonly(folder / "references.sqlite")

    def lists_of(self, species: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers of the lists that hold the given species (ascending taxon ids)."""
        return np.flatnonzero(np.isin(self.species, species, assume_unique=True)).astype(np.int64)

    def count_rows(self, lists: NDArray[np.int64]) -> int:
        """How many references the lists hold."""
        return int(np.sum(self.offsets[lists + 1] - self.offsets[lists]))

    def search(self, embeddings: Embeddings, k: int, lists: NDArray[np.int64]) -> list[list[Neighbour]]:
        """The nearest references of each view among the lists, best first."""
        similarities, rows = self.index.search(embeddings, k, lists)
        species = self.species[np.searchsorted(self.offsets, rows, side="right") - 1]
        observations = self.observations[rows]  # where there is no row, of some other: left out below
        columns = ((rows + self.base), species, observations, similarities)
        return [
            [Neighbour(*neighbour) for neighbour in zip(*near, strict=True) if neighbour[0] >= self.base]
            for near in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def reference(self, row: int) -> Reference:
        """The reference at a row of this segment (counted from 0)."""
        return self._read("photo_row = ?", row)[0]

    def references_of(self, species: int) -> list[Reference]:
        """All references of a species, by row; they lie together."""
        place = int(np.searchsorted(self.species, species))
        if place == len(self.species) or self.species[place] != species:
            return []
        return self._read("photo_row BETWEEN ? AND ?", int(self.offsets[place]), int(self.offsets[place + 1]) - 1)

    def reference_of_photo(self, photo: str) -> Reference | None:
        """The reference whose photo has this digest, if it is here."""
        found = self._read("photo = ?", photo)
        return found[0] if found else None

    def close(self) -> None:
        """Let go of the reference table; the maps go with the object."""
        self._references.close()

    def _read(self, where: str, *values: int | str) -> list[Reference]:
        query = f"SELECT {COLUMNS} FROM photo_references WHERE {where} ORDER BY photo_row"  # noqa: S608 - no text of others
        return [
            Reference(row + self.base, *rest)  # the columns stand in the order of Reference's fields
            for row, *rest in self._references.execute(query, values)
        ]


def open_array(path: Path) -> NDArray[np.int64]:
    """An array in a file, mapped; as a plain array, since a `memmap` costs a microsecond at every touch."""
    return np.asarray(np.load(path, mmap_mode="r"))


def merge_neighbours(per_segment: Sequence[list[list[Neighbour]]], k: int) -> list[list[Neighbour]]:
    """Merge what each segment found for each view: the `k` best, ties by row."""
    if len(per_segment) == 1:
        return per_segment[0]
    return [
        sorted((n for found in views for n in found), key=lambda n: (-n.similarity, n.row))[:k]
        for views in zip(*per_segment, strict=True)
    ]
