"""Where a view should be looked for first: the mean direction of each species, compared before any of its photos is.

An inverted file's coarse quantiser (Jegou, Douze, Schmid 2011) whose cells are species instead of clusters. The means
are of the snapshot, not of a segment, so that they lead to the same species however references lie in segments.
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
    """The species of a flora in the guide: stretches of its lines."""

    index: faiss.IndexIVFScalarQuantizer
    lists: BorrowedLists  # these two must live as long as the index
    quantiser: faiss.IndexFlatIP
    firsts: NDArray[np.int64]  # place of each stretch's first line among all of the flora
    blocks: Lists  # their numbers
    every: NDArray[np.int64]  # lines of the flora, ascending

    @property
    def lines(self) -> int:
        """How many there are."""
        return len(self.every)


class CoarseQuantiser:
    """The mean directions of species, mapped. Safe to search from several threads."""

    def __init__(self, folder: Path) -> None:
        try:
            self._means: NDArray[np.float16] = load_array(folder / MEANS, mapped=True)
            self.species: NDArray[np.int64] = load_array(folder / SPECIES)
        except (OSError, ValueError, EOFError) as error:
            raise DamagedSnapshot(f"the guide of {folder.name} cannot be read") from error
        if self._means.dtype != np.float16 or self._means.shape != (len(self.species), DIM):
            raise DamagedSnapshot(f"the guide of {folder.name} is of another kind or width")

    @property
    def means(self) -> NDArray[np.float16]:
        """The mean direction of each line, (lines, 256)."""
        return self._means

    def renew(self, species: NDArray[np.int64], means: NDArray[np.floating]) -> None:
        """Lead to some species (ascending) by other means (species, 256), and not at all where a mean is nought.

        What is written stays as it is; call this before the first search.
        """
        lines = np.flatnonzero(np.isin(self.species, species))
        changed = means[np.searchsorted(species, self.species[lines])]
        written, kept = self._means.copy(), np.ones(len(self.species), dtype=np.bool_)
        written[lines] = directions(changed)
        kept[lines] = changed.any(axis=1)
        self._means, self.species = written[kept], self.species[kept]

    def lines_of(self, species: NDArray[np.int64]) -> NDArray[np.int64]:
        """The lines of the given species, ascending; those it does not know have none."""
        return np.flatnonzero(np.isin(self.species, species)).astype(np.int64)

    def cut(self, lines: NDArray[np.int64]) -> PreparedQuantiser:
        """Prepare the search among some lines, ascending; neighbouring ones are compared in one piece.

        A list of species from anywhere has its means copied, up to 2 MB: to begin anew at each costs more than it.
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
        """The lines of the `count` species of the cut that each view resembles most on average; -1 where none is left.

        (views, count) or fewer columns.
        """
        wanted = min(count, cut.lines)
        if not wanted or not len(embeddings):
            return np.full((len(embeddings), 0), -1, dtype=np.int64)
        queries = np.ascontiguousarray(embeddings, dtype=np.float32)
        _, found = scan_lists(cut.index, queries, wanted, cut.blocks, pairs=True)
        lines: Lists = cut.every[cut.firsts[found >> 32] + (found & 0xFFFFFFFF)]  # no more are wanted than there are
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
