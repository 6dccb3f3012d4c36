"""Thresholds of the specificity decision, so that 90 % (the target) of the answers at each rank are right.

They are fitted on the mixes of queries to expect (`query_mix.py`), the narrowest rank first: the lowest threshold at
which the answers at this rank reach the target in every mix; then the next rank, on the remaining observations. So the
target holds at each rank separately: broad answers, which are always right, do not make up for narrow ones that are
often wrong; nor do easy mixes make up for hard ones.

One is added to the number of wrong answers (conformal risk control, Angelopoulos et al. 2024). On exchangeable
observations the target then holds on average over collections; small collections get higher thresholds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking.calibration import NEVER

FLOOR = 0.5  # an answer is never a taxon that is more probably wrong than right
ROUNDING = 1e-9
SMALLEST = 1e-300  # so that a mix without weight divides by no 0


def fit_thresholds(
    sums: NDArray[np.float64],
    right: NDArray[np.bool_],
    weights: NDArray[np.float64],
    target: float,
    independent: float,
) -> NDArray[np.float64]:
    """Return the least probability at which a taxon of each rank is given, kingdom first: (7,); NEVER if there is none.

    `sums` (answers, 7) is the probability of the most probable taxon at each rank, `right` whether it is the true one,
    `weights` the weight of each answer, in one mix, (answers,), or in each of several, (mixes, answers); `independent`
    the number of independent observations.
    """
    ranks = sums.shape[1]
    thresholds = np.full(ranks, NEVER)
    left = np.ones(len(sums), dtype=bool)
    mixes = np.atleast_2d(weights)
    shares = mixes * (independent / np.maximum(mixes.sum(axis=1, keepdims=True), SMALLEST))
    for rank in reversed(range(ranks)):
        order = np.flatnonzero(left)[np.argsort(-sums[left, rank], kind="stable")]
        reached = sums[order, rank]
        answered = np.cumsum(shares[:, order], axis=1)
        wrong = np.cumsum(shares[:, order] * ~right[order, rank], axis=1)
        last = np.append(reached[1:] != reached[:-1], True)[: len(reached)]  # equal probabilities share a threshold
        kept = (wrong + 1 <= (1 - target) * (answered + 1) + ROUNDING).all(axis=0) & (reached >= FLOOR) & last
        if kept.any():
            thresholds[rank] = reached[np.flatnonzero(kept)[-1]]
            left &= sums[:, rank] < thresholds[rank]
    return thresholds
