"""A segment: an immutable block of embeddings with their references, in one folder.

    embeddings.npy     (rows, 256) float16: the embeddings, memory-mapped by the index and stored only here
    species.npy        (lists,) int64: taxon id of each list, ascending
    offsets.npy        (lists + 1,) int64: the rows of list i are offsets[i] .. offsets[i + 1]
    observations.npy   (rows,) int64: the observation each row's photo belongs to
    references.sqlite  metadata of each photo: author, licence, source, aspect

Rows are sorted by species, observation and photo, so that the same references give the same bytes.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import Reference
from retrieval.errors import DamagedSnapshot
from retrieval.search.arrays import load_array
from retrieval.search.faiss_codes import FaissCodes
from retrieval.search.faiss_index import FaissIndex, RowSource, write_index
from retrieval.search.filtered_index import FilteredIndex
from retrieval.segments.readonly import open_readonly

FILES = ("embeddings.npy", "species.npy", "offsets.npy", "observations.npy", "references.sqlite")

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
PORTION = 4_096  # rows of the table read at a time
TABLE_CACHE = 64_000  # kB of the table cached while it is written: the index of photos is filled in random order


@dataclass(frozen=True, slots=True)
class ReferenceEntry:
    """A reference to write: `observation_id` groups votes, `observation` is the observation's name for people."""

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
        """The key by which rows are sorted."""
        return (self.species, self.observation_id, self.photo)


def write_segment(folder: Path, entries: Iterable[ReferenceEntry], embeddings: RowSource) -> None:
    """Write references, sorted by `place`, and their embeddings (rows in the same order) to a new folder.

    Both are iterated once, the references first: `embeddings` may read the photos from the folder's table.
    """
    folder.mkdir(parents=True)
    try:
        columns = Columns()
        write_table(folder / "references.sqlite", columns.follow(entries))
        rows = len(columns.observations)
        if not rows or rows != len(embeddings):
            raise ValueError(f"{rows} references and {len(embeddings)} embeddings make no segment")
        np.save(folder / "species.npy", np.array(columns.species, dtype=np.int64))
        np.save(folder / "offsets.npy", np.array([*columns.firsts, rows], dtype=np.int64))
        np.save(folder / "observations.npy", np.frombuffer(columns.observations, dtype=np.int64))
        write_index(folder / "embeddings.npy", embeddings)
    except ValueError:
        shutil.rmtree(folder)
        raise


class Columns:
    """Collects the arrays of a segment while its references are written."""

    def __init__(self) -> None:
        self.species: list[int] = []  # each once, ascending
        self.firsts: list[int] = []  # the first row of each
        self.observations = array("q")  # of each row

    def follow(self, entries: Iterable[ReferenceEntry]) -> Iterator[ReferenceEntry]:
        """Yield the references unchanged; raises ValueError if they are not sorted or not distinct."""
        before: tuple[int, int, str] | None = None
        for entry in entries:
            place = entry.place
            if before is not None and before >= place:
                raise ValueError("references must come sorted by species, observation and photo, each once")
            if before is None or before[0] != entry.species:
                self.species.append(entry.species)
                self.firsts.append(len(self.observations))
            self.observations.append(entry.observation_id)
            before = place
            yield entry


def write_table(path: Path, entries: Iterable[ReferenceEntry]) -> None:
    """Write the metadata of references to a new SQLite file."""
    table = sqlite3.connect(path, isolation_level=None)
    try:
        table.execute("PRAGMA journal_mode = OFF")
        table.execute("PRAGMA synchronous = OFF")  # the folder is flushed when it is complete
        table.execute(f"PRAGMA cache_size = -{TABLE_CACHE}")
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
    """Return the name of a segment, a digest of its references and model: equal content has an equal name."""
    naming = Naming(model)
    for _ in naming.follow(entries):
        pass
    return naming.name


class Naming:
    """Computes the name while references are iterated."""

    def __init__(self, model: str) -> None:
        self._digest = hashlib.sha256(model.encode())

    def follow(self, entries: Iterable[ReferenceEntry]) -> Iterator[ReferenceEntry]:
        """Yield the references unchanged."""
        for e in entries:
            line = (
                e.photo,
                str(e.observation_id),
                e.observation,
                str(e.species),
                e.author,
                e.licence,
                e.source,
                e.aspect,
            )
            self._digest.update("\x1f".join(line).encode() + b"\n")
            yield e

    @property
    def name(self) -> str:
        """The name of the references iterated so far."""
        return self._digest.hexdigest()[:16]


class Segment:
    """An open segment. `base` is added to its row numbers, so that they are unique in the snapshot.

    `withdrawn` rows (ascending) and those of the photos `withheld` stay in the files but are never found. `store` has
    all rows, `index` the active ones; `codes` are the PQ codes of the first stage, if the snapshot has any.
    """

    def __init__(
        self,
        folder: Path,
        base: int,
        withdrawn: NDArray[np.int64] | None = None,
        withheld: Collection[str] = (),
    ) -> None:
        self.base = base
        self.name = folder.name
        try:
            self.species: NDArray[np.int64] = load_array(folder / "species.npy", mapped=True)
            self.offsets: NDArray[np.int64] = load_array(folder / "offsets.npy", mapped=True)
            self.observations: NDArray[np.int64] = load_array(folder / "observations.npy", mapped=True)
        except (OSError, ValueError, EOFError) as error:
            raise DamagedSnapshot(f"segment {folder.name} cannot be read") from error
        self.store = FaissIndex(folder / "embeddings.npy", self.offsets)
        self.rows = self.store.rows
        if self.rows != len(self.observations) or len(self.species) + 1 != len(self.offsets):
            raise DamagedSnapshot(f"the files of segment {folder.name} do not belong together")
        self.codes: FaissCodes | None = None
        self.withdrawn: NDArray[np.bool_] | None = None  # (rows,)
        self.index: FaissIndex | FilteredIndex = self.store
        self._references = open_readonly(folder / "references.sqlite")
        gone = np.zeros(0, np.int64) if withdrawn is None else withdrawn
        if len(gone) and (gone[-1] >= self.rows or gone[0] < 0):
            raise DamagedSnapshot(f"rows are withdrawn from segment {folder.name} that it does not have")
        self.withheld = np.setdiff1d(self.rows_of_photos(withheld), gone)  # rows masked only because of their photos
        if len(gone) or len(self.withheld):
            self.withdrawn = np.zeros(self.rows, dtype=np.bool_)
            self.withdrawn[gone] = True
            self.withdrawn[self.withheld] = True
            self.index = FilteredIndex(self.store, self.withdrawn)

    def lists_of(self, species: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of the lists of species (ascending taxon ids)."""
        return np.flatnonzero(np.isin(self.species, species, assume_unique=True)).astype(np.int64)

    def species_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the species of rows of this segment (counted from 0)."""
        found: NDArray[np.int64] = self.species[np.searchsorted(self.offsets, rows, side="right") - 1]
        return found

    def count_rows(self, lists: NDArray[np.int64]) -> int:
        """Return the number of rows in the lists, including withdrawn ones."""
        return int(np.sum(self.offsets[lists + 1] - self.offsets[lists]))

    def active_rows(self, lists: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the active rows of the lists (ascending), ascending."""
        ranges = [np.arange(self.offsets[number], self.offsets[number + 1]) for number in lists.tolist()]
        rows = np.concatenate([np.zeros(0, np.int64), *ranges])
        return rows if self.withdrawn is None else rows[~self.withdrawn[rows]]

    def count_references(self) -> NDArray[np.int64]:
        """Return the number of active references in each list; (lists,) int64."""
        sizes: NDArray[np.int64] = np.diff(self.offsets)
        if self.withdrawn is not None:
            of_list = np.searchsorted(self.offsets, np.flatnonzero(self.withdrawn), side="right") - 1
            sizes = sizes - np.bincount(of_list, minlength=len(sizes))
        return sizes

    def reference(self, row: int) -> Reference:
        """Return the reference at a row of this segment (counted from 0)."""
        return self._read("photo_row = ?", row)[0]

    def references_at(self, rows: Collection[int]) -> list[Reference]:
        """Return the references at some rows of this segment, by row; a thousand at most."""
        return self._read(f"photo_row IN ({question_marks(rows)})", *rows)

    def references_of(self, species: int) -> list[Reference]:
        """Return the active references of a species, by row."""
        place = int(np.searchsorted(self.species, species))
        if place == len(self.species) or self.species[place] != species:
            return []
        first, last = int(self.offsets[place]), int(self.offsets[place + 1]) - 1
        return self._without_withdrawn(self._read("photo_row BETWEEN ? AND ?", first, last))

    def reference_of_photo(self, photo: str) -> Reference | None:
        """Return the reference of a photo (SHA-256); None if it is missing or withdrawn."""
        found = self._without_withdrawn(self._read("photo = ?", photo))
        return found[0] if found else None

    def all_references(self) -> Iterator[Reference]:
        """Yield all references, by row, including withdrawn ones; read in portions."""
        for first in range(0, self.rows, PORTION):
            yield from self._read("photo_row BETWEEN ? AND ?", first, first + PORTION - 1)

    def rows_of_photos(self, photos: Collection[str]) -> NDArray[np.int64]:
        """Return the rows of photos, ascending, including withdrawn ones; unknown photos are ignored."""
        found: list[int] = []
        wanted = sorted(photos)
        for start in range(0, len(wanted), PORTION):
            some = wanted[start : start + PORTION]
            query = f"SELECT photo_row FROM photo_references WHERE photo IN ({question_marks(some)})"  # noqa: S608
            found += [row for (row,) in self._references.execute(query, some)]
        return np.array(sorted(found), dtype=np.int64)

    def references_of_dataset(self, dataset: str) -> list[Reference]:
        """Return the references of a dataset, by row, including withdrawn ones."""
        first, last = f"{dataset}:", f"{dataset};"  # the semicolon is the next character after the colon
        return self._read("observation >= ? AND observation < ?", first, last)

    def photos(self) -> list[str]:
        """Return the photo of each row, as SHA-256."""
        query = "SELECT photo FROM photo_references ORDER BY photo_row"
        return [photo for (photo,) in self._references.execute(query)]

    def authors(self) -> list[str]:
        """Return the author of each row's photo; empty if unknown."""
        query = "SELECT author FROM photo_references ORDER BY photo_row"
        return [author for (author,) in self._references.execute(query)]

    def aspects(self) -> list[str]:
        """Return the aspect of each row's photo; empty if unknown."""
        query = "SELECT aspect FROM photo_references ORDER BY photo_row"
        return [aspect for (aspect,) in self._references.execute(query)]

    def licences(self) -> dict[str, int]:
        """Return the number of active references by licence."""
        query = "SELECT licence, count(*) FROM photo_references GROUP BY 1 ORDER BY 1"
        counted = Counter(dict(self._references.execute(query)))
        if self.withdrawn is not None:
            counted.subtract(self.licences_of(np.flatnonzero(self.withdrawn)))
        return {licence: count for licence, count in sorted(counted.items()) if count}

    def licences_of(self, rows: NDArray[np.int64]) -> Counter[str]:
        """Return the number of the given rows by licence."""
        counted: Counter[str] = Counter()
        for start in range(0, len(rows), PORTION):
            some = rows[start : start + PORTION].tolist()
            query = f"SELECT licence FROM photo_references WHERE photo_row IN ({question_marks(some)})"  # noqa: S608
            counted.update(licence for (licence,) in self._references.execute(query, some))
        return counted

    def under_other_licences(self, licences: Collection[str]) -> NDArray[np.bool_]:
        """Return a mask of the rows under other licences; (rows,)."""
        within = f"photo_row BETWEEN ? AND ? AND licence IN ({question_marks(licences)})"
        query = f"SELECT photo_row FROM photo_references WHERE {within}"  # noqa: S608 - question marks
        hidden = np.ones(self.rows, dtype=np.bool_)
        for first in range(0, self.rows, 16 * PORTION):
            last = first + 16 * PORTION - 1
            hidden[[row for (row,) in self._references.execute(query, [first, last, *sorted(licences)])]] = False
        return hidden

    def close(self) -> None:
        """Close the reference table; memory maps are released with the object."""
        self._references.close()

    def _without_withdrawn(self, references: list[Reference]) -> list[Reference]:
        """Return the references that are not withdrawn."""
        if self.withdrawn is None:
            return references
        return [reference for reference in references if not self.withdrawn[reference.row - self.base]]

    def _read(self, where: str, *values: int | str) -> list[Reference]:
        query = f"SELECT {COLUMNS} FROM photo_references WHERE {where} ORDER BY photo_row"  # noqa: S608 - no text of others
        return [
            Reference(row + self.base, *rest)  # the columns are in the order of Reference's fields
            for row, *rest in self._references.execute(query, values)
        ]


def entry_of(segment: Segment, reference: Reference) -> ReferenceEntry:
    """Return the entry that a reference of a segment was written from."""
    return ReferenceEntry(
        reference.photo,
        int(segment.observations[reference.row - segment.base]),
        reference.observation,
        reference.species,
        reference.author,
        reference.licence,
        reference.source,
        reference.aspect,
    )


def question_marks(values: Collection[object]) -> str:
    """Return the placeholders of a query for the values."""
    return ", ".join("?" * len(values))


def count_observations(segments: Sequence[Segment]) -> int:
    """Return the number of distinct observations of the segments' active references."""
    seen = np.empty(sum(segment.rows for segment in segments), dtype=np.int64)
    end = 0
    for segment in segments:
        kept = segment.observations if segment.withdrawn is None else segment.observations[~segment.withdrawn]
        seen[end : end + len(kept)] = kept
        end += len(kept)
    seen = seen[:end]
    seen.sort()  # in place, to save memory with tens of millions
    return int(np.count_nonzero(seen[1:] != seen[:-1])) + (end > 0)
