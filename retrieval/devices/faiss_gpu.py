"""FAISS indexes on GPUs: device discovery, flat indexes and inverted files. `find_devices` is safe on any machine.

This project has not run it on a GPU yet: the limits of FAISS given here are from its source and its issues.
"""

from __future__ import annotations

import logging

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.devices.accelerator import Accelerator, HotFloras
from retrieval.devices.device_lists import HotLists
from retrieval.models.embedder import DIM, Embeddings
from retrieval.search.faiss_index import scan_lists
from retrieval.search.index import Lists, Rows, Similarities, best_rows

log = logging.getLogger(__name__)

CHUNK = 65_536  # rows copied in one call
MOST_PROBES = 2048  # largest nprobe that FAISS supports on a GPU
SCRATCH = 256 << 20  # bytes of temporary memory for FAISS on each GPU, in addition to the budget


def count_gpus() -> int:
    """Return the number of GPUs visible to FAISS. Where it is 0, no other GPU function of FAISS may be called.

    faiss-cpu has no GPU functions; faiss-gpu without a GPU creates resources without an error, copies indexes to an
    empty set of replicas, and aborts the process when cuVS is queried.
    """
    try:
        found = int(getattr(faiss, "get_num_gpus", lambda: 0)())
    except RuntimeError as error:
        log.warning("floras are searched on the CPU: FAISS cannot count GPUs: %s", error)
        return 0
    return found if hasattr(faiss, "GpuIndexFlatIP") else 0


def find_devices(budget: int) -> list[GpuDevice]:
    """Return all usable GPUs, each with `budget` bytes; an empty list, with a log line, where there are none."""
    devices = []
    for number in range(count_gpus()):
        try:
            devices.append(GpuDevice(number, budget))
        except RuntimeError as error:
            log.warning("GPU %s cannot be used: %s", number, error)
    if not devices:
        log.info("floras are searched on the CPU: FAISS sees no GPU")
    return devices


def open_accelerator(keeps: str, budget: int) -> Accelerator | None:
    """Open an accelerator with `budget` bytes on each GPU; None where the budget is 0.

    `keeps` is "floras" (a copy of each frequently searched flora) or "lists" (one copy of all references). Where no
    GPU is found, the accelerator reports that in `description` and leaves every search to the CPU.
    """
    if budget <= 0:
        return None
    devices = find_devices(budget)
    return HotLists(devices) if keeps == "lists" else HotFloras(devices)


class GpuDevice:
    """One GPU."""

    def __init__(self, number: int, budget: int) -> None:
        self.name = f"gpu{number}"
        self.budget = budget
        self._number = number
        self._resources = faiss.StandardGpuResources()
        self._resources.setTempMemory(SCRATCH)

    def load(self, rows: NDArray[np.float16]) -> GpuRows:
        """Copy rows (n, 256) to a flat index on the GPU, at float16."""
        options = faiss.GpuIndexFlatConfig()
        options.device = self._number
        options.useFloat16 = True
        index = faiss.GpuIndexFlatIP(self._resources, DIM, options)
        for start in range(0, len(rows), CHUNK):
            index.add(rows[start : start + CHUNK].astype(np.float32))
        return GpuRows(index)

    def load_lists(self, rows: NDArray[np.float16], offsets: NDArray[np.int64]) -> GpuLists:
        """Copy lists of rows to an inverted file on the GPU, at float16, with 64-bit ids."""
        quantiser = faiss.IndexFlatIP(DIM)
        quantiser.add(np.zeros((len(offsets) - 1, DIM), dtype=np.float32))  # unused: lists are preassigned
        index = faiss.IndexIVFScalarQuantizer(
            quantiser, DIM, len(offsets) - 1, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
        )
        index.is_trained, index.ntotal = True, len(rows)
        numbers = np.arange(len(rows), dtype=np.int64)
        for number, (first, last) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
            if last > first:
                codes = np.ascontiguousarray(rows[first:last]).view(np.uint8)
                own = numbers[first:last]
                index.invlists.add_entries(number, last - first, faiss.swig_ptr(own), faiss.swig_ptr(codes))
        options = faiss.GpuClonerOptions()
        options.indicesOptions = faiss.INDICES_64_BIT
        return GpuLists(faiss.index_cpu_to_gpu(self._resources, self._number, index, options))


class GpuRows:
    """A flat index on a GPU. Not thread-safe."""

    def __init__(self, index: faiss.Index) -> None:
        self._index = index

    def search(self, embeddings: Embeddings, k: int) -> tuple[Similarities, Rows]:
        found: tuple[Similarities, Rows] = self._index.search(
            np.ascontiguousarray(embeddings, np.float32), min(k, self._index.ntotal)
        )
        return found


class GpuLists:
    """An inverted file on a GPU, searched in preassigned lists. Not thread-safe."""

    def __init__(self, index: faiss.Index) -> None:
        self._index = index

    def search(self, embeddings: Embeddings, k: int, lists: Lists) -> tuple[Similarities, Rows]:
        queries = np.ascontiguousarray(embeddings, np.float32)
        found = [
            scan_lists(self._index, queries, k, lists[start : start + MOST_PROBES], pairs=False)
            for start in range(0, len(lists), MOST_PROBES)
        ]
        return best_rows(np.concatenate([near for near, _ in found], 1), np.concatenate([at for _, at in found], 1), k)
