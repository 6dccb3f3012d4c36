"""The `VectorIndex` protocol, and its reference implementation by brute force."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.models.embedder import Embeddings

Lists: TypeAlias = NDArray[np.int64]  # numbers of the lists (species) to search, distinct
Similarities: TypeAlias = NDArray[np.float32]  # (views, k), best first; padded with -inf
Rows: TypeAlias = NDArray[np.int64]  # (views, k); padded with -1


class VectorIndex(Protocol):
    """An inverted file of rows of length 1, one list for each species. Similarity is cosine: higher is better."""

    def search(self, embeddings: Embeddings, k: int, lists: Lists) -> tuple[Similarities, Rows]:
        """Return similarities and rows (views, k) of the most similar rows of the lists; ties by row, lowest first."""
        ...

    def embeddings(self, lists: Lists) -> tuple[Embeddings, Rows]:
        """Return the stored embeddings of the lists and their row numbers, ascending."""
        ...


class ExactIndex:
    """Brute-force search in NumPy, the reference that every other index is tested against."""

    def __init__(self, rows: Embeddings, lists: NDArray[np.int64]) -> None:
        self._rows = rows
        self._lists = lists  # (rows,): the list each row belongs to

    def search(self, embeddings: Embeddings, k: int, lists: Lists) -> tuple[Similarities, Rows]:
        found, rows = self.embeddings(lists)
        return best_rows(embeddings @ found.T, np.broadcast_to(rows, (len(embeddings), len(rows))), k)

    def embeddings(self, lists: Lists) -> tuple[Embeddings, Rows]:
        rows = np.flatnonzero(np.isin(self._lists, lists)).astype(np.int64)
        return self._rows[rows], rows


def best_rows(similarities: Similarities, rows: Rows, k: int) -> tuple[Similarities, Rows]:
    """Return the `k` best of each query, best first, ties by row; padded with -inf and -1 to (queries, k)."""
    views, width = similarities.shape
    best = np.full((views, k), -np.inf, dtype=np.float32)
    found = np.full((views, k), -1, dtype=np.int64)
    order = np.lexsort((rows, -similarities), axis=-1)[:, :k]
    kept = min(k, width)
    best[:, :kept] = np.take_along_axis(similarities, order, axis=-1)
    found[:, :kept] = np.take_along_axis(rows, order, axis=-1)
    found[np.isneginf(best)] = -1
    return best, found
