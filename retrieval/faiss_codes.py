"""The first stage of search in large floras: a reference in 32 bytes, compared sixteen at a time in registers.

A row is turned to the principal axes of the collection, the axes are dealt out so that each of 64 subspaces of
four gets its part of the spread, and each subspace keeps the nearest of 16 centroids: four bits. (Product
quantisation: Jegou, Douze, Schmid 2011; the dealing: Ge et al., Optimized Product Quantization, 2013; the
scan in registers: Andre et al. 2017, FAISS's fast-scan.) What the first stage finds is compared anew at float16,
so that its errors cost recall and never a wrong similarity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.arrays import load_array
from retrieval.embedder import DIM, Embeddings
from retrieval.errors import DamagedSnapshot
from retrieval.faiss_index import map_lists, scan_lists
from retrieval.index import Lists, Rows, Similarities

PARTS, BITS = 64, 4
CODE_BYTES = PARTS * BITS // 8
BLOCK = 32  # rows that fast-scan compares at once; each list is filled up to a multiple
TRAINING_ROWS = 65_536
CHUNK = 65_536  # rows encoded at once: 64 MB
ALONE, TOGETHER = 11, 13  # FAISS's numbers for: a query at a time, or list by list for several; both with a reservoir
GROUP = 4  # views that go through the lists together


@dataclass(frozen=True)
class Codebook:
    """What codes mean. `rotation` (256, 256) and `centroids` (64, 16, 4), float32."""

    rotation: NDArray[np.float32]
    centroids: NDArray[np.float32]

    @property
    def id(self) -> str:
        """Named after its content."""
        return sha256(self.rotation.tobytes() + self.centroids.tobytes()).hexdigest()[:16]

    def rotate(self, rows: NDArray[np.floating[Any]]) -> Embeddings:
        """Turn rows; in float64, so that a row's code does not depend on the rows beside it."""
        return np.ascontiguousarray(rows.astype(np.float64) @ self.axes, dtype=np.float32)

    @cached_property
    def axes(self) -> NDArray[np.float64]:
        """`rotation` as it is multiplied with."""
        return self.rotation.astype(np.float64)

    def write(self, folder: Path) -> None:
        """Write the codebook's two files to an existing folder."""
        np.save(folder / "rotation.npy", self.rotation)
        np.save(folder / "centroids.npy", self.centroids)


def train_codebook(rows: NDArray[np.float16], seed: int = 7) -> Codebook:
    """Fit a codebook to the store's rows (n, 256), or to a seeded sample of them. One thread: the same bytes anywhere.

    Axes in the order of their spread are dealt out to the subspaces like cards. On clustered rows this halves the
    candidates that are needed, and costs nothing at search (benchmarks/flora_search.py).
    """
    if len(rows) > TRAINING_ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(rows), TRAINING_ROWS, replace=False))
        rows = rows[chosen]
    sample = np.asarray(rows, dtype=np.float64)
    axes = np.linalg.eigh(np.cov(sample.T) if len(sample) > 1 else np.eye(DIM))[1][:, ::-1]
    dealt = np.arange(DIM).reshape(DIM // PARTS, PARTS).T.reshape(-1)
    rotation = np.ascontiguousarray(axes[:, dealt], dtype=np.float32)
    faiss.omp_set_num_threads(1)
    quantiser = faiss.ProductQuantizer(DIM, PARTS, BITS)
    quantiser.cp.min_points_per_centroid = 1
    quantiser.cp.seed = seed
    quantiser.train(np.ascontiguousarray(sample @ rotation, dtype=np.float32))
    centroids = faiss.vector_to_array(quantiser.centroids).reshape(PARTS, 1 << BITS, DIM // PARTS)
    return Codebook(rotation, centroids.astype(np.float32))


def read_codebook(folder: Path) -> Codebook:
    """Read what `Codebook.write` wrote."""
    try:
        rotation, centroids = load_array(folder / "rotation.npy"), load_array(folder / "centroids.npy")
    except (OSError, ValueError, EOFError) as error:
        raise DamagedSnapshot(f"codebook {folder.name} cannot be read") from error
    if rotation.shape != (DIM, DIM) or centroids.shape != (PARTS, 1 << BITS, DIM // PARTS):
        raise DamagedSnapshot(f"codebook {folder.name} is of another kind or width")
    return Codebook(rotation, centroids)


def empty_index(codebook: Codebook, lists: int) -> tuple[faiss.IndexFlatIP, faiss.IndexIVFPQ]:
    """An index for codes with the codebook in it, and its quantiser, which must live as long."""
    quantiser = faiss.IndexFlatIP(DIM)
    index = faiss.IndexIVFPQ(quantiser, DIM, lists, PARTS, BITS, faiss.METRIC_INNER_PRODUCT)
    index.by_residual = False  # one table a query for all lists, and codes that do not depend on their list
    faiss.copy_array_to_vector(codebook.centroids.reshape(-1), index.pq.centroids)
    index.is_trained = True
    return quantiser, index


def list_capacities(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sizes of the lists, filled up to whole blocks."""
    capacities: NDArray[np.int64] = -(-np.diff(offsets) // BLOCK) * BLOCK
    return capacities


def write_codes(path: Path, rows: NDArray[np.float16], offsets: NDArray[np.int64], codebook: Codebook) -> None:
    """Write the codes of stored rows: for each list its blocks of codes, then its row numbers, filled up with -1."""
    faiss.omp_set_num_threads(1)
    _quantiser, index = empty_index(codebook, len(offsets) - 1)
    of_row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    for start in range(0, len(rows), CHUNK):
        turned = codebook.rotate(rows[start : start + CHUNK])
        numbers = np.arange(start, start + len(turned), dtype=np.int64)
        lists = np.ascontiguousarray(of_row[start : start + len(turned)], dtype=np.int64)
        index.add_core(len(turned), faiss.swig_ptr(turned), faiss.swig_ptr(numbers), faiss.swig_ptr(lists))
    converted = faiss.IndexIVFPQFastScan(index)  # named, so that it outlives what is read from it
    packed = faiss.downcast_InvertedLists(converted.invlists)
    with path.open("wb") as file:
        for number, capacity in enumerate(list_capacities(offsets).tolist()):
            if capacity:
                size = int(offsets[number + 1] - offsets[number])
                file.write(faiss.rev_swig_ptr(packed.get_codes(number), capacity * CODE_BYTES).tobytes())
                rows_here = np.full(capacity, -1, dtype=np.int64)
                rows_here[:size] = faiss.rev_swig_ptr(packed.get_ids(number), size)
                file.write(rows_here.tobytes())


class FaissCodes:
    """A memory-mapped file of `write_codes`. Safe to search from several threads."""

    def __init__(self, path: Path, offsets: NDArray[np.int64], codebook: Codebook) -> None:
        capacities = list_capacities(offsets)
        ends = np.cumsum(capacities) * (CODE_BYTES + 8)
        try:
            if path.stat().st_size != (ends[-1] if len(ends) else 0):
                raise DamagedSnapshot(f"{path.name} does not belong together with the list of its species")
        except OSError as error:
            raise DamagedSnapshot(f"{path.name} cannot be read") from error
        self.codebook = codebook
        self._quantiser, empty = empty_index(codebook, len(capacities))
        starts = ends - capacities * (CODE_BYTES + 8)
        lots = np.stack([np.diff(offsets), capacities, starts], axis=1).astype(np.uint64)
        self._lists = map_lists(path, CODE_BYTES, lots)
        self._indexes = {}
        for way in (ALONE, TOGETHER):
            index = faiss.IndexIVFPQFastScan(empty)
            index.replace_invlists(self._lists, False)
            index.ntotal = int(offsets[-1])
            index.implem = way
            self._indexes[way] = index

    def search(self, embeddings: Embeddings, depth: int, lists: Lists) -> tuple[Similarities, Rows]:
        """The `depth` rows of the lists that look most similar by their codes; (views, depth), -1 where there are none.

        The similarities are rough: good for choosing, not for answering.
        """
        found = np.full((len(embeddings), depth), -np.inf, np.float32), np.full((len(embeddings), depth), -1, np.int64)
        if not len(lists) or not len(embeddings):
            return found
        queries = self.codebook.rotate(embeddings)
        step, way = (1, ALONE) if len(queries) == 1 else (GROUP, TOGETHER)
        for start in range(0, len(queries), step):
            group = slice(start, start + step)
            found[0][group], found[1][group] = scan_lists(self._indexes[way], queries[group], depth, lists, pairs=False)
        return found
