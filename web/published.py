"""Keeps the published snapshot open, and goes over to the next one between two requests."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import FungariumError, SnapshotError
from retrieval.manifest import read_current
from retrieval.snapshot import Snapshot, open_snapshot

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds after which a snapshot that could not be opened is tried again


@dataclass(slots=True)
class Lease:
    """An open snapshot and how many requests read it."""

    snapshot: Snapshot
    users: int = 0
    retired: bool = False

    def close_if_done(self) -> None:
        """Let go of the files once nobody can ask for them any more."""
        if self.retired and not self.users:
            self.snapshot.close()


@dataclass(frozen=True, slots=True)
class Health:
    """How the server is. `snapshot` is None where none is open; `detail` is empty where all is well."""

    status: str  # ok, starting, degraded (answers from an older snapshot than the published one) or unavailable
    detail: str
    snapshot: Snapshot | None


class Published:
    """The snapshot that CURRENT names, opened on first use and again whenever CURRENT names another.

    A request keeps the snapshot it began with; the old one is closed after its last request. One request opens
    the new one while the others go on with the old. If the new one is refused, the old one stays in use.
    Nothing is opened before the first request: FAISS used on both sides of a fork hangs.
    """

    def __init__(self, root: Path, accept: Callable[[Snapshot], None], *, patience: float = PATIENCE) -> None:
        """`accept` raises a FungariumError for a snapshot that this server cannot use."""
        self._root = root
        self._accept = accept
        self._patience = patience
        self._opening = threading.Lock()  # held by the one thread that opens a snapshot
        self._lock = threading.Lock()  # guards what follows, and is never held for long
        self._lease: Lease | None = None
        self._failure: FungariumError | None = None
        self._failed: tuple[str, float] = ("", 0.0)  # the snapshot that was refused, and when

    @contextmanager
    def lease(self) -> Iterator[Snapshot]:
        """Give the published snapshot for the time of one request.

        Raises NoSnapshot, DamagedSnapshot, SnapshotMismatch or ModelError where there is none to give.
        """
        self._refresh()
        with self._lock:
            lease = self._lease
            if lease is None:
                failure = self._failure or SnapshotError("no snapshot is open yet; try again in a moment")
                raise type(failure)(str(failure)) from failure  # a new one: each raise adds to an error's traceback
            lease.users += 1
        try:
            yield lease.snapshot
        finally:
            with self._lock:
                lease.users -= 1
                lease.close_if_done()

    def health(self) -> Health:
        """Look whether a snapshot is open, without waiting for one that is being opened."""
        if not self._opening.locked():
            self._refresh()
        with self._lock:
            snapshot = self._lease.snapshot if self._lease else None
            detail = str(self._failure) if self._failure else ""
        if snapshot is not None:
            return Health("degraded" if detail else "ok", detail, snapshot)
        if not detail:
            return Health("starting", "the published snapshot is being opened", None)
        return Health("unavailable", detail, None)

    def close(self) -> None:
        """Let go of the snapshot, after its last request; the next one would open it again."""
        with self._lock:
            old, self._lease = self._lease, None
            if old is not None:
                old.retired = True
                old.close_if_done()

    def _refresh(self) -> None:
        """Open what CURRENT names, unless it is open, was just refused, or is being opened by somebody else."""
        name = self._current()
        if self._settled(name):
            return
        waits = self._lease is None  # with an old snapshot at hand, nobody needs to wait for the new one
        if not self._opening.acquire(blocking=waits):
            return
        try:
            if not self._settled(name):
                self._open(name)
        finally:
            self._opening.release()

    def _current(self) -> str:
        """The published name; empty where it cannot be read, which `_open` then explains."""
        try:
            return read_current(self._root)  # some bytes that the system has at hand: as cheap as asking for its time
        except (SnapshotError, OSError, ValueError):
            return ""

    def _settled(self, name: str) -> bool:
        """Whether there is nothing to open."""
        with self._lock:
            if self._lease is not None and self._lease.snapshot.name == name:
                self._failure = None
                return True
            refused, when = self._failed
            return self._failure is not None and refused == name and time.monotonic() - when < self._patience

    def _open(self, name: str) -> None:
        """Open the published snapshot and retire the old one, or remember why that was not possible."""
        try:
            try:
                snapshot = open_snapshot(self._root, name or None)
            except OSError as error:
                raise SnapshotError(f"the published snapshot cannot be read: {error}") from error
            try:
                self._accept(snapshot)
            except Exception:
                snapshot.close()
                raise
        except FungariumError as error:
            log.error("snapshot %s is not used: %s", name or "(none)", error)
            with self._lock:
                self._failure, self._failed = error, (name, time.monotonic())
            return
        with self._lock:
            old, self._lease, self._failure = self._lease, Lease(snapshot), None
            if old is not None:
                old.retired = True
                old.close_if_done()
        log.info("snapshot %s is open", snapshot.name)
