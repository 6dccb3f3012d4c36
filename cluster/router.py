"""Searches floras on shards: queries those that hold the flora's species, and merges as a single process does.

Results are identical to a single process, neighbour by neighbour: every similarity is that of the stored rows, wherever
it is computed. If PQ codes choose candidates, each shard returns as many as one process would keep in total, and the
cut-off is applied here, over all of them. If a coarse quantiser chooses species, the router compares the means, and
sends each view only to the shards that hold species it probes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION, wait
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cluster.messages import ShardReply, ShardRequest
from cluster.placement import Placement
from cluster.replica_client import Job, ReplicaClient
from retrieval.errors import ClusterError, FungariumError, ShardUnavailable
from retrieval.models.embedder import Embeddings
from retrieval.search.faiss_coarse import CoarseQuantiser
from retrieval.search.index import Lists, Rows, Similarities
from retrieval.search.recipes import PROTOTYPE_FIRST
from retrieval.segments.store import (
    VIEWS_AT_ONCE,
    CoarseSearch,
    NearestReferences,
    SegmentPart,
    describe_rows,
    join,
    merge_parts,
    sort_distinct,
)
from retrieval.snapshots.flora import AD_HOC, Flora
from retrieval.snapshots.snapshot import Snapshot

log = logging.getLogger(__name__)

HEDGE: Final = 0.15  # seconds until a request is also sent to another replica
PREPARED: Final = 64


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for a shard, in seconds."""

    timeout: float = 5.0
    hedge: float = HEDGE


def ignore_outcome(asked: int, shards: int) -> None:
    """Do nothing."""


class Router:
    """Implements `retrieval.snapshots.flora.Searcher` for one snapshot."""

    def __init__(
        self,
        snapshot: Snapshot,
        placement: Placement,
        clients: Sequence[ReplicaClient],
        timeouts: Timeouts | None = None,
        watch: Callable[[int, int], None] = ignore_outcome,
    ) -> None:
        """`watch` is called after each search with the number of shards queried, and of all shards.

        Raises ClusterError if the placement omits species with references: they would never be searched.
        """
        self._name, self._placement = snapshot.edition, placement
        self._clients, self._timeouts, self._watch = tuple(clients), timeouts or Timeouts(), watch
        self._species: NDArray[np.int64] = snapshot.shelf.species
        self._published = frozenset(card.id for card in snapshot.floras) - {AD_HOC}
        self._counts = snapshot.count_references(self._species)
        self._all = tuple(SegmentPart(segment, np.zeros(0, np.int64)) for segment in snapshot.segments)
        self._holds = placement.holds(self._species)  # (shards, species)
        nowhere = int(np.count_nonzero((self._counts > 0) & ~self._holds.any(axis=0)))
        if nowhere:
            raise ClusterError(
                f"the placement {placement.id} leaves out {nowhere} species of snapshot {snapshot.name} that have "
                "references: run `fungarium cluster place --anew confusion`"
            )
        quantiser: CoarseQuantiser | None = snapshot.shelf.quantiser
        coarse_species = np.zeros(0, np.int64) if quantiser is None else np.asarray(quantiser.species)
        # (shards, lists + 1): the last column is for list -1
        self._lists_held = np.pad(placement.holds(coarse_species), ((0, 0), (0, 1)))
        self._shards_for = lru_cache(maxsize=PREPARED)(self._find_shards)

    @property
    def clients(self) -> tuple[ReplicaClient, ...]:
        """The client of each shard."""
        return self._clients

    def forget(self) -> None:
        """Let the shards close the snapshot, which was closed here."""
        for client in self._clients:
            for replica in client.replicas:
                replica.release(self._name)

    def search(self, flora: Flora, embeddings: Embeddings, k: int) -> NearestReferences:
        """Return the `k` nearest references of the flora for each view.

        Raises ShardUnavailable if a shard does not answer, unless the flora allows partial results.
        """
        queries = np.asarray(embeddings, dtype=np.float32)
        if len(queries) <= VIEWS_AT_ONCE:
            similarities, rows = self._search(flora, queries, k)
        else:
            blocks = np.array_split(queries, -(-len(queries) // VIEWS_AT_ONCE))
            similarities, rows = join(self._search(flora, block, k) for block in blocks)
        return NearestReferences(similarities, rows, *describe_rows(self._all, rows))

    def _search(self, flora: Flora, views: Embeddings, k: int) -> tuple[Similarities, Rows]:
        prepared, recipe = flora.prepared, flora.recipe
        parts, coarse = prepared.parts, prepared.coarse
        if parts and recipe.depth > 0 and all(part.segment.codes is not None for part in parts):
            probes = recipe.probes if coarse is not None else 0
            return self._search_candidates(flora, views, k, recipe.depth, probes, coarse)
        if recipe.kind == PROTOTYPE_FIRST and coarse is not None:
            return self._search_near(flora, views, k, recipe.probes, coarse)
        return self._merge(self._query_shards(flora, views, k), len(views), k)

    def _search_near(
        self, flora: Flora, views: Embeddings, k: int, probes: int, coarse: CoarseSearch
    ) -> tuple[Similarities, Rows]:
        """Search the nearest species exactly, as `store.search_near` does; probe more if they have too few rows."""
        lists = coarse.quantiser.nearest(views, probes, coarse.cut)
        best, found = self._merge(self._query_shards(flora, views, k, lists=lists), len(views), k)
        if k and lists.shape[1] < coarse.cut.lines:
            few = found[:, k - 1] < 0
            if few.any():
                best[few], found[few] = self._search_near(flora, views[few], k, 4 * probes, coarse)
        return best, found

    def _search_candidates(
        self, flora: Flora, views: Embeddings, k: int, depth: int, probes: int, coarse: CoarseSearch | None
    ) -> tuple[Similarities, Rows]:
        """Filter by PQ codes over all shards, then compare at float16, as `store.choose_rows` does."""
        candidates = min(depth, sum(part.segment.count_rows(part.lists) for part in flora.parts())) + 1
        lists = coarse.quantiser.nearest(views, probes, coarse.cut) if coarse is not None and probes else None
        replies = self._query_shards(flora, views, k, candidates, lists)
        codes = [np.full((len(views), candidates), -np.inf, np.float32)]  # so that the last candidate always exists
        codes += [reply.codes for reply in replies if reply.codes is not None]
        border = -np.partition(-np.concatenate(codes, axis=1), candidates - 1, axis=1)[:, candidates - 1]
        kept = [filter_candidates(reply, border) for reply in replies]
        best, found = self._merge(kept, len(views), k)
        complete = lists is None or (coarse is not None and lists.shape[1] >= coarse.cut.lines)
        counts = sum((np.count_nonzero(reply.rows >= 0, axis=1) for reply in kept), np.zeros(len(views), np.int64))
        few = (counts < k) & ~(complete & np.isneginf(border))
        if few.any():
            best[few], found[few] = self._search_candidates(flora, views[few], k, 4 * depth, 4 * probes, coarse)
        return best, found

    def _merge(self, replies: Sequence[ShardReply], views: int, k: int) -> tuple[Similarities, Rows]:
        """Return the `k` nearest of all replies; ties are settled by species, observation and row."""
        near, at = join_replies(replies, views)
        settled = sort_distinct(near, at, k)
        if settled is not None:
            return settled
        near, at = keep_best(near, at, k)
        best, found = merge_parts(self._all, [near], [at], views, k)
        return best, np.where(np.isneginf(best), -1, found)

    def _query_shards(
        self, flora: Flora, views: Embeddings, k: int, candidates: int = 0, lists: Lists | None = None
    ) -> list[ShardReply]:
        """Query the shards that hold the flora's species, concurrently."""
        species = flora.packed.tobytes()
        named = flora.card.id if flora.card.id in self._published else species  # shards have the same snapshot
        held = None if lists is None else self._lists_held[:, lists]  # (shards, views, lists)
        jobs: list[tuple[int, NDArray[np.int64] | None, Job]] = []
        for shard in self._shards_for(species):
            chosen, chosen_views, chosen_lists = select_views(views, lists, None if held is None else held[shard])
            if not len(chosen_views):
                continue
            request = ShardRequest(
                self._name, self._placement.id, named, flora.licences, chosen_views, k, candidates, chosen_lists
            )
            jobs.append((shard, chosen, self._clients[shard].submit(request)))
        self._watch(len(jobs), len(self._clients))
        replies = []
        for (shard, chosen, _), reply in zip(jobs, self._collect(jobs, flora.partial is None), strict=True):
            if reply is None:
                continue  # another shard failed, and its error is about to be raised
            if isinstance(reply, ShardReply):
                replies.append(reply if chosen is None else expand_reply(reply, chosen, len(views)))
            else:
                self._note_skipped(flora, shard, reply)
        return replies

    def _collect(
        self, jobs: Sequence[tuple[int, NDArray[np.int64] | None, Job]], all_or_nothing: bool
    ) -> list[ShardReply | FungariumError | None]:
        """Wait for the replies or errors of jobs; late jobs are hedged, and given up after the timeout.

        If `all_or_nothing`, the first failure ends the wait, and unfinished jobs are None.
        """
        ends = time.monotonic() + self._timeouts.timeout
        until = FIRST_EXCEPTION if all_or_nothing else ALL_COMPLETED
        answers = [job.answer for *_, job in jobs]
        _, late = wait(answers, min(self._timeouts.hedge, self._timeouts.timeout), until)
        if late and not any(answer.done() and answer.exception() for answer in answers if all_or_nothing):
            for shard, _, job in jobs:
                self._clients[shard].hedge(job)
            wait(late, max(0.0, ends - time.monotonic()), until)
        found: list[ShardReply | FungariumError | None] = []
        broken = all_or_nothing and any(answer.done() and answer.exception() for answer in answers)
        for shard, _, job in jobs:
            if not job.answer.done():
                client = self._clients[shard]
                found.append(None if broken else client.give_up(job, self._timeouts.timeout))
                if broken:
                    client.drop(job)
                continue
            error = job.answer.exception()
            found.append(job.answer.result() if error is None else as_engine_error(error))
        return found

    def _note_skipped(self, flora: Flora, shard: int, error: FungariumError) -> None:
        """Record the species that were not searched, or raise if partial results are not allowed."""
        if flora.partial is None:
            raise type(error)(str(error)) from error  # a new instance: raising one again extends its traceback
        log.warning("not searched: %s", error)
        missed = flora.bits & self._holds[shard]
        flora.partial.note(shard, self._species[missed], int(self._counts[missed].sum()))

    def _find_shards(self, species: bytes) -> tuple[int, ...]:
        """Return the shards that hold references of a flora."""
        bits = np.unpackbits(np.frombuffer(species, np.uint8), count=len(self._species)).astype(np.bool_)
        return tuple(np.flatnonzero((self._holds & bits).any(axis=1)).tolist())


def select_views(
    views: Embeddings, lists: Lists | None, held: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int64] | None, Embeddings, Lists | None]:
    """Return what one shard is asked: the numbers of the views (None for all), the views, and their lists there."""
    if lists is None or held is None:
        return None, views, None
    chosen_lists, relevant = np.where(held, lists, -1), np.any(held, axis=1)
    if np.all(relevant):
        return None, views, chosen_lists
    chosen = np.flatnonzero(relevant).astype(np.int64)
    return chosen, views[chosen], chosen_lists[chosen]


def filter_candidates(reply: ShardReply, border: NDArray[np.float32]) -> ShardReply:
    """Keep the candidates whose codes are more similar than their view's threshold; final rows are kept as they are."""
    if reply.codes is None:
        return reply
    kept = reply.codes > border[:, None]
    return ShardReply(np.where(kept, reply.similarities, -np.inf).astype(np.float32), np.where(kept, reply.rows, -1))


def join_replies(replies: Sequence[ShardReply], views: int) -> tuple[Similarities, Rows]:
    """Concatenate the rows of all shards, (views, any number)."""
    if not replies:
        return np.zeros((views, 0), np.float32), np.zeros((views, 0), np.int64)
    near = np.concatenate([reply.similarities for reply in replies], axis=1)
    at = np.concatenate([reply.rows for reply in replies], axis=1)
    near[at < 0] = -np.inf
    return near, at


def keep_best(near: Similarities, at: Rows, k: int) -> tuple[Similarities, Rows]:
    """Return the `k` nearest of each view and all that tie with the k-th; unsorted."""
    if not 0 < k < near.shape[1]:
        return near, at
    border = -np.partition(-near, k - 1, axis=1)[:, k - 1 : k]
    width = int(np.count_nonzero((near >= border) & (at >= 0), axis=1).max(initial=0))
    best = np.argpartition(-near, max(0, width - 1), axis=1)[:, :width]
    return np.take_along_axis(near, best, axis=1), np.take_along_axis(at, best, axis=1)


def expand_reply(reply: ShardReply, chosen: NDArray[np.int64], views: int) -> ShardReply:
    """Expand a reply for some of the views to all views."""
    shape = (views, reply.rows.shape[1])
    similarities, rows = np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int64)
    similarities[chosen], rows[chosen] = reply.similarities, reply.rows
    if reply.codes is None:
        return ShardReply(similarities, rows)
    codes = np.full(shape, -np.inf, np.float32)
    codes[chosen] = reply.codes
    return ShardReply(similarities, rows, codes)


def as_engine_error(error: BaseException) -> FungariumError:
    """Turn a job's error into a FungariumError; any other type is a bug, reported as an unavailable shard."""
    return error if isinstance(error, FungariumError) else ShardUnavailable(f"a shard failed: {error}")
