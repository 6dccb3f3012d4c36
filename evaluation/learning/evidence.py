"""Scores of held-out observations from their photos alone, before lists, recalibration and rejection are applied.

Every observation is compared with all references outside its own group: in the world and in each list, with all photos
and with the first alone, with its species or genus present and hidden. All later steps are fitted on these scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, HeldOutQueries, NearestRows, search
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

    @property
    def of_species(self) -> NDArray[np.float64]:
        """The mean of each species, shrunk towards the overall mean where observations are few: (species,)."""
        counts = np.bincount(self.columns, minlength=self.width)
        sums = np.bincount(self.columns, self.values, minlength=self.width)
        return np.asarray((sums + PSEUDO_COUNT * self.usual) / (counts + PSEUDO_COUNT))

    def without(self, observation: int, typical: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return `of_species` without one observation, so that it is not compared with itself."""
        position = int(np.searchsorted(self.observations, observation))
        if position >= len(self.observations) or self.observations[position] != observation:
            return typical
        column = int(self.columns[position])
        count = int((self.columns == column).sum())
        adapted = typical.copy()
        whole = typical[column] * (count + PSEUDO_COUNT)
        adapted[column] = (whole - self.values[position]) / (count - 1 + PSEUDO_COUNT)
        return adapted


def measure_typical(gallery: Gallery) -> Typical:
    """Compare the photos of each species with one another, leaving out those of the same group."""
    observations, columns, values = [], [], []
    ends = np.searchsorted(gallery.columns, np.arange(gallery.width + 1))
    for column in range(gallery.width):
        rows = slice(int(ends[column]), int(ends[column + 1]))
        groups = gallery.groups[rows]
        if len(np.unique(groups)) < 2:
            continue
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
    fused: Scores  # (observations, species)
    photos: NDArray[np.float64]  # (observations,) effective number of photos
    near: NDArray[np.float64]  # (observations,) similarity of the closest reference, mean over photos
    features: NDArray[np.float64]  # (observations, 12) of `retrieval.ranking.unknown`; from the world
    truth: NDArray[np.int64]  # (observations,) columns

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
    similarities = np.where(near.rows >= 0, near.similarities, -np.inf)
    usual, neutral = typical.of_species, neutral_counts(gallery.sums[1])
    counts = gallery.sums[1].astype(np.float64)
    for number, (start, stop) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        if not np.isfinite(similarities[start:stop, 0]).any():
            continue
        excluded = int(queries.excluded[start])
        features[number] = observe_unknown(
            similarities[start:stop],
            columns[start:stop],
            per_view[start:stop],
            fused[number],
            photo_voices(queries.embeddings[start:stop]),
            typical.without(excluded, usual) if hide == "own" else usual,
            counts if excluded < 0 else neutral,
            typical.usual,
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


def pick(evidence: Evidence, chosen: NDArray[np.bool_]) -> Evidence:
    """Return the evidence of some of the observations."""
    return replace(
        evidence,
        fused=evidence.fused[chosen],
        photos=evidence.photos[chosen],
        near=evidence.near[chosen],
        features=evidence.features[chosen],
        truth=evidence.truth[chosen],
    )
