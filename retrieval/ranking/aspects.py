"""The aspect classifier: predicts what a photo shows (cap, hymenium, stipe, ...) from its embedding.

Linear discriminant analysis (Fisher 1936): embeddings are compared with each aspect's mean in a metric whitened within
aspects. The metric whitened within species is unsuitable, since it treats differences between aspects as noise.
Fitted where a collection labels its photos; it weights photos, never species.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import ASPECTS
from retrieval.ranking.prototypes import whiten_within

SHRINKAGE = 0.5  # of the within-aspect covariance


@dataclass(frozen=True, slots=True)
class AspectClassifier:
    """A linear classifier: the aspect with the largest weights . embedding + constant is predicted."""

    codes: NDArray[np.int64]  # (aspects,) indexes into ASPECTS
    weights: NDArray[np.float64]  # (aspects, dim)
    constants: NDArray[np.float64]  # (aspects,)

    def predict(self, embeddings: NDArray[np.floating]) -> NDArray[np.int64]:
        """Predict the aspect of each photo, as an index into ASPECTS; (photos, dim) to (photos,)."""
        return np.asarray(self.codes[(embeddings @ self.weights.T + self.constants).argmax(axis=1)], dtype=np.int64)


def fit_aspect_classifier(
    embeddings: NDArray[np.floating], aspects: NDArray[np.int64], fewest: int
) -> AspectClassifier | None:
    """Fit to embeddings (photos, dim) with their aspects (photos,), indexes into ASPECTS or -1 for unknown.

    Returns None where fewer than two aspects have at least `fewest` photos.
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
    """Map indexes into ASPECTS to names; -1 to the empty string."""
    return [ASPECTS[code] if code >= 0 else "" for code in codes.tolist()]


def code_aspects(names: Sequence[str]) -> NDArray[np.int64]:
    """Map names to indexes into ASPECTS; unknown names to -1."""
    place = {name: code for code, name in enumerate(ASPECTS)}
    return np.array([place.get(name, -1) for name in names], dtype=np.int64)
