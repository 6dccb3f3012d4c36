"""A collection as arrays: references to search, questions to ask of them, and what is found for each.

The answer line keeps neighbours as objects, since it shows them; the evaluation asks tens of
thousands of questions of a hundred thousand references, so it keeps them as arrays. The rules are the
same functions of `retrieval/`; where a rule has a twin for arrays, a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.simulate import Simulation
from retrieval.domain import RANKS
from retrieval.models.embedder import Embeddings
from retrieval.progress import Progress, silent
from retrieval.ranking.aspects import code_aspects
from retrieval.ranking.prototypes import sum_observations
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.snapshot import Snapshot

GENUS = RANKS.index("genus")
BLOCK = 512  # views that are searched together

SAID = ("months", "cells", "aspects")  # what may be known of a photo beside its species


@dataclass(frozen=True)
class Gallery:
    """References, sorted by species and observation, so that each lies together; species are columns from 0."""

    embeddings: Embeddings  # (rows, 256)
    columns: NDArray[np.int64]  # (rows,) ascending
    observations: NDArray[np.int64]  # (rows,)
    species: NDArray[np.int64]  # (columns,) taxon ids
    lineages: NDArray[np.int64]  # (columns, 7) taxon ids, -1 where a rank is not known
    months: NDArray[np.int64] | None = None  # (rows,) 1 to 12, 0 where not known; None: nothing is known of any
    cells: NDArray[np.int64] | None = None  # (rows,) 0 where not known
    aspects: NDArray[np.int64] | None = None  # (rows,) places in ASPECTS, -1 where not known
    world: Gallery | None = None  # of a flora's gallery: where it was taken from, which prototypes are made of
    taken: NDArray[np.int64] | None = None  # (columns,): its species' columns there

    @property
    def width(self) -> int:
        """How many species."""
        return len(self.species)

    @cached_property
    def genera(self) -> NDArray[np.int64]:
        """Numbers of the species' genera, -1 where unknown."""
        return number_genera(self.lineages)

    @cached_property
    def spans(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first row of each observation, in the order of rows, and one past the last row at the end."""
        first = np.flatnonzero(np.diff(self.observations, prepend=self.observations[0] - 1))
        return first, np.append(first, len(self.observations))

    @cached_property
    def sums(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Sums of the observations' mean embeddings and numbers of observations, for each species."""
        return sum_observations(self.embeddings, self.columns, self.observations, self.width)

    @cached_property
    def centre(self) -> NDArray[np.float64]:
        """The mean of all observations."""
        sums, counts = self.sums
        return np.asarray(sums.sum(axis=0) / counts.sum())

    @property
    def photos(self) -> NDArray[np.int64]:
        """References of each species."""
        return np.bincount(self.columns, minlength=self.width)

    def only(self, rows: NDArray[np.bool_]) -> Gallery:
        """The gallery with some rows only; all species stay columns."""
        pick = {name: None if (held := getattr(self, name)) is None else held[rows] for name in SAID}
        return Gallery(
            self.embeddings[rows], self.columns[rows], self.observations[rows], self.species, self.lineages, **pick
        )

    def flora(self, listed: NDArray[np.bool_]) -> Gallery:
        """The gallery of some species; they alone stay columns, in the same order."""
        kept = self.only(listed[self.columns])
        renumbered = np.cumsum(listed) - 1
        return replace(
            kept,
            columns=renumbered[kept.columns],
            species=self.species[listed],
            lineages=self.lineages[listed],
            world=self,
            taken=np.flatnonzero(listed),
        )


@dataclass(frozen=True)
class HeldOutQueries:
    """Views of observations whose species is known; views of one observation lie together."""

    embeddings: Embeddings  # (views, 256)
    columns: NDArray[np.int64]  # (views,) the true species; -1: none of the gallery's
    observations: NDArray[np.int64]  # (views,) 0, 0, 1, 2, 2, ...: numbers of the questions, ascending
    own: NDArray[np.int64]  # (views,) the gallery's observation that may not answer; -1: none
    months: NDArray[np.int64] | None = None
    cells: NDArray[np.int64] | None = None
    aspects: NDArray[np.int64] | None = None

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """The first view of each observation."""
        return np.flatnonzero(np.diff(self.observations, prepend=-1))

    @property
    def count(self) -> int:
        """How many observations are asked for."""
        return len(self.first)

    @property
    def truth(self) -> NDArray[np.int64]:
        """The true species of each observation."""
        return self.columns[self.first]

    @property
    def photos(self) -> NDArray[np.int64]:
        """How many photos each observation has."""
        return np.diff(np.append(self.first, len(self.columns)))

    def only(self, asked: NDArray[np.bool_], photos: int | None = None) -> HeldOutQueries:
        """Some of the observations, (observations,) of them, with their first `photos` photos."""
        place = np.arange(len(self.columns)) - np.repeat(self.first, self.photos)
        views = asked[self.observations] & (place < (photos or len(self.columns)))
        numbers = np.unique(self.observations[views], return_inverse=True)[1]
        pick = {name: None if (held := getattr(self, name)) is None else held[views] for name in SAID}
        return HeldOutQueries(self.embeddings[views], self.columns[views], numbers, self.own[views], **pick)

    def views_of(self, asked: NDArray[np.bool_], photos: int | None = None) -> NDArray[np.int64]:
        """Which views `only` keeps."""
        place = np.arange(len(self.columns)) - np.repeat(self.first, self.photos)
        return np.flatnonzero(asked[self.observations] & (place < (photos or len(self.columns))))


@dataclass(frozen=True)
class NearestRows:
    """The nearest references of each view, best first: similarities and rows, (views, k); -1 where there is none."""

    similarities: NDArray[np.float32]
    rows: NDArray[np.int64]

    def of(self, views: NDArray[np.int64]) -> NearestRows:
        """What was found for some of the views."""
        return NearestRows(self.similarities[views], self.rows[views])


def number_genera(lineages: NDArray[np.int64]) -> NDArray[np.int64]:
    """Genera as numbers from 0 in the order of their ids; -1 where a species' genus is not known."""
    genera = lineages[:, GENUS]
    known = np.unique(genera[genera >= 0])
    return np.where(genera >= 0, np.searchsorted(known, genera), -1)


def search(
    gallery: Gallery, questions: HeldOutQueries, k: int = 50, *, hide: str = "own", progress: Progress = silent
) -> NearestRows:
    """The `k` nearest references of each view, by brute force in blocks.

    `hide` = own: a view's own observation may not answer; species: no reference of its true species may.
    """
    first, ends = gallery.spans
    ordinals = {int(gallery.observations[row]): place for place, row in enumerate(first)}
    species_ends = np.searchsorted(gallery.columns, np.arange(gallery.width + 1))
    k = min(k, len(gallery.columns))
    similarities, rows = [np.zeros((0, k), np.float32)], [np.zeros((0, k), np.int64)]
    for start in range(0, len(questions.columns), BLOCK):
        block = slice(start, start + BLOCK)
        scores = questions.embeddings[block] @ gallery.embeddings.T
        hidden = zip(questions.own[block].tolist(), questions.columns[block].tolist(), strict=True)
        for row, (own, column) in zip(scores, hidden, strict=True):
            if hide == "species" and column >= 0:
                row[species_ends[column] : species_ends[column + 1]] = -np.inf
            elif own >= 0 and own in ordinals:
                row[first[ordinals[own]] : ends[ordinals[own] + 1]] = -np.inf
        near = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(scores, near, axis=1)
        order = np.lexsort((near, -found), axis=1)
        found, near = np.take_along_axis(found, order, axis=1), np.take_along_axis(near, order, axis=1)
        similarities.append(found)
        rows.append(np.where(np.isfinite(found), near, -1))
        progress("search", len(scores), len(questions.columns))
    return NearestRows(np.concatenate(similarities), np.concatenate(rows))


def of_simulation(drawn: Simulation) -> tuple[Gallery, HeldOutQueries]:
    """The simulated collection and its queries. Taxon ids are made unique by the rank in front."""
    ranks = np.arange(1, len(RANKS) + 1) * 1_000_000
    lineages = drawn.lineages + ranks

    gallery = Gallery(
        drawn.gallery.embeddings,
        drawn.gallery.species,
        drawn.gallery.observation,
        lineages[:, -1],
        lineages,
        months=drawn.gallery.month + 1,
        cells=drawn.gallery.cell + 1,
    )
    asked = drawn.queries
    nobody = np.full(len(asked), -1, dtype=np.int64)
    months, cells = asked.month + 1, asked.cell + 1
    return gallery, HeldOutQueries(asked.embeddings, asked.species, asked.observation, nobody, months, cells)


def read_gallery(snapshot: Snapshot, flora: Flora) -> Gallery:
    """All references of a flora as arrays; species without references are no columns."""
    blocks = []
    for segment in snapshot.segments:
        lists = segment.lists_of(flora.species)
        embeddings, rows = segment.index.embeddings(lists)
        at = np.searchsorted(np.asarray(segment.offsets), rows, side="right") - 1
        shown = code_aspects(segment.aspects())[rows]
        blocks.append((embeddings, np.asarray(segment.species)[at], np.asarray(segment.observations)[rows], shown))
    embeddings, taxa, observations, aspects = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    order = np.lexsort((np.arange(len(taxa)), observations, taxa))
    species, columns = np.unique(taxa[order], return_inverse=True)
    unit = embeddings[order] / np.linalg.norm(embeddings[order], axis=1, keepdims=True)
    gallery = Gallery(unit, columns, observations[order], species, snapshot.lineages(species))
    if (aspects >= 0).any():
        gallery = replace(gallery, aspects=aspects[order])
    if snapshot.contexts is not None:
        months, cells = snapshot.contexts.of(gallery.observations)
        gallery = replace(gallery, months=months if months.any() else None, cells=cells if cells.any() else None)
    return gallery


def ask_itself(gallery: Gallery, observations: NDArray[np.int64] | None = None) -> HeldOutQueries:
    """The gallery's own observations as questions, those given or all whose species has another one."""
    if observations is None:
        several = gallery.sums[1][gallery.columns] > 1
        observations = np.unique(gallery.observations[several])
    rows = np.flatnonzero(np.isin(gallery.observations, observations))
    numbers = np.cumsum(np.diff(gallery.observations[rows], prepend=-1) != 0) - 1
    pick = {name: None if (held := getattr(gallery, name)) is None else held[rows] for name in SAID}
    return HeldOutQueries(gallery.embeddings[rows], gallery.columns[rows], numbers, gallery.observations[rows], **pick)
