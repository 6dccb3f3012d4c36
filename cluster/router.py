"""Searches floras on shards: asks those that hold what is looked for, and cuts and merges as a single process does.

Answers are the single process's to the neighbour. All similarities are those of the stored rows, whoever works them
out. Where codes choose first, each shard gives as many candidates as one process would keep of all, and the border is
drawn here, over all of them. Where means of species lead, they are compared here, and a shard is asked for its own of
the species they lead to, by the views that they lead there: the others are not asked.
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
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.snapshot import Snapshot

log = logging.getLogger(__name__)

HEDGE: Final = 0.15  # seconds until another replica is asked beside
PREPARED: Final = 64


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a shard is waited for, in seconds."""

    timeout: float = 5.0
    hedge: float = HEDGE


def ignore_outcome(asked: int, shards: int) -> None:
    """Watch without a word."""


class Router:
    """Keeps the promise of `retrieval.snapshots.flora.Searcher` for one snapshot."""

    def __init__(
        self,
        snapshot: Snapshot,
        placement: Placement,
        clients: Sequence[ReplicaClient],
        timeouts: Timeouts | None = None,
        watch: Callable[[int, int], None] = ignore_outcome,
    ) -> None:
        """`watch` is told of each search how many shards were asked, of how many.

        Raises ClusterError for a placement that leaves out species with references: nobody would search them.
        """
        self._name, self._placement = snapshot.name, placement
        self._lanes, self._patience, self._watch = tuple(clients), timeouts or Timeouts(), watch
        self._species: NDArray[np.int64] = snapshot.shelf.species
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
        led = np.zeros(0, np.int64) if quantiser is None else np.asarray(quantiser.species)
        self._leads = np.pad(placement.holds(led), ((0, 0), (0, 1)))  # (shards, lines), and nobody's line: -1
        self._needed = lru_cache(maxsize=PREPARED)(self._needed_for)

    @property
    def clients(self) -> tuple[ReplicaClient, ...]:
        """One for each shard."""
        return self._lanes

    def forget(self) -> None:
        """The snapshot was closed here; shards may close it too."""
        for client in self._lanes:
            for replica in client.replicas:
                replica.release(self._name)

    def search(self, flora: Flora, embeddings: Embeddings, k: int) -> NearestReferences:
        """The `k` nearest references of the flora for each view.

        Raises ShardUnavailable where a part of them gives no answer, unless the flora notes gaps.
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
            return self._choose(flora, views, k, recipe.depth, probes, coarse)
        if recipe.kind == PROTOTYPE_FIRST and coarse is not None:
            return self._near(flora, views, k, recipe.probes, coarse)
        return self._merge(self._ask(flora, views, k), len(views), k)

    def _near(
        self, flora: Flora, views: Embeddings, k: int, probes: int, coarse: CoarseSearch
    ) -> tuple[Similarities, Rows]:
        """As `store.search_near`: every row of the nearest species; where they have too few, of more."""
        lines = coarse.quantiser.nearest(views, probes, coarse.cut)
        best, found = self._merge(self._ask(flora, views, k, lines=lines), len(views), k)
        if k and lines.shape[1] < coarse.cut.lines:
            few = found[:, k - 1] < 0
            if few.any():
                best[few], found[few] = self._near(flora, views[few], k, 4 * probes, coarse)
        return best, found

    def _choose(
        self, flora: Flora, views: Embeddings, k: int, depth: int, probes: int, coarse: CoarseSearch | None
    ) -> tuple[Similarities, Rows]:
        """As `store.choose_rows`, over what all shards found: cut by codes, then compared at float16."""
        wide = min(depth, sum(part.segment.count_rows(part.lists) for part in flora.parts())) + 1
        lines = coarse.quantiser.nearest(views, probes, coarse.cut) if coarse is not None and probes else None
        replies = self._ask(flora, views, k, wide, lines)
        codes = [np.full((len(views), wide), -np.inf, np.float32)]  # so that there always is a border
        codes += [reply.codes for reply in replies if reply.codes is not None]
        border = -np.partition(-np.concatenate(codes, axis=1), wide - 1, axis=1)[:, wide - 1]
        kept = [cut_below(reply, border) for reply in replies]
        best, found = self._merge(kept, len(views), k)
        complete = lines is None or (coarse is not None and lines.shape[1] >= coarse.cut.lines)
        counts = sum((np.count_nonzero(reply.rows >= 0, axis=1) for reply in kept), np.zeros(len(views), np.int64))
        few = (counts < k) & ~(complete & np.isneginf(border))
        if few.any():
            best[few], found[few] = self._choose(flora, views[few], k, 4 * depth, 4 * probes, coarse)
        return best, found

    def _merge(self, replies: Sequence[ShardReply], views: int, k: int) -> tuple[Similarities, Rows]:
        """The best of all replies, ties by species, observation and row."""
        near, at = join_replies(replies, views)
        settled = sort_distinct(near, at, k)
        if settled is not None:
            return settled
        near, at = keep_best(near, at, k)
        best, found = merge_parts(self._all, [near], [at], views, k)
        return best, np.where(np.isneginf(best), -1, found)

    def _ask(
        self, flora: Flora, views: Embeddings, k: int, wide: int = 0, lines: Lists | None = None
    ) -> list[ShardReply]:
        """Ask the shards that hold what is looked for, all at once."""
        species = flora.packed.tobytes()
        own = None if lines is None else self._leads[:, lines]  # (shards, views, lines): whose each line is
        jobs: list[tuple[int, NDArray[np.int64] | None, Job]] = []
        for shard in self._needed(species):
            chosen, some, theirs = led_to(views, lines, None if own is None else own[shard])
            if not len(some):
                continue
            ask = ShardRequest(self._name, self._placement.id, species, flora.licences, some, k, wide, theirs)
            jobs.append((shard, chosen, self._lanes[shard].submit(ask)))
        self._watch(len(jobs), len(self._lanes))
        replies = []
        for (shard, chosen, _), reply in zip(jobs, self._collect(jobs, flora.partial is None), strict=True):
            if reply is None:
                continue  # another part failed, whose error is about to be raised
            if isinstance(reply, ShardReply):
                replies.append(reply if chosen is None else spread(reply, chosen, len(views)))
            else:
                self._note(flora, shard, reply)
        return replies

    def _collect(
        self, jobs: Sequence[tuple[int, NDArray[np.int64] | None, Job]], all_or_nothing: bool
    ) -> list[ShardReply | FungariumError | None]:
        """What becomes of jobs; late ones are sent to another replica too, and given up in the end.

        Where one failure is enough, those that are not there by then are None.
        """
        ends = time.monotonic() + self._patience.timeout
        until = FIRST_EXCEPTION if all_or_nothing else ALL_COMPLETED
        answers = [job.answer for *_, job in jobs]
        _, late = wait(answers, min(self._patience.hedge, self._patience.timeout), until)
        if late and not any(answer.done() and answer.exception() for answer in answers if all_or_nothing):
            for shard, _, job in jobs:
                self._lanes[shard].hedge(job)
            wait(late, max(0.0, ends - time.monotonic()), until)
        found: list[ShardReply | FungariumError | None] = []
        broken = all_or_nothing and any(answer.done() and answer.exception() for answer in answers)
        for shard, _, job in jobs:
            if not job.answer.done():
                client = self._lanes[shard]
                found.append(None if broken else client.give_up(job, self._patience.timeout))
                if broken:
                    client.drop(job)
                continue
            error = job.answer.exception()
            found.append(job.answer.result() if error is None else as_engine_error(error))
        return found

    def _note(self, flora: Flora, shard: int, error: FungariumError) -> None:
        """Note what was not searched, or raise where nobody asked for that."""
        if flora.partial is None:
            raise type(error)(str(error)) from error  # a new error each time: each raise adds to its traceback
        log.warning("not searched: %s", error)
        missed = flora.bits & self._holds[shard]
        flora.partial.note(shard, self._species[missed], int(self._counts[missed].sum()))

    def _needed_for(self, species: bytes) -> tuple[int, ...]:
        """The shards that hold references of a flora."""
        bits = np.unpackbits(np.frombuffer(species, np.uint8), count=len(self._species)).astype(np.bool_)
        return tuple(np.flatnonzero((self._holds & bits).any(axis=1)).tolist())


def led_to(
    views: Embeddings, lines: Lists | None, own: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int64] | None, Embeddings, Lists | None]:
    """The views that are led to a shard: which of all (None for all), they themselves, and their lines of its own."""
    if lines is None or own is None:
        return None, views, None
    theirs, led = np.where(own, lines, -1), np.any(own, axis=1)
    if np.all(led):
        return None, views, theirs
    chosen = np.flatnonzero(led).astype(np.int64)
    return chosen, views[chosen], theirs[chosen]


def cut_below(reply: ShardReply, border: NDArray[np.float32]) -> ShardReply:
    """Candidates whose codes look more similar than the border of their view; what is no candidate stays."""
    if reply.codes is None:
        return reply
    kept = reply.codes > border[:, None]
    return ShardReply(np.where(kept, reply.similarities, -np.inf).astype(np.float32), np.where(kept, reply.rows, -1))


def join_replies(replies: Sequence[ShardReply], views: int) -> tuple[Similarities, Rows]:
    """All that shards found, side by side; (views, any number)."""
    if not replies:
        return np.zeros((views, 0), np.float32), np.zeros((views, 0), np.int64)
    near = np.concatenate([reply.similarities for reply in replies], axis=1)
    at = np.concatenate([reply.rows for reply in replies], axis=1)
    near[at < 0] = -np.inf
    return near, at


def keep_best(near: Similarities, at: Rows, k: int) -> tuple[Similarities, Rows]:
    """For each view, the `k` best and all that tie with the last of them; in no order."""
    if not 0 < k < near.shape[1]:
        return near, at
    border = -np.partition(-near, k - 1, axis=1)[:, k - 1 : k]
    width = int(np.count_nonzero((near >= border) & (at >= 0), axis=1).max(initial=0))
    best = np.argpartition(-near, max(0, width - 1), axis=1)[:, :width]
    return np.take_along_axis(near, best, axis=1), np.take_along_axis(at, best, axis=1)


def spread(reply: ShardReply, chosen: NDArray[np.int64], views: int) -> ShardReply:
    """A reply for some of the views as one for all of them."""
    shape = (views, reply.rows.shape[1])
    similarities, rows = np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int64)
    similarities[chosen], rows[chosen] = reply.similarities, reply.rows
    if reply.codes is None:
        return ShardReply(similarities, rows)
    codes = np.full(shape, -np.inf, np.float32)
    codes[chosen] = reply.codes
    return ShardReply(similarities, rows, codes)


def as_engine_error(error: BaseException) -> FungariumError:
    """The error of a job, which is one of ours unless something is wrong with the program."""
    return error if isinstance(error, FungariumError) else ShardUnavailable(f"a part of the references failed: {error}")
