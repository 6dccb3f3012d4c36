"""When and where the species of a snapshot have been recorded: counts per month and per H3 cell, nothing finer."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import DamagedSnapshot
from retrieval.ranking.priors import RING_WEIGHTS, Counts, month_records
from retrieval.search.arrays import load_arrays

FILE = "occurrences.npz"
MONTHS = 12


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A record of a species: its month (1 to 12; 0 where unknown) and H3 cell (0 where unknown)."""

    species: int
    month: int = 0
    cell: int = 0


@dataclass(frozen=True, slots=True)
class Records:
    """Many records, as columns."""

    species: NDArray[np.int64]  # (records,)
    months: NDArray[np.uint8]  # (records,)
    cells: NDArray[np.uint64]  # (records,)

    def __len__(self) -> int:
        return len(self.species)


@dataclass(frozen=True, slots=True)
class Occurrences:
    """The counts, in columns of the species asked for."""

    months: NDArray[np.float64]  # (species, 12)
    cells: NDArray[np.uint64]  # (entries,) ascending
    columns: NDArray[np.int64]  # (entries,): the species of each entry
    counts: NDArray[np.float64]  # (entries,)

    @property
    def dated(self) -> Counts:
        """Records with a month, of each species."""
        return np.asarray(self.months.sum(axis=1))

    @property
    def placed(self) -> Counts:
        """Records with a cell, of each species."""
        return np.bincount(self.columns, weights=self.counts, minlength=len(self.months)).astype(np.float64)

    def about(self, month: int) -> Counts:
        """Records of each species about a month, 1 to 12."""
        return month_records(self.months, month)

    def around(self, rings: Sequence[Sequence[int]]) -> Counts:
        """Records of each species in the rings of cells around a place, the farther the less they count."""
        near = np.zeros(len(self.months))
        for weight, ring in zip(RING_WEIGHTS, rings, strict=False):
            for cell in ring:
                first, last = np.searchsorted(self.cells, [np.uint64(cell), np.uint64(cell + 1)])
                np.add.at(near, self.columns[first:last], weight * self.counts[first:last])
        return near

    def of(self, places: NDArray[np.int64]) -> Occurrences:
        """The counts of some species, in the order of `places`, which are columns of these counts."""
        column = np.full(len(self.months), -1, dtype=np.int64)
        column[places] = np.arange(len(places))
        kept = column[self.columns] >= 0
        return Occurrences(self.months[places], self.cells[kept], column[self.columns[kept]], self.counts[kept])


def count_occurrences(species: NDArray[np.int64], records: Iterable[Occurrence] | Records) -> Occurrences:
    """Count records of the given species (ascending taxon ids); others are left out."""
    found = records if isinstance(records, Records) else gather_records(records)
    columns = np.minimum(np.searchsorted(species, found.species), max(len(species) - 1, 0))
    known = species[columns] == found.species if len(species) else np.zeros(len(found), dtype=np.bool_)
    dated = known & (found.months > 0)
    months = np.bincount(columns[dated] * MONTHS + found.months[dated] - 1, minlength=len(species) * MONTHS)
    placed = known & (found.cells > 0)
    cells, columns = found.cells[placed], columns[placed]
    order = np.lexsort((columns, cells))
    cells, columns = cells[order], columns[order]
    starts = np.flatnonzero(np.append(True, (cells[1:] != cells[:-1]) | (columns[1:] != columns[:-1]))[: len(cells)])
    return Occurrences(
        months.reshape(len(species), MONTHS).astype(np.float64),
        cells[starts],
        columns[starts].astype(np.int64),
        np.diff(np.append(starts, len(cells))).astype(np.float64),
    )


def gather_records(records: Iterable[Occurrence]) -> Records:
    """Records as columns."""
    columns = array("q"), array("B"), array("Q")
    for one in records:
        for column, value in zip(columns, (one.species, one.month, one.cell), strict=True):
            column.append(value)
    return Records(*(np.array(column) for column in columns))


def write_occurrences(path: Path, found: Occurrences) -> None:
    """Write the counts; the same counts give the same bytes."""
    np.savez(path, months=found.months, cells=found.cells, columns=found.columns, counts=found.counts)


def read_occurrences(path: Path, species: int) -> Occurrences | None:
    """The counts of a snapshot with so many species, or None where there are none."""
    if not path.exists():
        return None
    try:
        held = load_arrays(path)
        found = Occurrences(held["months"], held["cells"], held["columns"], held["counts"])
    except (OSError, ValueError, KeyError) as error:
        raise DamagedSnapshot(f"{path.name} cannot be read") from error
    if len(found.months) != species:
        raise DamagedSnapshot(f"{path.name} counts {len(found.months)} species, and the snapshot has {species}")
    return found
