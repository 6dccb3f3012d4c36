"""When and where each observation was made, as far as learning needs it: a month and an H3 cell, nothing finer.

Counts of species (`retrieval/snapshots/occurrences.py`) answer; they cannot be learned from, since an observation must
not vouch for itself. This file says which month and cell to take out of the counts when an observation is asked for.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import DamagedSnapshot
from retrieval.search.arrays import load_arrays
from retrieval.snapshots.cells import RESOLUTION

FILE = "occasions.npz"
RESOLUTION_BITS = 52  # place of the resolution in an H3 cell's number


@dataclass(frozen=True, slots=True)
class ObservationContext:
    """An observation's month (1 to 12; 0 where unknown) and H3 cell (0 where unknown)."""

    observation: int
    month: int = 0
    cell: int = 0


@dataclass(frozen=True, slots=True)
class ObservationContexts:
    """The same for many observations, as columns."""

    observations: NDArray[np.int64]  # (n,) ascending
    months: NDArray[np.uint8]  # (n,)
    cells: NDArray[np.uint64]  # (n,)

    def of(self, observations: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Month and cell of each of the observations, 0 where nothing is known."""
        if not len(self.observations):
            return np.zeros(len(observations), np.int64), np.zeros(len(observations), np.int64)
        places = np.minimum(np.searchsorted(self.observations, observations), len(self.observations) - 1)
        known = self.observations[places] == observations
        return np.where(known, self.months[places], 0).astype(np.int64), np.where(known, self.cells[places], 0).astype(
            np.int64
        )

    def only(self, observations: NDArray[np.int64]) -> ObservationContexts:
        """Those of some observations."""
        kept = np.isin(self.observations, observations)
        return ObservationContexts(self.observations[kept], self.months[kept], self.cells[kept])

    def listed(self) -> list[ObservationContext]:
        """One by one."""
        columns = (self.observations.tolist(), self.months.tolist(), self.cells.tolist())
        return [ObservationContext(*values) for values in zip(*columns, strict=True)]


def gather_contexts(contexts: Iterable[ObservationContext] | ObservationContexts) -> ObservationContexts:
    """Columns of occasions, those of which nothing is known left out; of an observation met twice the last counts."""
    if isinstance(contexts, ObservationContexts):
        return settle_contexts(contexts.observations, contexts.months, contexts.cells)
    columns = array("q"), array("B"), array("Q")
    for one in contexts:
        for column, value in zip(columns, (one.observation, one.month, one.cell), strict=True):
            column.append(value)
    return settle_contexts(*(np.array(column) for column in columns))


def settle_contexts(
    observations: NDArray[np.int64], months: NDArray[np.uint8], cells: NDArray[np.uint64]
) -> ObservationContexts:
    """The same from columns in any order."""
    known = (months > 0) | (cells > 0)
    observations, months, cells = observations[known], months[known], cells[known]
    order = np.argsort(observations, kind="stable")
    ordered = observations[order]
    order = order[np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)]]
    return ObservationContexts(observations[order], months[order], cells[order])


def renew_contexts(
    known: ObservationContexts | None, forgotten: NDArray[np.int64], given: ObservationContexts
) -> ObservationContexts:
    """What was known, without that of the observations `forgotten`; what is given, which counts where both speak."""
    if known is None:
        return given
    kept = ~np.isin(known.observations, forgotten)
    return settle_contexts(
        np.concatenate([known.observations[kept], given.observations]),
        np.concatenate([known.months[kept], given.months]),
        np.concatenate([known.cells[kept], given.cells]),
    )


def write_contexts(folder: Path, contexts: ObservationContexts) -> None:
    """Write them to a snapshot's folder, if there are any; refuses cells of another resolution than is counted."""
    check_contexts(contexts)
    if len(contexts.observations):
        np.savez(folder / FILE, observations=contexts.observations, months=contexts.months, cells=contexts.cells)


def read_contexts(folder: Path) -> ObservationContexts | None:
    """Those of a snapshot's folder; None where there is no such file, as in snapshots from before there was one."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        held = load_arrays(path)
        found = ObservationContexts(held["observations"], held["months"], held["cells"])
        check_contexts(found)
    except (OSError, ValueError, KeyError) as error:
        raise DamagedSnapshot(f"{FILE} cannot be read: {error}") from error
    return found


def check_contexts(contexts: ObservationContexts) -> None:
    """Raise ValueError unless all columns are as long, in order, and no place is known better than to a cell."""
    lengths = {len(contexts.observations), len(contexts.months), len(contexts.cells)}
    if len(lengths) != 1 or np.any(np.diff(contexts.observations) <= 0) or np.any(contexts.months > 12):
        raise ValueError("months and cells do not belong to observations in order")
    known = contexts.cells[contexts.cells > 0]
    if np.any((known >> np.uint64(RESOLUTION_BITS)) & np.uint64(15) != RESOLUTION):
        raise ValueError(f"a cell is not of resolution {RESOLUTION}: places are known to the width of a cell only")
