"""Exact search with a FAISS inverted file (IVF) over memory-mapped float16 embeddings, one list for each species.

A segment's embeddings are a plain NumPy file at float16, ordered by species, and FAISS's inverted lists are mapped
over it. A flora is a set of lists, so a search scans the flora's references only, without a selector (silently ignored
by FAISS on GPU; on the CPU all lists would still be scanned) and without a copy. Every row of the lists is compared:
the search is exact over the stored values. The file's pages are shared by all workers.

FAISS is imported only here, in the other `faiss_*` modules and in `retrieval/devices/faiss_gpu.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.errors import DamagedSnapshot
from retrieval.models.embedder import DIM, Embeddings
from retrieval.search.arrays import load_array, write_rows
from retrieval.search.index import Lists, Rows, Similarities, best_rows

SPARE = 8  # rows beyond the k-th: FAISS breaks ties arbitrarily, we break them by row
BLAS_THRESHOLD = 2048  # FAISS 1.15's default of 128,000 makes batches five times slower at this width
ROW_BYTES = 2 * DIM
TOGETHER = 4_096  # rows that are compared with all queries before the next: 2 MB
FEW_GROUPS = 12  # groups of so many rows up to which caches hold all of them anyway
WRITTEN = 32_768  # rows written at once: 16 MB


class RowSource(Protocol):
    """Rows (n, 256) read a slice at a time: an array, or a source larger than memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> NDArray[np.floating[Any]]: ...


def write_index(path: Path, rows: RowSource) -> None:
    """Write embeddings (n, 256), ordered by species, to an `.npy` file at float16."""
    blocks = (rows[start : start + WRITTEN] for start in range(0, len(rows), WRITTEN))
    write_rows(path, blocks, (len(rows), DIM), np.float16)


class BorrowedLists:
    """FAISS inverted lists over existing memory, without a copy or a second mapping.

    `lots` is (lists, 3): each list's size, its capacity, and the offset of its first byte. FAISS reads row numbers at
    `code_size` times the capacity after that byte; where they are not read, any capacity is valid.
    """

    def __init__(self, memory: NDArray[Any], code_size: int, lots: NDArray[np.int64]) -> None:
        self._memory = memory  # kept alive while FAISS may read it
        self.faiss = faiss.OnDiskInvertedLists()
        self.faiss.nlist, self.faiss.code_size, self.faiss.read_only = len(lots), code_size, True
        self.faiss.prefetch_nthread = 0  # starting threads would cost more than the search
        self.faiss.lists.resize(len(lots))
        table = np.ascontiguousarray(lots, dtype=np.uint64)
        if table.nbytes:
            faiss.memcpy(self.faiss.lists.data(), faiss.swig_ptr(table.view(np.uint8).reshape(-1)), table.nbytes)
        if memory.nbytes:
            self.faiss.ptr = faiss.swig_ptr(memory.view(np.uint8).reshape(-1))

    def __del__(self) -> None:
        self.faiss.ptr = None  # else FAISS would unmap memory it does not own


@dataclass(frozen=True, slots=True)
class ScannedRows:
    """An index, the objects that must live as long, and the first row of each of its lists."""

    index: faiss.IndexIVFScalarQuantizer
    lists: BorrowedLists
    quantiser: faiss.IndexFlatIP
    offsets: NDArray[np.int64]


class FaissIndex:
    """An exact index over a file of `write_index`; list i has rows [offsets[i], offsets[i + 1]). Thread-safe.

    Raises DamagedSnapshot where the file is no such array, or does not match the offsets.
    """

    def __init__(self, path: Path, offsets: NDArray[np.int64], together: int = TOGETHER) -> None:
        faiss.cvar.distance_compute_blas_threshold = BLAS_THRESHOLD
        self._offsets, self._together = np.asarray(offsets, dtype=np.int64), together
        try:
            self._rows: NDArray[np.float16] = load_array(path, mapped=True)
        except (OSError, ValueError, EOFError) as error:
            raise DamagedSnapshot(f"{path.name} is no array of embeddings") from error
        if self._rows.dtype != np.float16 or self._rows.ndim != 2 or self._rows.shape[1] != DIM:
            raise DamagedSnapshot(f"{path.name} holds embeddings of another kind or width")
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(self._rows) or np.any(np.diff(offsets) < 0):
            raise DamagedSnapshot(f"{path.name} does not belong together with the list of its species")
        self._lists = self._over(self._offsets)
        blocks = np.arange(0, len(self._rows), together, dtype=np.int64)
        self._whole = self._over(np.append(blocks, len(self._rows)))  # starting a list costs as much as 20 rows

    def _over(self, offsets: NDArray[np.int64]) -> ScannedRows:
        """Return an index over the rows, in lists that begin at these offsets."""
        sizes = np.diff(offsets)
        lots = np.stack([sizes, sizes, ROW_BYTES * offsets[:-1]], axis=1)
        quantiser = faiss.IndexFlatIP(DIM)  # unused: lists are preassigned
        index = faiss.IndexIVFScalarQuantizer(
            quantiser, DIM, len(sizes), faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
        )
        lists = BorrowedLists(self._rows, ROW_BYTES, lots)
        index.replace_invlists(lists.faiss, False)
        index.is_trained = True  # float16 needs no training
        index.ntotal = len(self._rows)
        return ScannedRows(index, lists, quantiser, offsets)

    @property
    def rows(self) -> int:
        """Number of stored rows."""
        return len(self._rows)

    def search(self, embeddings: Embeddings, k: int, lists: Lists) -> tuple[Similarities, Rows]:
        views = len(embeddings)
        if not len(lists) or not views or not k:
            return best_rows(np.zeros((views, 0), np.float32), np.zeros((views, 0), np.int64), k)
        queries = np.ascontiguousarray(embeddings, dtype=np.float32)
        every = lists.ndim == 1 and len(lists) == len(self._offsets) - 1
        scanned = self._whole if every else self._lists
        asked = np.arange(len(scanned.offsets) - 1, dtype=np.int64) if every else lists
        wider = min(k + SPARE, self.rows)
        while True:
            similarities, rows = scan_shared(scanned, queries, wider, asked, self._together)
            if rows[:, -1].min() < 0:
                places = np.maximum(rows, 0)
                rows = np.where(rows < 0, -1, scanned.offsets[places >> 32] + (places & 0xFFFFFFFF))
            else:
                rows = scanned.offsets[rows >> 32] + (rows & 0xFFFFFFFF)
            if wider == self.rows or not tied(similarities, k).any():
                return settle_ties(similarities, rows, k)
            wider = min(4 * wider, self.rows)

    def embeddings(self, lists: Lists) -> tuple[Embeddings, Rows]:
        ordered = np.sort(lists)
        ranges = [np.arange(self._offsets[number], self._offsets[number + 1]) for number in ordered.tolist()]
        rows = np.concatenate([np.zeros(0, np.int64), *ranges])
        return self._rows[rows].astype(np.float32), rows

    def part(self, rows: Rows, first: int, last: int) -> NDArray[np.float16]:
        """Return dimensions [first, last) of the given rows (ascending): (rows, last - first)."""
        if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
            return self._rows[rows[0] : rows[-1] + 1, first:last]
        return self._rows[rows, first:last]

    def take(self, rows: Rows, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
        """Return the given rows (rows, 256), in the order given, in a new array or in `out`."""
        return self._rows.take(rows, axis=0, out=out, mode="raise" if out is None else "clip")


def scan_shared(
    scanned: ScannedRows, queries: Embeddings, k: int, lists: Lists, together: int
) -> tuple[Similarities, Rows]:
    """Like `scan_lists` with pairs, but with about `together` rows at a time for all queries.

    FAISS goes through all lists for one query after the other, and reads from memory each time what no cache holds.
    """
    sizes = np.diff(scanned.offsets)[lists] if lists.ndim == 1 else np.zeros(0, np.int64)
    ends = np.cumsum(sizes)
    if len(queries) == 1 or not len(sizes) or ends[-1] <= FEW_GROUPS * together:
        return scan_lists(scanned.index, queries, k, lists, pairs=True)
    cuts = np.unique(np.searchsorted(ends, np.arange(together, ends[-1], together)) + 1)
    groups = [group for group in np.split(np.arange(len(lists)), cuts) if len(group)]
    found = [scan_lists(scanned.index, queries, min(k, int(sizes[g].sum())), lists[g], pairs=True) for g in groups]
    near, rows = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
    if near.shape[1] < k:
        missing = ((0, 0), (0, k - near.shape[1]))
        near = np.pad(near, missing, constant_values=-np.inf)
        rows = np.pad(rows, missing, constant_values=-1)
    best = (
        np.argpartition(-near, k - 1, axis=1)[:, :k] if near.shape[1] > k else np.arange(k)[None].repeat(len(near), 0)
    )
    order = np.take_along_axis(best, np.argsort(-np.take_along_axis(near, best, axis=1), axis=1), axis=1)
    return np.take_along_axis(near, order, axis=1), np.take_along_axis(rows, order, axis=1)


def scan_lists(
    index: faiss.IndexIVF,
    queries: Embeddings,
    k: int,
    lists: Lists,
    *,
    pairs: bool,
    parameters: faiss.IVFSearchParameters | None = None,
) -> tuple[Similarities, Rows]:
    """Return the `k` best rows of the lists for each query, (queries, k), best first, padded with -inf and -1.

    Ties are in arbitrary order. `lists` are shared by all queries, (lists,), or one row for each, (queries, lists),
    padded with -1. With `pairs`, a row is encoded as list << 32 | position in the list, and no row numbers need be
    stored. `parameters.nprobe` must equal the number of lists. Runs in the caller's thread: requests are parallel
    already, and FAISS's threads would cost more than a search.
    """
    faiss.omp_set_num_threads(1)  # for this thread only
    # each array has a name that outlives the call: FAISS receives raw pointers
    assigned = np.empty((len(queries), lists.shape[-1]), dtype=np.int64)
    assigned[:] = lists
    coarse = np.zeros(assigned.shape, dtype=np.float32)
    similarities = np.empty((len(queries), k), dtype=np.float32)
    rows = np.empty((len(queries), k), dtype=np.int64)
    index.search_preassigned_c(
        len(queries),
        faiss.swig_ptr(queries),
        k,
        faiss.swig_ptr(assigned),
        faiss.swig_ptr(coarse),
        faiss.swig_ptr(similarities),
        faiss.swig_ptr(rows),
        pairs,
        parameters or probing(lists.shape[-1]),  # not the index's field: threads share it
    )
    if k and len(rows) and rows[:, -1].min() < 0:  # padding comes last
        similarities[rows < 0] = -np.inf
    return similarities, rows


@lru_cache(maxsize=512)
def probing(lists: int) -> faiss.IVFSearchParameters:
    """Return search parameters with `nprobe=lists`. Cached: creating them costs as much as comparing 500 rows."""
    return faiss.IVFSearchParameters(nprobe=lists)


def rank_candidates(
    queries: Embeddings, stored: NDArray[np.float16], counts: NDArray[np.int64], k: int
) -> tuple[Similarities, NDArray[np.int64]]:
    """Return the `k` best of each query's own candidates, with the arithmetic of the exact search; ties by position.

    `stored` are the candidates' rows: the first counts[0] belong to the first query, and so on. Returns similarities
    and positions within the query's candidates, (queries, k), padded with -inf and -1. One FAISS call for all queries,
    with one list for each.
    """
    most = int(counts.max(initial=0))
    if not most:
        return np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), -1, np.int64)
    ends = np.cumsum(counts)
    lists = BorrowedLists(stored, ROW_BYTES, np.stack([counts, counts, ROW_BYTES * (ends - counts)], axis=1))
    quantiser = faiss.IndexFlatIP(DIM)
    index = faiss.IndexIVFScalarQuantizer(
        quantiser, DIM, len(queries), faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
    )
    index.replace_invlists(lists.faiss, False)
    index.is_trained, index.ntotal = True, int(ends[-1])
    own = np.arange(len(queries), dtype=np.int64)[:, None]
    wider = min(k + SPARE, most)
    while True:
        similarities, places = scan_lists(index, queries, wider, own, pairs=True)
        places[places >= 0] &= 0xFFFFFFFF
        if wider == most or not tied(similarities, k).any():
            return settle_ties(similarities, places, k)
        wider = min(4 * wider, most)


def settle_ties(similarities: Similarities, rows: Rows, k: int) -> tuple[Similarities, Rows]:
    """Like `best_rows`, for rows that are sorted already except within ties."""
    if similarities.shape[1] < k or (similarities[:, 1:] == similarities[:, :-1]).any():
        return best_rows(similarities, rows, k)
    return similarities[:, :k], rows[:, :k]


def tied(similarities: Similarities, k: int) -> NDArray[np.bool_]:
    """Return for each query whether the k-th and the last similarity are equal, so that ties may be missing."""
    last = similarities[:, -1]
    answer: NDArray[np.bool_] = np.isfinite(last) & (last == similarities[:, min(k, similarities.shape[1]) - 1])
    return answer
