"""Scores many queries by the rules of the answer pipeline, in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import CELLS, Gallery, HeldOutQueries, NearestRows, hidden_columns
from evaluation.galleries.kept import EXACT, LIKELY, SAMPLED, Kept, at_species, draw_kept, multiplicity_of
from retrieval.ranking.aspects import AspectClassifier, name_aspects
from retrieval.ranking.calibration import Calibration, score_views
from retrieval.ranking.fusion import fuse_scores, photo_voices, weigh_photos
from retrieval.ranking.prototypes import (
    Metric,
    compare_rows,
    make_prototypes,
    project,
    prototype_blocks,
    sum_observations,
    whiten_within,
)
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
    freedom = max(1, len(columns) - int((numbers > 0).sum()))
    scatter = np.zeros((embeddings.shape[1], embeddings.shape[1]))
    starts = np.flatnonzero(np.diff(columns, prepend=-1))  # columns ascend
    ends = np.append(starts, len(columns))
    bounds = np.unique(np.append(np.searchsorted(starts, np.arange(0, len(columns), ROWS)), len(starts)))
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):  # whole species
        some = embeddings[ends[first] : ends[last]]
        sizes = np.diff(ends[first : last + 1])
        means = np.add.reduceat(some, starts[first:last] - ends[first], axis=0, dtype=np.float64) / sizes[:, None]
        apart = some - np.repeat(means, sizes, axis=0)
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
    views = project(queries.embeddings, gallery.centre, method.metric)
    similarities = compare_kept(gallery, queries, views, method)
    neutral = neutral_counts(counts)
    numbers = np.empty(similarities.shape)
    numbers[:] = at_species(counts.astype(np.float64), queries.kept_of_views)
    bounds = np.append(queries.first, len(views))
    for number, (start, stop) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        excluded, column = int(queries.excluded[start]), int(queries.columns[start])
        hidden = hidden_columns(gallery, column, hide)
        rows = gallery.members(excluded)
        if not len(rows) and not len(hidden):
            continue
        touched = np.union1d(hidden, gallery.columns[rows])
        genera = np.unique(gallery.genera[touched])
        kin = np.union1d(touched, np.concatenate([touched, *map(gallery.species_of, genera[genera >= 0].tolist())]))
        removed_sums, removed_counts = sum_observations(
            gallery.embeddings[rows], np.searchsorted(kin, gallery.columns[rows]), gallery.observations[rows], len(kin)
        )
        hidden_kin = np.isin(kin, hidden)
        remaining_sums = np.where(hidden_kin[:, None], 0.0, sums[kin] - removed_sums)
        remaining_counts = np.where(hidden_kin, 0, counts[kin] - removed_counts)
        of_kin = np.where(gallery.genera[kin] >= 0, np.searchsorted(genera, gallery.genera[kin]), -1)
        without = make_prototypes(remaining_sums, remaining_counts, of_kin, **prototype_options(gallery, method))
        kept = None if queries.kept is None else queries.kept.columns[number]
        places, some = (kin, slice(None)) if kept is None else np.intersect1d(kept, kin, return_indices=True)[1:]
        numbers[start:stop] = neutral if kept is None else neutral[kept]
        numbers[start:stop, hidden if kept is None else np.flatnonzero(np.isin(kept, hidden))] = 0
        similarities[start:stop, places] = (views[start:stop] @ without.T)[:, some]
    return similarities, numbers


def prototype_options(gallery: Gallery, method: Method) -> dict[str, Any]:
    """Return the options by which the method makes the gallery's prototypes."""
    return {"shrinkage": method.calibration.shrinkage, "centre": gallery.centre, "metric": method.metric}


def compare_kept(
    gallery: Gallery, queries: HeldOutQueries, views: NDArray[np.float64], method: Method
) -> NDArray[np.float64]:
    """Return each view's similarity to the prototypes of the species kept, (views, kept); to all where all are.

    Of a selection, prototypes are made and compared at float32, as answers do in large collections, and in blocks.
    """
    sums, counts = gallery.sums
    kept, options = queries.kept_of_views, prototype_options(gallery, method)
    if kept is None:
        return np.asarray(views @ make_prototypes(sums, counts, gallery.genera, **options).T)
    wanted, found = kept.columns.ravel(), np.empty(kept.columns.size)
    order = np.argsort(wanted, kind="stable")
    of_view, rows = order // kept.columns.shape[1], views.astype(np.float32)
    for block, made in prototype_blocks(sums, counts, gallery.genera, **options):
        some = slice(*np.searchsorted(wanted[order], [block.start, block.stop]))
        products = rows @ made.astype(np.float32).T
        found[order[some]] = products[of_view[some], wanted[order[some]] - block.start]
    return found.reshape(kept.columns.shape)


def keep_species(
    gallery: Gallery, queries: HeldOutQueries, found: Sequence[NearestRows], method: Method, seed: int
) -> HeldOutQueries:
    """Return the queries with the species that they are compared with: in a large collection, a selection.

    Species that vote in any of the searches `found` are kept, and so is the true one; of the others, the most probable
    by the method's prototypes and numbers of observations, and a sample.
    """
    if gallery.width <= EXACT:
        return replace(queries, kept=None)
    rows = np.concatenate([near.rows for near in found], axis=1)
    voted = np.where(rows >= 0, gallery.columns[rows], -1)
    parts = np.split(np.column_stack([voted, queries.columns]), queries.first[1:])
    certain = [np.unique(part[part >= 0]) for part in parts]
    width = max(map(len, certain)) + LIKELY + SAMPLED
    if width >= gallery.width:
        return replace(queries, kept=None)
    learned, (sums, counts) = method.calibration, gallery.sums
    constants = (learned.counts * np.log(neutral_counts(counts))).astype(np.float32)
    options = prototype_options(gallery, method)
    prototypes = make_prototypes(sums, counts, gallery.genera, **options, out=np.empty(sums.shape, dtype=np.float32))
    views = project(queries.embeddings, gallery.centre, method.metric).astype(np.float32)
    bounds = np.append(queries.first, len(views))
    drawn = []
    for start, stop in whole_observations(queries, max(1, CELLS // gallery.width)):
        near = compare_rows(prototypes, views[bounds[start] : bounds[stop]])
        best = np.maximum.reduceat(near, bounds[start:stop] - bounds[start], axis=0)
        logits = learned.prototypes * best + constants
        drawn.append(draw_kept(logits, certain[start:stop], width, [[seed, number] for number in range(start, stop)]))
    columns, multiplicity = (np.concatenate([getattr(part, name) for part in drawn]) for name in Kept.__annotations__)
    return replace(queries, kept=Kept(columns, multiplicity))


def whole_observations(queries: HeldOutQueries, views: int) -> Iterator[tuple[int, int]]:
    """Yield runs of observations, from and to, that have at most so many views together, or one observation."""
    bounds = np.append(queries.first, len(queries.columns))
    start = 0
    while start < queries.count:
        stop = int(np.searchsorted(bounds, bounds[start] + views, side="right")) - 1
        stop = min(queries.count, max(stop, start + 1))
        yield start, stop
        start = stop


def width_of(gallery: Gallery, queries: HeldOutQueries) -> int:
    """Return the number of species that each query is compared with."""
    return gallery.width if queries.kept is None else queries.kept.columns.shape[1]


def view_shares(gallery: Gallery, queries: HeldOutQueries, found: NearestRows, method: Method) -> NDArray[np.float64]:
    """Return the shares of the votes, (views, species), of the species kept."""
    near = np.where(found.rows >= 0, gallery.columns[found.rows], -1)
    observations = np.where(found.rows >= 0, gallery.observations[found.rows], -1)
    kept = queries.kept_of_views
    places = near if kept is None else kept.places(near)
    return vote_shares(found.similarities, observations, places, width_of(gallery, queries), method.voting.temperature)


def score_each_view(
    gallery: Gallery, queries: HeldOutQueries, found: Sequence[NearestRows], method: Method, *, hide: str = "own"
) -> list[Scores]:
    """Return the scores of each photo alone, (views, species), for each of several searches, in blocks.

    Species are those that the queries keep, and a score is that of one species (see `Kept`).
    """
    scores = [np.zeros((len(queries.columns), width_of(gallery, queries))) for _ in found]
    bounds = np.append(queries.first, len(queries.columns))
    for start, stop in whole_observations(queries, VIEWS):
        views = np.arange(bounds[start], bounds[stop])
        part = replace_views(queries, views, start)
        prototypes = prototype_similarities(gallery, part, method, hide)
        for filled, near in zip(scores, found, strict=True):
            shares = view_shares(gallery, part, near.select(views), method)
            filled[views] = score_views(
                shares, *prototypes, method.calibration, multiplicity=multiplicity_of(part.kept_of_views)
            )
    return scores


def fuse_views(
    per_view: Scores,
    embeddings: NDArray[np.floating],
    method: Method,
    aspects: NDArray[np.int64] | None = None,
    multiplicity: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Fuse the scores of one observation's photos, as the answer pipeline does."""
    learned = method.calibration
    voices = photo_voices(embeddings)
    weights = weigh_photos(voices, () if aspects is None else name_aspects(aspects), learned.aspects)
    sharpening = learned.sharpening.get(learned.fusion, 0.0)
    return fuse_scores(
        per_view, weights, rule=learned.fusion, sharpening=sharpening, voices=voices, multiplicity=multiplicity
    )


def fuse_all(per_view: Scores, queries: HeldOutQueries, method: Method) -> Scores:
    """Fuse the scores of the views of every observation. Returns (observations, species), of the species kept."""
    bounds = np.append(queries.first, len(per_view))
    shown = queries.aspects if method.calibration.aspects else None
    return np.stack(
        [
            fuse_views(
                per_view[start:stop],
                queries.embeddings[start:stop],
                method,
                None if shown is None else shown[start:stop],
                None if queries.kept is None else queries.kept.multiplicity[number],
            )
            for number, (start, stop) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
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
        kept=None if queries.kept is None else queries.kept.of(np.unique(queries.observations[views])),
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
