"""Learns how much a photo counts by its aspect (cap, gills, ...), and a classifier of aspects.

The weights are fitted by log-loss on held-out observations whose photos show different aspects, with a normal prior on
their logarithms around 0. Predicted aspects are used only where they improve the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, HeldOutQueries
from evaluation.learning.scoring import Method, Scores, fuse_all
from retrieval.domain import ASPECTS
from retrieval.ranking.aspects import AspectClassifier, fit_aspect_classifier

FACTORS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
SPREAD = 0.5  # prior standard deviation of the logarithms of weights, around 0
MIN_OBSERVATIONS = 20  # observations with different aspects, below which nothing is learned
MIN_PHOTOS = 10  # photos of an aspect
FOLDS = 5

Loss = Callable[[Scores], float]


def mixed(queries: HeldOutQueries) -> NDArray[np.bool_]:
    """Return which observations have photos known to show different aspects, (observations,)."""
    if queries.aspects is None:
        return np.zeros(queries.count, dtype=bool)
    bounds = np.append(queries.first, len(queries.columns))
    return np.array(
        [
            len({code for code in queries.aspects[start:stop].tolist() if code >= 0}) > 1
            for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        ],
        dtype=bool,
    )


def fit_aspects(per_view: Scores, queries: HeldOutQueries, method: Method, loss_of: Loss) -> dict[str, float]:
    """Fit the weight of each aspect that is frequent enough, by coordinate descent on observations of several photos.

    `per_view` (views, species) are the scores of each photo alone; `loss_of` is the mean log-loss of fused scores.
    """
    if queries.aspects is None or mixed(queries).sum() < MIN_OBSERVATIONS:
        return {}
    frequent = [n for code, n in enumerate(ASPECTS) if (queries.aspects == code).sum() >= MIN_PHOTOS]

    def cost(weights: Mapping[str, float]) -> float:
        fused = fuse_all(per_view, queries, weighed(method, weights))
        belief = sum(np.log(weight) ** 2 for weight in weights.values()) / (2 * SPREAD**2)
        return loss_of(fused) + float(belief) / queries.count

    weights = dict.fromkeys(frequent, 1.0)
    best = cost(weights)
    for _ in range(3):
        before = dict(weights)
        for name in frequent:
            for factor in FACTORS:
                tried = {**weights, name: factor}
                if factor != weights[name] and (found := cost(tried)) < best - 1e-9:
                    best, weights = found, tried
        if weights == before:
            break
    return weights


def weighed(method: Method, weights: Mapping[str, float]) -> Method:
    """Return the method with these weights of aspects."""
    return replace(method, calibration=method.calibration.changed(aspects=dict(weights)))


def fit_classifier(gallery: Gallery, seed: int) -> tuple[AspectClassifier | None, NDArray[np.int64], dict[str, Any]]:
    """Fit the classifier of aspects. Returns it, its out-of-fold predictions for each row, and their accuracy."""
    nothing = np.full(len(gallery.columns), -1, dtype=np.int64)
    if gallery.aspects is None:
        return None, nothing, {}
    model = fit_aspect_classifier(gallery.embeddings, gallery.aspects, MIN_OBSERVATIONS)
    if model is None:
        return None, nothing, {}
    listed, numbers = np.unique(gallery.observations, return_inverse=True)
    fold = (np.random.default_rng(seed).permutation(len(listed)) % FOLDS)[numbers]
    predicted = nothing
    for number in range(FOLDS):
        held = fold == number
        part = fit_aspect_classifier(gallery.embeddings[~held], gallery.aspects[~held], 1)
        if part is not None:
            predicted[held] = part.predict(gallery.embeddings[held])
    known = gallery.aspects >= 0
    counts = np.bincount(gallery.aspects[known])
    notes = {
        "labelled": int(known.sum()),
        "toldRight": float((predicted[known] == gallery.aspects[known]).mean()),
        "mostFrequent": float(counts.max() / counts.sum()),
    }
    return model, predicted, notes
