"""A shard: opens the same snapshots as a single server, and searches its own lists in them with the same code.

Embeddings and codes are memory-mapped, so the lists of other shards are never read to answer a query.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cluster.messages import Answer, ShardReply, ShardRequest, ShardState, join_lists
from cluster.placement import SHARES, Placement
from cluster.placement_files import find_placement, read_placement
from retrieval.devices.accelerator import Accelerator
from retrieval.errors import FungariumError, ShardUnavailable, SnapshotError
from retrieval.models.embedder import Embeddings
from retrieval.search.index import Lists, Rows, Similarities
from retrieval.segments.segment import Segment
from retrieval.segments.store import SegmentPart, rank_chosen, scan_part, search_exact
from retrieval.snapshots.manifest import Manifest
from retrieval.snapshots.snapshot import Snapshot, open_snapshot

KEPT: Final = 4  # recently queried snapshots that stay open
IDLE: Final = 60.0  # seconds without a query after which a snapshot may be closed
OPENING: Final = 300.0  # seconds for all shards to open a snapshot, during which it gets no queries
READING: Final = 25e6  # bytes a second while checksums are compared, over a network shared by several machines
PREPARED: Final = 64  # floras whose lists stay prepared

log = logging.getLogger(__name__)


@dataclass(slots=True)
class OpenVersion:
    """An open snapshot and this shard's lists of it."""

    snapshot: Snapshot
    placement: Placement
    parts: PartSelector
    users: int = 0
    asked: bool = False  # queried at least once; before that it is open in advance, until the slowest shard is ready
    last: float = field(default_factory=time.monotonic)

    @property
    def timeout(self) -> float:
        """Seconds without a query after which it may be closed."""
        return IDLE if self.asked else opening_seconds(self.snapshot.manifest)


def opening_seconds(manifest: Manifest) -> float:
    """Return the time limit for opening a snapshot, which grows with its bytes."""
    return OPENING + sum(seal.bytes for seal in manifest.files) / READING


class PartSelector:
    """Selects what this shard searches of a flora: whole lists, and its own rows of split lists."""

    def __init__(self, snapshot: Snapshot, own: Placement) -> None:
        self._snapshot, self._shelf = snapshot, snapshot.shelf
        self._own = np.isin(snapshot.shelf.species, own.species)
        cut = (own.first > 0) | (own.last < SHARES)
        self._foreign = [_foreign_rows(segment, own, cut) for segment in snapshot.segments]
        self.of = lru_cache(maxsize=PREPARED)(self._of)

    def _of(self, species: bytes | str, licences: tuple[str, ...]) -> tuple[SegmentPart, ...]:
        shelf = self._shelf
        if isinstance(species, str):
            bits = self._snapshot.published(species).bits
        else:
            bits = np.unpackbits(np.frombuffer(species, np.uint8), count=len(shelf.species)).astype(np.bool_)
        parts = shelf.prepared(np.packbits(bits & self._own).tobytes(), licences).parts
        return tuple(self._without_foreign(part) for part in parts)

    def _without_foreign(self, part: SegmentPart) -> SegmentPart:
        foreign = self._foreign[self._shelf.segments.index(part.segment)]
        if foreign is None:
            return part
        return replace(part, hidden=foreign if part.hidden is None else foreign | part.hidden)


def _foreign_rows(segment: Segment, own: Placement, cut: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return a mask of the rows of split species that belong to other shards, or None if there are none."""
    foreign: NDArray[np.bool_] | None = None
    for species in np.unique(own.species[cut]).tolist():
        place = int(np.searchsorted(segment.species, species))
        if place == len(segment.species) or segment.species[place] != species:
            continue
        foreign = np.zeros(segment.rows, dtype=np.bool_) if foreign is None else foreign
        begin, size = int(segment.offsets[place]), int(segment.offsets[place + 1] - segment.offsets[place])
        foreign[begin : begin + size] = True
        for lot in np.flatnonzero(own.species == species).tolist():
            first, last = size * int(own.first[lot]) // SHARES, size * int(own.last[lot]) // SHARES
            foreign[begin + first : begin + last] = False
    return foreign


class Shard:
    """One process's part of a collection. Thread-safe.

    A query for a snapshot that is not open starts opening it and fails with ShardUnavailable until it is open: clients
    then try another replica, and queries for open snapshots are answered meanwhile.
    """

    def __init__(self, root: str, number: int, replica: int = 0, *, accelerator: Accelerator | None = None) -> None:
        self._root = Path(root)
        self._number, self._replica = number, replica
        self._accelerator = accelerator
        self._versions: dict[tuple[str, str], OpenVersion] = {}
        self._guard = threading.Lock()  # of the table of versions; held briefly
        self._opening = threading.Lock()
        self._being_opened: set[tuple[str, str]] = set()  # versions being opened because of a query
        self._open_errors: dict[tuple[str, str], FungariumError] = {}  # why such a version could not be opened
        self._requests = self._calls = 0

    def open(self, snapshot: str, placement: str) -> ShardState:
        """Open a snapshot beside those already open; raises SnapshotError or ClusterError."""
        self._release(self._acquire(snapshot, placement))
        return self.state()

    def open_published(self, shards: int) -> None:
        """Open the published snapshot before anybody needs it, in a collection of `shards` shards.

        After a restart of all replicas of a shard, the first questions would otherwise fail. An error is only logged:
        whoever needs the snapshot opens it again, and is told.
        """
        try:
            with closing(open_snapshot(self._root)) as snapshot:
                edition, placement = snapshot.edition, find_placement(self._root, snapshot, shards)
            if placement:  # else no server has ever used this snapshot
                self.open(edition, placement)
        except FungariumError as error:
            log.info("shard %d, replica %d opens nothing in advance: %s", self._number, self._replica, error)

    def release(self, snapshot: str) -> None:
        """Close idle snapshots; a client no longer needs `snapshot`, which is closed once idle."""
        self._close_idle()

    def answer(self, requests: Sequence[ShardRequest]) -> list[Answer]:
        """Answer the requests of one call; those of the same kind share one pass over the lists."""
        answers: list[Answer | None] = [None] * len(requests)
        kinds: dict[object, list[int]] = {}
        for number, request in enumerate(requests):
            kinds.setdefault(request.kind, []).append(number)
        for numbers in kinds.values():
            together = [requests[number] for number in numbers]
            for number, answer in zip(numbers, self._answer_together(together), strict=True):
                answers[number] = answer
        self._calls, self._requests = self._calls + 1, self._requests + len(requests)
        return [answer for answer in answers if answer is not None]

    def state(self) -> ShardState:
        """Return the state of this process, and close idle snapshots: monitors call this every few seconds."""
        self._close_idle()
        with self._guard:
            names = tuple(dict.fromkeys(name for name, _ in self._versions))
        description = "cpu" if self._accelerator is None else self._accelerator.description
        return ShardState(
            self._number,
            self._replica,
            socket.gethostname(),
            names,
            os.getpid(),
            private_bytes(),
            self._requests,
            self._calls,
            description,
        )

    def close(self) -> None:
        """Close all snapshots."""
        with self._guard:
            versions, self._versions = list(self._versions.values()), {}
        for version in versions:
            version.snapshot.close()

    def _answer_together(self, requests: Sequence[ShardRequest]) -> list[Answer]:
        first = requests[0]
        try:
            version = self._acquire_open(first.snapshot, first.placement)
        except FungariumError as error:
            return [error] * len(requests)
        try:
            parts = version.parts.of(first.species, first.licences)
            if len(requests) == 1:
                return [self._search(first, parts, first.views, first.lists)]
            views = np.concatenate([request.views for request in requests])
            lists = [request.lists for request in requests if request.lists is not None]
            reply = self._search(first, parts, views, join_lists(lists) if lists else None)
        finally:
            self._release(version)
        ends = np.cumsum([len(request.views) for request in requests]).tolist()
        return [reply.part(end - len(request.views), end) for end, request in zip(ends, requests, strict=True)]

    def _search(
        self, request: ShardRequest, parts: tuple[SegmentPart, ...], views: Embeddings, lists: Lists | None
    ) -> ShardReply:
        if self._accelerator is not None and parts:
            key = f"{request.snapshot}/{hash((request.placement, request.species, request.licences))}"
            chosen = self._accelerator.choose(key, parts, views, request.k)
            if chosen is not None:
                return ShardReply(*rank_chosen(parts, views, request.k, chosen))
        if request.candidates and parts:
            return choose_candidates(parts, views, request.candidates, lists)
        if lists is not None and not lists.shape[1]:
            return ShardReply(*empty_result(len(views)))
        return ShardReply(*search_exact(parts, views, request.k, lists))

    def _acquire(self, snapshot: str, placement: str) -> OpenVersion:
        """Return a version, opened if necessary, and count one more user of it."""
        key = (snapshot, placement)
        with self._guard:
            version = self._versions.get(key)
            if version is not None:
                version.users += 1
                return version
        with self._opening:
            with self._guard:
                known = key in self._versions
            if not known:
                made = self._open_version(snapshot, placement)
                with self._guard:
                    self._versions[key] = made
            with self._guard:
                version = self._versions[key]
                version.users += 1
        if not known:
            self._close_idle()
        return version

    def _acquire_open(self, snapshot: str, placement: str) -> OpenVersion:
        """Return an open version and count one more user; raises ShardUnavailable, or the error that prevents opening.

        Queries do not wait for a snapshot to open: a few of them would block all threads.
        """
        key = (snapshot, placement)
        with self._guard:
            version = self._versions.get(key)
            if version is not None:
                version.users += 1
                version.asked = True
                return version
            refused = self._open_errors.pop(key, None)
            if refused is not None:
                raise refused
            begun = key in self._being_opened
            self._being_opened.add(key)
        if not begun:
            threading.Thread(target=self._open_in_background, args=key, name="opening a snapshot", daemon=True).start()
        raise ShardUnavailable(f"replica {self._replica} of shard {self._number} is opening snapshot {snapshot}")

    def _open_in_background(self, snapshot: str, placement: str) -> None:
        """Open a snapshot because of a query that was refused."""
        key, refused = (snapshot, placement), None
        try:
            self._release(self._acquire(snapshot, placement))
        except FungariumError as error:
            refused = error
        finally:
            with self._guard:
                self._being_opened.discard(key)
                if refused is not None:
                    self._open_errors[key] = refused

    def _release(self, version: OpenVersion) -> None:
        with self._guard:
            version.users -= 1
            version.last = time.monotonic()

    def _open_version(self, name: str, placement: str) -> OpenVersion:
        read = read_placement(self._root, placement)
        try:
            snapshot = open_snapshot(self._root, name.partition("-")[0])
        except OSError as error:
            raise SnapshotError(f"snapshot {name} cannot be read on {socket.gethostname()}: {error}") from error
        if snapshot.edition != name:
            snapshot.close()
            raise ShardUnavailable(
                f"the list of withdrawn photos on {socket.gethostname()} is not that of snapshot {name}"
            )
        return OpenVersion(snapshot, read, PartSelector(snapshot, read.of_shard(self._number)))

    def _close_idle(self) -> None:
        """Close idle snapshots, and of more than KEPT queried ones those that were used longest ago.

        The most recently used one stays open, and one opened in advance for as long as shards may take to open it.
        """
        now = time.monotonic()
        with self._guard:
            ordered = sorted(self._versions.items(), key=lambda item: item[1].last)
            spare = [item for item in ordered[:-1] if not item[1].users]
            idle = [key for key, version in spare if now - version.last > version.timeout]
            asked = [key for key, version in spare if version.asked and key not in idle]
            many = asked[: max(0, len(ordered) - len(idle) - KEPT)]
            gone = [self._versions.pop(key) for key in [*idle, *many]]
        for version in gone:
            if self._accelerator is not None:
                self._accelerator.forget(version.snapshot.edition)
            version.snapshot.close()


def choose_candidates(
    parts: Sequence[SegmentPart], views: Embeddings, candidates: int, lists: Lists | None
) -> ShardReply:
    """Return the `candidates` rows with the most similar PQ codes, with their float16 similarities as well.

    All rows with codes more similar than the `candidates`-th are included, and some of those that tie with it.
    Raises ValueError if the segments have no codes.
    """
    codes = parts[0].segment.codes
    if codes is None:
        raise ValueError("a segment without codes can be searched exactly only")
    rotated = codes.codebook.rotate_views(views)
    near, at = [], []
    for part in parts:
        most = min(candidates, part.segment.count_rows(part.lists))
        similarities, rows = scan_part(part, rotated, most, lists)
        near.append(similarities)
        at.append(np.where(rows < 0, -1, rows + part.segment.base))
    code_similarities, rows = np.concatenate(near, axis=1), np.concatenate(at, axis=1)
    if rows.shape[1] > candidates:
        best = np.argpartition(-code_similarities, candidates - 1, axis=1)[:, :candidates]
        rows = np.take_along_axis(rows, best, axis=1)
        code_similarities = np.take_along_axis(code_similarities, best, axis=1)
    return compare_candidates(parts, views, code_similarities, rows)


def compare_candidates(
    parts: Sequence[SegmentPart], views: Embeddings, code_similarities: Similarities, rows: Rows
) -> ShardReply:
    """Re-rank candidates (views, n) at float16, and return them with the similarities of their codes too."""
    order = np.argsort(np.where(rows < 0, np.iinfo(np.int64).max, rows), axis=1)
    rows = np.take_along_axis(rows, order, axis=1)
    code_similarities = np.take_along_axis(code_similarities, order, axis=1)
    chosen = [line[line >= 0] for line in rows]
    similarities, found = rank_chosen(parts, views, rows.shape[1], chosen)
    codes = np.full(rows.shape, -np.inf, dtype=np.float32)
    for line, own in enumerate(chosen):
        codes[line, : len(own)] = code_similarities[line, np.searchsorted(own, found[line, : len(own)])]
    return ShardReply(similarities, found, codes)


def empty_result(views: int) -> tuple[Similarities, Rows]:
    """Return empty results, (views, 0) each."""
    return np.zeros((views, 0), dtype=np.float32), np.zeros((views, 0), dtype=np.int64)


def private_bytes() -> int:
    """Return the private memory of this process in bytes; 0 if the system does not report it."""
    try:
        lines = Path(f"/proc/{os.getpid()}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
