"""Fits the probability that the species has no references, by hiding whole species and genera."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluation.galleries.gallery import Gallery
from evaluation.learning.estimators import fit_logistic
from evaluation.learning.evidence import Evidence
from retrieval.ranking.rejection import UNKNOWN_RATE
from retrieval.ranking.unknown import FEATURES

MOST_UNKNOWN = 0.15


def fit_unknown(conditions: Sequence[Evidence]) -> dict[str, float]:
    """Fit the weights of the features of unknown species, with UNKNOWN_RATE of all observations unknown.

    `conditions` are those of the world, with all references and with species or genera hidden. Returns an empty mapping
    if known or unknown observations are missing.
    """
    world = [condition for condition in conditions if condition.list_index is None]
    known = [condition.features for condition in world if condition.known]
    hidden = [condition.features for condition in world if not condition.known]
    if not known or not hidden:
        return {}
    values = np.concatenate([*known, *hidden])
    unknown = np.repeat([False, True], [sum(map(len, known)), sum(map(len, hidden))])
    if not len(values) or unknown.all() or not unknown.any():
        return {}
    sides = np.where(unknown, UNKNOWN_RATE / unknown.sum(), (1 - UNKNOWN_RATE) / (~unknown).sum())
    constant, slopes = fit_logistic(values, unknown, sides)
    return {"constant": constant, **dict(zip(FEATURES, slopes.tolist(), strict=True))}


def unknown_share(gallery: Gallery) -> float:
    """Estimate the share of observations of species without references, from UNKNOWN_RATE to MOST_UNKNOWN.

    It is the share of groups that are the only ones of their species (Good-Turing, Good 1953). Collections are drawn
    more evenly than observations occur, so the estimate is bounded.
    """
    groups = len(np.unique(gallery.groups))
    answered = len(np.unique(gallery.groups[np.isin(gallery.observations, several_of(gallery))]))
    return float(np.clip(1 - answered / groups, UNKNOWN_RATE, MOST_UNKNOWN))


def several_of(gallery: Gallery) -> np.ndarray:
    """Return the observations whose species has another group, whatever the model was trained on."""
    pairs = np.unique(np.stack([gallery.columns, gallery.groups], axis=1), axis=0)
    return gallery.observations[np.bincount(pairs[:, 0], minlength=gallery.width)[gallery.columns] > 1]
