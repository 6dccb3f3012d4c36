"""Scores of held-out observations from their photos alone, before lists, recalibration and rejection are applied.

Every observation is compared with all references outside its own group: in the world and in each list, with all photos
and with the first alone, with its species or genus present and hidden. All later steps are fitted on these scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, HeldOutQueries, NearestRows, search
from evaluation.galleries.kept import Kept, multiplicity_of
from evaluation.learning.out_of_fold import Views
from evaluation.learning.scoring import (
    Method,
    Scores,
    closest_similarities,
    fuse_all,
    neutral_counts,
    score_each_view,
)
from retrieval.ranking.fusion import photo_voices
from retrieval.ranking.unknown import FEATURES, observe_unknown

NEIGHBOURS = 50
PSEUDO_COUNT = 3.0  # weight of the mean over all species in the typical similarity of one species, in observations
LISTS = 6  # lists that are learned from; the largest and the smallest are the most informative


@dataclass(frozen=True)
class Typical:
    """The similarity of observations to the closest observation of their species in another group."""

    observations: NDArray[np.int64]  # (n,) ascending: observations whose species has another group
    columns: NDArray[np.int64]  # (n,)
    values: NDArray[np.float64]  # (n,): mean over the photos
    width: int

    @property
    def usual(self) -> float:
        """The mean over all observations; 0 if there are none."""
        return float(self.values.mean()) if len(self.values) else 0.0

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """The number of these observations of each species, (species,)."""
        return np.bincount(self.columns, minlength=self.width)

    @property
    def of_species(self) -> NDArray[np.float64]:
        """The mean of each species, shrunk towards the overall mean where observations are few: (species,)."""
        sums = np.bincount(self.columns, self.values, minlength=self.width)
        return np.asarray((sums + PSEUDO_COUNT * self.usual) / (self.counts + PSEUDO_COUNT))

    def without(self, observation: int, typical: NDArray[np.float64]) -> tuple[int, float]:
        """Return the species of an observation, -1 if it has no value, and its `of_species` without the observation.

        So an observation is not compared with itself.
        """
        position = int(np.searchsorted(self.observations, observation))
        if position >= len(self.observations) or self.observations[position] != observation:
            return -1, np.nan
        column = int(self.columns[position])
        count = int(self.counts[column])
        whole = typical[column] * (count + PSEUDO_COUNT)
        return column, float((whole - self.values[position]) / (count - 1 + PSEUDO_COUNT))


def measure_typical(gallery: Gallery) -> Typical:
    """Compare the photos of each species with one another, leaving out those of the same group."""
    observations, columns, values = [], [], []
    ends = np.searchsorted(gallery.columns, np.arange(gallery.width + 1))
    apart = np.append(False, (np.diff(gallery.groups) != 0) & (np.diff(gallery.columns) == 0))
    several = np.unique(gallery.columns[apart])  # species with rows of two groups
    for column in several.tolist():
        rows = slice(int(ends[column]), int(ends[column + 1]))
        groups = gallery.groups[rows]
        near = gallery.embeddings[rows] @ gallery.embeddings[rows].T
        near[groups[:, None] == groups[None, :]] = -np.inf
        best = near.max(axis=1).astype(np.float64)
        named, of = np.unique(gallery.observations[rows], return_inverse=True)
        mean = np.bincount(of, best) / np.bincount(of)
        observations += named.tolist()
        columns += [column] * len(named)
        values += mean.tolist()
    order = np.argsort(np.array(observations, dtype=np.int64), kind="stable")
    return Typical(
        np.array(observations, dtype=np.int64)[order],
        np.array(columns, dtype=np.int64)[order],
        np.array(values, dtype=np.float64)[order],
        gallery.width,
    )


@dataclass(frozen=True)
class Evidence:
    """The scores of a set of observations under one condition."""

    hide: str  # one of HIDDEN
    list_index: int | None  # position of the list; None: the world
    alone: bool  # only the first photo of each observation was used
    fused: Scores  # (observations, species), each score that of one species
    photos: NDArray[np.float64]  # (observations,) effective number of photos
    near: NDArray[np.float64]  # (observations,) similarity of the closest reference, mean over photos
    features: NDArray[np.float64]  # (observations, 12) of `retrieval.ranking.unknown`; from the world
    truth: NDArray[np.int64]  # (observations,) columns
    kept: Kept | None = None  # the species of `fused`; None: all

    @property
    def places(self) -> NDArray[np.int64]:
        """The place of the true species in `fused`, (observations,); -1 of none."""
        return self.truth if self.kept is None else self.kept.places(self.truth)

    def species(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the species at a place of each row of `fused`, (observations,) columns."""
        return places if self.kept is None else self.kept.columns[np.arange(len(places)), places]

    @property
    def multiplicity(self) -> NDArray[np.float64] | None:
        """How many species each of `fused` stands for, (observations, species); None: itself alone."""
        return multiplicity_of(self.kept)

    @property
    def known(self) -> bool:
        """Whether references of the true species were present."""
        return self.hide == "own"


def gather_evidence(
    gallery: Gallery,
    queries: HeldOutQueries,
    method: Method,
    *,
    hide: str = "own",
    lists: Sequence[NDArray[np.bool_]] = (),
    typical: Typical,
    views: Views | None = None,
    found: NearestRows | None = None,
    alone: bool = True,
) -> list[Evidence]:
    """Score the queries in the world and in each list, with all photos and (with `alone`) with the first only.

    `views` replaces `score_each_view`, for example by one with out-of-fold metrics. `found` is the result of `search`
    with these lists.
    """
    nearest = search(gallery, queries, NEIGHBOURS, hide=hide, lists=lists) if found is None else found
    all_queries = np.ones(queries.count, dtype=bool)
    first, firsts = queries.select(all_queries, 1), queries.selected_views(all_queries, 1)
    gathered: list[Evidence] = []
    features: dict[bool, NDArray[np.float64]] = {}
    places = [None, *range(len(lists))]
    searches = [nearest.within(list_index) for list_index in places]
    if views is None:
        scored = score_each_view(gallery, queries, searches, method, hide=hide)
    else:
        scored = views(queries, searches, hide)
    for list_index, near, scores in zip(places, searches, scored, strict=True):
        for single in (False, True) if alone else (False,):
            some, rows = (first, firsts) if single else (queries, np.arange(len(queries.columns)))
            fused = fuse_all(scores[rows], some, method)
            if list_index is None:
                features[single] = features_of(gallery, some, near.select(rows), scores[rows], fused, typical, hide)
            gathered.append(
                Evidence(
                    hide,
                    list_index,
                    single,
                    fused,
                    effective_photos(some),
                    closest_similarities(some, near.select(rows)),
                    features[single],
                    some.truth,
                    some.kept,
                )
            )
    return gathered


def effective_photos(queries: HeldOutQueries) -> NDArray[np.float64]:
    """Return the effective number of photos of each observation, (observations,)."""
    parts = np.split(queries.embeddings, queries.first[1:])
    return np.array([float(photo_voices(part).sum()) for part in parts])


def features_of(
    gallery: Gallery,
    queries: HeldOutQueries,
    near: NearestRows,
    per_view: Scores,
    fused: Scores,
    typical: Typical,
    hide: str,
) -> NDArray[np.float64]:
    """Return the features of unknown species of each observation, (observations, 12); 0 where nothing was compared."""
    features = np.zeros((queries.count, len(FEATURES)))
    bounds = np.append(queries.first, len(per_view))
    columns = np.where(near.rows >= 0, gallery.columns[near.rows], -1)
    if queries.kept_of_views is not None:
        columns = queries.kept_of_views.places(columns)
    similarities = np.where(near.rows >= 0, near.similarities, -np.inf)
    usual, neutral = typical.of_species, neutral_counts(gallery.sums[1])
    counts = gallery.sums[1].astype(np.float64)
    everything = np.arange(gallery.width)
    for number, (start, stop) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        if not np.isfinite(similarities[start:stop, 0]).any():
            continue
        excluded = int(queries.excluded[start])
        kept = everything if queries.kept is None else queries.kept.columns[number]
        own = usual[kept]
        if hide == "own":
            column, adapted = typical.without(excluded, usual)
            own[kept == column] = adapted
        features[number] = observe_unknown(
            similarities[start:stop],
            columns[start:stop],
            per_view[start:stop],
            fused[number],
            photo_voices(queries.embeddings[start:stop]),
            own,
            (counts if excluded < 0 else neutral)[kept],
            typical.usual,
            None if queries.kept is None else queries.kept.multiplicity[number],
        )
    return features


def choose_lists(gallery: Gallery, lists: Sequence[NDArray[np.bool_]], most: int = LISTS) -> list[NDArray[np.bool_]]:
    """Choose lists that are neither empty nor complete, spread over their sizes."""
    counts = gallery.sums[1]
    usable = [listed for listed in lists if 0 < counts[listed].sum() < counts.sum()]
    usable.sort(key=lambda listed: int(counts[listed].sum()))
    if len(usable) <= most:
        return usable
    return [usable[round(position)] for position in np.linspace(0, len(usable) - 1, most)]
