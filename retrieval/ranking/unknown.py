"""How probable it is that a find is of no species with references here: the evidence, and what it was found to mean.

A logistic regression on twelve numbers that need no photo of anything else. The strongest is how similar the winning
species' closest reference is, compared with how similar the species' own observations usually are: species differ in
how variable they are, so that one similarity is much for one and little for another. The weights are learned by asking
for observations once as they are, and once with their whole species, or their whole genus, taken away
(`evaluation/learning/unknown.py`). All of it is of the whole snapshot, never of a list: a list makes no species known.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

FEATURES = (
    "closest",  # similarity of the closest reference
    "five",  # mean similarity of the five closest
    "winner",  # similarity of the closest reference of the winning species
    "relative",  # the same, less what is typical of the species
    "margin",  # the same, less that of the most similar other species
    "disagreement",  # logarithm of what the photos' scores have in common: 0 where all say the same
    "entropy",  # of the fused scores, in nats
    "mean_entropy",  # of the mean of the photos' scores
    "top",  # logit of the highest fused score
    "mean_top",  # logit of the highest mean score
    "count",  # logarithm of the winning species' observations
    "photos",  # logarithm of the effective number of photos
)
LEAST = 1e-12  # score below which a photo's word against a species counts no more
EDGE = 1e-6


def observe_unknown(
    similarities: NDArray[np.floating],
    columns: NDArray[np.int64],
    per_photo: NDArray[np.float64],
    fused: NDArray[np.float64],
    voices: NDArray[np.float64],
    typical: NDArray[np.floating],
    counts: NDArray[np.floating],
    usual: float,
) -> NDArray[np.float64]:
    """The evidence of one observation, in the order of FEATURES: (12,).

    `similarities` and `columns` (photos, k) are the closest references of each photo in the whole snapshot, best first,
    and their species; where there are fewer than k, -inf and -1. `per_photo` (photos, species) and `fused` (species,)
    are scores that add up to 1, `voices` (photos,) how much each photo adds to the others. `typical` (species,) is the
    similarity of a species' observations to their closest other observation, NaN where there is none: then `usual`
    counts. `counts` (species,) are observations. Raises ValueError where no photo has a reference to be compared with.
    """
    heard = np.isfinite(similarities[:, 0]) if similarities.shape[1] else np.zeros(len(similarities), dtype=bool)
    if not heard.any():
        raise ValueError("no photo was compared with any reference, so that nothing can be said of its strangeness")
    near, of, spoken, weights = (
        similarities[heard],
        columns[heard],
        per_photo[heard],
        voices[heard] / voices[heard].sum(),
    )
    winner = int(fused.argmax())
    found = np.isfinite(near)
    closest = near[:, 0]
    least = np.where(found, near, np.inf).min(axis=1)  # a species that is not among them is no closer than the last
    best = np.where(found & (of == winner), near, -np.inf).max(axis=1)
    rival = np.where(found & (of != winner), near, -np.inf).max(axis=1)
    best, rival = np.maximum(best, least), np.maximum(rival, least)
    five = np.array([row[kept][:5].mean() for row, kept in zip(near, found, strict=True)])
    agreed = weights @ np.log(np.maximum(spoken, LEAST))
    mean = weights @ spoken
    expected = typical[winner] if np.isfinite(typical[winner]) else usual
    highest = agreed.max()
    return np.array(
        [
            weights @ closest,
            weights @ five,
            weights @ best,
            weights @ best - expected,
            weights @ (best - rival),
            highest + np.log(np.exp(agreed - highest).sum()),
            entropy_of(fused),
            entropy_of(mean),
            logit_of(float(fused[winner])),
            logit_of(float(mean.max())),
            np.log(max(1.0, float(counts[winner]))),
            np.log(max(1.0, float(voices[heard].sum()))),
        ]
    )


def unknown_probability(features: NDArray[np.float64], weights: Mapping[str, float]) -> NDArray[np.float64]:
    """The probability of no referenced species from (..., 12) features; 0 where nothing was learned."""
    if not weights:
        return np.zeros(features.shape[:-1])
    logit = weights["constant"] + features @ np.array([weights[name] for name in FEATURES])
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -50, 50))))


def entropy_of(scores: NDArray[np.float64]) -> float:
    """Entropy in nats; what has no score adds nothing."""
    positive = scores[scores > 0]
    return float(-(positive @ np.log(positive)))


def logit_of(score: float) -> float:
    """The logit of a score, kept finite."""
    score = min(max(score, EDGE), 1 - EDGE)
    return float(np.log(score / (1 - score)))
