"""The promise every index keeps, and the plain twin that defines what right is."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.models.embedder import Embeddings

Lists: TypeAlias = NDArray[np.int64]  # numbers of the lists (species) to search, without repeats
Similarities: TypeAlias = NDArray[np.float32]  # (views, k), best first; -inf where there is nothing
Rows: TypeAlias = NDArray[np.int64]  # (views, k); -1 where there is nothing


class VectorIndex(Protocol):
    """Rows of length 1 in lists, one list a species. Higher similarity is better; 1.0 is the same row."""

    def search(self, embeddings: Embeddings, k: int, lists: Lists) -> tuple[Similarities, Rows]:
        """Find the `k` most similar rows of the given lists for each embedding; ties by row, lowest first."""
        ...

    def embeddings(self, lists: Lists) -> tuple[Embeddings, Rows]:
        """Give the stored rows of the lists, in the order of their row numbers."""
        ...


class ExactIndex:
    """Brute force in NumPy: slow, obvious, and what every other index is compared with."""

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
    """Keep the `k` best of each line, best first, ties by row; lines that are too short are filled up with nothing."""
    views, width = similarities.shape
    best = np.full((views, k), -np.inf, dtype=np.float32)
    found = np.full((views, k), -1, dtype=np.int64)
    order = np.lexsort((rows, -similarities), axis=-1)[:, :k]
    kept = min(k, width)
    best[:, :kept] = np.take_along_axis(similarities, order, axis=-1)
    found[:, :kept] = np.take_along_axis(rows, order, axis=-1)
    found[np.isneginf(best)] = -1
    return best, found
