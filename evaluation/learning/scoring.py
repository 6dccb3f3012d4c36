"""Scores many queries by the rules of the answer pipeline, in blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, HeldOutQueries, NearestRows, hidden_columns
from retrieval.ranking.aspects import AspectClassifier, name_aspects
from retrieval.ranking.calibration import Calibration, score_views
from retrieval.ranking.fusion import fuse_scores, photo_voices, weigh_photos
from retrieval.ranking.prototypes import Metric, make_prototypes, project, sum_observations, whiten_within
from retrieval.ranking.votes import Voting, vote_shares

Scores = NDArray[np.float64]  # (observations, species)
VIEWS = 1024  # views scored at once
ROWS = 8192  # references summed at once


@dataclass(frozen=True)
class Method:
    """How queries are scored: kernel, calibration, metric."""

    voting: Voting
    calibration: Calibration
    metric: Metric | None = None
    aspect_model: AspectClassifier | None = None
    typical: Mapping[int, float] = field(default_factory=dict)  # typical similarity by taxon id; see `evidence.Typical`

    def fused_by(self, rule: str) -> Method:
        """Return the same method with another rule for fusing photos."""
        return replace(self, calibration=self.calibration.changed(fusion=rule))


def pool_scatter(gallery: Gallery, rows: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return the pooled within-species covariance of the photos, (256, 256), of the given rows."""
    embeddings = gallery.embeddings if rows is None else gallery.embeddings[rows]
    columns = gallery.columns if rows is None else gallery.columns[rows]
    numbers = np.bincount(columns, minlength=gallery.width)
    means = np.zeros((gallery.width, embeddings.shape[1]))
    starts = np.flatnonzero(np.diff(columns, prepend=-1))  # columns ascend
    means[columns[starts]] = np.add.reduceat(embeddings, starts, axis=0, dtype=np.float64)
    means /= np.maximum(1, numbers)[:, None]
    freedom = max(1, len(columns) - int((numbers > 0).sum()))
    scatter = np.zeros((embeddings.shape[1], embeddings.shape[1]))
    for start in range(0, len(columns), ROWS):
        apart = embeddings[start : start + ROWS] - means[columns[start : start + ROWS]]
        scatter += apart.T @ apart
    return scatter / freedom


def make_metric(gallery: Gallery, shrinkage: float, rows: NDArray[np.bool_] | None = None) -> Metric | None:
    """Return the within-class whitening metric of the gallery; None if `shrinkage` removes it entirely."""
    return None if shrinkage >= 1 else whiten_within(pool_scatter(gallery, rows), shrinkage)


def neutral_counts(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return numbers of observations that do not reveal the species of a held-out observation.

    Counted without the query, only its true species would have one fewer. In a collection with about the same number
    for every species, that alone would give it away. So the query is counted too. Species with a single observation are
    never queried; they count as those with two, or else a higher number would show that a species can be queried.
    """
    return np.maximum(counts, 2).astype(np.float64)


def prototype_similarities(
    gallery: Gallery, queries: HeldOutQueries, method: Method, hide: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each view's similarity to each prototype, and the observations behind it: both (views, species).

    The query's own group is left out of the prototypes and of the means of their genera; with `hide` = species or
    genus, so is all of its taxon. The numbers are then `neutral_counts`.
    """
    sums, counts = gallery.sums
    shrinkage = method.calibration.shrinkage

    def make(s: NDArray[np.float64], n: NDArray[np.int64], genera: NDArray[np.int64]) -> NDArray[np.floating]:
        return make_prototypes(s, n, genera, shrinkage=shrinkage, centre=gallery.centre, metric=method.metric)

    views = project(queries.embeddings, gallery.centre, method.metric)
    similarities = views @ make(sums, counts, gallery.genera).T
    numbers = np.repeat(counts[None].astype(np.float64), len(views), axis=0)
    bounds = np.append(queries.first, len(views))
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        excluded, column = int(queries.excluded[start]), int(queries.columns[start])
        hidden = hidden_columns(gallery, column, hide)
        rows = gallery.members.get(excluded, np.zeros(0, dtype=np.int64))
        if not len(rows) and not len(hidden):
            continue
        touched = np.union1d(hidden, gallery.columns[rows])
        genera = np.unique(gallery.genera[touched])
        kin = np.union1d(touched, np.flatnonzero(np.isin(gallery.genera, genera[genera >= 0])))
        removed_sums, removed_counts = sum_observations(
            gallery.embeddings[rows], np.searchsorted(kin, gallery.columns[rows]), gallery.observations[rows], len(kin)
        )
        hidden_kin = np.isin(kin, hidden)
        remaining_sums = np.where(hidden_kin[:, None], 0.0, sums[kin] - removed_sums)
        remaining_counts = np.where(hidden_kin, 0, counts[kin] - removed_counts)
        numbers[start:stop] = neutral_counts(counts)
        numbers[start:stop, hidden] = 0
        of_kin = np.where(gallery.genera[kin] >= 0, np.searchsorted(genera, gallery.genera[kin]), -1)
        similarities[start:stop, kin] = views[start:stop] @ make(remaining_sums, remaining_counts, of_kin).T
    return similarities, numbers


def view_shares(gallery: Gallery, found: NearestRows, method: Method) -> NDArray[np.float64]:
    """Return the shares of the votes, (views, species)."""
    near = np.where(found.rows >= 0, gallery.columns[found.rows], -1)
    observations = np.where(found.rows >= 0, gallery.observations[found.rows], -1)
    return vote_shares(found.similarities, observations, near, gallery.width, method.voting.temperature)


def score_each_view(
    gallery: Gallery, queries: HeldOutQueries, found: Sequence[NearestRows], method: Method, *, hide: str = "own"
) -> list[Scores]:
    """Return the scores of each photo alone, (views, species), for each of several searches, in blocks."""
    scores = [np.zeros((len(queries.columns), gallery.width)) for _ in found]
    bounds = np.append(queries.first, len(queries.columns))
    start = 0
    while start < queries.count:
        stop = int(np.searchsorted(bounds, bounds[start] + VIEWS, side="right")) - 1
        stop = min(queries.count, max(stop, start + 1))
        views = np.arange(bounds[start], bounds[stop])
        prototypes = prototype_similarities(gallery, replace_views(queries, views, start), method, hide)
        for filled, near in zip(scores, found, strict=True):
            filled[views] = score_views(
                view_shares(gallery, near.select(views), method), *prototypes, method.calibration
            )
        start = stop
    return scores


def fuse_views(
    per_view: Scores, embeddings: NDArray[np.floating], method: Method, aspects: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Fuse the scores of one observation's photos, as the answer pipeline does."""
    learned = method.calibration
    voices = photo_voices(embeddings)
    weights = weigh_photos(voices, () if aspects is None else name_aspects(aspects), learned.aspects)
    sharpening = learned.sharpening.get(learned.fusion, 0.0)
    return fuse_scores(per_view, weights, rule=learned.fusion, sharpening=sharpening, voices=voices)


def fuse_all(per_view: Scores, queries: HeldOutQueries, method: Method) -> Scores:
    """Fuse the scores of the views of every observation. Returns (observations, species)."""
    bounds = np.append(queries.first, len(per_view))
    shown = queries.aspects if method.calibration.aspects else None
    return np.stack(
        [
            fuse_views(
                per_view[start:stop],
                queries.embeddings[start:stop],
                method,
                None if shown is None else shown[start:stop],
            )
            for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        ]
    )


def replace_views(queries: HeldOutQueries, views: NDArray[np.int64], first: int) -> HeldOutQueries:
    """Return the queries of some views, which are whole observations; `first` becomes number 0."""
    return replace(
        queries,
        embeddings=queries.embeddings[views],
        columns=queries.columns[views],
        observations=queries.observations[views] - first,
        excluded=queries.excluded[views],
        months=None,
        cells=None,
        habitats=None,
        substrates=None,
        aspects=None if queries.aspects is None else queries.aspects[views],
    )


def closest_similarities(queries: HeldOutQueries, found: NearestRows) -> NDArray[np.float64]:
    """Return the similarity of the closest reference, mean over the photos of each observation; -1 if there is none."""
    closest = np.where(found.rows[:, 0] >= 0, found.similarities[:, 0], -1.0)
    return np.array([float(np.sort(excluded).mean()) for excluded in np.split(closest, queries.first[1:])])


def score_all(
    gallery: Gallery, queries: HeldOutQueries, found: NearestRows, method: Method, *, hide: str = "own"
) -> tuple[Scores, NDArray[np.float64]]:
    """Return all fused scores, (observations, species), and the closest similarities, (observations,)."""
    (per_view,) = score_each_view(gallery, queries, [found], method, hide=hide)
    return fuse_all(per_view, queries, method), closest_similarities(queries, found)
