"""Keeps the floras that are asked for most on GPUs, under a memory budget; what does not fit is searched on the CPU.

FAISS on GPU ignores selectors without a word (issue 3924), so a flora there is an index of its own, gathered from the
shared store when it is first asked for and dropped when others are hotter. A GPU only chooses: its candidates are
compared anew at float16 like those of the codes, so that answers are the CPU's to the neighbour.
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
SPARE = 32  # candidates beyond k: a GPU sums in another order, which may exchange rows that are nearly equal
CLOSE = 1e-5  # similarities that a GPU may have in another order
MOST = 2048  # neighbours that FAISS gives on a GPU


class Loaded(Protocol):
    """Rows that lie on a device."""

    def search(self, embeddings: Embeddings, k: int) -> tuple[Similarities, Rows]:
        """The `k` best places for each view, -1 where there are none. Called by one thread at a time."""
        ...


class Accelerator(Protocol):
    """Chooses rows in place of the CPU's first stage, where it can."""

    @property
    def standing(self) -> str:
        """For people and `/healthz`: what floras are searched on, and why if not on a GPU."""
        ...

    def choose(self, flora: str, parts: Sequence[SegmentPart], embeddings: Embeddings, k: int) -> list[Rows] | None:
        """For each view the rows to compare at float16, ascending; None where the CPU must search this flora."""
        ...

    def forget(self, snapshot: str) -> None:
        """A snapshot was closed."""
        ...


class Device(Protocol):
    """What floras can be put on. Any RuntimeError or MemoryError of it means that it cannot be used."""

    name: str
    budget: int  # bytes that floras may take

    def load(self, rows: NDArray[np.float16]) -> Loaded:
        """Put rows (n, 256) on the device."""
        ...


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a flora on one device."""

    device: int
    numbers: Rows  # of the snapshot, of each place
    loaded: Loaded


class HotFloras:
    """Floras on devices, the coldest making room for new ones. Safe for threads: a search holds the lock."""

    def __init__(self, devices: Sequence[Device]) -> None:
        self._devices = list(devices)
        self._free = [device.budget for device in devices]
        self._held: OrderedDict[str, list[Shard]] = OrderedDict()  # the coldest first
        self._lock = threading.Lock()
        self.trouble = "" if devices else "no GPU is at hand"

    @property
    def standing(self) -> str:
        """For people and `/healthz`: what floras are searched on, and why if not on a GPU."""
        names = [device.name for device in self._devices]
        return describe_devices(names, self.trouble, f"{len(self._held)} floras", sum(self._free))

    def choose(self, flora: str, parts: Sequence[SegmentPart], embeddings: Embeddings, k: int) -> list[Rows] | None:
        """For each view the rows to compare at float16, ascending; None where the CPU must search this flora."""
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
        """Take the floras of a closed snapshot off the devices; `Flora.key` begins with its name."""
        with self._lock:
            for flora in [key for key in self._held if key.startswith(f"{snapshot}/")]:
                self._drop(flora)

    def _hold(self, flora: str, parts: Sequence[SegmentPart]) -> list[Shard] | None:
        """The flora's shards, put on the devices if they are not there; None if all of them are too small for it."""
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
        """Drop the coldest floras of a device until there is room."""
        for flora in [name for name, shards in self._held.items() if any(s.device == device for s in shards)]:
            if self._free[device] >= wanted:
                return
            self._drop(flora)

    def _drop(self, flora: str) -> None:
        """Take a flora off its devices."""
        for shard in self._held.pop(flora):
            self._free[shard.device] += len(shard.numbers) * ROW_BYTES

    def _give_up(self, error: BaseException) -> None:
        """Search on the CPU from now on, and say so."""
        self.trouble = f"the GPU failed and is not used any more: {error}"
        log.error("floras are searched on the CPU: %s", self.trouble)
        self._held.clear()
        self._devices = []


def undecided(near: Similarities, places: Rows, k: int) -> bool:
    """Whether what a device left out may be as similar as some view's `k`-th: then the CPU must settle the tie."""
    if near.shape[1] < k + SPARE:
        return False  # the device gave all that it has
    return bool(np.any((places[:, -1] >= 0) & (near[:, -1] > near[:, k - 1] - CLOSE)))


def describe_devices(names: Sequence[str], trouble: str, held: str, free: int) -> str:
    """A line about the devices in use, or about why there are none."""
    return f"{', '.join(names)}: {held}, {free >> 20} MiB free" if names else f"cpu: {trouble}"


def gather_numbers(parts: Sequence[SegmentPart]) -> Rows:
    """The snapshot's numbers of all rows that may answer, ascending."""
    numbers = [np.zeros(0, dtype=np.int64)]
    for part in parts:
        offsets = part.segment.offsets
        rows = np.concatenate([np.arange(offsets[n], offsets[n + 1]) for n in np.sort(part.lists).tolist()])
        if part.hidden is not None:
            rows = rows[~part.hidden[rows]]
        numbers.append(rows + part.segment.base)
    return np.sort(np.concatenate(numbers))


def gather_stored(parts: Sequence[SegmentPart], numbers: Rows) -> NDArray[np.float16]:
    """The stored embeddings of rows of the snapshot, in their order."""
    stored = np.empty((len(numbers), DIM), dtype=np.float16)
    for part in parts:
        here = (numbers >= part.segment.base) & (numbers < part.segment.base + part.segment.rows)
        stored[here] = part.segment.store.take(numbers[here] - part.segment.base)
    return stored
