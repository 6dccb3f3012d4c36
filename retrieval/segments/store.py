"""Search over several segments: exact, with PQ codes first (two-stage), or in the nearest species only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import Neighbour
from retrieval.models.embedder import DIM, Embeddings
from retrieval.search.faiss_coarse import CoarseQuantiser, PreparedQuantiser
from retrieval.search.faiss_codes import PreparedLists, make_selector
from retrieval.search.faiss_index import FaissIndex, rank_candidates
from retrieval.search.filtered_index import FilteredIndex
from retrieval.search.index import Lists, Rows, Similarities, best_rows
from retrieval.search.recipes import PROTOTYPE_FIRST, Recipe
from retrieval.segments.segment import Segment

VIEWS_AT_ONCE = 32  # views of a block: enough to share passes over the lists, few enough to occupy all threads
MANY = 12  # fewest views for which prototype-first search is batched
TOGETHER = 128  # most views in one call of it
RANKED_AT_ONCE = 4  # views whose candidates are gathered together: more would not fit in the cache


@dataclass(frozen=True, eq=False)
class SegmentPart:
    """The lists of a flora in one segment."""

    segment: Segment
    lists: Lists
    hidden: NDArray[np.bool_] | None = None  # mask (rows of the segment,); None: no row is masked
    lists_of_lines: Lists | None = None  # segment's list (or -1) of each coarse-quantiser line, and a final -1

    @cached_property
    def cut(self) -> PreparedLists:
        """The part's PQ codes, prepared for search."""
        if self.segment.codes is None:
            raise ValueError(f"segment {self.segment.base} has no codes")
        return self.segment.codes.cut(self.lists, self.hidden)

    def lists_at(self, lines: Lists) -> Lists:
        """Map lines of the coarse quantiser to the segment's lists, -1 for none."""
        if self.lists_of_lines is None:
            raise ValueError(f"segment {self.segment.base} has no coarse quantiser")
        return self.lists_of_lines[lines]  # the line -1 selects the final entry

    @cached_property
    def index(self) -> FaissIndex | FilteredIndex:
        """The exact index of the segment's unmasked rows."""
        return self.segment.store if self.hidden is None else FilteredIndex(self.segment.store, self.hidden)

    @cached_property
    def selector(self) -> object:
        """A FAISS selector of the unmasked rows; None where no row is masked."""
        return None if self.hidden is None else make_selector(~self.hidden)


@dataclass(frozen=True, eq=False)
class CoarseSearch:
    """The species of a flora in the snapshot's coarse quantiser."""

    quantiser: CoarseQuantiser
    lines: Lists

    @cached_property
    def cut(self) -> PreparedQuantiser:
        """The lines, prepared for search."""
        return self.quantiser.cut(self.lines)


Run: TypeAlias = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""`map`, sequential or in several threads."""

Chooser: TypeAlias = Callable[[Sequence[SegmentPart], Embeddings, int], list[Rows] | None]
"""Returns for each view candidate rows, ascending, that include its `k` nearest; or None if it cannot."""


@dataclass(frozen=True, slots=True)
class NearestReferences:
    """The nearest references of each view, best first; arrays (views, k), padded with -1 and -inf."""

    similarities: Similarities
    rows: Rows  # of the snapshot
    species: NDArray[np.int64]
    observations: NDArray[np.int64]

    def neighbours(self) -> list[list[Neighbour]]:
        """Return a list of neighbours for each view, without padding."""
        views = zip(
            self.rows.tolist(),
            self.species.tolist(),
            self.observations.tolist(),
            self.similarities.tolist(),
            strict=True,
        )
        return [
            [Neighbour(row, species, seen, near) for row, species, seen, near in zip(*view, strict=True) if row >= 0]
            for view in views
        ]


def search_parts(
    parts: Sequence[SegmentPart],
    embeddings: Embeddings,
    k: int,
    recipe: Recipe,
    threads: int = 1,
    choose: Chooser | None = None,
    coarse: CoarseSearch | None = None,
) -> NearestReferences:
    """Return the `k` nearest references of each view; ties by species, observation and row, across segments.

    The views are divided among `threads`. `choose`, if given, selects the candidate rows in place of the recipe, or
    returns None to decline.
    """
    queries = np.asarray(embeddings, dtype=np.float32)
    two_stage = bool(parts) and recipe.depth > 0 and all(part.segment.codes is not None for part in parts)
    near = coarse if recipe.kind == PROTOTYPE_FIRST else None

    def one(block: Embeddings) -> tuple[Similarities, Rows]:
        chosen = choose(parts, block, k) if choose is not None else None
        if chosen is None and two_stage:
            chosen = choose_rows(parts, block, k, recipe, coarse)
        if chosen is not None:
            return rank_chosen(parts, block, k, chosen)
        if near is not None:
            return search_near(parts, block, k, recipe.probes, near)
        return search_exact(parts, block, k)

    if near is not None and choose is None and not two_stage and near.cut.lines and len(queries) >= MANY:
        with in_threads(threads) as run:
            similarities, rows = search_together(parts, queries, k, recipe.probes, near, threads, run)
    else:
        pieces = max(threads, -(-len(queries) // VIEWS_AT_ONCE))
        pieces = min(len(queries), -(-pieces // threads) * threads)  # a multiple of the threads
        if pieces <= 1:
            similarities, rows = one(queries)
        else:
            with in_threads(threads) as run:
                similarities, rows = join(run(one, np.array_split(queries, pieces)))
    return NearestReferences(similarities, rows, *describe_rows(parts, rows))


@contextmanager
def in_threads(threads: int) -> Iterator[Run]:
    """Yield a `map` over a pool of threads, or the built-in `map` for a single thread."""
    if threads <= 1:
        yield map
        return
    with ThreadPoolExecutor(threads) as pool:
        yield pool.map


def join(answers: Iterable[tuple[Similarities, Rows]]) -> tuple[Similarities, Rows]:
    """Concatenate the results of blocks of views."""
    near, found = zip(*answers, strict=True)
    return np.concatenate(near), np.concatenate(found)


def search_near(
    parts: Sequence[SegmentPart],
    embeddings: Embeddings,
    k: int,
    probes: int,
    coarse: CoarseSearch,
    lines: Lists | None = None,
) -> tuple[Similarities, Rows]:
    """Search all rows of the `probes` species with the most similar means; of more species where they have too few.

    `lines` are these species' lines of the coarse quantiser, where the caller has computed them.
    """
    if lines is None:
        lines = coarse.quantiser.nearest(embeddings, probes, coarse.cut)
    best, found = search_exact(parts, embeddings, k, lines)
    if k and lines.shape[1] < coarse.cut.lines:
        few = found[:, k - 1] < 0
        if few.any():
            best[few], found[few] = search_near(parts, embeddings[few], k, 4 * probes, coarse)
    return best, found


def search_together(
    parts: Sequence[SegmentPart],
    embeddings: Embeddings,
    k: int,
    probes: int,
    coarse: CoarseSearch,
    threads: int,
    run: Run,
) -> tuple[Similarities, Rows]:
    """Like `search_near`, for many views, ordered so that views nearest to the same species are adjacent.

    The rows of a species are then in the cache for the next view, and one call to FAISS serves many views.
    """
    wanted = min(len(embeddings), max(threads, -(-len(embeddings) // TOGETHER)))
    blocks = np.array_split(embeddings, wanted)
    lines = np.concatenate(list(run(lambda block: coarse.quantiser.nearest(block, probes, coarse.cut), blocks)))
    order = np.argsort(lines[:, 0], kind="stable")
    pieces = np.array_split(order, wanted)
    best, found = join(
        run(lambda piece: search_near(parts, embeddings[piece], k, probes, coarse, lines[piece]), pieces)
    )
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return best[back], found[back]


def search_exact(
    parts: Sequence[SegmentPart], embeddings: Embeddings, k: int, lines: Lists | None = None
) -> tuple[Similarities, Rows]:
    """Search all rows of every part, or those of each view's own lines of the coarse quantiser."""
    near, at = [], []
    for part in parts:
        similarities, rows = part.index.search(embeddings, k, part.lists if lines is None else part.lists_at(lines))
        near.append(similarities)
        at.append(np.where(rows < 0, -1, rows + part.segment.base) if part.segment.base else rows)
    if len(parts) == 1:
        return near[0], at[0]
    return merge_parts(parts, near, at, len(embeddings), k)


def merge_parts(
    parts: Sequence[SegmentPart], near: Sequence[Similarities], at: Sequence[Rows], views: int, k: int
) -> tuple[Similarities, Rows]:
    """Merge the results of several parts to the `k` best; ties by species, observation and row."""
    if len(parts) == 1:  # a segment's rows are in that order
        return best_rows(np.concatenate(near, axis=1), np.concatenate(at, axis=1), k)
    similarities = np.concatenate([np.zeros((views, 0), np.float32), *near], axis=1)
    rows = np.concatenate([np.zeros((views, 0), np.int64), *at], axis=1)
    settled = sort_distinct(similarities, rows, k)
    if settled is not None:
        return settled
    species, observations = describe_rows(parts, rows)
    order = np.lexsort((rows, observations, species, -similarities), axis=-1)[:, :k]
    best, found = np.full((views, k), -np.inf, np.float32), np.full((views, k), -1, np.int64)
    best[:, : order.shape[1]] = np.take_along_axis(similarities, order, axis=1)
    found[:, : order.shape[1]] = np.take_along_axis(rows, order, axis=1)
    return best, found


def sort_distinct(near: Similarities, at: Rows, k: int) -> tuple[Similarities, Rows] | None:
    """Return the `k` best, best first, where every view has so many and there are no ties; otherwise None.

    Ties are rare, and without them species and observations of the rows need not be read.
    """
    if not 0 < k <= near.shape[1]:
        return None
    order, line = np.argsort(-near, axis=1)[:, : k + 1], np.arange(len(near))[:, None]
    best = near[line, order]
    if not (best[:, :-1] > best[:, 1:]).all():  # padding ties as well
        return None
    return best[:, :k], at[line, order[:, :k]]


def rank_chosen(
    parts: Sequence[SegmentPart], embeddings: Embeddings, k: int, chosen: Sequence[Rows]
) -> tuple[Similarities, Rows]:
    """Rank the candidate rows of each view (ascending) at float16; returns the `k` best."""
    best, found = np.full((len(chosen), k), -np.inf, np.float32), np.full((len(chosen), k), -1, np.int64)
    for start in range(0, len(chosen), RANKED_AT_ONCE):
        group = [order_rows(parts, rows) for rows in chosen[start : start + RANKED_AT_ONCE]]
        counts = np.array([len(rows) for rows in group], dtype=np.int64)
        every = np.concatenate(group)
        stored = gather_rows(parts, every)
        views = slice(start, start + len(group))
        best[views], places = rank_candidates(embeddings[views], stored, counts, k)
        at = np.maximum(places + (np.cumsum(counts) - counts)[:, None], 0)
        found[views] = np.where(places < 0, -1, every[np.minimum(at, len(every) - 1)] if len(every) else -1)
    return best, found


def choose_rows(
    parts: Sequence[SegmentPart], embeddings: Embeddings, k: int, recipe: Recipe, coarse: CoarseSearch | None = None
) -> list[Rows]:
    """Select for each view the rows whose codes are more similar than the one after the `depth` best; ascending.

    A prototype-first recipe considers only the species with the most similar means. Codes have few distinct
    similarities: rows tied at the boundary are all excluded, so that the selection depends neither on the segments nor
    on how FAISS breaks ties. Where fewer than `k` remain, depth and probes are increased, in the end to all rows.
    """
    wide = width_of(parts, recipe.depth)
    found, numbers, complete = scan_codes(parts, embeddings, wide, recipe, coarse)
    border = np.partition(found, -wide, axis=1)[:, -wide]
    kept = found > border[:, None]
    chosen = [np.sort(line[keep]) for line, keep in zip(numbers, kept, strict=True)]
    few = (np.count_nonzero(kept, axis=1) < k) & ~(complete & np.isneginf(border))
    if few.any():
        wider = replace(recipe, depth=4 * recipe.depth, probes=4 * recipe.probes)
        again = choose_rows(parts, embeddings[few], k, wider, coarse)
        for view, rows in zip(np.flatnonzero(few).tolist(), again, strict=True):
            chosen[view] = rows
    return chosen


def width_of(parts: Sequence[SegmentPart], depth: int) -> int:
    """Return how many rows are scanned for `depth` candidates: one more, or all and one where there are fewer."""
    return min(depth, sum(part.segment.count_rows(part.lists) for part in parts)) + 1


def scan_codes(
    parts: Sequence[SegmentPart], embeddings: Embeddings, wide: int, recipe: Recipe, coarse: CoarseSearch | None
) -> tuple[Similarities, Rows, bool]:
    """Return the `wide` best rows of each part by their codes, (views, parts x wide), padded with -inf and -1.

    Third, whether all species were looked in: a prototype-first recipe has each view look in its own.
    """
    codes = parts[0].segment.codes
    if codes is None:
        raise ValueError("a segment without codes can be searched exactly only")
    turned = codes.codebook.rotate_views(embeddings)
    probes = recipe.probes if coarse is not None else 0
    lines = coarse.quantiser.nearest(embeddings, probes, coarse.cut) if coarse is not None and probes else None
    near, at = [], []
    for part in parts:
        similarities, rows = scan_part(part, turned, wide, lines)
        near.append(similarities)
        at.append(np.where(rows < 0, -1, rows + part.segment.base) if part.segment.base else rows)
    found, numbers = (near[0], at[0]) if len(parts) == 1 else (np.concatenate(near, 1), np.concatenate(at, 1))
    return found, numbers, lines is None or (coarse is not None and lines.shape[1] >= coarse.cut.lines)


def scan_part(part: SegmentPart, turned: Embeddings, wide: int, lines: Lists | None) -> tuple[Similarities, Rows]:
    """Return the `wide` rows of a part with the most similar codes, in the species of the lines or in all."""
    codes = part.segment.codes
    if codes is None:
        raise ValueError("a segment without codes can be searched exactly only")
    if lines is None or part.lists_of_lines is None:
        return codes.search(turned, wide, part.cut)
    return codes.probe(turned, wide, part.lists_at(lines), part.selector)


def order_rows(parts: Sequence[SegmentPart], rows: Rows) -> Rows:
    """Sort rows in the order that breaks ties: by species, observation and row."""
    if len(parts) == 1:
        return rows
    species, observations = describe_rows(parts, rows)
    ordered: Rows = rows[np.lexsort((rows, observations, species))]
    return ordered


class Scratch(threading.local):
    """A buffer per thread for gathered rows: allocating it anew would double the cost of gathering."""

    held: NDArray[np.float16] = np.empty((0, DIM), dtype=np.float16)

    def take(self, rows: int) -> NDArray[np.float16]:
        """Return a buffer (rows, 256), valid until the next call in this thread."""
        if len(self.held) < rows:
            self.held = np.empty((rows + rows // 4, DIM), dtype=np.float16)
        return self.held[:rows] if rows * DIM * 2 <= MOST_SCRATCH else np.empty((rows, DIM), dtype=np.float16)


MOST_SCRATCH = 16 << 20  # largest buffer of a thread, in bytes
_SCRATCH = Scratch()


def gather_rows(parts: Sequence[SegmentPart], rows: Rows) -> NDArray[np.float16]:
    """Return the stored embeddings of rows, in the order given; the buffer is reused by this thread's next call."""
    stored = _SCRATCH.take(len(rows))
    if len(parts) == 1:
        return parts[0].segment.store.take(rows - parts[0].segment.base, stored)
    for part in parts:
        here = inside(part, rows)
        stored[here] = part.segment.store.take(rows[here] - part.segment.base)
    return stored


def describe_rows(parts: Sequence[SegmentPart], rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return species and observation of each row, in the shape of `rows`; -1 for padding."""
    species, observations = np.full(rows.shape, -1, np.int64), np.full(rows.shape, -1, np.int64)
    if len(parts) == 1 and not (rows < 0).any():
        own = rows - parts[0].segment.base
        return parts[0].segment.species_of(own), parts[0].segment.observations[own]
    for part in parts:
        here = inside(part, rows)
        own = rows[here] - part.segment.base
        species[here] = part.segment.species_of(own)
        observations[here] = part.segment.observations[own]
    return species, observations


def inside(part: SegmentPart, rows: Rows) -> NDArray[np.bool_]:
    """Return a mask of the rows in the part's segment."""
    answer: NDArray[np.bool_] = (rows >= part.segment.base) & (rows < part.segment.base + part.segment.rows)
    return answer
