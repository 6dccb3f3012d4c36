"""Keeps the published snapshot open for requests, and says how the server is."""

from __future__ import annotations

from dataclasses import dataclass

from retrieval.snapshots.current import CurrentSnapshot
from retrieval.snapshots.snapshot import Snapshot
from web.http.errors import public_words


@dataclass(frozen=True, slots=True)
class Health:
    """How the server is. `snapshot` is None where none is open; `detail` is empty where all is well."""

    status: str  # ok, starting, degraded (answers from an older snapshot than the published one) or unavailable
    detail: str
    snapshot: Snapshot | None


class Published(CurrentSnapshot):
    """The engine's holder of the published snapshot, with the words that /healthz uses."""

    def health(self) -> Health:
        """Look whether a snapshot is open, without waiting for one that is being opened."""
        standing = self.standing()
        trouble = public_words(standing.error) if standing.error else ""
        if standing.snapshot is not None:
            return Health("degraded" if trouble else "ok", trouble, standing.snapshot)
        if not trouble:
            return Health("starting", "the published snapshot is being opened", None)
        return Health("unavailable", trouble, None)
