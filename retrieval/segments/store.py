"""The references of a snapshot, read as one: segments side by side, searched by lists, with what must not answer."""

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

VIEWS_AT_ONCE = 32  # of a batch, in one thread: enough to share passes, few enough to share the work among threads
MANY = 12  # views from which looking where prototypes point is done for all together
TOGETHER = 128  # of them in one call at most
RANKED_AT_ONCE = 4  # views whose candidates are gathered together: more of them leave the cache


@dataclass(frozen=True, eq=False)
class SegmentPart:
    """What a flora searches in one segment."""

    segment: Segment
    lists: Lists
    hidden: NDArray[np.bool_] | None = None  # (rows of the segment,); None: all rows may answer
    lists_of_lines: Lists | None = None  # the segment's list for each line of the guide, and a last one: -1 for none

    @cached_property
    def cut(self) -> PreparedLists:
        """The part's codes, prepared for searching."""
        if self.segment.codes is None:
            raise ValueError(f"segment {self.segment.base} has no codes")
        return self.segment.codes.cut(self.lists, self.hidden)

    def lists_at(self, lines: Lists) -> Lists:
        """The segment's lists of lines of the guide, -1 for none."""
        if self.lists_of_lines is None:
            raise ValueError(f"segment {self.segment.base} does not know the guide")
        return self.lists_of_lines[lines]  # whose last entry stands for the line -1

    @cached_property
    def index(self) -> FaissIndex | FilteredIndex:
        """What may answer of the segment, its rows compared exactly."""
        return self.segment.store if self.hidden is None else FilteredIndex(self.segment.store, self.hidden)

    @cached_property
    def selector(self) -> object:
        """What keeps hidden rows away, in whatever lists; None where nothing is hidden."""
        return None if self.hidden is None else make_selector(~self.hidden)


@dataclass(frozen=True, eq=False)
class CoarseSearch:
    """The species of a flora in the snapshot's guide."""

    quantiser: CoarseQuantiser
    lines: Lists

    @cached_property
    def cut(self) -> PreparedQuantiser:
        """The lines, prepared for searching."""
        return self.quantiser.cut(self.lines)


Run: TypeAlias = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Does something to each of several things, one after the other (`map`) or in several threads."""

Chooser: TypeAlias = Callable[[Sequence[SegmentPart], Embeddings, int], list[Rows] | None]
"""Gives, for each view, rows among which its `k` nearest are, ascending; or None if it cannot."""


@dataclass(frozen=True, slots=True)
class NearestReferences:
    """The nearest references of each view, best first; (views, k) each, -1 and -inf where there are none."""

    similarities: Similarities
    rows: Rows  # of the snapshot
    species: NDArray[np.int64]
    observations: NDArray[np.int64]

    def neighbours(self) -> list[list[Neighbour]]:
        """The same as the answer line reads it."""
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
    """The `k` nearest references of each view; ties by species, observation and photo, whatever segments they lie in.

    With several threads each takes its share of the views. `choose` may choose the rows to compare in place of the
    recipe, or decline.
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
        pieces = min(len(queries), -(-pieces // threads) * threads)  # as many for each thread
        if pieces <= 1:
            similarities, rows = one(queries)
        else:
            with in_threads(threads) as run:
                similarities, rows = join(run(one, np.array_split(queries, pieces)))
    return NearestReferences(similarities, rows, *describe_rows(parts, rows))


@contextmanager
def in_threads(threads: int) -> Iterator[Run]:
    """Lets several things be done at once, or one after the other in the caller's thread where there is but one."""
    if threads <= 1:
        yield map
        return
    with ThreadPoolExecutor(threads) as pool:
        yield pool.map


def join(answers: Iterable[tuple[Similarities, Rows]]) -> tuple[Similarities, Rows]:
    """Answers for blocks of views as one."""
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
    """Compare every row of the species whose mean each view resembles most; where they have too few, of more.

    `lines` are the guide's of these species, where somebody has them already.
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
    """What `search_near` finds, for many views: those that resemble the same species one after the other.

    What one has read is then in the cache for the next, and a call to FAISS is for many of them.
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
    """Compare every row of every part, or of the species of each view's own lines."""
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
    """The `k` best of what several parts found; ties by species, observation and row."""
    if len(parts) == 1:  # whose rows lie in that order
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
    """The `k` best, best first, where each view has so many and no two are as similar as each other; None elsewhere.

    Rarely are two: then nothing has to be known of a row but its similarity.
    """
    if not 0 < k <= near.shape[1]:
        return None
    order, line = np.argsort(-near, axis=1)[:, : k + 1], np.arange(len(near))[:, None]
    best = near[line, order]
    if not (best[:, :-1] > best[:, 1:]).all():  # two places with nothing are equal too
        return None
    return best[:, :k], at[line, order[:, :k]]


def rank_chosen(
    parts: Sequence[SegmentPart], embeddings: Embeddings, k: int, chosen: Sequence[Rows]
) -> tuple[Similarities, Rows]:
    """Compare the rows chosen for each view (ascending) at float16, and keep the `k` best."""
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
    """For each view the rows whose codes look more similar than the one after the `depth` best; ascending.

    A prototype-first recipe looks at the species only whose mean each view resembles most. Codes have few distinct
    similarities. Rows tied at the border are left out together, so that what is chosen depends neither on the
    segments that rows lie in nor on how FAISS settles ties. Where fewer than `k` are left, more are looked at, in the
    end all.
    """
    codes = parts[0].segment.codes
    if codes is None:
        raise ValueError("a segment without codes can be searched exactly only")
    turned = codes.codebook.rotate_views(embeddings)
    every = sum(part.segment.count_rows(part.lists) for part in parts)
    probes = recipe.probes if coarse is not None else 0
    wide = min(recipe.depth, every) + 1
    lines = coarse.quantiser.nearest(embeddings, probes, coarse.cut) if coarse is not None and probes else None
    near, at = [], []
    for part in parts:
        similarities, rows = scan_part(part, turned, wide, lines)
        near.append(similarities)
        at.append(np.where(rows < 0, -1, rows + part.segment.base) if part.segment.base else rows)
    found, numbers = (near[0], at[0]) if len(parts) == 1 else (np.concatenate(near, 1), np.concatenate(at, 1))
    border = np.partition(found, -wide, axis=1)[:, -wide]
    kept = found > border[:, None]
    chosen = [np.sort(line[keep]) for line, keep in zip(numbers, kept, strict=True)]
    complete = lines is None or (coarse is not None and lines.shape[1] >= coarse.cut.lines)
    few = (np.count_nonzero(kept, axis=1) < k) & ~(complete & np.isneginf(border))
    if few.any():
        wider = replace(recipe, depth=4 * recipe.depth, probes=4 * recipe.probes)
        again = choose_rows(parts, embeddings[few], k, wider, coarse)
        for view, rows in zip(np.flatnonzero(few).tolist(), again, strict=True):
            chosen[view] = rows
    return chosen


def scan_part(part: SegmentPart, turned: Embeddings, wide: int, lines: Lists | None) -> tuple[Similarities, Rows]:
    """The `wide` rows of a part that look most similar by their codes, in the species of the given lines or in all."""
    codes = part.segment.codes
    if codes is None:
        raise ValueError("a segment without codes can be searched exactly only")
    if lines is None or part.lists_of_lines is None:
        return codes.search(turned, wide, part.cut)
    return codes.probe(turned, wide, part.lists_at(lines), part.selector)


def order_rows(parts: Sequence[SegmentPart], rows: Rows) -> Rows:
    """The rows (ascending) in the order that settles ties: by species, observation and photo."""
    if len(parts) == 1:
        return rows
    species, observations = describe_rows(parts, rows)
    ordered: Rows = rows[np.lexsort((rows, observations, species))]
    return ordered


class Scratch(threading.local):
    """Memory of a thread for gathered rows: memory that is asked for anew is mapped anew, which costs as much again."""

    held: NDArray[np.float16] = np.empty((0, DIM), dtype=np.float16)

    def take(self, rows: int) -> NDArray[np.float16]:
        """Room for so many rows, until the next call in this thread."""
        if len(self.held) < rows:
            self.held = np.empty((rows + rows // 4, DIM), dtype=np.float16)
        return self.held[:rows] if rows * DIM * 2 <= MOST_SCRATCH else np.empty((rows, DIM), dtype=np.float16)


MOST_SCRATCH = 16 << 20  # bytes that a thread may keep
_SCRATCH = Scratch()


def gather_rows(parts: Sequence[SegmentPart], rows: Rows) -> NDArray[np.float16]:
    """The stored embeddings of rows, in their order; in memory that this thread's next call uses again."""
    stored = _SCRATCH.take(len(rows))
    if len(parts) == 1:
        return parts[0].segment.store.take(rows - parts[0].segment.base, stored)
    for part in parts:
        here = inside(part, rows)
        stored[here] = part.segment.store.take(rows[here] - part.segment.base)
    return stored


def describe_rows(parts: Sequence[SegmentPart], rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Species and observation of each row, in the shape of `rows`; -1 for rows that are none."""
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
    """Which rows lie in the part's segment."""
    answer: NDArray[np.bool_] = (rows >= part.segment.base) & (rows < part.segment.base + part.segment.rows)
    return answer
