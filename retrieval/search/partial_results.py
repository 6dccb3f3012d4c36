"""What a search left out because a part of the references gave no answer, for those who want answers all the same."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import SkippedReferences


class PartialSearch:
    """Gathers what the searches of one question left out. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: dict[int, dict[int, int]] = {}

    def note(self, part: int, species: NDArray[np.int64], references: int) -> None:
        """A part was not searched: these species of the flora, and so many references of them."""
        with self._lock:
            known = self._parts.setdefault(part, {})
            known.update(dict.fromkeys(species.tolist(), 0))
            known[-1] = max(known.get(-1, 0), references)  # of the widest flora asked

    @property
    def skipped(self) -> SkippedReferences | None:
        """All that was left out; None where nothing was."""
        with self._lock:
            if not self._parts:
                return None
            species = sorted({id_ for known in self._parts.values() for id_ in known} - {-1})
            return SkippedReferences(
                tuple(sorted(self._parts)), tuple(species), sum(k[-1] for k in self._parts.values())
            )
