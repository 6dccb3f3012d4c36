"""Fusion of the scores of several photos of one observation.

Each photo's scores are calibrated separately. Photos of one fungus are not independent, so that their product
is overconfident and their mean underconfident. The fused scores are therefore raised to n^e, where
n is the effective number of photos and e is learned: 0 changes nothing, 1 is the product of independent photos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking.nodes import add_species

FUSIONS = ("mean", "product", "max")
TOLD_BY = 64  # species by which photos are told apart, where they differ in them
LEARNED = "learned"  # the rule that calibration found best for the collection
APART, ALIKE = 0.70, 0.90
"""Cosines up to which two photos of a find are two witnesses, and from which they are one: a second press of the
shutter, a copy, a crop. Different photos of one drawn find have .61 in the middle, re-encoded copies .96 and more,
crops of nine tenths .89 to .98; networks trained on photographs spread wider."""


def photo_voices(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the weight of each photo as an independent witness, (photos,): 1 / n for each of n copies.

    Their sum is the effective number of photos: the magnitude of the space that they form (Leinster 2013), with weights
    for which the similarities to each photo sum to 1. Between APART and ALIKE a photo counts in part. Copies of copies
    are copies too, so that a series of crops counts as one photo; the similarity along the best path is ultrametric, so
    that no weight is negative. A copy reduces only the weight of its original.
    """
    order = sorted(
        range(len(embeddings)), key=lambda photo: embeddings[photo].tobytes()
    )  # independent of the order of photos
    weights = np.linalg.pinv(likeness(embeddings[order]), rcond=1e-10, hermitian=True).sum(axis=1)
    voices = np.empty(len(embeddings))
    voices[order] = np.round(np.clip(weights, 0.0, 1.0), 12)
    return voices


def same_photos(embeddings: NDArray[np.floating]) -> list[list[int]]:
    """Return groups of near-identical photos by index, ascending; photos unlike all others are omitted."""
    alike = likeness(embeddings) >= 1
    groups = sorted({tuple(np.flatnonzero(line).tolist()) for line in alike})
    return [list(group) for group in groups if len(group) > 1]


def likeness(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the likeness of each pair of photos, (photos, photos), 0 to 1, along the best path over other photos."""
    rows = np.asarray(embeddings, dtype=np.float64)
    alike = np.clip((rows @ rows.T - APART) / (ALIKE - APART), 0.0, 1.0)
    alike = np.maximum(alike, alike.T)  # despite rounding
    np.fill_diagonal(alike, 1.0)
    for between in range(len(alike)):  # the widest path (Floyd and Warshall), independent of the order of photos
        alike = np.maximum(alike, np.minimum(alike[:, between, None], alike[None, between]))
    return np.asarray(alike, dtype=np.float64)


def weigh_photos(
    voices: NDArray[np.float64], aspects: Sequence[str] = (), weights: Mapping[str, float] | None = None
) -> NDArray[np.float64]:
    """Return the weight of each photo, (photos,): that of its aspect times its weight as a witness (`voices`).

    The weights sum to the effective number of photos, so that aspects only count relative to each other.
    """
    given = weights or {}
    shown = np.array([given.get(aspect, 1.0) for aspect in aspects] or [1.0] * len(voices)) * voices
    total = float(np.sort(shown).sum())
    return np.asarray(shown * (float(np.sort(voices).sum()) / total) if total > 0 else voices, dtype=np.float64)


def fuse_scores(
    per_photo: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    rule: str = "mean",
    sharpening: float = 0.0,
    voices: NDArray[np.float64] | None = None,
    multiplicity: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Fuse (photos, species) to (species,), summing to 1. Photos without votes are ignored.

    mean: the weighted mean of the photos. product: the geometric mean (a log-linear pool), which a single photo can
    veto. max: the highest score of each species, regardless of copies, since weights are divided by `voices` (photos,).
    Photos are added in a canonical order, so that results are bit-identical for any order of photos. `multiplicity`
    (species,) as in `add_species`.
    """
    if rule == "max" and voices is not None:
        loud = fuse_scores(per_photo, weights / np.maximum(voices, 1e-12), rule=rule, multiplicity=multiplicity)
        total = float(np.sort(weights[per_photo.sum(axis=1) > 0]).sum())
        return sharpen(loud, total**sharpening, multiplicity) if sharpening and total > 1 and loud.any() else loud
    speaking = per_photo.sum(axis=1) > 0
    if not speaking.all():
        per_photo, weights = per_photo[speaking], weights[speaking]
    scores, weights = settle_order(per_photo, weights)
    if not len(scores):
        return np.zeros(per_photo.shape[1])
    if len(scores) == 1:
        return np.asarray(scores[0] / add_species(scores[0], multiplicity))
    total = float(np.sort(weights).sum())
    if rule == "mean":
        fused = add_weighed(scores, weights) / total
    elif rule == "product":
        with np.errstate(divide="ignore"):
            logs = add_weighed(np.log(scores), weights) / total
        fused = np.exp(logs - logs.max()) if np.isfinite(logs.max()) else np.zeros(scores.shape[1])
    elif rule == "max":
        fused = (scores * (weights / weights.max())[:, None]).max(axis=0)
    else:
        raise ValueError(f"photos are fused by {', '.join(FUSIONS)}, not by {rule!r}")
    if not fused.any():  # a product in which every species met a zero: the photos contradict each other
        return fuse_scores(per_photo, weights, rule="mean", multiplicity=multiplicity)
    if sharpening and total > 1:
        return sharpen(fused, total**sharpening, multiplicity)
    return np.asarray(fused / add_species(fused, multiplicity))


def sharpen(
    fused: NDArray[np.float64], exponent: float, multiplicity: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Raise scores to a power and normalise them."""
    raised = (fused / fused.max()) ** exponent
    return np.asarray(raised / add_species(raised, multiplicity))


def settle_order(
    per_photo: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return photos and weights in an order that depends only on their values; of two, any order will do."""
    if len(per_photo) <= 2:  # addition of two numbers is commutative
        return per_photo, weights
    keys = [(float(weight), line[:TOLD_BY].tobytes()) for weight, line in zip(weights, per_photo, strict=True)]
    if len(set(keys)) < len(keys):
        keys = [(float(weight), line.tobytes()) for weight, line in zip(weights, per_photo, strict=True)]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return per_photo[order], weights[order]


def add_weighed(lines: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weighted sum of rows, added one by one, without an array of all products."""
    total = weights[0] * lines[0]
    for weight, line in zip(weights[1:].tolist(), lines[1:], strict=True):
        total += weight * line
    return np.asarray(total)


def deciding_photo(
    per_photo: NDArray[np.float64], weights: NDArray[np.float64], *, rule: str = "mean", sharpening: float = 0.0
) -> int:
    """Return the photo without which the first species would lose most of its score; ties go to the first photo."""
    if len(per_photo) == 1 or not per_photo.any():
        return 0
    if rule == "mean":
        return decide_mean(per_photo, weights, sharpening)
    first = int(fuse_scores(per_photo, weights, rule=rule).argmax())  # sharpening keeps the order
    without = []
    for photo in range(len(per_photo)):
        others = np.arange(len(per_photo)) != photo
        left = fuse_scores(per_photo[others], weights[others], rule=rule, sharpening=sharpening)
        without.append(round(float(left[first]), 12))
    return int(np.argmin(without))


def decide_mean(per_photo: NDArray[np.float64], weights: NDArray[np.float64], sharpening: float) -> int:
    """Do the same for the mean, from which a photo is taken out without adding the others up again."""
    speaking = per_photo.sum(axis=1) > 0
    scores, of_scores = settle_order(per_photo[speaking], weights[speaking])
    whole = add_weighed(scores, of_scores)
    first = int(whole.argmax())
    without = []
    for photo in range(len(per_photo)):
        others = np.flatnonzero(speaking & (np.arange(len(per_photo)) != photo))
        if len(others) < 2:
            rest, power = (per_photo[others[0]] if len(others) else np.zeros_like(whole)), 1.0
        else:
            rest = np.maximum(whole - weights[photo] * per_photo[photo], 0.0) if speaking[photo] else whole
            power = max(1.0, float(np.sort(weights[others]).sum())) ** sharpening
        highest = float(rest.max()) or 1.0
        raised = rest if power == 1 else (rest / highest) ** power
        without.append(round(float(raised[first] / (raised.sum() or 1.0)), 12))
    return int(np.argmin(without))
