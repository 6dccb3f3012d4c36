"""An index some of whose rows must not answer: withdrawn references, or those under other licences than asked for."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.models.embedder import Embeddings
from retrieval.search.index import Lists, Rows, Similarities, VectorIndex, best_rows

SPARE = 8


class CountedIndex(VectorIndex, Protocol):
    """An index that knows how many rows it has."""

    @property
    def rows(self) -> int:
        """How many rows are stored."""
        ...


class FilteredIndex:
    """Answers as if the hidden rows had never been stored, whatever the index below; row numbers stay as they are.

    More neighbours are asked for until enough of them may be shown. That needs no selector, which FAISS would
    ignore on GPU and refuse for its fast-scan, and costs nothing where little is hidden.
    """

    def __init__(self, index: CountedIndex, hidden: NDArray[np.bool_]) -> None:
        self._index = index
        self._hidden = hidden  # (rows,)
        self._shown = float(np.mean(~hidden)) if len(hidden) else 1.0

    @property
    def rows(self) -> int:
        """How many rows are stored, the hidden ones among them."""
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
    """How many to ask for to be likely to get `k` that may be shown."""
    return k if shown >= 1 else int(k / max(shown, 0.01)) + SPARE


def mask_rows(similarities: Similarities, rows: Rows, hidden: NDArray[np.bool_]) -> None:
    """Blank out the hidden rows, in place."""
    gone = hidden[np.maximum(rows, 0)] | (rows < 0)
    similarities[gone] = -np.inf
    rows[gone] = -1
