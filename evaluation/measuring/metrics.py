"""Metrics of a ranking, with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one observation: its true species, the top species (0: none), and the rank of the true one."""

    observation: int
    species: int
    first: int
    rank: int  # from 1; 0 if the true species is not ranked
    genus_right: bool
    photos: int


@dataclass(frozen=True, slots=True)
class Measure:
    """A value with its 95 % bootstrap interval over observations."""

    value: float
    low: float
    high: float


def top(outcomes: Sequence[Outcome], k: int) -> NDArray[np.float64]:
    """Return 1 for each observation whose species is among the first `k`, else 0."""
    return np.array([1.0 if 0 < outcome.rank <= k else 0.0 for outcome in outcomes])


def macro_f1(truth: NDArray[np.int64], first: NDArray[np.int64]) -> float:
    """Return the mean, over the species that occur as truth, of the F1 of "this species is ranked first".

    F1 = 2 TP / (2 TP + FP + FN). Every species has the same weight, however often it was photographed.
    """
    species, numbered = np.unique(truth, return_inverse=True)
    places = np.searchsorted(species, first)
    known = species[np.minimum(places, len(species) - 1)] == first
    right = np.bincount(numbered[truth == first], minlength=len(species))
    occurs = np.bincount(numbered, minlength=len(species))
    claimed = np.bincount(places[known], minlength=len(species))
    return math.fsum(2 * right / (occurs + claimed)) / len(species)


def measure(outcomes: Sequence[Outcome], *, resamples: int = 1000, seed: int = 1) -> dict[str, Measure]:
    """Return top-1, 3 and 5, mean reciprocal rank, macro-F1 and genus top-1, each with its interval.

    The interval is the percentile bootstrap (Efron 1979) over observations.
    """
    truth = np.array([outcome.species for outcome in outcomes], dtype=np.int64)
    first = np.array([outcome.first for outcome in outcomes], dtype=np.int64)
    reciprocal = np.array([1 / outcome.rank if outcome.rank else 0.0 for outcome in outcomes])
    genus = np.array([float(outcome.genus_right) for outcome in outcomes])
    hits = {k: top(outcomes, k) for k in (1, 3, 5)}

    def f1(drawn: NDArray[np.int64]) -> float:
        return macro_f1(truth[drawn], first[drawn])

    def mean_of(values: NDArray[np.float64]) -> Callable[[NDArray[np.int64]], float]:
        return lambda drawn: math.fsum(values[drawn]) / len(drawn)

    statistics: dict[str, Callable[[NDArray[np.int64]], float]] = {
        **{f"top{k}": mean_of(values) for k, values in hits.items()},
        "meanReciprocalRank": mean_of(reciprocal),
        "macroF1": f1,
        "genusTop1": mean_of(genus),
    }
    rng = np.random.default_rng(seed)
    draws = [rng.integers(0, len(outcomes), len(outcomes)) for _ in range(resamples)]
    all_queries = np.arange(len(outcomes))
    measures = {}
    for name, statistic in statistics.items():
        spread = np.array([statistic(drawn) for drawn in draws]) if draws else np.array([np.nan])
        low, high = np.percentile(spread, [2.5, 97.5])
        measures[name] = Measure(statistic(all_queries), float(low), float(high))
    return measures
