"""Several photos of one observation: one score from the scores of each.

Each photo's scores are calibrated alone; photos of one mushroom repeat one another, so that their
product is too sure and their mean too timid. After either, the fused scores are raised to n^e, where
n is the number of photos that count and e is learned: 0 leaves them, 1 is the product of independent photos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

FUSIONS = ("mean", "product", "max")
LEARNED = "learned"  # the one of them that calibration found to suit the collection
TWINS = 0.98  # cosine from which two photos are near-identical: a second press of the shutter, or a copy


def weigh_photos(
    embeddings: NDArray[np.floating], aspects: Sequence[str] = (), weights: Mapping[str, float] | None = None
) -> NDArray[np.float64]:
    """How much each photo counts, (photos,): its aspect's weight, divided among those that are near-identical."""
    alike = embeddings @ embeddings.T >= TWINS
    np.fill_diagonal(alike, True)
    for _ in range(len(alike)):  # twins of twins are one: the closure, so that no order of photos shows
        wider = alike | ((alike.astype(np.int64) @ alike.astype(np.int64)) > 0)
        if np.array_equal(wider, alike):
            break
        alike = wider
    given = weights or {}
    shown = [given.get(aspect, 1.0) for aspect in aspects] or [1.0] * len(embeddings)
    return np.asarray(np.array(shown) / alike.sum(axis=1), dtype=np.float64)


def fuse_scores(
    per_photo: NDArray[np.float64], weights: NDArray[np.float64], *, rule: str = "mean", sharpening: float = 0.0
) -> NDArray[np.float64]:
    """Fuse (photos, species) to (species,), adding up to 1. A photo without any vote does not speak.

    mean: what the photos say on average. product: the geometric mean (a log-linear pool), which a single
    photo can veto. max: the most convinced photo of each species. Summands are sorted before they are
    added, so that no order of photos shows in the last digit.
    """
    speaking = per_photo.sum(axis=1) > 0
    scores, weights = per_photo[speaking], weights[speaking]
    if not len(scores):
        return np.zeros(per_photo.shape[1])
    if len(scores) == 1:
        return np.asarray(scores[0] / scores[0].sum())
    total = float(np.sort(weights).sum())
    if rule == "mean":
        fused = np.sort(weights[:, None] * scores, axis=0).sum(axis=0) / total
    elif rule == "product":
        with np.errstate(divide="ignore"):
            logs = np.sort(weights[:, None] * np.log(scores), axis=0).sum(axis=0) / total
        fused = np.exp(logs - logs.max()) if np.isfinite(logs.max()) else np.zeros(scores.shape[1])
    elif rule == "max":
        fused = (scores * (weights / weights.max())[:, None]).max(axis=0)
    else:
        raise ValueError(f"photos are fused by {', '.join(FUSIONS)}, not by {rule!r}")
    if not fused.any():  # a product in which each species met a zero: the photos contradict each other
        return fuse_scores(per_photo, np.ones(len(per_photo)), rule="mean")
    if sharpening and total > 1:
        fused = (fused / fused.max()) ** (total**sharpening)
    return np.asarray(fused / fused.sum())


def deciding_photo(
    per_photo: NDArray[np.float64], weights: NDArray[np.float64], *, rule: str = "mean", sharpening: float = 0.0
) -> int:
    """The photo without which the first species would lose most of its score; of equals the first."""
    if len(per_photo) == 1 or not per_photo.any():
        return 0
    first = int(fuse_scores(per_photo, weights, rule=rule, sharpening=sharpening).argmax())
    without = []
    for photo in range(len(per_photo)):
        others = np.arange(len(per_photo)) != photo
        left = fuse_scores(per_photo[others], weights[others], rule=rule, sharpening=sharpening)
        without.append(round(float(left[first]), 12))
    return int(np.argmin(without))
