"""The species that each query is compared with: all of a small collection, and a weighted selection of a large one.

Arrays of observations and species grow with both: 2,000 observations of 300,000 species are 5 GB at float64, and
learning needs dozens of them. Each observation therefore keeps the species that voted for it and the most probable
ones, and a sample of the others, each of which stands for several: sums over species are weighted by the inverse of the
probability of being drawn (Horvitz and Thompson 1952). This is importance sampling of a softmax (Bengio and Senécal
2003). A part of the sample is drawn uniformly (defensive importance sampling, Hesterberg 1995), so that no weight is
extreme under other parameters than those that the sample was drawn by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXACT = 2_048  # species up to which all are kept
LIKELY = 256  # species kept besides those with votes, by their probability
SAMPLED = 256  # at least so many of the others
DEFENSIVE = 0.3  # share of the sample that is drawn uniformly


@dataclass(frozen=True, eq=False)
class Kept:
    """The species kept for each observation."""

    columns: NDArray[np.int64]  # (observations, kept) ascending in each row
    multiplicity: NDArray[np.float64]  # (observations, kept): how many species each stands for

    def of(self, observations: NDArray[np.bool_] | NDArray[np.int64]) -> Kept:
        """Return the species of some of the observations; repeated numbers, as of several views, repeat rows."""
        return Kept(self.columns[observations], self.multiplicity[observations])

    def places(self, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where columns stand in their row, -1 where they are not kept: (rows,) or (rows, k) alike."""
        base = max(int(self.columns.max(initial=0)), int(columns.max(initial=0))) + 1
        rows = np.arange(len(self.columns)).reshape(-1, *(1,) * (columns.ndim - 1))
        keys = (np.arange(len(self.columns))[:, None] * base + self.columns).ravel()
        wanted = rows * base + columns
        at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        return np.where((columns >= 0) & (keys[at] == wanted), at - rows * self.columns.shape[1], -1)


def at_species(values: NDArray[np.generic], kept: Kept | None) -> NDArray[np.generic]:
    """Return values of species, (species,), for the species kept, (observations, kept); unchanged if all are."""
    return values if kept is None else values[kept.columns]


def multiplicity_of(kept: Kept | None) -> NDArray[np.float64] | None:
    """Return how many species each column stands for, (observations, kept); None if each stands for itself."""
    return None if kept is None else kept.multiplicity


def draw_kept(
    logits: NDArray[np.floating], certain: Sequence[NDArray[np.int64]], width: int, seeds: Sequence[Sequence[int]]
) -> Kept:
    """Keep `width` species of each observation: all `certain` ones, the LIKELY most probable, and a sample.

    `logits` (observations, species) are logarithms of probabilities up to a constant; `seeds` is of each observation.
    """
    drawn = [
        draw_species(line, one, width, np.random.default_rng(seed))
        for line, one, seed in zip(logits, certain, seeds, strict=True)
    ]
    columns, multiplicity = (np.stack(part) for part in zip(*drawn, strict=True))
    return Kept(columns, multiplicity)


def draw_species(
    logits: NDArray[np.floating], certain: NDArray[np.int64], width: int, draw: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return `width` columns, ascending, and how many species each stands for, from the logits of one observation.

    The sample is systematic, with probability proportional to size (Madow 1949): all drawn species are different, and
    in the order of taxon ids, so that it is spread over them.
    """
    left = np.ones(len(logits), dtype=np.bool_)
    left[certain] = False
    best = np.argpartition(np.where(left, logits, -np.inf), -LIKELY)[-LIKELY:]
    left[best] = False
    sizes = np.exp(logits - logits.max(), dtype=np.float64) * left
    while True:
        count = width - int(np.count_nonzero(~left))
        total, others = float(sizes.sum()), int(np.count_nonzero(left))
        uniform = count * (DEFENSIVE if total > 0 else 1.0) / others
        chance = np.where(left, uniform + (count * (1 - DEFENSIVE) / total if total > 0 else 0.0) * sizes, 0.0)
        sure = chance >= 1
        if not sure.any():
            break
        left[sure] = False  # it stands for itself alone
        sizes[sure] = 0.0
    steps = np.cumsum(chance)
    steps *= count / steps[-1]
    hit = np.diff(np.floor(steps + draw.uniform(1e-6, 1 - 1e-6)), prepend=0.0) > 0
    columns = np.flatnonzero(~left | hit)
    return columns, np.where(left[columns], 1 / np.where(left[columns], chance[columns], 1.0), 1.0)
