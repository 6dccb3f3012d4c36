"""Devices for floras: a small one in NumPy, and the GPUs of this machine, if any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.devices.accelerator import ROW_BYTES
from retrieval.devices.faiss_gpu import count_gpus, find_devices
from retrieval.models.embedder import Embeddings
from retrieval.search.index import ExactIndex, Lists, Rows, Similarities, best_rows

Devices: TypeAlias = Callable[[int, int], list[Any]]  # how many, and the rows that each has room for


class NumpyRows:
    """Settles ties as it likes, the last row first, as a GPU may."""

    def __init__(self, rows: NDArray[np.float16]) -> None:
        self._rows = rows[::-1].astype(np.float32)

    def search(self, embeddings: Embeddings, k: int) -> tuple[Similarities, Rows]:
        near = embeddings @ self._rows.T
        best, found = best_rows(near, np.broadcast_to(np.arange(len(self._rows)), near.shape), k)
        return best, np.where(found < 0, -1, len(self._rows) - 1 - found)


class NumpyLists:
    """The same in lists."""

    def __init__(self, rows: NDArray[np.float16], offsets: NDArray[np.int64]) -> None:
        lists = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        self._index = ExactIndex(rows[::-1].astype(np.float32), lists[::-1])
        self._last = len(rows) - 1

    def search(self, embeddings: Embeddings, k: int, lists: Lists) -> tuple[Similarities, Rows]:
        near, found = self._index.search(embeddings, k, lists)
        return near, np.where(found < 0, -1, self._last - found)


class NumpyDevice:
    def __init__(self, number: int, budget: int) -> None:
        self.name, self.budget = f"numpy{number}", budget
        self.loads: list[int] = []
        self.broken = False

    def load(self, rows: NDArray[np.float16]) -> NumpyRows:
        if self.broken:
            raise RuntimeError("out of memory")
        self.loads.append(len(rows))
        return NumpyRows(rows)

    def load_lists(self, rows: NDArray[np.float16], offsets: NDArray[np.int64]) -> NumpyLists:
        if self.broken:
            raise RuntimeError("out of memory")
        self.loads.append(len(rows))
        return NumpyLists(rows, offsets)


def numpy_devices(count: int, rows: int) -> list[Any]:
    return [NumpyDevice(number, rows * ROW_BYTES) for number in range(count)]


def gpu_devices(count: int, rows: int) -> list[Any]:
    if count_gpus() < count:
        pytest.skip(f"FAISS sees {count_gpus()} GPUs here, and {count} are needed")
    return list(find_devices(rows * ROW_BYTES)[:count])
