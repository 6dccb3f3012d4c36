"""A collection as arrays: references, held-out queries, and the nearest references of each query.

The answer pipeline keeps neighbours as objects, because it shows them. The evaluation runs tens of thousands of
queries against a hundred thousand references, and keeps arrays. Both use the functions of `retrieval/`; where a
function has a version for arrays, a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.kept import Kept
from evaluation.galleries.nearest import nearest_among, nearest_of
from evaluation.galleries.outings import number_outings
from evaluation.galleries.simulate import Simulation
from retrieval.domain import RANKS, WORLD
from retrieval.models.embedder import Embeddings
from retrieval.models.provenance import find_taught, read_taught
from retrieval.progress import Progress, silent
from retrieval.ranking.aspects import code_aspects
from retrieval.ranking.groups import group_observations
from retrieval.ranking.prototypes import sum_observations
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.snapshot import Snapshot

GENUS = RANKS.index("genus")
BLOCK = 512  # views searched at once, at most
ROWS = 8_192  # references normalised, or species summed, at once
CELLS = 1 << 24  # similarities held at once, at most: 64 MB

METADATA = ("months", "cells", "habitats", "substrates", "aspects")  # metadata of a photo, besides its species
OPTIONAL_FIELDS = (*METADATA, "joined", "trained_on")  # fields of a reference that may be missing
HIDDEN = ("own", "species", "genus")  # left out of a search: the query's group, or its species or genus too


@dataclass(frozen=True)
class Gallery:
    """References sorted by species and observation. A species is a column, numbered from 0."""

    embeddings: Embeddings  # (rows, 256)
    columns: NDArray[np.int64]  # (rows,) ascending
    observations: NDArray[np.int64]  # (rows,)
    species: NDArray[np.int64]  # (columns,) taxon ids
    lineages: NDArray[np.int64]  # (columns, 7) taxon ids, -1 where a rank is not known
    months: NDArray[np.int64] | None = None  # (rows,) 1 to 12, 0 where unknown; None: unknown for all rows
    cells: NDArray[np.int64] | None = None  # (rows,) 0 where unknown
    habitats: NDArray[np.int64] | None = None  # (rows,) position in HABITATS counted from 1, 0 where unknown
    substrates: NDArray[np.int64] | None = None  # (rows,) position in SUBSTRATES counted from 1, 0 where unknown
    aspects: NDArray[np.int64] | None = None  # (rows,) position in ASPECTS, -1 where unknown
    joined: NDArray[np.int64] | None = None  # (rows,) groups that are left out together; None: each observation alone
    trained_on: NDArray[np.bool_] | None = None  # (rows,) the model was trained on the photo; None: on no known one

    @property
    def width(self) -> int:
        """The number of species."""
        return len(self.species)

    @cached_property
    def genera(self) -> NDArray[np.int64]:
        """The genus of each species as a number from 0; -1 where unknown. Shape (columns,)."""
        return number_genera(self.lineages)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """The group of each row: a query is never compared with references of its own group. Shape (rows,)."""
        return self.observations if self.joined is None else self.joined

    @cached_property
    def _rows_by_group(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows in the order of their groups, and the groups in that order."""
        order = np.argsort(self.groups, kind="stable")
        return order, self.groups[order]

    @cached_property
    def _rows_by_observation(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows in the order of their observations, and the observations in that order."""
        order = np.argsort(self.observations, kind="stable")
        return order, self.observations[order]

    def rows_of(self, observations: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the first row of each observation, which the gallery has, (observations,)."""
        order, ascending = self._rows_by_observation
        return order[np.searchsorted(ascending, observations)]

    def members(self, observation: int) -> NDArray[np.int64]:
        """Return the rows of an observation's group; none of an observation that the gallery does not have."""
        order, ascending = self._rows_by_observation
        at = int(np.searchsorted(ascending, observation))
        if at >= len(order) or ascending[at] != observation:
            return np.zeros(0, dtype=np.int64)
        rows, groups = self._rows_by_group
        first, last = np.searchsorted(groups, [self.groups[order[at]], self.groups[order[at]] + 1])
        return rows[first:last]

    @cached_property
    def _species_by_genus(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The columns in the order of their genera, and the genera in that order."""
        order = np.argsort(self.genera, kind="stable")
        return order, self.genera[order]

    def species_of(self, genus: int) -> NDArray[np.int64]:
        """Return the columns of a genus, by its number, ascending."""
        order, genera = self._species_by_genus
        first, last = np.searchsorted(genera, [genus, genus + 1])
        return order[first:last]

    @cached_property
    def evaluable(self) -> NDArray[np.int64]:
        """The observations that can be held out, ascending.

        Their species has references in another group, and the model was trained on no photo of their own group.
        """
        pairs = np.unique(np.stack([self.columns, self.groups], axis=1), axis=0)
        several = np.bincount(pairs[:, 0], minlength=self.width)[self.columns] > 1
        if self.trained_on is not None:
            several &= ~np.isin(self.groups, self.groups[self.trained_on])
        return np.unique(self.observations[several])

    @cached_property
    def spans(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first row of each observation, in the order of rows; and the same with the number of rows appended."""
        first = np.flatnonzero(np.diff(self.observations, prepend=self.observations[0] - 1))
        return first, np.append(first, len(self.observations))

    @cached_property
    def sums(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """For each species, the sum of its observations' mean embeddings, and the number of its observations."""
        sums, counts = np.zeros((self.width, self.embeddings.shape[1])), np.zeros(self.width, dtype=np.int64)
        bounds = np.searchsorted(self.columns, np.append(np.arange(0, self.width, ROWS), self.width))
        for first, start, stop in zip(range(0, self.width, ROWS), bounds[:-1], bounds[1:], strict=True):
            some, rows = slice(first, first + ROWS), slice(start, stop)
            parts = self.embeddings[rows], self.columns[rows] - first, self.observations[rows]
            sums[some], counts[some] = sum_observations(*parts, len(counts[some]))
        return sums, counts

    @cached_property
    def centre(self) -> NDArray[np.float64]:
        """The mean over all observations, shape (256,)."""
        sums, counts = self.sums
        return np.asarray(sums.sum(axis=0) / counts.sum())

    @property
    def photos(self) -> NDArray[np.int64]:
        """The number of references of each species, shape (columns,)."""
        return np.bincount(self.columns, minlength=self.width)

    def select(self, rows: NDArray[np.bool_]) -> Gallery:
        """Return the gallery with the rows where `rows` is true. Columns stay as they are."""
        pick = {name: None if (held := getattr(self, name)) is None else held[rows] for name in OPTIONAL_FIELDS}
        return Gallery(
            self.embeddings[rows], self.columns[rows], self.observations[rows], self.species, self.lineages, **pick
        )


@dataclass(frozen=True)
class HeldOutQueries:
    """Views of observations whose species is known. The views of one observation are adjacent."""

    embeddings: Embeddings  # (views, 256)
    columns: NDArray[np.int64]  # (views,) the true species; -1: not in the gallery
    observations: NDArray[np.int64]  # (views,) the number of the query, ascending: 0, 0, 1, 2, 2, ...
    excluded: NDArray[np.int64]  # (views,) the gallery's observation that is left out of the search; -1: none
    months: NDArray[np.int64] | None = None
    cells: NDArray[np.int64] | None = None
    habitats: NDArray[np.int64] | None = None
    substrates: NDArray[np.int64] | None = None
    aspects: NDArray[np.int64] | None = None
    kept: Kept | None = None  # the species that each observation is compared with; None: all

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """The first view of each observation."""
        return np.flatnonzero(np.diff(self.observations, prepend=-1))

    @property
    def count(self) -> int:
        """The number of queried observations."""
        return len(self.first)

    @property
    def truth(self) -> NDArray[np.int64]:
        """The true species of each observation, shape (observations,)."""
        return self.columns[self.first]

    @property
    def places(self) -> NDArray[np.int64]:
        """Where the true species stands among those that each observation keeps, (observations,)."""
        return self.truth if self.kept is None else self.kept.places(self.truth)

    @property
    def photos(self) -> NDArray[np.int64]:
        """The number of photos of each observation, shape (observations,)."""
        return np.diff(np.append(self.first, len(self.columns)))

    def select(self, chosen: NDArray[np.bool_], photos: int | None = None) -> HeldOutQueries:
        """Return the observations where `chosen` (observations,) is true, with their first `photos` photos."""
        position = np.arange(len(self.columns)) - np.repeat(self.first, self.photos)
        views = chosen[self.observations] & (position < (photos or len(self.columns)))
        numbers = np.unique(self.observations[views], return_inverse=True)[1]
        pick = {name: None if (held := getattr(self, name)) is None else held[views] for name in METADATA}
        kept = None if self.kept is None else self.kept.of(chosen)
        return HeldOutQueries(
            self.embeddings[views], self.columns[views], numbers, self.excluded[views], **pick, kept=kept
        )

    @property
    def kept_of_views(self) -> Kept | None:
        """The species kept of each view's observation."""
        return None if self.kept is None else self.kept.of(self.observations)

    def selected_views(self, chosen: NDArray[np.bool_], photos: int | None = None) -> NDArray[np.int64]:
        """Return the positions of the views that `select` keeps."""
        position = np.arange(len(self.columns)) - np.repeat(self.first, self.photos)
        return np.flatnonzero(chosen[self.observations] & (position < (photos or len(self.columns))))


@dataclass(frozen=True)
class NearestRows:
    """The nearest references of each view, best first. Both arrays have shape (views, k); a missing row is -1."""

    similarities: NDArray[np.float32]
    rows: NDArray[np.int64]
    k: int = 0  # neighbours per search, where the searches of lists follow that of the world; 0: a single search

    def select(self, views: NDArray[np.int64]) -> NearestRows:
        """Return the neighbours of some of the views."""
        return NearestRows(self.similarities[views], self.rows[views], self.k)

    def first(self, k: int) -> NearestRows:
        """Return the `k` nearest neighbours of a single search."""
        return NearestRows(self.similarities[:, :k], self.rows[:, :k])

    def within(self, list_index: int | None = None) -> NearestRows:
        """Return the nearest references in the world, merged with those of the list at `list_index` if one is given."""
        k = self.k or self.rows.shape[1]
        if list_index is None:
            return NearestRows(self.similarities[:, :k], self.rows[:, :k])
        parts = [slice(0, k), slice((1 + list_index) * k, (2 + list_index) * k)]
        similarities = np.concatenate([self.similarities[:, part] for part in parts], axis=1)
        rows = np.concatenate([self.rows[:, part] for part in parts], axis=1)
        order = np.lexsort((rows, -similarities), axis=1)
        return NearestRows(np.take_along_axis(similarities, order, axis=1), np.take_along_axis(rows, order, axis=1))


def number_genera(lineages: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the genera from 0 in the order of their ids. Returns (species,); -1 where the genus is unknown."""
    genera = lineages[:, GENUS]
    known = np.unique(genera[genera >= 0])
    return np.where(genera >= 0, np.searchsorted(known, genera), -1)


def hidden_columns(gallery: Gallery, column: int, hide: str) -> NDArray[np.int64]:
    """Return the columns hidden together with a species: none, the species itself, or all species of its genus."""
    if hide == "own" or column < 0:
        return np.zeros(0, dtype=np.int64)
    if hide == "species" or gallery.genera[column] < 0:
        return np.array([column])
    return gallery.species_of(int(gallery.genera[column]))


def search(
    gallery: Gallery,
    queries: HeldOutQueries,
    k: int = 50,
    *,
    hide: str = "own",
    lists: Sequence[NDArray[np.bool_]] = (),
    progress: Progress = silent,
) -> NearestRows:
    """Find the `k` nearest references of each view, by exact search in blocks.

    The group of the query itself is always left out. With `hide` = species or genus, all references of its true taxon
    are left out too. `lists` are boolean arrays over the species. The nearest references of each list follow those of
    the world; `NearestRows.within` separates them.
    """
    of_species = np.searchsorted(gallery.columns, np.arange(gallery.width + 1))
    inside = [np.flatnonzero(listed[gallery.columns]) for listed in lists]
    k = min(k, len(gallery.columns))
    width = k * (1 + len(lists))
    similarities, rows = [np.zeros((0, width), np.float32)], [np.zeros((0, width), np.int64)]
    together = min(BLOCK, max(1, CELLS // max(1, len(gallery.columns))))
    for start in range(0, len(queries.columns), together):
        block = slice(start, start + together)
        scores = queries.embeddings[block] @ gallery.embeddings.T
        hidden = zip(queries.excluded[block].tolist(), queries.columns[block].tolist(), strict=True)
        for row, (excluded, column) in zip(scores, hidden, strict=True):
            row[gallery.members(excluded)] = -np.inf
            for kin in hidden_columns(gallery, column, hide).tolist():
                row[of_species[kin] : of_species[kin + 1]] = -np.inf
        nearest = [nearest_of(scores, k)]
        for rows_inside in inside:
            nearest.append(nearest_among(scores, rows_inside, k))
        similarities.append(np.concatenate([found for found, _ in nearest], axis=1))
        rows.append(np.concatenate([near for _, near in nearest], axis=1))
        progress("search", len(scores), len(queries.columns))
    return NearestRows(np.concatenate(similarities), np.concatenate(rows), k)


def convert_simulation(drawn: Simulation) -> tuple[Gallery, HeldOutQueries]:
    """Convert a simulation to a gallery and its queries. The number of the rank makes taxon ids unique."""
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
    chosen = drawn.queries
    nobody = np.full(len(chosen), -1, dtype=np.int64)
    months, cells = chosen.month + 1, chosen.cell + 1
    return gallery, HeldOutQueries(chosen.embeddings, chosen.species, chosen.observation, nobody, months, cells)


def read_gallery(snapshot: Snapshot, flora: Flora) -> Gallery:
    """Read all references of a flora as arrays. Species without references have no column."""
    blocks = []
    teachers = read_taught(snapshot.manifest.model)
    for segment in snapshot.segments:
        lists = segment.lists_of(flora.species)
        embeddings, rows = segment.index.embeddings(lists)
        at = np.searchsorted(np.asarray(segment.offsets), rows, side="right") - 1
        shown = code_aspects(segment.aspects())[rows]
        trained_on = find_taught(segment.photos(), teachers)[rows] if len(teachers) else np.zeros(len(rows), dtype=bool)
        of_rows = np.asarray(segment.observations)[rows]
        authors = np.array(segment.authors(), dtype=object)[rows]
        blocks.append((embeddings, np.asarray(segment.species)[at], of_rows, shown, trained_on, authors))
    unit, taxa, observations, aspects, trained_on, authors = (
        np.concatenate(parts) if len(parts) > 1 else parts[0] for parts in zip(*blocks, strict=True)
    )
    del blocks
    order = np.lexsort((np.arange(len(taxa)), observations, taxa))
    species, columns = np.unique(taxa[order], return_inverse=True)
    unit = unit[order]
    for some in np.split(unit, range(ROWS, len(unit), ROWS)):
        some /= np.linalg.norm(some, axis=1, keepdims=True)
    gallery = Gallery(unit, columns, observations[order], species, snapshot.lineages(species))
    if trained_on.any():
        gallery = replace(gallery, trained_on=trained_on[order])
    if (aspects >= 0).any():
        gallery = replace(gallery, aspects=aspects[order])
    if snapshot.contexts is not None:
        said = snapshot.contexts.of(gallery.observations)
        contexts: dict[str, Any] = {name: column if column.any() else None for name, column in said.items()}
        gallery = replace(gallery, **contexts)
    outings = number_outings(columns, gallery.months, gallery.cells, authors[order].tolist())
    return replace(gallery, joined=group_observations(gallery.observations, unit, outings))


def read_lists(snapshot: Snapshot, gallery: Gallery) -> dict[str, NDArray[np.bool_]]:
    """Return the species of each flora except the world: boolean arrays over the gallery's species, by flora id."""
    named = [card.id for card in snapshot.floras if card.id != WORLD]
    return {flora: np.isin(gallery.species, snapshot.flora(flora).species) for flora in named}


def hold_out_queries(gallery: Gallery, observations: NDArray[np.int64] | None = None) -> HeldOutQueries:
    """Return observations of the gallery as queries: those given, or all that can be held out."""
    if observations is None:
        observations = gallery.evaluable
    rows = np.flatnonzero(np.isin(gallery.observations, observations))
    numbers = np.cumsum(np.diff(gallery.observations[rows], prepend=-1) != 0) - 1
    pick = {name: None if (held := getattr(gallery, name)) is None else held[rows] for name in METADATA}
    return HeldOutQueries(gallery.embeddings[rows], gallery.columns[rows], numbers, gallery.observations[rows], **pick)
