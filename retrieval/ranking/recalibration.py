"""Recalibration of the top score: of answers with a score of 0.8, 8 in 10 should be right.

The fit by log-loss uses one sharpness for all observations; those of genera with little variation deserve more. A
logistic function of the top score (Platt 1999), learned on held-out observations, predicts how often such a top score
is right; the scores are then raised to the power at which the top one has this value. This keeps their order
and sum: it changes the confidence, never the ranking.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking.nodes import add_species

FEATURES = ("logit", "photos", "listed", "logit_photos")
EDGE = 1e-6
STEPS = 60  # at most; a handful is sufficient
WIDEST = np.exp(4.0)  # powers are from 1 / WIDEST to WIDEST


def top_logit(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logit of the top score of each row."""
    top = np.clip(scores.max(axis=-1, initial=0.0), EDGE, 1 - EDGE)
    return np.asarray(np.log(top / (1 - top)))


def top_features(
    scores: NDArray[np.float64], photos: NDArray[np.floating], *, listed: bool = False
) -> NDArray[np.float64]:
    """Return the features of the recalibration, (observations, 4), in the order of FEATURES.

    `photos` (observations,) are effective numbers of photos. `listed`: whether species off a flora's list had a lower
    weight.
    """
    logit, several = top_logit(scores), np.log(photos)
    return np.column_stack([logit, several, np.full(len(logit), float(listed)), logit * several])


def recalibrate_top_score(
    scores: NDArray[np.float64],
    photos: NDArray[np.floating],
    weights: Mapping[str, float],
    *,
    listed: bool = False,
    multiplicity: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the scores (observations, species) with recalibrated top scores; see `top_features` and `add_species`."""
    if not weights:
        return scores
    features = top_features(scores, photos, listed=listed)
    logit = weights["constant"] + features @ np.array([weights.get(name, 0.0) for name in FEATURES])
    return raise_to_top(scores, 1 / (1 + np.exp(-logit)), multiplicity)


def raise_to_top(
    scores: NDArray[np.float64], wanted: NDArray[np.float64], multiplicity: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Raise each row to the power that gives its top score the wanted value, as near as ties allow; zeros are kept."""
    raised = np.zeros_like(scores)
    for number, (row, target, line) in enumerate(zip(raised, wanted.tolist(), scores, strict=True)):
        peak = float(line.max(initial=0.0))
        if peak <= 0:
            continue
        held = line > 0
        logs = np.log(line / peak) if held.all() else np.log(line[held] / peak)
        stands_for = None if multiplicity is None else multiplicity[number][held]
        power = find_power(logs, -float(np.log(max(target, 1e-300))), stands_for)
        tops = np.exp(power * logs)
        tops /= add_species(tops, stands_for)
        if held.all():
            row[:] = tops
        else:
            row[held] = tops
    return raised


def find_power(logs: NDArray[np.float64], wanted: float, multiplicity: NDArray[np.float64] | None = None) -> float:
    """Return the power p for which log(sum(exp(p logs))) is `wanted`, within bounds; the maximum of `logs` is 0."""
    low, high = 1 / WIDEST, WIDEST
    power = 1.0
    for _ in range(STEPS):
        powers = np.exp(power * logs)
        if multiplicity is not None:
            powers *= multiplicity
        total = float(powers.sum())
        apart = np.log(total) - wanted
        if apart > 0:
            low = power  # derivative too small
        else:
            high = power
        slope = float(powers @ logs) / total
        step = power - apart / slope if slope < 0 else (high if apart > 0 else low)
        following = min(max(step, low), high)
        if abs(following - power) <= 1e-14 * power:
            break
        power = following
    return power
