"""Records of a snapshot's species: counts by month, H3 cell, habitat and substrate."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import HABITATS, SUBSTRATES
from retrieval.errors import DamagedSnapshot
from retrieval.ranking.priors import (
    RING_WEIGHTS,
    Counts,
    class_records,
    month_records,
    related_classes,
    turn_month,
    turn_months,
)
from retrieval.search.arrays import load_arrays
from retrieval.snapshots.cells import find_southern

FILE = "occurrences.npz"
MONTHS = 12
CLASSES = (("habitats", len(HABITATS)), ("substrates", len(SUBSTRATES)))


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A record of a species: its month (1 to 12), H3 cell, and classes of habitat and substrate; 0 where unknown.

    Classes are counted from 1, as they stand in HABITATS and SUBSTRATES.
    """

    species: int
    month: int = 0
    cell: int = 0
    habitat: int = 0
    substrate: int = 0


@dataclass(frozen=True, slots=True)
class Records:
    """Many records, as columns."""

    species: NDArray[np.int64]  # (records,)
    months: NDArray[np.uint8]  # (records,)
    cells: NDArray[np.uint64]  # (records,)
    habitats: NDArray[np.uint8]  # (records,)
    substrates: NDArray[np.uint8]  # (records,)

    def __len__(self) -> int:
        return len(self.species)


@dataclass(frozen=True, slots=True)
class Occurrences:
    """The counts, in columns of species."""

    months: NDArray[np.float64]  # (species, 12), of the calendar
    northern: NDArray[np.float64]  # (species, 12): the same, those from south of the equator turned by half a year
    cells: NDArray[np.uint64]  # (entries,) ascending
    columns: NDArray[np.int64]  # (entries,): the species of each entry
    counts: NDArray[np.float64]  # (entries,)
    habitats: NDArray[np.float64]  # (species, HABITATS)
    substrates: NDArray[np.float64]  # (species, SUBSTRATES)

    @property
    def dated(self) -> Counts:
        """The number of records with a month, of each species."""
        return np.asarray(self.months.sum(axis=1))

    @property
    def placed(self) -> Counts:
        """The number of records with a cell, of each species."""
        return np.bincount(self.columns, weights=self.counts, minlength=len(self.months)).astype(np.float64)

    def about(self, month: int, *, southern: bool | None = None) -> Counts:
        """Return each species' records around the season of a month, 1 to 12, in one hemisphere.

        If the hemisphere is unknown (None), the records around the calendar month.
        """
        if southern is None:
            return month_records(self.months, month)
        return month_records(self.northern, turn_month(month, southern=southern))

    def around(self, rings: Sequence[Sequence[int]]) -> Counts:
        """Return each species' records in the rings of cells around a place, with lower weights farther away."""
        near = np.zeros(len(self.months))
        for weight, ring in zip(RING_WEIGHTS, rings, strict=False):
            for cell in ring:
                first, last = np.searchsorted(self.cells, [np.uint64(cell), np.uint64(cell + 1)])
                np.add.at(near, self.columns[first:last], weight * self.counts[first:last])
        return near

    def classes(self, prior: str) -> NDArray[np.float64]:
        """Return each species' records in each class of `habitat` or `substrate`, (species, classes)."""
        return self.habitats if prior == "habitat" else self.substrates

    def of_class(self, prior: str, name: str) -> Counts:
        """Return each species' records in a class of habitat or substrate, and some of those in related classes."""
        names = HABITATS if prior == "habitat" else SUBSTRATES
        place = names.index(name)
        return class_records(self.classes(prior), place, related_classes(names, place))

    def of(self, places: NDArray[np.int64]) -> Occurrences:
        """Return the counts of some species, in the order of `places`, which are columns of these counts."""
        column = np.full(len(self.months), -1, dtype=np.int64)
        column[places] = np.arange(len(places))
        kept = column[self.columns] >= 0
        turned, around, on = self.northern[places], self.habitats[places], self.substrates[places]
        entries = self.cells[kept], column[self.columns[kept]], self.counts[kept]
        return Occurrences(self.months[places], turned, *entries, around, on)


def count_occurrences(species: NDArray[np.int64], records: Iterable[Occurrence] | Records) -> Occurrences:
    """Count the records of species (ascending taxon ids); others are ignored."""
    found = records if isinstance(records, Records) else gather_records(records)
    columns = np.minimum(np.searchsorted(species, found.species), max(len(species) - 1, 0))
    known = species[columns] == found.species if len(species) else np.zeros(len(found), dtype=np.bool_)
    column_of = np.where(known, columns, -1)
    dated = known & (found.months > 0)
    turned = turn_months(found.months, find_southern(found.cells))
    calendar, northern = (
        np.bincount(columns[dated] * MONTHS + months[dated] - 1, minlength=len(species) * MONTHS)
        .reshape(len(species), MONTHS)
        .astype(np.float64)
        for months in (found.months, turned)
    )
    placed = known & (found.cells > 0)
    cells, columns = found.cells[placed], columns[placed]
    order = np.lexsort((columns, cells))
    cells, columns = cells[order], columns[order]
    starts = np.flatnonzero(np.append(True, (cells[1:] != cells[:-1]) | (columns[1:] != columns[:-1]))[: len(cells)])
    return Occurrences(
        calendar,
        northern,
        cells[starts],
        columns[starts].astype(np.int64),
        np.diff(np.append(starts, len(cells))).astype(np.float64),
        *(
            count_classes(column_of, given, len(species), len(classes))
            for given, classes in ((found.habitats, HABITATS), (found.substrates, SUBSTRATES))
        ),
    )


def count_classes(
    columns: NDArray[np.int64], classes: NDArray[np.uint8], species: int, width: int
) -> NDArray[np.float64]:
    """Count records of each species in each class, (species, width); species -1 and class 0 are ignored."""
    known = (columns >= 0) & (classes > 0)
    places = columns[known] * width + classes[known].astype(np.int64) - 1
    return np.bincount(places, minlength=species * width).reshape(species, width).astype(np.float64)


def gather_records(records: Iterable[Occurrence]) -> Records:
    """Return records as columns."""
    columns = array("q"), array("B"), array("Q"), array("B"), array("B")
    for one in records:
        said = (one.species, one.month, one.cell, one.habitat, one.substrate)
        for column, value in zip(columns, said, strict=True):
            column.append(value)
    return Records(*(np.array(column) for column in columns))


def write_occurrences(path: Path, found: Occurrences) -> None:
    """Write the counts; equal counts give equal bytes."""
    np.savez(
        path,
        months=found.months,
        northern=found.northern,
        cells=found.cells,
        columns=found.columns,
        counts=found.counts,
        habitats=found.habitats,
        substrates=found.substrates,
    )


def read_occurrences(path: Path, species: int) -> Occurrences | None:
    """Return the counts of a snapshot with this many species; None if it has none."""
    if not path.exists():
        return None
    try:
        held = load_arrays(path)
        months, cells, counts = held["months"], held["cells"], held["counts"]
        northern = held["northern"] if "northern" in held else turn_all(months, cells, counts)
        classes = (read_classes(held.get(name), len(months), width) for name, width in CLASSES)
        found = Occurrences(months, northern, cells, held["columns"], counts, *classes)
    except (OSError, ValueError, KeyError) as error:
        raise DamagedSnapshot(f"{path.name} cannot be read") from error
    if len(found.months) != species or northern.shape != months.shape:
        raise DamagedSnapshot(f"{path.name} counts {len(found.months)} species, and the snapshot has {species}")
    return found


def turn_all(
    months: NDArray[np.float64], cells: NDArray[np.uint64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return `northern` for a snapshot from before it was stored, by the hemisphere of most of its records."""
    south = float(counts[find_southern(cells)].sum())
    return np.roll(months, MONTHS // 2, axis=1) if 2 * south > float(counts.sum()) else months


def read_classes(counts: NDArray[np.float64] | None, species: int, width: int) -> NDArray[np.float64]:
    """Return counts by class, (species, width), of a snapshot with fewer classes or none; raises ValueError."""
    padded = np.zeros((species, width))
    if counts is not None:
        padded[:, : counts.shape[1]] = counts
    return padded
