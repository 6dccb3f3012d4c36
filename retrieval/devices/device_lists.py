"""One copy of all references on GPUs, sharded by inverted lists; a flora is a set of lists, as on the CPU.

The alternative, `retrieval.devices.accelerator.HotFloras`, keeps a copy of each frequently searched flora. This one
serves every flora, ad-hoc ones included, but all GPUs together need room for the whole collection.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.devices.accelerator import MOST, ROW_BYTES, SPARE, describe_devices, undecided
from retrieval.models.embedder import Embeddings
from retrieval.search.filtered_index import widened
from retrieval.search.index import Lists, Rows, Similarities
from retrieval.segments.segment import Segment
from retrieval.segments.store import SegmentPart

log = logging.getLogger(__name__)

NUMBER_BYTES = 8  # per row: the 64-bit id that a GPU stores with it


class LoadedLists(Protocol):
    """An inverted file in a device's memory."""

    def search(self, embeddings: Embeddings, k: int, lists: Lists) -> tuple[Similarities, Rows]:
        """Return similarities and rows (views, k) of the best in `lists`, padded with -1. Not thread-safe."""
        ...


class ListDevice(Protocol):
    """A device that can hold lists. A RuntimeError or MemoryError from it means that it is unusable."""

    name: str
    budget: int  # bytes available to lists

    def load_lists(self, rows: NDArray[np.float16], offsets: NDArray[np.int64]) -> LoadedLists:
        """Copy rows (n, 256) to the device; list i is rows[offsets[i] : offsets[i + 1]]."""
        ...


@dataclass(frozen=True, slots=True)
class ListShard:
    """Consecutive lists of a segment on one device."""

    device: int
    first: int  # first list
    last: int  # one past the last list
    row: int  # first row, in the segment
    rows: int
    loaded: LoadedLists


class HotLists:
    """Segments on devices, evicted least recently used first. Thread-safe: a search holds the lock."""

    def __init__(self, devices: Sequence[ListDevice]) -> None:
        self._devices = list(devices)
        self._held: dict[str, list[ListShard]] = {}  # by segment, least recently used first
        self._lock = threading.Lock()
        self.trouble = "" if devices else "no GPU is available"

    @property
    def description(self) -> str:
        """A status line for logs and `/healthz`: the devices in use, or why none is used."""
        free = sum(device.budget for device in self._devices) - sum(map(self._taken, range(len(self._devices))))
        return describe_devices([d.name for d in self._devices], self.trouble, f"{len(self._held)} segments", free)

    def choose(self, flora: str, parts: Sequence[SegmentPart], embeddings: Embeddings, k: int) -> list[Rows] | None:
        """Return for each view the rows to compare at float16, ascending; None where the CPU must do the search.

        FAISS on GPU ignores selectors (issue 3924), so more than `k` rows are retrieved and masked rows dropped.
        """
        shown = min((float(np.mean(~part.hidden)) for part in parts if part.hidden is not None), default=1.0)
        wide = widened(k, shown) + SPARE
        if not self._devices or wide > MOST or not len(embeddings) or not parts:
            return None
        found: list[Rows] = []
        enough = np.ones(len(embeddings), dtype=np.bool_)
        with self._lock:
            try:
                for part in parts:
                    for shard in self._hold(part.segment) or ():
                        near, rows = self._search(shard, part, embeddings, wide)
                        if undecided(near, rows, wide - SPARE):
                            return None
                        ended = rows[:, -1] < 0
                        if part.hidden is not None:
                            rows = np.where(part.hidden[np.maximum(rows, 0)], -1, rows)
                        enough &= ended | (np.count_nonzero(rows >= 0, axis=1) >= k)
                        found.append(np.where(rows < 0, -1, rows + part.segment.base))
                    if part.segment.name not in self._held:
                        return None
            except (RuntimeError, MemoryError) as error:
                self._give_up(error)
                return None
        return [np.unique(line[line >= 0]) for line in np.concatenate(found, axis=1)] if enough.all() else None

    def forget(self, snapshot: str) -> None:
        """Do nothing: the next snapshot shares most segments of a closed one, so they stay until evicted."""

    def _search(
        self, shard: ListShard, part: SegmentPart, embeddings: Embeddings, wide: int
    ) -> tuple[Similarities, Rows]:
        """Search those lists of the flora that are in the shard; returns similarities and rows of the segment."""
        lists = part.lists[(part.lists >= shard.first) & (part.lists < shard.last)] - shard.first
        if not len(lists):
            return np.full((len(embeddings), 1), -np.inf, np.float32), np.full((len(embeddings), 1), -1, np.int64)
        near, found = shard.loaded.search(embeddings, wide, lists)
        return near, np.where(found < 0, -1, found + shard.row)

    def _hold(self, segment: Segment) -> list[ListShard] | None:
        """Return the segment's shards, loading them if needed; None if the devices are too small for it."""
        if segment.name in self._held:
            self._held[segment.name] = self._held.pop(segment.name)
            return self._held[segment.name]
        wanted = segment.rows * (ROW_BYTES + NUMBER_BYTES)
        if wanted > sum(device.budget for device in self._devices):
            return None
        room = [device.budget - self._taken(number) for number, device in enumerate(self._devices)]
        while (dealt := deal_lists(segment.offsets, room)) is None and self._held:
            self._held.pop(next(iter(self._held)))
            room = [device.budget - self._taken(number) for number, device in enumerate(self._devices)]
        if dealt is None:
            return None
        shards = []
        for device, first, last in dealt:
            start, end = int(segment.offsets[first]), int(segment.offsets[last])
            rows = segment.store.take(np.arange(start, end))
            loaded = self._devices[device].load_lists(rows, segment.offsets[first : last + 1] - start)
            shards.append(ListShard(device, first, last, start, end - start, loaded))
        self._held[segment.name] = shards
        return shards

    def _taken(self, device: int) -> int:
        """Bytes used by a device's shards."""
        shards = [shard for held in self._held.values() for shard in held if shard.device == device]
        return sum(shard.rows * (ROW_BYTES + NUMBER_BYTES) for shard in shards)

    def _give_up(self, error: BaseException) -> None:
        """Log the error and search on the CPU from now on."""
        self.trouble = f"the GPU failed and is not used any more: {error}"
        log.error("floras are searched on the CPU: %s", self.trouble)
        self._held.clear()
        self._devices = []


def deal_lists(offsets: NDArray[np.int64], room: Sequence[int]) -> list[tuple[int, int, int]] | None:
    """Assign consecutive lists to devices, in proportion to their free bytes, so that the load is balanced.

    `offsets` are the lists' row offsets and `room` the free bytes of each device. Returns tuples (device, first list,
    one past the last list), or None if there is too little room.
    """
    capacity = [max(0, free) // (ROW_BYTES + NUMBER_BYTES) for free in room]
    rows, total = int(offsets[-1]), sum(capacity)
    dealt, first = [], 0
    for device, most in enumerate(capacity):
        start = int(offsets[first])
        must = rows - start - sum(capacity[device + 1 :])  # rows for which later devices have no room
        wanted = min(most, max(must, -(-rows * most // max(1, total))))
        fitting = int(np.searchsorted(offsets, start + most, side="right")) - 1
        last = min(fitting, max(first, int(np.searchsorted(offsets, start + wanted)))) if wanted > 0 else first
        if last > first:
            dealt.append((device, first, last))
            first = last
    return dealt if first == len(offsets) - 1 else None
