"""How probable a taxon must be before an answer stops at it: the promise "right in 90 % of answers", rank by rank.

Learned over finds as they are asked for (`asks.py`). The narrowest rank comes first: the lowest threshold at which the
answers that stop there are right as often as promised; then the next, among the finds that are left. So every rank
keeps the promise by itself, and what is wide and always right does not pay for what is narrow and often wrong.

The count of wrong answers is taken one higher than it is (conformal risk control, Angelopoulos et al. 2024): on finds
like these the promise then holds on average over collections, and a small one promises less by itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking.calibration import NEVER

FLOOR = 0.5  # an answer is never a taxon that is as probably wrong
ROUNDING = 1e-9


def fit_thresholds(
    sums: NDArray[np.float64],
    right: NDArray[np.bool_],
    weights: NDArray[np.float64],
    target: float,
    independent: float,
) -> NDArray[np.float64]:
    """The least probability of a node of each rank, kingdom first: (7,); NEVER where the promise cannot be kept.

    `sums` (answers, 7) holds the most probable node of each rank, `right` whether it is the true one, `weights` how
    much each answer counts among finds as they are asked for, `independent` how many finds they are asked with.
    """
    ranks = sums.shape[1]
    thresholds = np.full(ranks, NEVER)
    left = np.ones(len(sums), dtype=bool)
    shares = weights * (independent / weights.sum()) if len(weights) and weights.sum() > 0 else weights
    for rank in reversed(range(ranks)):
        order = np.flatnonzero(left)[np.argsort(-sums[left, rank], kind="stable")]
        reached = sums[order, rank]
        answered = np.cumsum(shares[order])
        wrong = np.cumsum(shares[order] * ~right[order, rank])
        last = np.append(reached[1:] != reached[:-1], True)[: len(reached)]  # equal ones are answered together
        kept = (wrong + 1 <= (1 - target) * (answered + 1) + ROUNDING) & (reached >= FLOOR) & last
        if kept.any():
            thresholds[rank] = reached[np.flatnonzero(kept)[-1]]
            left &= sums[:, rank] < thresholds[rank]
    return thresholds
