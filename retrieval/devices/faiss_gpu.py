"""Finds GPUs that FAISS can use, and puts floras on them. Asking is safe on every machine; see `find_devices`.

Not run on a GPU by this project yet: what is known of FAISS there is from its source and its issues.
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

CHUNK = 65_536  # rows sent at once
MOST_PROBES = 2048  # lists that a GPU searches for a query in one call
SCRATCH = 256 << 20  # bytes that FAISS may take for its own on each GPU, beside the budget


def count_gpus() -> int:
    """How many GPUs FAISS sees. Nothing else of its GPU part may be touched where there are none.

    faiss-cpu has no GPU part at all; faiss-gpu without a GPU makes resources without complaint, copies indexes to an
    empty set of replicas, and aborts the process when asked about cuVS.
    """
    try:
        found = int(getattr(faiss, "get_num_gpus", lambda: 0)())
    except RuntimeError as error:
        log.warning("floras are searched on the CPU: FAISS cannot count GPUs: %s", error)
        return 0
    return found if hasattr(faiss, "GpuIndexFlatIP") else 0


def find_devices(budget: int) -> list[GpuDevice]:
    """All GPUs, each to be used up to `budget` bytes; none, said in the log, where there are none that work."""
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
    """What searches in place of the CPU, with so many bytes of each GPU; None where no GPU was asked for.

    `keeps` is "floras", a copy of each hot one, or "lists", every reference once. Where GPUs were asked for and there
    are none, the accelerator says so, and leaves all to the CPU.
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
        """Put rows on the GPU at float16."""
        options = faiss.GpuIndexFlatConfig()
        options.device = self._number
        options.useFloat16 = True
        index = faiss.GpuIndexFlatIP(self._resources, DIM, options)
        for start in range(0, len(rows), CHUNK):
            index.add(rows[start : start + CHUNK].astype(np.float32))
        return GpuRows(index)

    def load_lists(self, rows: NDArray[np.float16], offsets: NDArray[np.int64]) -> GpuLists:
        """Put lists of rows on the GPU at float16, each row with its number."""
        quantiser = faiss.IndexFlatIP(DIM)
        quantiser.add(np.zeros((len(offsets) - 1, DIM), dtype=np.float32))  # asked nothing: the lists are always given
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
    """A flat index on a GPU. One thread at a time."""

    def __init__(self, index: faiss.Index) -> None:
        self._index = index

    def search(self, embeddings: Embeddings, k: int) -> tuple[Similarities, Rows]:
        found: tuple[Similarities, Rows] = self._index.search(
            np.ascontiguousarray(embeddings, np.float32), min(k, self._index.ntotal)
        )
        return found


class GpuLists:
    """An inverted file on a GPU, searched in lists given beforehand. One thread at a time."""

    def __init__(self, index: faiss.Index) -> None:
        self._index = index

    def search(self, embeddings: Embeddings, k: int, lists: Lists) -> tuple[Similarities, Rows]:
        queries = np.ascontiguousarray(embeddings, np.float32)
        found = [
            scan_lists(self._index, queries, k, lists[start : start + MOST_PROBES], pairs=False)
            for start in range(0, len(lists), MOST_PROBES)
        ]
        return best_rows(np.concatenate([near for near, _ in found], 1), np.concatenate([at for _, at in found], 1), k)
