"""The references of a snapshot, read as one: segments side by side, searched by lists, with what must not answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import Neighbour
from retrieval.embedder import Embeddings
from retrieval.faiss_index import rank_candidates
from retrieval.hiding import HidingIndex, hide, widened
from retrieval.index import Lists, Rows, Similarities
from retrieval.recipes import EXACT, Recipe
from retrieval.segment import Segment

VIEWS_AT_ONCE = (
    4  # of a batch, in one thread; larger blocks were slower: they leave the cache, and memory is mapped anew
)


@dataclass(frozen=True, slots=True)
class Part:
    """What a flora searches in one segment."""

    segment: Segment
    lists: Lists
    hidden: NDArray[np.bool_] | None = None  # (rows of the segment,); None: all rows may answer


Chooser: TypeAlias = Callable[[Sequence[Part], Embeddings, int], list[Rows] | None]
"""Gives, for each view, rows among which its `k` nearest are, ascending; or None if it cannot."""


@dataclass(frozen=True, slots=True)
class Found:
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
    parts: Sequence[Part],
    embeddings: Embeddings,
    k: int,
    recipe: Recipe,
    threads: int = 1,
    choose: Chooser | None = None,
) -> Found:
    """The `k` nearest references of each view; ties by species, observation and photo, whatever segments they lie in.

    With several threads each takes its share of the views. `choose` may choose the rows to compare in place of the
    recipe, or decline.
    """
    queries = np.asarray(embeddings, dtype=np.float32)
    two_stage = bool(parts) and recipe.kind != EXACT and all(part.segment.codes is not None for part in parts)

    def one(block: Embeddings) -> tuple[Similarities, Rows]:
        chosen = choose(parts, block, k) if choose is not None else None
        if chosen is None and two_stage:
            chosen = choose_rows(parts, block, k, recipe.depth)
        if chosen is not None:
            return rank_chosen(parts, block, k, chosen)
        return search_exact(parts, block, k)

    pieces = min(len(queries), max(threads, -(-len(queries) // VIEWS_AT_ONCE)))
    if pieces <= 1:
        similarities, rows = one(queries)
    else:
        with ThreadPoolExecutor(threads) as pool:
            answers = list(pool.map(one, np.array_split(queries, pieces)))
        similarities = np.concatenate([near for near, _ in answers])
        rows = np.concatenate([found for _, found in answers])
    return Found(similarities, rows, *describe_rows(parts, rows))


def search_exact(parts: Sequence[Part], embeddings: Embeddings, k: int) -> tuple[Similarities, Rows]:
    """Compare every row of every part."""
    near, at = [], []
    for part in parts:
        index = part.segment.index if part.hidden is None else HidingIndex(part.segment.store, part.hidden)
        similarities, rows = index.search(embeddings, k, part.lists)
        near.append(similarities)
        at.append(np.where(rows < 0, -1, rows + part.segment.base))
    if len(parts) == 1:
        return near[0], at[0]
    return merge_parts(parts, near, at, len(embeddings), k)


def merge_parts(
    parts: Sequence[Part], near: Sequence[Similarities], at: Sequence[Rows], views: int, k: int
) -> tuple[Similarities, Rows]:
    """The `k` best of what several parts found; ties by species, observation and row."""
    similarities = np.concatenate([np.zeros((views, 0), np.float32), *near], axis=1)
    rows = np.concatenate([np.zeros((views, 0), np.int64), *at], axis=1)
    species, observations = describe_rows(parts, rows)
    order = np.lexsort((rows, observations, species, -similarities), axis=-1)[:, :k]
    best, found = np.full((views, k), -np.inf, np.float32), np.full((views, k), -1, np.int64)
    best[:, : order.shape[1]] = np.take_along_axis(similarities, order, axis=1)
    found[:, : order.shape[1]] = np.take_along_axis(rows, order, axis=1)
    return best, found


def rank_chosen(
    parts: Sequence[Part], embeddings: Embeddings, k: int, chosen: Sequence[Rows]
) -> tuple[Similarities, Rows]:
    """Compare the rows chosen for each view (ascending) at float16, and keep the `k` best."""
    gathered = [gather_rows(parts, rows) for rows in chosen]
    similarities, places = rank_candidates(embeddings, [stored for _, stored in gathered], k)
    rows = np.full(places.shape, -1, dtype=np.int64)
    for view, (ordered, _) in enumerate(gathered):
        found = places[view] >= 0
        rows[view, found] = ordered[places[view, found]]
    return similarities, rows


def choose_rows(parts: Sequence[Part], embeddings: Embeddings, k: int, depth: int) -> list[Rows]:
    """For each view the rows whose codes look more similar than the one after the `depth` best; ascending.

    Codes have few distinct similarities. Rows tied at the border are left out together, so that what is
    chosen depends neither on the segments that rows lie in nor on how FAISS settles ties.
    """
    shown = min((float(np.mean(~part.hidden)) for part in parts if part.hidden is not None), default=1.0)
    while True:
        wide = widened(depth, shown) + 1
        near, at, floors = [], [], []
        for part in parts:
            if part.segment.codes is None:
                raise ValueError(f"segment {part.segment.base} has no codes")
            similarities, rows = part.segment.codes.search(embeddings, wide, part.lists)
            floors.append(np.where(rows[:, -1] < 0, -np.inf, similarities[:, -1]))  # nothing better was left behind
            if part.hidden is not None:
                hide(similarities, rows, part.hidden)
            near.append(similarities)
            at.append(np.where(rows < 0, -1, rows + part.segment.base))
        found, numbers = np.concatenate(near, axis=1), np.concatenate(at, axis=1)
        border = -np.partition(-found, depth, axis=1)[:, depth]
        kept = found > border[:, None]
        whole = np.isneginf(border) & np.all(np.isneginf(floors), axis=0)
        sure = np.all(np.array(floors) <= border, axis=0) & (np.count_nonzero(kept, axis=1) >= k)
        if bool(np.all(whole | sure)):
            break
        if bool(np.all(np.isneginf(floors))):  # so many are tied that all rows were fetched: compare them all
            kept = np.isfinite(found)
            break
        depth *= 4
    return [np.sort(line[keep]) for line, keep in zip(numbers, kept, strict=True)]


def gather_rows(parts: Sequence[Part], rows: Rows) -> tuple[Rows, NDArray[np.float16]]:
    """The stored embeddings of rows (ascending), and the rows' numbers, ordered by species, observation and photo."""
    if len(parts) == 1:
        return rows, parts[0].segment.store.take(rows - parts[0].segment.base)
    blocks = [part.segment.store.take(rows[inside(part, rows)] - part.segment.base) for part in by_base(parts)]
    species, observations = describe_rows(parts, rows)
    order = np.lexsort((rows, observations, species))
    return rows[order], np.concatenate(blocks)[order]


def describe_rows(parts: Sequence[Part], rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
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


def inside(part: Part, rows: Rows) -> NDArray[np.bool_]:
    """Which rows lie in the part's segment."""
    answer: NDArray[np.bool_] = (rows >= part.segment.base) & (rows < part.segment.base + part.segment.rows)
    return answer


def by_base(parts: Sequence[Part]) -> list[Part]:
    """The parts in the order of their rows."""
    return sorted(parts, key=lambda part: part.segment.base)
