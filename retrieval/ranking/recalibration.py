"""Makes the top score mean what it says: among answers with a score of 0.8, 8 in 10 are to be right.

The fit by log-loss gives one sharpness to all; genera that vary little deserve more. A logistic map
of the top score (Platt 1999), learned on held-out observations, says how often such a top score is
right; the scores are then raised to the power at which the top one is just that. Raising keeps the order
and the sum, so that only the certainty changes, never the ranking.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

EDGE = 1e-6
STEPS = 40  # of bisection; the power is found to 12 digits


def top_logit(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logit of the top score of each row."""
    top = np.clip(scores.max(axis=-1, initial=0.0), EDGE, 1 - EDGE)
    return np.asarray(np.log(top / (1 - top)))


def recalibrate_top_score(
    scores: NDArray[np.float64], photos: NDArray[np.floating], weights: Mapping[str, float]
) -> NDArray[np.float64]:
    """Scores (observations, species) with the top one as sure as experience says; `photos` (observations,)."""
    if not weights:
        return scores
    logit = weights["constant"] + weights["logit"] * top_logit(scores) + weights["photos"] * np.log(photos)
    return raise_to_top(scores, 1 / (1 + np.exp(-logit)))


def raise_to_top(scores: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raise each row to the power at which its top score is as wanted, as near as its ties allow; zeros stay zeros."""
    peak = scores.max(axis=-1, keepdims=True, initial=0.0)
    ratios = np.divide(scores, peak, out=np.zeros_like(scores), where=peak > 0)
    logs = np.log(np.maximum(ratios, 1e-300))
    low, high = np.full(len(scores), -4.0), np.full(len(scores), 4.0)  # of the logarithm of the power
    for _ in range(STEPS):
        middle = (low + high) / 2
        top = 1 / np.maximum(1.0, np.exp(logs * np.exp(middle)[:, None]).sum(axis=1))  # the top one alone is 1
        too_low = top < wanted
        low, high = np.where(too_low, middle, low), np.where(too_low, high, middle)
    raised = np.where(ratios > 0, np.exp(logs * np.exp((low + high) / 2)[:, None]), 0.0)
    total = raised.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(raised, total, out=np.zeros_like(raised), where=total > 0))
