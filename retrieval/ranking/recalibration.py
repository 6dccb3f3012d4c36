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

FEATURES = ("logit", "photos", "listed", "logit_photos")
EDGE = 1e-6
STEPS = 60  # at most; a handful is enough
WIDEST = np.exp(4.0)  # powers are from 1 / WIDEST to WIDEST


def top_logit(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logit of the top score of each row."""
    top = np.clip(scores.max(axis=-1, initial=0.0), EDGE, 1 - EDGE)
    return np.asarray(np.log(top / (1 - top)))


def top_features(
    scores: NDArray[np.float64], photos: NDArray[np.floating], *, listed: bool = False
) -> NDArray[np.float64]:
    """What the certainty of the top score is told from, (observations, 4), in the order of FEATURES.

    `photos` (observations,) are effective numbers: near-identical ones count once. `listed`: whether the species off
    a flora's list were weighed down.
    """
    logit, several = top_logit(scores), np.log(photos)
    return np.column_stack([logit, several, np.full(len(logit), float(listed)), logit * several])


def recalibrate_top_score(
    scores: NDArray[np.float64],
    photos: NDArray[np.floating],
    weights: Mapping[str, float],
    *,
    listed: bool = False,
) -> NDArray[np.float64]:
    """Scores (observations, species) with the top one as sure as experience says; see `top_features`."""
    if not weights:
        return scores
    features = top_features(scores, photos, listed=listed)
    logit = weights["constant"] + features @ np.array([weights.get(name, 0.0) for name in FEATURES])
    return raise_to_top(scores, 1 / (1 + np.exp(-logit)))


def raise_to_top(scores: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raise each row to the power at which its top score is as wanted, as near as its ties allow; zeros stay zeros.

    The logarithm of the sum of all powers is convex and falls with the power, so that Newton's steps reach it from the
    left without ever passing it.
    """
    raised = np.zeros_like(scores)
    for row, target, line in zip(raised, wanted.tolist(), scores, strict=True):
        peak = float(line.max(initial=0.0))
        if peak <= 0:
            continue
        held = line > 0
        logs = np.log(line / peak) if held.all() else np.log(line[held] / peak)
        power = find_power(logs, -float(np.log(max(target, 1e-300))))
        tops = np.exp(power * logs)
        tops /= tops.sum()
        if held.all():
            row[:] = tops
        else:
            row[held] = tops
    return raised


def find_power(logs: NDArray[np.float64], wanted: float) -> float:
    """The power p at which log(sum(exp(p logs))) is `wanted`, within the bounds; of `logs`, the greatest is 0."""
    low, high = 1 / WIDEST, WIDEST
    power = 1.0
    for _ in range(STEPS):
        powers = np.exp(power * logs)
        total = float(powers.sum())
        apart = np.log(total) - wanted
        if apart > 0:
            low = power  # too flat
        else:
            high = power
        slope = float(powers @ logs) / total
        step = power - apart / slope if slope < 0 else (high if apart > 0 else low)
        following = min(max(step, low), high)
        if abs(following - power) <= 1e-14 * power:
            break
        power = following
    return power
