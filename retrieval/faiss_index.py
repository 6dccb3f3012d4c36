"""FAISS lives here and nowhere else.

A segment's embeddings are an IVF index whose inverted lists are the species. A flora is a set of
lists, so searching it scans its references and nothing else: no selector (ignored without a word
by FAISS on GPU, a scan of everything on CPU) and no second copy. Codes are float16 and every row
of the lists is compared: the search is exact over what is stored. The file is mapped into memory,
opens in milliseconds, and its pages are shared by all workers.
"""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.embedder import DIM, Embeddings, unit_rows
from retrieval.errors import DamagedSnapshot
from retrieval.index import Lists, Rows, Similarities, best_rows

SPARE = 8  # rows asked for beyond the k-th place, where FAISS settles ties as it likes; we settle them by row
BLAS_THRESHOLD = 2048  # FAISS 1.15's default of 128,000 makes batches five times slower at this width


def write_index(path: Path, rows: Embeddings, lists: NDArray[np.int64], list_count: int) -> None:
    """Write embeddings (n, 256) whose row i belongs to list `lists[i]`; row numbers are the positions in `rows`.

    The coarse quantiser holds each species' prototype: its mean direction.
    """
    prototypes = np.zeros((list_count, DIM), dtype=np.float64)
    np.add.at(prototypes, lists, rows)
    quantiser = faiss.IndexFlatIP(DIM)
    quantiser.add(unit_rows(prototypes))
    index = faiss.IndexIVFScalarQuantizer(
        quantiser, DIM, list_count, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
    )
    index.is_trained = True  # float16 needs no training
    held = np.ascontiguousarray(rows, dtype=np.float32)
    numbers = np.arange(len(rows), dtype=np.int64)  # named, so that they outlive the call: FAISS is given bare pointers
    assigned = np.ascontiguousarray(lists, dtype=np.int64)
    index.add_core(len(rows), faiss.swig_ptr(held), faiss.swig_ptr(numbers), faiss.swig_ptr(assigned))
    faiss.write_index(index, str(path))


class FaissIndex:
    """An open, memory-mapped file of `write_index`. Safe to search from several threads."""

    def __init__(self, path: Path) -> None:
        faiss.cvar.distance_compute_blas_threshold = BLAS_THRESHOLD
        try:
            self._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise DamagedSnapshot(f"{path.name} is no index that FAISS can read") from error
        if not isinstance(self._index, faiss.IndexIVFScalarQuantizer) or self._index.d != DIM:
            raise DamagedSnapshot(f"{path.name} is an index of another kind or width")

    @property
    def rows(self) -> int:
        """How many rows are stored."""
        return int(self._index.ntotal)

    def search(self, embeddings: Embeddings, k: int, lists: Lists) -> tuple[Similarities, Rows]:
        views = len(embeddings)
        if not len(lists) or not views or not k:
            return best_rows(np.zeros((views, 0), np.float32), np.zeros((views, 0), np.int64), k)
        queries = np.ascontiguousarray(embeddings, dtype=np.float32)
        assigned = np.ascontiguousarray(np.broadcast_to(lists, (views, len(lists))), dtype=np.int64)
        wider = min(k + SPARE, self.rows)
        while True:
            similarities, rows = self._scan(queries, wider, assigned)
            last = similarities[:, -1]
            tied = np.isfinite(last) & (last == similarities[:, min(k, wider) - 1])
            if wider == self.rows or not tied.any():
                return best_rows(similarities, rows, k)
            wider = min(4 * wider, self.rows)

    def _scan(self, queries: Embeddings, k: int, assigned: NDArray[np.int64]) -> tuple[Similarities, Rows]:
        """The `k` best rows of the assigned lists, best first, ties as FAISS likes."""
        coarse = np.zeros(assigned.shape, dtype=np.float32)
        similarities = np.empty((len(queries), k), dtype=np.float32)
        rows = np.empty((len(queries), k), dtype=np.int64)
        probes = faiss.IVFSearchParameters(nprobe=assigned.shape[1])  # not the index's field, which threads share
        self._index.search_preassigned_c(
            len(queries),
            faiss.swig_ptr(queries),
            k,
            faiss.swig_ptr(assigned),
            faiss.swig_ptr(coarse),
            faiss.swig_ptr(similarities),
            faiss.swig_ptr(rows),
            False,
            probes,
        )
        similarities[rows < 0] = -np.inf
        return similarities, rows

    def embeddings(self, lists: Lists) -> tuple[Embeddings, Rows]:
        inverted = self._index.invlists
        blocks, numbers = [np.zeros((0, DIM), np.float16)], [np.zeros(0, np.int64)]
        for number in lists.tolist():
            size = inverted.list_size(number)
            if size:
                codes = faiss.rev_swig_ptr(inverted.get_codes(number), size * 2 * DIM)
                blocks.append(codes.view(np.float16).reshape(size, DIM).copy())
                numbers.append(faiss.rev_swig_ptr(inverted.get_ids(number), size).copy())
        rows = np.concatenate(numbers)
        order = np.argsort(rows)
        return np.concatenate(blocks)[order].astype(np.float32), rows[order]
