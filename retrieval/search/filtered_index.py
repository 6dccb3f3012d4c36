"""An index with masked rows: withdrawn references, or references under licences that were not requested."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.models.embedder import Embeddings
from retrieval.search.index import Lists, Rows, Similarities, VectorIndex, best_rows

SPARE = 8


class CountedIndex(VectorIndex, Protocol):
    """An index with a known number of rows."""

    @property
    def rows(self) -> int:
        """Number of stored rows."""
        ...


class FilteredIndex:
    """Wraps an index so that masked rows are never found; row numbers do not change.

    Retrieves more neighbours until enough of them are unmasked. Unlike a selector, which FAISS ignores on GPU and
    rejects for some fast-scan variants, this works with every index; it costs nothing where few rows are masked.
    """

    def __init__(self, index: CountedIndex, hidden: NDArray[np.bool_]) -> None:
        self._index = index
        self._hidden = hidden  # (rows,)
        self._shown = float(np.mean(~hidden)) if len(hidden) else 1.0

    @property
    def rows(self) -> int:
        """Number of stored rows, masked ones included."""
        return self._index.rows

    def search(self, embeddings: Embeddings, k: int, lists: Lists) -> tuple[Similarities, Rows]:
        wider = min(self.rows, widened(k, self._shown))
        while True:
            similarities, rows = self._index.search(embeddings, wider, lists)
            ended = rows[:, -1] < 0 if wider else np.zeros(0, bool)
            mask_rows(similarities, rows, self._hidden)
            enough = np.count_nonzero(rows >= 0, axis=1) >= k
            if wider >= self.rows or bool(np.all(ended | enough)):
                return best_rows(similarities, rows, k)
            wider = min(4 * wider, self.rows)

    def embeddings(self, lists: Lists) -> tuple[Embeddings, Rows]:
        stored, rows = self._index.embeddings(lists)
        shown = ~self._hidden[rows]
        return stored[shown], rows[shown]


def widened(k: int, shown: float) -> int:
    """Return how many neighbours to retrieve to probably get `k` unmasked ones; `shown` is the unmasked share."""
    return k if shown >= 1 else int(k / max(shown, 0.01)) + SPARE


def mask_rows(similarities: Similarities, rows: Rows, hidden: NDArray[np.bool_]) -> None:
    """Replace masked rows by -inf and -1, in place."""
    gone = hidden[np.maximum(rows, 0)] | (rows < 0)
    similarities[gone] = -np.inf
    rows[gone] = -1
