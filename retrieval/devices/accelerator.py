"""An LRU cache of floras on GPUs, within a memory budget; floras that do not fit are searched on the CPU.

FAISS on GPU silently ignores selectors (issue 3924), so each flora is an index of its own there. It is gathered from
the shared store on first use and evicted when least recently used. A GPU only selects candidates: they are compared
again at float16, like the candidates from PQ codes, so that the neighbours are exactly those found on the CPU.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.models.embedder import DIM, Embeddings
from retrieval.search.index import Rows, Similarities
from retrieval.segments.store import SegmentPart

log = logging.getLogger(__name__)

ROW_BYTES = 2 * DIM
SPARE = 32  # candidates beyond k: a GPU sums in another order, which may swap rows that are nearly equal
CLOSE = 1e-5  # difference in similarity below which a GPU may order rows differently
MOST = 2048  # largest k that FAISS supports on a GPU


class Loaded(Protocol):
    """An index over rows in a device's memory."""

    def search(self, embeddings: Embeddings, k: int) -> tuple[Similarities, Rows]:
        """Return similarities and positions (views, k) of the best rows, padded with -1. Not thread-safe."""
        ...


class Accelerator(Protocol):
    """Selects candidates in place of the CPU's first stage, where it can."""

    @property
    def description(self) -> str:
        """A status line for logs and `/healthz`: the devices in use, or why none is used."""
        ...

    def choose(self, flora: str, parts: Sequence[SegmentPart], embeddings: Embeddings, k: int) -> list[Rows] | None:
        """Return for each view the rows to compare at float16, ascending; None where the CPU must do the search."""
        ...

    def forget(self, snapshot: str) -> None:
        """Release what is held for a snapshot that was closed."""
        ...


class Device(Protocol):
    """A device that can hold floras. A RuntimeError or MemoryError from it means that it is unusable."""

    name: str
    budget: int  # bytes available to floras

    def load(self, rows: NDArray[np.float16]) -> Loaded:
        """Copy rows (n, 256) to the device."""
        ...


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a flora on one device."""

    device: int
    numbers: Rows  # row of the snapshot at each position of the index
    loaded: Loaded


class HotFloras:
    """Floras on devices, evicted least recently used first. Thread-safe: a search holds the lock."""

    def __init__(self, devices: Sequence[Device]) -> None:
        self._devices = list(devices)
        self._free = [device.budget for device in devices]
        self._held: OrderedDict[str, list[Shard]] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()
        self.trouble = "" if devices else "no GPU is available"

    @property
    def description(self) -> str:
        """A status line for logs and `/healthz`: the devices in use, or why none is used."""
        names = [device.name for device in self._devices]
        return describe_devices(names, self.trouble, f"{len(self._held)} floras", sum(self._free))

    def choose(self, flora: str, parts: Sequence[SegmentPart], embeddings: Embeddings, k: int) -> list[Rows] | None:
        """Return for each view the rows to compare at float16, ascending; None where the CPU must do the search."""
        wide = k + SPARE
        if not self._devices or wide > MOST or not len(embeddings):
            return None
        with self._lock:
            try:
                shards = self._hold(flora, parts)
                if shards is None:
                    return None
                found = []
                for shard in shards:
                    near, places = shard.loaded.search(embeddings, wide)
                    if undecided(near, places, k):
                        return None
                    found.append(shard.numbers[places])
                return [np.unique(np.concatenate(lines)) for lines in zip(*found, strict=True)]
            except (RuntimeError, MemoryError) as error:
                self._give_up(error)
                return None

    def forget(self, snapshot: str) -> None:
        """Evict the floras of a closed snapshot; `Flora.key` begins with the snapshot's name."""
        with self._lock:
            for flora in [key for key in self._held if key.startswith(f"{snapshot}/")]:
                self._drop(flora)

    def _hold(self, flora: str, parts: Sequence[SegmentPart]) -> list[Shard] | None:
        """Return the flora's shards, loading them if needed; None if the devices are too small for it."""
        if flora in self._held:
            self._held.move_to_end(flora)
            return self._held[flora]
        numbers = gather_numbers(parts)
        share = -(-len(numbers) // len(self._devices))
        whole = next((n for n, device in enumerate(self._devices) if len(numbers) * ROW_BYTES <= device.budget), None)
        if not len(numbers) or (whole is None and share * ROW_BYTES > min(d.budget for d in self._devices)):
            return None
        if whole is not None:
            fitting = [n for n, d in enumerate(self._devices) if len(numbers) * ROW_BYTES <= d.budget]
            pieces = [(max(fitting, key=lambda n: self._free[n]), numbers)]
        else:
            pieces = list(enumerate(np.array_split(numbers, len(self._devices))))
        shards = []
        for device, rows in pieces:
            self._make_room(device, len(rows) * ROW_BYTES)
            shards.append(Shard(device, rows, self._devices[device].load(gather_stored(parts, rows))))
            self._free[device] -= len(rows) * ROW_BYTES
        self._held[flora] = shards
        return shards

    def _make_room(self, device: int, wanted: int) -> None:
        """Evict the least recently used floras of a device until `wanted` bytes are free."""
        for flora in [name for name, shards in self._held.items() if any(s.device == device for s in shards)]:
            if self._free[device] >= wanted:
                return
            self._drop(flora)

    def _drop(self, flora: str) -> None:
        """Evict a flora from its devices."""
        for shard in self._held.pop(flora):
            self._free[shard.device] += len(shard.numbers) * ROW_BYTES

    def _give_up(self, error: BaseException) -> None:
        """Log the error and search on the CPU from now on."""
        self.trouble = f"the GPU failed and is not used any more: {error}"
        log.error("floras are searched on the CPU: %s", self.trouble)
        self._held.clear()
        self._devices = []


def undecided(near: Similarities, places: Rows, k: int) -> bool:
    """Whether a row the device left out may tie with some view's `k`-th neighbour; then the CPU must search."""
    if near.shape[1] < k + SPARE:
        return False  # the device returned all its rows
    return bool(np.any((places[:, -1] >= 0) & (near[:, -1] > near[:, k - 1] - CLOSE)))


def describe_devices(names: Sequence[str], trouble: str, held: str, free: int) -> str:
    """Format a status line: the devices in use with `free` bytes, or why there are none."""
    return f"{', '.join(names)}: {held}, {free >> 20} MiB free" if names else f"cpu: {trouble}"


def gather_numbers(parts: Sequence[SegmentPart]) -> Rows:
    """Return the snapshot's row numbers of all active rows of the parts, ascending."""
    numbers = [np.zeros(0, dtype=np.int64)]
    for part in parts:
        offsets = part.segment.offsets
        rows = np.concatenate([np.arange(offsets[n], offsets[n + 1]) for n in np.sort(part.lists).tolist()])
        if part.hidden is not None:
            rows = rows[~part.hidden[rows]]
        numbers.append(rows + part.segment.base)
    return np.sort(np.concatenate(numbers))


def gather_stored(parts: Sequence[SegmentPart], numbers: Rows) -> NDArray[np.float16]:
    """Return the stored embeddings (len(numbers), 256) of rows of the snapshot, in the order given."""
    stored = np.empty((len(numbers), DIM), dtype=np.float16)
    for part in parts:
        here = (numbers >= part.segment.base) & (numbers < part.segment.base + part.segment.rows)
        stored[here] = part.segment.store.take(numbers[here] - part.segment.base)
    return stored
