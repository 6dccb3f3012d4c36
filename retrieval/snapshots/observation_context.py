"""Month and H3 cell of each observation, for learning; nothing more precise.

Priors use the counts of species (`retrieval/snapshots/occurrences.py`). They cannot be learned from these alone, since
an observation must not be evidence for itself: this file says which month and cell to subtract for each.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import HABITATS, SUBSTRATES
from retrieval.errors import DamagedSnapshot
from retrieval.search.arrays import load_arrays
from retrieval.snapshots.cells import RESOLUTION

FILE = "occasions.npz"
COLUMNS = ("months", "cells", "habitats", "substrates")
RESOLUTION_BITS = 52  # place of the resolution in an H3 cell's number


@dataclass(frozen=True, slots=True)
class ObservationContext:
    """An observation's month (1 to 12), H3 cell, and classes of habitat and substrate; each 0 where unknown.

    Classes are counted from 1, as they stand in HABITATS and SUBSTRATES.
    """

    observation: int
    month: int = 0
    cell: int = 0
    habitat: int = 0
    substrate: int = 0


@dataclass(frozen=True, slots=True)
class ObservationContexts:
    """Contexts of many observations, as columns."""

    observations: NDArray[np.int64]  # (n,) ascending
    months: NDArray[np.uint8]  # (n,)
    cells: NDArray[np.uint64]  # (n,)
    habitats: NDArray[np.uint8]  # (n,)
    substrates: NDArray[np.uint8]  # (n,)

    @property
    def columns(self) -> tuple[NDArray[np.integer], ...]:
        """All columns, the observations first, in the order of `ObservationContext`'s fields."""
        return self.observations, self.months, self.cells, self.habitats, self.substrates

    def of(self, observations: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Return each column for the given observations; 0 where unknown."""
        places = np.minimum(np.searchsorted(self.observations, observations), max(len(self.observations) - 1, 0))
        if not len(self.observations):
            return {name: np.zeros(len(observations), np.int64) for name in COLUMNS}
        known = self.observations[places] == observations
        return {
            name: np.where(known, column[places], 0).astype(np.int64)
            for name, column in zip(COLUMNS, self.columns[1:], strict=True)
        }

    def only(self, observations: NDArray[np.int64]) -> ObservationContexts:
        """Return the contexts of some observations."""
        kept = np.isin(self.observations, observations)
        return from_columns([column[kept] for column in self.columns])

    def listed(self) -> list[ObservationContext]:
        """One by one."""
        return [ObservationContext(*values) for values in zip(*(c.tolist() for c in self.columns), strict=True)]


def from_columns(columns: Sequence[NDArray[Any]]) -> ObservationContexts:
    """The columns in the order of `ObservationContext`'s fields, each in its type."""
    kinds = (np.int64, np.uint8, np.uint64, np.uint8, np.uint8)
    return ObservationContexts(*(column.astype(kind) for column, kind in zip(columns, kinds, strict=True)))


def gather_contexts(contexts: Iterable[ObservationContext] | ObservationContexts) -> ObservationContexts:
    """Columns of contexts, those of which nothing is known left out; of an observation met twice the last counts."""
    if isinstance(contexts, ObservationContexts):
        return settle_contexts(contexts)
    columns = array("q"), array("B"), array("Q"), array("B"), array("B")
    for one in contexts:
        said = (one.observation, one.month, one.cell, one.habitat, one.substrate)
        for column, value in zip(columns, said, strict=True):
            column.append(value)
    return settle_contexts(from_columns([np.array(column) for column in columns]))


def settle_contexts(given: ObservationContexts) -> ObservationContexts:
    """Return the contexts of columns in any order."""
    known = np.logical_or.reduce([column > 0 for column in given.columns[1:]])
    columns = [column[known] for column in given.columns]
    order = np.argsort(columns[0], kind="stable")
    ordered = columns[0][order]
    order = order[np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)]]
    return from_columns([column[order] for column in columns])


def renew_contexts(
    known: ObservationContexts | None, forgotten: NDArray[np.int64], given: ObservationContexts
) -> ObservationContexts:
    """Return `known` without the observations `forgotten`, updated by `given`."""
    if known is None:
        return given
    kept = ~np.isin(known.observations, forgotten)
    pairs = zip(known.columns, given.columns, strict=True)
    return settle_contexts(from_columns([np.concatenate([old[kept], new]) for old, new in pairs]))


def write_contexts(folder: Path, contexts: ObservationContexts) -> None:
    """Write contexts to a snapshot's folder, if there are any; refuses cells of another resolution."""
    check_contexts(contexts)
    if len(contexts.observations):
        np.savez(
            folder / FILE,
            observations=contexts.observations,
            months=contexts.months,
            cells=contexts.cells,
            habitats=contexts.habitats,
            substrates=contexts.substrates,
        )


def read_contexts(folder: Path) -> ObservationContexts | None:
    """Return the contexts in a snapshot's folder; None without the file, which older snapshots lack."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        held = load_arrays(path)
        nothing = np.zeros(len(held["observations"]), dtype=np.uint8)  # of habitats, in snapshots from before
        columns = [held["months"], held["cells"], held.get("habitats", nothing), held.get("substrates", nothing)]
        found = from_columns([held["observations"], *columns])
        check_contexts(found)
    except (OSError, ValueError, KeyError) as error:
        raise DamagedSnapshot(f"{FILE} cannot be read: {error}") from error
    return found


def check_contexts(contexts: ObservationContexts) -> None:
    """Raise ValueError unless all columns have equal length, are sorted, and no place is finer than a cell."""
    lengths = {len(column) for column in contexts.columns}
    if len(lengths) != 1 or np.any(np.diff(contexts.observations) <= 0) or np.any(contexts.months > 12):
        raise ValueError("months and cells do not belong to observations in order")
    if np.any(contexts.habitats > len(HABITATS)) or np.any(contexts.substrates > len(SUBSTRATES)):
        raise ValueError("there are classes of habitat or substrate that this program does not know")
    known = contexts.cells[contexts.cells > 0]
    if np.any((known >> np.uint64(RESOLUTION_BITS)) & np.uint64(15) != RESOLUTION):
        raise ValueError(f"a cell is not of resolution {RESOLUTION}: places are known to the width of a cell only")
