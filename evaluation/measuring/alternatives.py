"""Alternatives to the score of a photo, evaluated by the same nested cross-validation as the score itself.

Each adds terms to the conditional logit, or replaces some, and its weights are fitted anew in each fold; temperature,
floor, shrinkages and metric are those that the fold learned. All references are compared with all photos, so the
collection should be small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, HeldOutQueries, hold_out_queries
from evaluation.galleries.nearest import nearest_of
from evaluation.learning.estimators import deal_folds
from evaluation.learning.fit import NEIGHBOURS, fit_logit
from evaluation.learning.out_of_fold import deal_folds as deal_queries
from evaluation.learning.out_of_fold import deal_rows, fold_metrics, fold_of
from evaluation.learning.query_mix import rank_truth
from evaluation.learning.scoring import Method, fuse_all, prototype_similarities
from evaluation.measuring.ablate import paired_gain
from evaluation.measuring.nested import NestedResult
from retrieval.progress import Progress, silent
from retrieval.ranking.calibration import features, normalise
from retrieval.ranking.prototypes import Metric
from retrieval.ranking.votes import vote_shares

CROWD = 10  # nearest references whose mean similarity says how much of a hub a reference is
EXPANDED = 5  # nearest references that are added to an expanded query
POWER = 3.0  # of their similarity, which is their weight

MOST_ROWS = 4_000  # references, of which all are compared with all

Terms = NDArray[np.float64]  # (views, species, terms)


@dataclass(frozen=True)
class Compared:
    """The photos of held-out observations compared with all references; those of the own group are -inf."""

    gallery: Gallery
    queries: HeldOutQueries
    method: Method
    similarities: NDArray[np.float32]  # (views, rows)
    crowding: NDArray[np.float32]  # (rows,) mean similarity of each reference to its CROWD nearest of other groups
    prototypes: tuple[NDArray[np.float64], NDArray[np.float64]]  # similarities and observations, (views, species) each
    expanded: tuple[NDArray[np.float64], NDArray[np.float64]]  # the same for expanded queries


def compare(
    gallery: Gallery, queries: HeldOutQueries, method: Method, metrics: list[Metric | None], folds: NDArray[np.int64]
) -> Compared:
    """Compare the queries with all references. `metrics` are of the `folds` (views,) of the queries."""
    similarities = hide_groups(gallery, queries, queries.embeddings @ gallery.embeddings.T)
    wider = replace(queries, embeddings=expand_queries(gallery, queries, similarities))
    found = []
    for asked in (queries, wider):
        near = np.zeros((len(queries.columns), gallery.width))
        numbers = np.zeros_like(near)
        for part, views, metric in deal_queries(asked, folds, metrics):
            near[views], numbers[views] = prototype_similarities(gallery, part, replace(method, metric=metric), "own")
        found.append((near, numbers))
    return Compared(gallery, queries, method, similarities, measure_crowding(gallery), *found)


def hide_groups(gallery: Gallery, queries: HeldOutQueries, similarities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the similarities with -inf for references of each query's own group."""
    for row, excluded in zip(similarities, queries.excluded.tolist(), strict=True):
        row[gallery.members(excluded)] = -np.inf
    return similarities


def measure_crowding(gallery: Gallery) -> NDArray[np.float32]:
    """Return the mean similarity of each reference to its CROWD nearest references of other groups, (rows,)."""
    near = gallery.embeddings @ gallery.embeddings.T
    near[gallery.groups[:, None] == gallery.groups[None, :]] = -np.inf
    k = min(CROWD, near.shape[1])
    closest = np.partition(near, -k, axis=1)[:, -k:]
    known = np.isfinite(closest)
    total = np.where(known, closest, 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(1, known.sum(axis=1)), dtype=np.float32)


def expand_queries(gallery: Gallery, queries: HeldOutQueries, similarities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Add the EXPANDED nearest references to each photo, weighted by a power of their similarity.

    Alpha query expansion (Radenovic et al. 2019, after Chum et al. 2007). Returns (views, 256), of length 1.
    """
    near, rows = nearest_of(similarities, min(EXPANDED, similarities.shape[1]))
    weights = np.where(rows >= 0, np.maximum(near, 0.0) ** POWER, 0.0)
    widened = queries.embeddings + np.einsum("vk,vkd->vd", weights, gallery.embeddings[rows])
    return np.asarray(widened / np.linalg.norm(widened, axis=1, keepdims=True), dtype=np.float32)


def shares_of(compared: Compared, similarities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the shares of the votes of the nearest references, (views, species)."""
    gallery = compared.gallery
    near, rows = nearest_of(similarities, min(NEIGHBOURS, similarities.shape[1]))
    columns = np.where(rows >= 0, gallery.columns[rows], -1)
    observations = np.where(rows >= 0, gallery.observations[rows], -1)
    return vote_shares(near, observations, columns, gallery.width, compared.method.voting.temperature)


def usual_terms(compared: Compared) -> Terms:
    """Return votes, prototypes and numbers of observations, as the score has them."""
    shares = shares_of(compared, compared.similarities)
    return features(shares, *compared.prototypes, compared.method.calibration.floor)


def corrected_terms(compared: Compared) -> Terms:
    """Return the usual terms with votes by cross-domain similarity local scaling (CSLS, Conneau et al. 2018).

    Half the crowding of a reference is subtracted from its similarity, so that hubs are no longer near everything. That
    of the query changes no order. Halved, similarities keep the scale that the temperature was learned for.
    """
    scaled = compared.similarities - np.float32(0.5) * compared.crowding[None, :]
    return features(shares_of(compared, scaled), *compared.prototypes, compared.method.calibration.floor)


def expanded_terms(compared: Compared) -> Terms:
    """Return the usual terms for expanded queries."""
    gallery, queries = compared.gallery, compared.queries
    wider = expand_queries(gallery, queries, compared.similarities)
    similarities = hide_groups(gallery, queries, wider @ gallery.embeddings.T)
    return features(shares_of(compared, similarities), *compared.expanded, compared.method.calibration.floor)


def reranked_terms(compared: Compared) -> Terms:
    """Return the usual terms, the similarity of each species' closest photo, and the votes for its genus.

    Means over the photos of a species are not used: with the query's own left out, they would show which species it is.
    """
    gallery = compared.gallery
    usual = usual_terms(compared)
    least = np.where(np.isfinite(compared.similarities), compared.similarities, np.inf).min(axis=1)
    there = np.unique(gallery.columns)
    closest = np.repeat(least[:, None], gallery.width, axis=1).astype(np.float64)
    near = np.maximum.reduceat(compared.similarities, np.searchsorted(gallery.columns, there), axis=1)
    closest[:, there] = np.where(np.isfinite(near), near, least[:, None])
    shares = shares_of(compared, compared.similarities)
    of_genus = np.where(gallery.genera >= 0, gallery.genera, gallery.width + np.arange(gallery.width))
    same = (of_genus[:, None] == of_genus[None, :]).astype(np.float64)
    genera = np.log(shares @ same + compared.method.calibration.floor)
    return np.concatenate([usual, closest[..., None], genera[..., None]], axis=-1)


ALTERNATIVES: Mapping[str, tuple[Callable[[Compared], Terms], list[int]]] = {
    "votes alone": (usual_terms, [0, 2]),
    "prototypes alone": (usual_terms, [1, 2]),
    "votes and prototypes": (usual_terms, [0, 1, 2]),
    "re-ranked by closest photo and genus": (reranked_terms, [0, 1, 2, 3, 4]),
    "votes corrected for hubs (CSLS)": (corrected_terms, [0, 1, 2]),
    "expanded queries": (expanded_terms, [0, 1, 2]),
}
"""The terms of each alternative, and those of them that are used. All have numbers of observations."""


def judge_alternatives(
    gallery: Gallery, judged: NestedResult, *, folds: int, seed: int, progress: Progress = silent
) -> dict[str, dict[str, float]]:
    """Return top-1 and top-5 of each alternative, and the change of top-1 against `judged` with its interval.

    Nothing is returned for a collection of more than MOST_ROWS references.
    """
    if len(gallery.columns) > MOST_ROWS:
        return {}
    before = (judged.rank == 1).astype(float)
    table = {}
    for name, rank in rank_alternatives(gallery, judged, folds=folds, seed=seed, progress=progress).items():
        change = paired_gain(before, (rank == 1).astype(float), seed)
        table[name] = {
            "top1": change["after"],
            "top5": float(((rank > 0) & (rank <= 5)).mean()),
            "change": change["gain"],
            "low": change["low"],
            "high": change["high"],
        }
    return table


def rank_alternatives(
    gallery: Gallery, judged: NestedResult, *, folds: int, seed: int, progress: Progress = silent
) -> dict[str, NDArray[np.int64]]:
    """Return the rank of each observation's true species for each alternative, in the order of `judged`."""
    dealt = deal_folds(gallery.groups, gallery.columns, folds, seed)
    ranks = {name: np.zeros(len(judged.truth), dtype=np.int64) for name in ALTERNATIVES}
    for fold, method in enumerate(judged.methods):
        inside = judged.fold == fold
        if not inside.any():
            continue
        training = gallery.select(dealt != fold)
        known = hold_out_queries(training)
        if not known.count:
            continue
        inner = deal_rows(training, seed)
        metrics: list[Metric | None] = [None] * (int(inner.max()) + 1)
        if method.metric is not None:
            metrics = fold_metrics(training, inner, float(method.calibration.fitted["metricShrinkage"]))
        taught = compare(training, known, method, metrics, fold_of(training, known, inner))
        queries = hold_out_queries(gallery, judged.observations[inside])
        asked = compare(gallery, queries, method, [method.metric], np.zeros(len(queries.columns), dtype=np.int64))
        places = np.searchsorted(judged.observations, queries.excluded[queries.first])
        made: dict[Callable[[Compared], Terms], tuple[Terms, Terms]] = {}
        for name, (make, used) in ALTERNATIVES.items():
            if make not in made:
                made[make] = make(taught), make(asked)
            ours, theirs = made[make]
            weights, _ = fit_logit(ours[..., used], known.columns, start=np.ones(len(used)))
            scores = fuse_all(normalise(theirs[..., used] @ weights), queries, method)
            ranks[name][places] = rank_truth(scores, queries.truth)
        progress("alternatives", 1, folds)
    return ranks
