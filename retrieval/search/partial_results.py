"""Partial results: the references that a search skipped because their shard did not answer."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import SkippedReferences


class PartialSearch:
    """Collects what the searches of one request skipped. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: dict[int, dict[int, int]] = {}

    def note(self, part: int, species: NDArray[np.int64], references: int) -> None:
        """Record that a shard was skipped, with its species of the flora and their number of references."""
        with self._lock:
            known = self._parts.setdefault(part, {})
            known.update(dict.fromkeys(species.tolist(), 0))
            known[-1] = max(known.get(-1, 0), references)  # of the largest flora searched

    @property
    def skipped(self) -> SkippedReferences | None:
        """Everything that was skipped; None if nothing was."""
        with self._lock:
            if not self._parts:
                return None
            species = sorted({id_ for known in self._parts.values() for id_ in known} - {-1})
            return SkippedReferences(
                tuple(sorted(self._parts)), tuple(species), sum(k[-1] for k in self._parts.values())
            )
