"""A shard: opens the same snapshots as everybody, and searches its own lists in them with the same code.

What it does not own it does not read to answer: embeddings and codes are mapped, and pages come when they are touched.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cluster.messages import Answer, ShardReply, ShardRequest, ShardState, join_lines
from cluster.placement import SHARES, Placement
from cluster.placement_files import read_placement
from retrieval.devices.accelerator import Accelerator
from retrieval.errors import FungariumError, ShardUnavailable, SnapshotError
from retrieval.models.embedder import Embeddings
from retrieval.search.index import Lists, Rows, Similarities
from retrieval.segments.segment import Segment
from retrieval.segments.store import SegmentPart, rank_chosen, scan_part, search_exact
from retrieval.snapshots.manifest import Manifest
from retrieval.snapshots.snapshot import Snapshot, open_snapshot

KEPT: Final = 4  # snapshots that stay open, where more were asked for lately
IDLE: Final = 60.0  # seconds without a question after which a snapshot may be closed
OPENING: Final = 300.0  # seconds that all shards together may take to open one; until then nobody asks for it
READING: Final = 25e6  # bytes a second of it, where every byte is compared: a network that several machines share
PREPARED: Final = 64  # floras whose lists stay prepared


@dataclass(slots=True)
class Version:
    """An open snapshot with the lists of it that are this shard's."""

    snapshot: Snapshot
    placement: Placement
    parts: PartsOf
    users: int = 0
    asked: bool = False  # by a question: until the slowest shard has opened it, it is opened ahead
    last: float = field(default_factory=time.monotonic)

    @property
    def timeout(self) -> float:
        """Seconds without a question after which it may be closed."""
        return IDLE if self.asked else opening_seconds(self.snapshot.manifest)


def opening_seconds(manifest: Manifest) -> float:
    """How long shards may take to open a snapshot: the more, the more bytes there are to compare."""
    return OPENING + sum(seal.bytes for seal in manifest.files) / READING


class PartsOf:
    """What this shard searches of a flora: whole lists, and of cut ones its own rows."""

    def __init__(self, snapshot: Snapshot, own: Placement) -> None:
        self._shelf = snapshot.shelf
        self._own = np.isin(snapshot.shelf.species, own.species)
        cut = (own.first > 0) | (own.last < SHARES)
        self._foreign = [_foreign_rows(segment, own, cut) for segment in snapshot.segments]
        self.of = lru_cache(maxsize=PREPARED)(self._of)

    def _of(self, species: bytes, licences: tuple[str, ...]) -> tuple[SegmentPart, ...]:
        shelf = self._shelf
        bits = np.unpackbits(np.frombuffer(species, np.uint8), count=len(shelf.species)).astype(np.bool_)
        parts = shelf.prepared(np.packbits(bits & self._own).tobytes(), licences).parts
        return tuple(self._without_foreign(part) for part in parts)

    def _without_foreign(self, part: SegmentPart) -> SegmentPart:
        foreign = self._foreign[self._shelf.segments.index(part.segment)]
        if foreign is None:
            return part
        return replace(part, hidden=foreign if part.hidden is None else foreign | part.hidden)


def _foreign_rows(segment: Segment, own: Placement, cut: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Rows of cut species that are another shard's; None where there are none."""
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
    """One process's part of a collection. Safe for threads.

    A question about a snapshot that is not open has it opened, and is refused until it is: whoever asks goes to another
    replica, and questions about those that are open are answered meanwhile.
    """

    def __init__(self, root: str, number: int, replica: int = 0, *, accelerator: Accelerator | None = None) -> None:
        self._root = Path(root)
        self._number, self._replica = number, replica
        self._accelerator = accelerator
        self._versions: dict[tuple[str, str], Version] = {}
        self._guard = threading.Lock()  # of the table, held for moments
        self._opening = threading.Lock()
        self._opened_for: set[tuple[str, str]] = set()  # questions that were refused
        self._refused: dict[tuple[str, str], FungariumError] = {}  # what kept a snapshot from being opened for one
        self._asked = self._calls = 0

    def open(self, snapshot: str, placement: str) -> ShardState:
        """Have a snapshot open, beside those that are; raises SnapshotError and its kind, or ClusterError."""
        self._leave(self._enter(snapshot, placement))
        return self.state()

    def release(self, snapshot: str) -> None:
        """Somebody needs a snapshot no more; it is closed once nobody has asked for it for a while."""
        self._sweep()

    def answer(self, asks: Sequence[ShardRequest]) -> list[Answer]:
        """Answer asks that came together; those of one kind share their passes over the lists."""
        answers: list[Answer | None] = [None] * len(asks)
        kinds: dict[object, list[int]] = {}
        for number, ask in enumerate(asks):
            kinds.setdefault(ask.kind, []).append(number)
        for numbers in kinds.values():
            together = [asks[number] for number in numbers]
            for number, answer in zip(numbers, self._answer_together(together), strict=True):
                answers[number] = answer
        self._calls, self._asked = self._calls + 1, self._asked + len(asks)
        return [answer for answer in answers if answer is not None]

    def state(self) -> ShardState:
        """How this process is. Whoever watches asks every few seconds: what nobody needs any more is closed by that."""
        self._sweep()
        with self._guard:
            names = tuple(dict.fromkeys(name for name, _ in self._versions))
        standing = "cpu" if self._accelerator is None else self._accelerator.standing
        return ShardState(
            self._number,
            self._replica,
            socket.gethostname(),
            names,
            os.getpid(),
            private_bytes(),
            self._asked,
            self._calls,
            standing,
        )

    def close(self) -> None:
        """Let go of everything."""
        with self._guard:
            versions, self._versions = list(self._versions.values()), {}
        for version in versions:
            version.snapshot.close()

    def _answer_together(self, asks: Sequence[ShardRequest]) -> list[Answer]:
        first = asks[0]
        try:
            version = self._enter_open(first.snapshot, first.placement)
        except FungariumError as error:
            return [error] * len(asks)
        try:
            parts = version.parts.of(first.species, first.licences)
            if len(asks) == 1:
                return [self._look(first, parts, first.views, first.lines)]
            views = np.concatenate([ask.views for ask in asks])
            lines = [ask.lines for ask in asks if ask.lines is not None]
            reply = self._look(first, parts, views, join_lines(lines) if lines else None)
        finally:
            self._leave(version)
        ends = np.cumsum([len(ask.views) for ask in asks]).tolist()
        return [reply.part(end - len(ask.views), end) for end, ask in zip(ends, asks, strict=True)]

    def _look(
        self, ask: ShardRequest, parts: tuple[SegmentPart, ...], views: Embeddings, lines: Lists | None
    ) -> ShardReply:
        if self._accelerator is not None and parts:
            key = f"{ask.snapshot}/{hash((ask.placement, ask.species, ask.licences))}"
            chosen = self._accelerator.choose(key, parts, views, ask.k)
            if chosen is not None:
                return ShardReply(*rank_chosen(parts, views, ask.k, chosen))
        if ask.wide and parts:
            return choose_candidates(parts, views, ask.wide, lines)
        if lines is not None and not lines.shape[1]:
            return ShardReply(*nothing(len(views)))
        return ShardReply(*search_exact(parts, views, ask.k, lines))

    def _enter(self, snapshot: str, placement: str) -> Version:
        """The open version, opened if it is not, with one user more."""
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
                made = self._make(snapshot, placement)
                with self._guard:
                    self._versions[key] = made
            with self._guard:
                version = self._versions[key]
                version.users += 1
        if not known:
            self._sweep()
        return version

    def _enter_open(self, snapshot: str, placement: str) -> Version:
        """The open version, with one user more; raises ShardUnavailable while it is being opened, or what prevents it.

        A question holds no thread while files are compared: a few would keep all others from being answered.
        """
        key = (snapshot, placement)
        with self._guard:
            version = self._versions.get(key)
            if version is not None:
                version.users += 1
                version.asked = True
                return version
            refused = self._refused.pop(key, None)
            if refused is not None:
                raise refused
            begun = key in self._opened_for
            self._opened_for.add(key)
        if not begun:
            threading.Thread(target=self._open_for, args=key, name="opening a snapshot", daemon=True).start()
        raise ShardUnavailable(f"replica {self._replica} of shard {self._number} is opening snapshot {snapshot}")

    def _open_for(self, snapshot: str, placement: str) -> None:
        """Open a snapshot for questions that were refused."""
        key, refused = (snapshot, placement), None
        try:
            self._leave(self._enter(snapshot, placement))
        except FungariumError as error:
            refused = error
        finally:
            with self._guard:
                self._opened_for.discard(key)
                if refused is not None:
                    self._refused[key] = refused

    def _leave(self, version: Version) -> None:
        with self._guard:
            version.users -= 1
            version.last = time.monotonic()

    def _make(self, name: str, placement: str) -> Version:
        read = read_placement(self._root, placement)
        try:
            snapshot = open_snapshot(self._root, name)
        except OSError as error:
            raise SnapshotError(f"snapshot {name} cannot be read on {socket.gethostname()}: {error}") from error
        return Version(snapshot, read, PartsOf(snapshot, read.of_shard(self._number)))

    def _sweep(self) -> None:
        """Close what nobody has asked for lately, and of more than a few the ones that were asked for longest ago.

        What was used last stays, and what is opened ahead as long as shards may take to open it.
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
                self._accelerator.forget(version.snapshot.name)
            version.snapshot.close()


def choose_candidates(parts: Sequence[SegmentPart], views: Embeddings, wide: int, lines: Lists | None) -> ShardReply:
    """The `wide` rows of some parts that look most similar by their codes, compared at float16 too.

    All that look more similar than the `wide`-th are there; of those that tie with it, some.
    """
    codes = parts[0].segment.codes
    if codes is None:
        raise ValueError("a segment without codes can be searched exactly only")
    turned = codes.codebook.rotate_views(views)
    near, at = [], []
    for part in parts:
        most = min(wide, part.segment.count_rows(part.lists))
        similarities, rows = scan_part(part, turned, most, lines)
        near.append(similarities)
        at.append(np.where(rows < 0, -1, rows + part.segment.base))
    looked, rows = np.concatenate(near, axis=1), np.concatenate(at, axis=1)
    if rows.shape[1] > wide:
        best = np.argpartition(-looked, wide - 1, axis=1)[:, :wide]
        looked, rows = np.take_along_axis(looked, best, axis=1), np.take_along_axis(rows, best, axis=1)
    return compare_candidates(parts, views, looked, rows)


def compare_candidates(parts: Sequence[SegmentPart], views: Embeddings, looked: Similarities, rows: Rows) -> ShardReply:
    """The candidates, by row, with the similarities of their codes and at float16."""
    order = np.argsort(np.where(rows < 0, np.iinfo(np.int64).max, rows), axis=1)
    looked, rows = np.take_along_axis(looked, order, axis=1), np.take_along_axis(rows, order, axis=1)
    chosen = [line[line >= 0] for line in rows]
    similarities, found = rank_chosen(parts, views, rows.shape[1], chosen)
    codes = np.full(rows.shape, -np.inf, dtype=np.float32)
    for line, own in enumerate(chosen):
        codes[line, : len(own)] = looked[line, np.searchsorted(own, found[line, : len(own)])]
    return ShardReply(similarities, found, codes)


def nothing(views: int) -> tuple[Similarities, Rows]:
    """Where there is nothing to look at."""
    return np.zeros((views, 0), dtype=np.float32), np.zeros((views, 0), dtype=np.int64)


def private_bytes() -> int:
    """Memory of this process that it shares with nobody; 0 where the system does not say."""
    try:
        lines = Path(f"/proc/{os.getpid()}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
