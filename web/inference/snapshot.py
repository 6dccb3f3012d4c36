"""Keeps the published snapshot open for requests, and reports the server's health."""

from __future__ import annotations

from dataclasses import dataclass

from retrieval.snapshots.current import CurrentSnapshot
from retrieval.snapshots.snapshot import Snapshot
from web.http.errors import public_words


@dataclass(frozen=True, slots=True)
class Health:
    """The health of the server. `snapshot` is None if none is open; `detail` is empty if all is well."""

    status: str  # ok, starting, degraded (an older snapshot than the published one is in use) or unavailable
    detail: str
    snapshot: Snapshot | None


class Published(CurrentSnapshot):
    """The engine's holder of the published snapshot, with the words of /healthz."""

    def health(self) -> Health:
        """Return the health, without waiting for a snapshot that is being opened."""
        standing = self.standing()
        trouble = public_words(standing.error) if standing.error else ""
        if standing.snapshot is not None:
            return Health("degraded" if trouble else "ok", trouble, standing.snapshot)
        if not trouble:
            return Health("starting", "the published snapshot is being opened", None)
        return Health("unavailable", trouble, None)
