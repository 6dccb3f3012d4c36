"""Keeps the published snapshot open for requests, and reports the server's health."""

from __future__ import annotations

from dataclasses import dataclass

from retrieval.snapshots.current import CurrentSnapshot
from retrieval.snapshots.snapshot import Snapshot
from web.http.errors import public_message


@dataclass(frozen=True, slots=True)
class Health:
    """The health of the server. `snapshot` is None if none is open; `detail` is empty if all is well."""

    status: str  # ok, starting, degraded (an older snapshot than the published one is in use) or unavailable
    detail: str
    snapshot: Snapshot | None


class Published(CurrentSnapshot):
    """The published snapshot, with its health for /healthz."""

    def health(self) -> Health:
        """Return the health, without waiting for a snapshot that is being opened."""
        state = self.state()
        problem = public_message(state.error) if state.error else ""
        if state.snapshot is not None:
            return Health("degraded" if problem else "ok", problem, state.snapshot)
        if not problem:
            return Health("starting", "the published snapshot is being opened", None)
        return Health("unavailable", problem, None)
