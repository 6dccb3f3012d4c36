"""What a photo shows (cap, hymenium, stipe, ...), told from its embedding where the person did not say it.

A linear discriminant (Fisher 1936): each aspect's mean embedding, compared in the metric in which photos of one aspect
are round. The species' own metric would not do: what sets photos of one species apart, which is what an
aspect is, counts as noise in it. Learned where a collection labels its photos; it weighs photos, never species.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import ASPECTS
from retrieval.ranking.prototypes import whiten_within

SHRINKAGE = 0.5  # of the metric


@dataclass(frozen=True, slots=True)
class AspectClassifier:
    """The best of codes . embeddings + constants is the aspect that is told."""

    codes: NDArray[np.int64]  # (aspects,) places in ASPECTS
    weights: NDArray[np.float64]  # (aspects, dim)
    constants: NDArray[np.float64]  # (aspects,)

    def predict(self, embeddings: NDArray[np.floating]) -> NDArray[np.int64]:
        """The place in ASPECTS of what each photo shows, (photos,)."""
        return np.asarray(self.codes[(embeddings @ self.weights.T + self.constants).argmax(axis=1)], dtype=np.int64)


def fit_aspect_classifier(
    embeddings: NDArray[np.floating], aspects: NDArray[np.int64], fewest: int
) -> AspectClassifier | None:
    """Learn from photos with their aspects (places in ASPECTS; -1: not known).

    None where there are not two aspects with `fewest` photos.
    """
    codes = np.array([c for c in range(len(ASPECTS)) if (aspects == c).sum() >= fewest], dtype=np.int64)
    if len(codes) < 2:
        return None
    known = np.isin(aspects, codes)
    rows, labels = np.asarray(embeddings[known], dtype=np.float64), np.searchsorted(codes, aspects[known])
    means = np.stack([rows[labels == label].mean(axis=0) for label in range(len(codes))])
    apart = rows - means[labels]
    metric = np.asarray(whiten_within(apart.T @ apart / len(apart), SHRINKAGE), dtype=np.float64)
    weights = means @ metric @ metric.T * (len(metric) / max(1e-12, float((apart**2).sum(axis=1).mean())))
    return AspectClassifier(codes, weights, -0.5 * (means * weights).sum(axis=1))


def name_aspects(codes: NDArray[np.int64]) -> list[str]:
    """Names of aspects by their places in ASPECTS; empty for -1."""
    return [ASPECTS[code] if code >= 0 else "" for code in codes.tolist()]


def code_aspects(names: Sequence[str]) -> NDArray[np.int64]:
    """Places in ASPECTS of names; -1 for what is none of them."""
    place = {name: code for code, name in enumerate(ASPECTS)}
    return np.array([place.get(name, -1) for name in names], dtype=np.int64)
