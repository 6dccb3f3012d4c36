"""Metrics made without what they are tried on: in folds of whole groups, or of whole genera where taxa are hidden.

A metric that has seen a species' photos makes them alike. Judged by it, the species is known better than it is, and an
unknown one is told from the known ones by that alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, HeldOutQueries, NearestRows
from evaluation.learning.scoring import Method, Scores, make_metric, score_each_view
from retrieval.ranking.prototypes import Metric

FOLDS = 5
PLENTY = 5_000  # observations from which one more or less in the metric cannot be noticed

Views = Callable[[HeldOutQueries, Sequence[NearestRows], str], list[Scores]]
"""Scores each photo, (views, species), for each of several searches, with what is hidden."""


def deal_rows(gallery: Gallery, seed: int, hide: str = "own") -> NDArray[np.int64]:
    """The fold of each row, whole groups together, or whole genera where taxa are hidden.

    A single fold where one observation cannot be noticed in the metric.
    """
    if len(gallery.spans[0]) >= PLENTY:
        return np.zeros(len(gallery.columns), dtype=np.int64)
    genera = gallery.genera[gallery.columns]
    kept_together = gallery.groups if hide == "own" else np.where(genera >= 0, genera, -1 - gallery.columns)
    numbers = np.unique(kept_together, return_inverse=True)[1]
    return np.random.default_rng(seed).permutation(int(numbers.max()) + 1)[numbers] % FOLDS


def fold_of(gallery: Gallery, asked: HeldOutQueries, folds: NDArray[np.int64]) -> NDArray[np.int64]:
    """The fold of each question of the gallery's own, (views,)."""
    order = np.argsort(gallery.observations, kind="stable")
    return folds[order[np.searchsorted(gallery.observations[order], asked.own)]]


def fold_metrics(gallery: Gallery, folds: NDArray[np.int64], shrinkage: float) -> list[Metric | None]:
    """A metric for each fold, made without the fold's rows."""
    count = int(folds.max()) + 1
    if count == 1:
        return [make_metric(gallery, shrinkage)]
    return [make_metric(gallery, shrinkage, folds != fold) for fold in range(count)]


def deal_folds(
    asked: HeldOutQueries, folds: NDArray[np.int64], metrics: list[Metric | None]
) -> list[tuple[HeldOutQueries, NDArray[np.int64], Metric | None]]:
    """The questions of each fold with its metric."""
    dealt = []
    for fold, metric in enumerate(metrics):
        chosen = folds[asked.first] == fold
        if chosen.any():
            dealt.append((asked.only(chosen), asked.views_of(chosen), metric))
    return dealt


def score_apart(gallery: Gallery, method: Method, shrinkage: float, *, seed: int) -> Views:
    """`score_each_view`, but each observation with a metric that was made without its group, or without its genus."""
    made: dict[str, tuple[NDArray[np.int64], list[Metric | None]]] = {}

    def score(asked: HeldOutQueries, found: Sequence[NearestRows], hide: str = "own") -> list[Scores]:
        if method.metric is None:
            return score_each_view(gallery, asked, found, method, hide=hide)
        kind = "own" if hide == "own" else "genus"
        if kind not in made:
            folds = deal_rows(gallery, seed, kind)
            made[kind] = folds, fold_metrics(gallery, folds, shrinkage)
        folds, metrics = made[kind]
        scores = [np.zeros((len(asked.columns), gallery.width)) for _ in found]
        for part, views, metric in deal_folds(asked, fold_of(gallery, asked, folds), metrics):
            near = [one.of(views) for one in found]
            parts = score_each_view(gallery, part, near, replace(method, metric=metric), hide=hide)
            for filled, scored in zip(scores, parts, strict=True):
                filled[views] = scored
        return scores

    return score
