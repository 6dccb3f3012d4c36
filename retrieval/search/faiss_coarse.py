"""The coarse quantiser: mean embeddings of species, compared with a view to choose the species to search.

It is that of an inverted file (Jegou, Douze, Schmid 2011), with species as cells instead of clusters. The means belong
to the snapshot and not to segments, so that the choice does not depend on how references are divided into segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.errors import DamagedSnapshot
from retrieval.models.embedder import DIM, Embeddings
from retrieval.search.arrays import load_array, write_rows
from retrieval.search.faiss_index import ROW_BYTES, BorrowedLists, scan_lists
from retrieval.search.index import Lists

MEANS, SPECIES = "guide.npy", "guide_species.npy"
TOGETHER = 512  # lines that are multiplied with many views at once: 512 KB, which stay in the cache
CLOSE = 4e-6  # similarities nearer than this may change places when sums are taken in another order
WRITTEN = 8_192  # means written at once: 16 MB at float64
SCATTERED, GATHERED = 32, 4_096  # stretches above which so many lines, at most, are copied together


@dataclass(frozen=True, slots=True)
class PreparedQuantiser:
    """A flora's species in the coarse quantiser, as runs of consecutive lines (one line is one species' mean)."""

    index: faiss.IndexIVFScalarQuantizer
    lists: BorrowedLists  # these two must live as long as the index
    quantiser: faiss.IndexFlatIP
    firsts: NDArray[np.int64]  # position of each run's first line among the flora's lines
    blocks: Lists  # numbers of the runs
    every: NDArray[np.int64]  # lines of the flora, ascending

    @property
    def lines(self) -> int:
        """The number of lines."""
        return len(self.every)


class CoarseQuantiser:
    """The mean directions of species, memory-mapped. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        try:
            self._means: NDArray[np.float16] = load_array(folder / MEANS, mapped=True)
            self.species: NDArray[np.int64] = load_array(folder / SPECIES)
        except (OSError, ValueError, EOFError) as error:
            raise DamagedSnapshot(f"the coarse quantiser of {folder.name} cannot be read") from error
        if self._means.dtype != np.float16 or self._means.shape != (len(self.species), DIM):
            raise DamagedSnapshot(f"the coarse quantiser of {folder.name} has another type or width")

    @property
    def means(self) -> NDArray[np.float16]:
        """The mean direction of each line, (lines, 256)."""
        return self._means

    def renew(self, species: NDArray[np.int64], means: NDArray[np.floating]) -> None:
        """Replace the means (species, 256) of some species (ascending), and remove species whose mean is zero.

        The files are not changed; call this before the first search.
        """
        lines = np.flatnonzero(np.isin(self.species, species))
        changed = means[np.searchsorted(species, self.species[lines])]
        written, kept = self._means.copy(), np.ones(len(self.species), dtype=np.bool_)
        written[lines] = directions(changed)
        kept[lines] = changed.any(axis=1)
        self._means, self.species = written[kept], self.species[kept]

    def lines_of(self, species: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the lines of species, ascending; unknown species have none."""
        return np.flatnonzero(np.isin(self.species, species)).astype(np.int64)

    def cut(self, lines: NDArray[np.int64]) -> PreparedQuantiser:
        """Prepare a search among lines (ascending); consecutive ones are compared as one block.

        The means of scattered lines are copied together, up to 2 MB, which costs less than many small blocks.
        """
        firsts = np.append(0, np.flatnonzero(np.diff(lines) != 1) + 1)[: len(lines)]
        means, starts = self._means, lines[firsts]
        if len(firsts) > SCATTERED and len(lines) <= GATHERED:
            means, firsts, starts = self._means[lines], np.zeros(1, np.int64), np.zeros(1, np.int64)
        sizes = np.diff(np.append(firsts, len(lines)))
        lists = BorrowedLists(means, ROW_BYTES, np.stack([sizes, sizes, ROW_BYTES * starts], axis=1))
        quantiser = faiss.IndexFlatIP(DIM)
        index = faiss.IndexIVFScalarQuantizer(
            quantiser, DIM, len(firsts), faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
        )
        index.replace_invlists(lists.faiss, False)
        index.is_trained, index.ntotal = True, len(lines)
        return PreparedQuantiser(index, lists, quantiser, firsts, np.arange(len(firsts)), lines)

    def nearest(self, embeddings: Embeddings, count: int, cut: PreparedQuantiser) -> Lists:
        """Return the lines of the `count` species with the most similar means for each view; -1 if there are fewer.

        The array has (views, count) or fewer columns.
        """
        wanted = min(count, cut.lines)
        if not wanted or not len(embeddings):
            return np.full((len(embeddings), 0), -1, dtype=np.int64)
        queries = np.ascontiguousarray(embeddings, dtype=np.float32)
        _, found = scan_lists(cut.index, queries, wanted, cut.blocks, pairs=True)
        lines: Lists = cut.every[cut.firsts[found >> 32] + (found & 0xFFFFFFFF)]  # there are at least `wanted`
        return lines


def write_coarse_quantiser(
    folder: Path, species: NDArray[np.int64], means: NDArray[np.floating], places: NDArray[np.int64]
) -> None:
    """Write the directions of means (rows, 256) at some places, those of `species`, in the order given.

    They are gone through in blocks: the means of very many species are the largest array of a build.
    """
    blocks = (directions(means[places[start : start + WRITTEN]]) for start in range(0, len(places), WRITTEN))
    write_rows(folder / MEANS, blocks, (len(places), DIM), np.float16)
    np.save(folder / SPECIES, species.astype(np.int64))


def directions(means: NDArray[np.floating]) -> NDArray[np.float16]:
    """Rows made to length 1, at the precision that they are compared at."""
    lengths = np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return np.asarray(means / lengths, dtype=np.float16)
