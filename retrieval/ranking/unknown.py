"""The probability that an observation is of no species with references, and the features for it.

A logistic regression on twelve features that can be learned without other photos. The strongest is the similarity of
the winning species' closest reference, relative to the usual similarity among that species' own observations, since
species differ in variability. The weights are learned by evaluating observations once unchanged, and once without
the references of their species or of their genus (`evaluation/learning/unknown.py`). All features are computed on the
whole snapshot, never on a flora: a list does not make a species known.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking.nodes import add_species

FEATURES = (
    "closest",  # similarity of the closest reference
    "five",  # mean similarity of the five closest
    "winner",  # similarity of the closest reference of the winning species
    "relative",  # the same, less what is typical of the species
    "margin",  # the same, less that of the most similar other species
    "disagreement",  # logarithm of the overlap of the photos' scores: 0 if identical
    "entropy",  # of the fused scores, in nats
    "mean_entropy",  # of the mean of the photos' scores
    "top",  # logit of the highest fused score
    "mean_top",  # logit of the highest mean score
    "count",  # logarithm of the winning species' observations
    "photos",  # logarithm of the effective number of photos
)
LEAST = 1e-12  # lower limit of a photo's score in that overlap
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
    multiplicity: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the features of one observation, in the order of FEATURES: (12,).

    `similarities` and `columns` (photos, k) are the closest references of each photo in the whole snapshot, best first,
    and their species; missing ones are -inf and -1. `per_photo` (photos, species) and `fused` (species,)
    are scores that sum to 1, `voices` (photos,) the weights of photos as witnesses. `typical` (species,) is the
    similarity of a species' observations to their closest other observation, NaN if unknown: then `usual` is used.
    `counts` (species,) are observations, `multiplicity` (species,) as in `add_species`. Raises ValueError if no photo
    has a reference.
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
    least = np.where(found, near, np.inf).min(axis=1)  # an absent species is no closer than the last neighbour
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
            highest + np.log(add_species(np.exp(agreed - highest), multiplicity)),
            entropy_of(fused, multiplicity),
            entropy_of(mean, multiplicity),
            logit_of(float(fused[winner])),
            logit_of(float(mean.max())),
            np.log(max(1.0, float(counts[winner]))),
            np.log(max(1.0, float(voices[heard].sum()))),
        ]
    )


def unknown_probability(features: NDArray[np.float64], weights: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the probability of no referenced species from (..., 12) features; 0 without learned weights."""
    if not weights:
        return np.zeros(features.shape[:-1])
    logit = weights["constant"] + features @ np.array([weights[name] for name in FEATURES])
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -50, 50))))


def entropy_of(scores: NDArray[np.float64], multiplicity: NDArray[np.float64] | None = None) -> float:
    """Return the entropy in nats; zero scores contribute nothing. `multiplicity` as in `add_species`."""
    above = scores > 0
    positive = scores[above]
    return float(-((positive if multiplicity is None else positive * multiplicity[above]) @ np.log(positive)))


def logit_of(score: float) -> float:
    """Return the logit of a score, clipped to be finite."""
    score = min(max(score, EDGE), 1 - EDGE)
    return float(np.log(score / (1 - score)))
