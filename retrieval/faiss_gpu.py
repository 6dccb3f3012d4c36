"""Finds GPUs that FAISS can use, and puts floras on them. Asking is safe on every machine; see `find_devices`.

Not run on a GPU by this project yet: what is known of FAISS there is from its source and its issues.
"""

from __future__ import annotations

import logging

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.embedder import DIM, Embeddings
from retrieval.index import Rows, Similarities

log = logging.getLogger(__name__)

CHUNK = 65_536  # rows sent at once
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


class GpuRows:
    """A flat index on a GPU. One thread at a time."""

    def __init__(self, index: faiss.Index) -> None:
        self._index = index

    def search(self, embeddings: Embeddings, k: int) -> tuple[Similarities, Rows]:
        found: tuple[Similarities, Rows] = self._index.search(
            np.ascontiguousarray(embeddings, np.float32), min(k, self._index.ntotal)
        )
        return found
