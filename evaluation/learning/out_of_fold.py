"""Out-of-fold metrics: fitted without the groups they are applied to, or without the genera where taxa are hidden.

A metric pulls together the photos of the species it was fitted on. Evaluated on the same photos, it would make a
species look better known than it is, and separate known from unknown species by that alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, HeldOutQueries, NearestRows
from evaluation.learning.scoring import Method, Scores, make_metric, score_each_view, width_of
from retrieval.ranking.prototypes import Metric

FOLDS = 5
LARGE = 5_000  # observations above which one more or less hardly changes the metric

Views = Callable[[HeldOutQueries, Sequence[NearestRows], str], list[Scores]]
"""Scores each photo, (views, species), for each of several searches, given what is hidden."""


def deal_rows(gallery: Gallery, seed: int, hide: str = "own") -> NDArray[np.int64]:
    """Return the fold of each row: groups are kept whole, or genera where taxa are hidden.

    There is a single fold where one observation hardly changes the metric.
    """
    if len(gallery.spans[0]) >= LARGE:
        return np.zeros(len(gallery.columns), dtype=np.int64)
    genera = gallery.genera[gallery.columns]
    kept_together = gallery.groups if hide == "own" else np.where(genera >= 0, genera, -1 - gallery.columns)
    numbers = np.unique(kept_together, return_inverse=True)[1]
    return np.random.default_rng(seed).permutation(int(numbers.max()) + 1)[numbers] % FOLDS


def fold_of(gallery: Gallery, queries: HeldOutQueries, folds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fold of each query of the gallery's own, (views,)."""
    return folds[gallery.rows_of(queries.excluded)]


def fold_metrics(gallery: Gallery, folds: NDArray[np.int64], shrinkage: float) -> list[Metric | None]:
    """Fit a metric for each fold, without the rows of the fold."""
    count = int(folds.max()) + 1
    if count == 1:
        return [make_metric(gallery, shrinkage)]
    return [make_metric(gallery, shrinkage, folds != fold) for fold in range(count)]


def deal_folds(
    queries: HeldOutQueries, folds: NDArray[np.int64], metrics: list[Metric | None]
) -> list[tuple[HeldOutQueries, NDArray[np.int64], Metric | None]]:
    """Return the queries of each fold with their positions and the fold's metric."""
    dealt = []
    for fold, metric in enumerate(metrics):
        chosen = folds[queries.first] == fold
        if chosen.any():
            dealt.append((queries.select(chosen), queries.selected_views(chosen), metric))
    return dealt


def score_out_of_fold(gallery: Gallery, method: Method, shrinkage: float, *, seed: int) -> Views:
    """Return a `score_each_view` that scores each observation by a metric fitted without its group, or its genus."""
    made: dict[str, tuple[NDArray[np.int64], list[Metric | None]]] = {}

    def score(queries: HeldOutQueries, found: Sequence[NearestRows], hide: str = "own") -> list[Scores]:
        if method.metric is None:
            return score_each_view(gallery, queries, found, method, hide=hide)
        kind = "own" if hide == "own" else "genus"
        if kind not in made:
            folds = deal_rows(gallery, seed, kind)
            made[kind] = folds, fold_metrics(gallery, folds, shrinkage)
        folds, metrics = made[kind]
        scores = [np.zeros((len(queries.columns), width_of(gallery, queries))) for _ in found]
        for part, views, metric in deal_folds(queries, fold_of(gallery, queries, folds), metrics):
            near = [one.select(views) for one in found]
            parts = score_each_view(gallery, part, near, replace(method, metric=metric), hide=hide)
            for filled, scored in zip(scores, parts, strict=True):
                filled[views] = scored
        return scores

    return score
