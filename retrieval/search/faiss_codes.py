"""PQ codes for the first stage of search in large floras: 32 bytes a reference, scanned with FAISS's fast-scan.

Rows are rotated to the principal axes of the collection, the axes are allocated to 64 subspaces of four so that each
has a similar share of the variance, and each subspace is encoded by the nearest of 16 centroids (four bits). Product
quantisation: Jegou, Douze, Schmid 2011; allocation: Ge et al., Optimized Product Quantization, 2013; SIMD scan in
registers: Andre et al. 2017. Candidates are ranked again at float16, so quantisation errors reduce recall but never
give a wrong similarity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.errors import DamagedSnapshot
from retrieval.models.embedder import DIM, Embeddings
from retrieval.progress import Progress, silent
from retrieval.search.arrays import load_array
from retrieval.search.faiss_index import BorrowedLists, scan_lists
from retrieval.search.index import Lists, Rows, Similarities

PARTS, BITS = 64, 4
CODE_BYTES = PARTS * BITS // 8
BLOCK = 32  # rows that fast-scan compares at once; each list is padded to a multiple
TRAINING_ROWS = 65_536
CHUNK = 32_768  # rows encoded at once: 64 MB at float64
FILLED = 8 * CHUNK  # the same with their padding: 8 MB of codes
ROW_NUMBER = 8  # bytes
TOGETHER = 13  # FAISS's `implem`: list by list, several queries at once, candidates in a reservoir
GROUP = 16  # views searched in one call
BLOCK_ROWS = 8_192  # rows of a block: 256 KB of codes, which stay in the cache for all views of a group


@dataclass(frozen=True)
class Codebook:
    """The product quantiser's parameters: `rotation` (256, 256) and `centroids` (64, 16, 4), float32."""

    rotation: NDArray[np.float32]
    centroids: NDArray[np.float32]

    @property
    def id(self) -> str:
        """The first 16 hex digits of the SHA-256 of its content."""
        return sha256(self.rotation.tobytes() + self.centroids.tobytes()).hexdigest()[:16]

    def rotate(self, rows: NDArray[np.floating[Any]]) -> Embeddings:
        """Rotate rows (n, 256); in float64, so that a row's code does not depend on the other rows."""
        return np.ascontiguousarray(rows.astype(np.float64) @ self.axes, dtype=np.float32)

    def rotate_views(self, views: Embeddings) -> Embeddings:
        """Rotate views row by row: for few views, starting BLAS threads costs more than the product."""
        turned = np.empty((len(views), DIM), dtype=np.float32)
        for line, view in zip(turned, views.astype(np.float64), strict=True):
            line[:] = view @ self.axes
        return turned

    @cached_property
    def axes(self) -> NDArray[np.float64]:
        """`rotation` as float64."""
        return self.rotation.astype(np.float64)

    def write(self, folder: Path) -> None:
        """Write the codebook's two files to an existing folder."""
        np.save(folder / "rotation.npy", self.rotation)
        np.save(folder / "centroids.npy", self.centroids)


def train_codebook(rows: NDArray[np.float16], seed: int = 7) -> Codebook:
    """Fit a codebook to stored rows (n, 256), or to a seeded sample of them. Single-threaded, for reproducible bytes.

    Axes in order of variance are allocated to the subspaces in turn. On clustered rows this halves the number of
    candidates needed, at no cost in search (benchmarks/search/flora_search.py).
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
    """Read a codebook written by `Codebook.write`; raises DamagedSnapshot."""
    try:
        rotation, centroids = load_array(folder / "rotation.npy"), load_array(folder / "centroids.npy")
    except (OSError, ValueError, EOFError) as error:
        raise DamagedSnapshot(f"codebook {folder.name} cannot be read") from error
    if rotation.shape != (DIM, DIM) or centroids.shape != (PARTS, 1 << BITS, DIM // PARTS):
        raise DamagedSnapshot(f"codebook {folder.name} is of another kind or width")
    return Codebook(rotation, centroids)


def empty_index(codebook: Codebook, lists: int) -> tuple[faiss.IndexFlatIP, faiss.IndexIVFPQ]:
    """Make an empty index with the codebook, and its coarse quantiser, which the caller must keep alive."""
    quantiser = faiss.IndexFlatIP(DIM)
    index = faiss.IndexIVFPQ(quantiser, DIM, lists, PARTS, BITS, faiss.METRIC_INNER_PRODUCT)
    index.by_residual = False  # one lookup table per query, and codes independent of their list
    faiss.copy_array_to_vector(codebook.centroids.reshape(-1), index.pq.centroids)
    index.is_trained = True
    return quantiser, index


def place_lists(offsets: NDArray[np.int64], order: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Return the position of each list's first code when lists are stored in this order, each padded; and the end."""
    capacities = -(-np.diff(offsets) // BLOCK) * BLOCK
    ends = np.cumsum(capacities[order])
    places = np.empty(len(order), dtype=np.int64)
    places[order] = ends - capacities[order]
    return places, int(ends[-1]) if len(ends) else 0


def write_codes(
    path: Path,
    rows: NDArray[np.float16],
    offsets: NDArray[np.int64],
    codebook: Codebook,
    order: NDArray[np.int64],
    progress: Progress = silent,
) -> None:
    """Write the PQ codes of stored rows with lists in the given order: packed codes, row numbers, the order.

    Row numbers are padded with -1 where codes are padded. `progress` reports the number of encoded rows.
    """
    faiss.omp_set_num_threads(1)
    with path.open("wb") as file:
        for pieces in gather_pieces(offsets, order):
            write_pieces(file, rows, pieces, codebook)
            progress("codes", int(np.sum(pieces[:, 1] - pieces[:, 0])), len(rows))
        for pieces in gather_pieces(offsets, order):
            taken, places, end = spread_pieces(pieces)
            numbers = np.full(end, -1, dtype=np.int64)
            numbers[places] = taken
            file.write(numbers.data)
        file.write(order.astype(np.int64).tobytes())


def gather_pieces(offsets: NDArray[np.int64], order: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield batches of (first row, end), (pieces, 2), of lists in the given order; large lists are split.

    A batch has at most CHUNK rows, and at most FILLED with the padding of its pieces to whole blocks. A piece that is
    not its list's last is a whole number of blocks, so that splitting does not change the file.
    """
    sizes = np.diff(offsets)[order]
    split = np.maximum(1, -(-sizes // CHUNK))
    lists = np.repeat(np.arange(len(order)), split)
    firsts = offsets[order][lists] + CHUNK * (np.arange(len(lists)) - np.repeat(np.cumsum(split) - split, split))
    ends = np.minimum(firsts + CHUNK, offsets[order + 1][lists])
    pieces = np.stack([firsts, ends], axis=1)
    held = np.append(0, np.cumsum(ends - firsts))
    filled = np.append(0, np.cumsum(-(-(ends - firsts) // BLOCK) * BLOCK))
    start = 0
    while start < len(pieces):
        by_rows, by_places = (
            int(np.searchsorted(counts, counts[start] + most, side="right")) - 1
            for counts, most in ((held, CHUNK), (filled, FILLED))
        )
        end = min(by_rows, by_places)
        yield pieces[start:end]
        start = end


def spread_pieces(pieces: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return the rows of pieces, (rows,); the place of each once pieces are padded to whole blocks; and the end."""
    sizes = pieces[:, 1] - pieces[:, 0]
    padded = -(-sizes // BLOCK) * BLOCK
    within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows = np.repeat(pieces[:, 0], sizes) + within
    places = np.repeat(np.cumsum(padded) - padded, sizes) + within
    return rows, places, int(padded.sum())


def write_pieces(file: BinaryIO, rows: NDArray[np.float16], pieces: NDArray[np.int64], codebook: Codebook) -> None:
    """Write the codes of pieces of lists in order, each padded to whole blocks.

    Fast-scan packs each block by itself, so that all lists are packed in one call as if they were one.
    """
    taken, places, end = spread_pieces(pieces)
    turned = codebook.rotate(rows[taken])
    _quantiser, index = empty_index(codebook, 1)
    codes, numbers = np.zeros((end, CODE_BYTES), dtype=np.uint8), np.zeros(end, dtype=np.int64)
    codes[places] = index.pq.compute_codes(turned)
    index.invlists.add_entries(0, end, faiss.swig_ptr(numbers), faiss.swig_ptr(codes))
    converted = faiss.IndexIVFPQFastScan(index)  # a name keeps it alive while it is read
    packed = faiss.downcast_InvertedLists(converted.invlists)
    file.write(faiss.rev_swig_ptr(packed.get_codes(0), end * CODE_BYTES).data)


class FaissCodes:
    """Memory-mapped PQ codes, written by `write_codes`. Thread-safe. Raises DamagedSnapshot."""

    def __init__(self, path: Path, offsets: NDArray[np.int64], codebook: Codebook) -> None:
        self.codebook = codebook
        self._offsets = np.asarray(offsets)
        lists = len(offsets) - 1
        try:
            self._bytes: NDArray[np.uint8] = np.asarray(np.memmap(path, np.uint8, "r"))
        except (OSError, ValueError) as error:
            raise DamagedSnapshot(f"{path.name} cannot be read") from error
        self._places, self._end = place_lists(offsets, np.arange(lists))  # the end is independent of the order
        if len(self._bytes) != self._end * (CODE_BYTES + ROW_NUMBER) + lists * ROW_NUMBER:
            raise DamagedSnapshot(f"{path.name} does not match the list of its species")
        order = self._bytes[len(self._bytes) - lists * ROW_NUMBER :].view(np.int64)
        if not np.array_equal(np.sort(order), np.arange(lists)):
            raise DamagedSnapshot(f"{path.name} does not name each list of its segment once")
        self._places, _ = place_lists(offsets, order)
        self._rank = np.empty(lists, dtype=np.int64)  # position of each list in the file
        self._rank[order] = np.arange(lists)
        self._single = self._index(self._places, np.diff(offsets))

    @property
    def lists(self) -> int:
        """Number of lists."""
        return len(self._rank)

    def cut(self, lists: Lists, hidden: NDArray[np.bool_] | None) -> PreparedLists:
        """Prepare the search of some lists: adjacent ones are merged into blocks, each scanned as one list.

        The overhead of a list equals that of a hundred rows in FAISS. Padding and masked (`hidden`) rows are excluded
        by a bitmap selector, which FAISS evaluates only for rows similar enough to be kept.
        """
        ranked = lists[np.argsort(self._rank[lists])]
        sizes = self._offsets[ranked + 1] - self._offsets[ranked]
        starts = self._places[ranked]
        breaks = np.flatnonzero(np.diff(self._rank[ranked]) != 1)
        first, last = np.append(0, breaks + 1), np.append(breaks, len(ranked) - 1)
        pieces = [
            (start, min(BLOCK_ROWS, end - start))
            for begin, end in zip(starts[first].tolist(), (starts[last] + sizes[last]).tolist(), strict=True)
            for start in range(begin, end, BLOCK_ROWS)
        ]
        table = np.array(pieces, dtype=np.int64).reshape(-1, 2)
        allowed = np.zeros(int(self._offsets[-1]), dtype=np.bool_)
        for number in lists.tolist():
            allowed[self._offsets[number] : self._offsets[number + 1]] = True
        if hidden is not None:
            allowed &= ~hidden
        return PreparedLists(self._index(table[:, 0], table[:, 1]), len(table), make_selector(allowed))

    def search(self, turned: Embeddings, depth: int, cut: PreparedLists) -> tuple[Similarities, Rows]:
        """Return the `depth` rows with the most similar codes, (views, depth), padded with -1.

        `turned` are views rotated by `Codebook.rotate_views`. The similarities are approximate: they serve to select
        candidates only.
        """
        return self._scan(cut.index, turned, depth, np.tile(np.arange(cut.blocks), (len(turned), 1)), cut.selector)

    def probe(
        self, turned: Embeddings, depth: int, lists: Lists, selector: faiss.IDSelector | None = None
    ) -> tuple[Similarities, Rows]:
        """Like `search`, in each view's own lists (views, lists), padded with -1."""
        return self._scan(self._single, turned, depth, lists, selector)

    def _scan(
        self, index: ScannedCodes, turned: Embeddings, depth: int, lists: Lists, selector: faiss.IDSelector | None
    ) -> tuple[Similarities, Rows]:
        found = np.full((len(turned), depth), -np.inf, np.float32), np.full((len(turned), depth), -1, np.int64)
        if not lists.shape[1]:
            return found
        asked = faiss.IVFSearchParameters(nprobe=lists.shape[1], **({} if selector is None else {"sel": selector}))
        for start in range(0, len(turned), GROUP):
            group = slice(start, start + GROUP)
            found[0][group], found[1][group] = scan_lists(
                index.faiss, turned[group], depth, lists[group], pairs=False, parameters=asked
            )
        return found

    def _index(self, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> ScannedCodes:
        """Make an index whose lists are ranges of the file, given by first position and number of rows."""
        first_number = self._end * CODE_BYTES + starts * ROW_NUMBER
        capacities = (first_number - starts * CODE_BYTES) // CODE_BYTES  # FAISS finds row numbers behind these
        lots = np.stack([sizes, capacities, starts * CODE_BYTES], axis=1)
        lists = BorrowedLists(self._bytes, CODE_BYTES, lots)
        quantiser, empty = empty_index(self.codebook, len(lots))
        index = faiss.IndexIVFPQFastScan(empty)
        index.replace_invlists(lists.faiss, False)
        index.ntotal, index.implem = int(self._offsets[-1]), TOGETHER
        return ScannedCodes(index, lists, quantiser)


@dataclass(frozen=True, slots=True)
class ScannedCodes:
    """An index, and the objects that must live as long."""

    faiss: faiss.IndexIVFPQFastScan
    lists: BorrowedLists
    quantiser: faiss.IndexFlatIP


@dataclass(frozen=True, slots=True)
class PreparedLists:
    """A set of lists prepared for search by `FaissCodes.cut`."""

    index: ScannedCodes
    blocks: int
    selector: faiss.IDSelector


def make_selector(allowed: NDArray[np.bool_]) -> faiss.IDSelector:
    """Make a FAISS selector of the allowed rows, a bitmap with one bit per row."""
    return faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
