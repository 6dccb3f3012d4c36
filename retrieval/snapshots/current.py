"""Keeps the published snapshot open for a server, and switches to a new one without failed or mixed answers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from retrieval.errors import FungariumError, SnapshotError
from retrieval.snapshots.manifest import STABLE, read_current
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from retrieval.snapshots.withdrawals import FileState, withdrawals_state

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds before opening a failed snapshot is retried


def accept_all(snapshot: Snapshot) -> None:
    """Accept any snapshot that could be opened."""


class Wanted(NamedTuple):
    """The snapshot to open: the name in CURRENT (empty: none), and the state of the list of withdrawals."""

    name: str
    withdrawals: FileState


@dataclass(slots=True)
class LeasedSnapshot:
    """An open snapshot, the number of its users, and whether it has been replaced by a newer one."""

    snapshot: Snapshot
    wanted: Wanted
    users: int = 0
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class CurrentState:
    """The open snapshot, and why a newer one is not used; empty if there is no problem."""

    snapshot: Snapshot | None
    problem: str
    error: FungariumError | None = None  # the problem as it was raised


class CurrentSnapshot:
    """The snapshot that CURRENT, or the pointer of another line, names, without withdrawn photos; thread-safe.

    `lease` provides it for one answer, which so reads a single snapshot from beginning to end. When CURRENT or the
    list of withdrawals changes, one thread opens the new snapshot while the others continue with the old one; then
    they are swapped atomically, and the end of the last lease closes the old one. A snapshot that cannot be opened, or
    that `accept` refuses by raising a FungariumError, changes nothing. Nothing is opened before the first lease, since
    FAISS must not be used before a fork.
    """

    def __init__(
        self,
        root: Path,
        accept: Callable[[Snapshot], None] = accept_all,
        *,
        line: str = STABLE,
        patience: float = PATIENCE,
    ) -> None:
        self._root = root
        self._line = line
        self._accept = accept
        self._patience = patience
        self._opening = threading.Lock()  # held while a snapshot is being opened
        self._guard = threading.Lock()  # of the fields below; held only briefly
        self._holding: LeasedSnapshot | None = None
        self._refused: tuple[Wanted, float, FungariumError] | None = None  # what, when, why

    @contextmanager
    def lease(self) -> Iterator[Snapshot]:
        """Yield the published snapshot; without one, raises NoSnapshot, DamagedSnapshot or the error of `accept`."""
        self._follow()
        with self._guard:
            holding = self._holding
            if holding is None:
                reason = self._refused[2] if self._refused else SnapshotError("the snapshot is being opened")
                raise type(reason)(str(reason)) from reason  # a new error each time: each raise adds to its traceback
            holding.users += 1
        try:
            yield holding.snapshot
        finally:
            self._release(holding)

    def state(self) -> CurrentState:
        """Return the current state without waiting."""
        if not self._opening.locked():
            self._follow()
        with self._guard:
            snapshot = self._holding.snapshot if self._holding else None
            error = self._refused[2] if self._refused else None
            return CurrentState(snapshot, str(error) if error else "", error)

    def close(self) -> None:
        """Close the snapshot when its last lease has ended."""
        with self._guard:
            holding, self._holding = self._holding, None
        if holding is not None:
            self._retire(holding)

    def _follow(self) -> None:
        """Switch to the published snapshot if it is another one; threads only wait for the first snapshot."""
        wanted = self._published()
        if self._is_settled(wanted) or not self._opening.acquire(blocking=self._holding is None):
            return
        try:
            if not self._is_settled(wanted):
                self._exchange(wanted)
        finally:
            self._opening.release()

    def _published(self) -> Wanted:
        """Return what is published; if nothing is, an empty name, so that opening reports the reason."""
        try:
            return Wanted(read_current(self._root, self._line), withdrawals_state(self._root))
        except (SnapshotError, OSError, ValueError):
            return Wanted("", None)

    def _is_settled(self, wanted: Wanted) -> bool:
        """Return whether this is open, or was refused recently."""
        with self._guard:
            if self._holding is not None and self._holding.wanted == wanted:
                self._refused = None
                return True
            if self._refused is None or self._refused[0] != wanted:
                return False
            return time.monotonic() - self._refused[1] < self._patience

    def _exchange(self, wanted: Wanted) -> None:
        """Open a snapshot and replace the current one by it, or store the reason of a failure."""
        try:
            snapshot = self._open(wanted)
        except FungariumError as error:
            log.error("snapshot %s is not used: %s", wanted.name or "(none)", error)
            with self._guard:
                self._refused = (wanted, time.monotonic(), error)
            return
        with self._guard:
            old, self._refused = self._holding, None
            if old is not None and old.snapshot is snapshot:
                old.wanted = wanted
                return
            self._holding = LeasedSnapshot(snapshot, wanted)
        log.info("snapshot %s is open", snapshot.edition)
        if old is not None:
            self._retire(old)

    def _open(self, wanted: Wanted) -> Snapshot:
        """Open a snapshot and have it accepted; return the current one if it is the same edition.

        Raises FungariumError for all failures.
        """
        try:
            snapshot = open_snapshot(self._root, wanted.name or read_current(self._root, self._line))
        except OSError as error:
            raise SnapshotError(f"the published snapshot cannot be read: {error}") from error
        snapshot.line = self._line
        present = self._holding.snapshot if self._holding is not None else None
        if present is not None and present.edition == snapshot.edition:  # withdrawals of photos in other snapshots
            snapshot.close()
            return present
        try:
            self._accept(snapshot)
        except BaseException:
            snapshot.close()
            raise
        return snapshot

    def _retire(self, holding: LeasedSnapshot) -> None:
        """Close a replaced snapshot if it has no users."""
        with self._guard:
            holding.replaced = True
            unused = holding.users == 0
        if unused:
            holding.snapshot.close()

    def _release(self, holding: LeasedSnapshot) -> None:
        """End a lease; the last one of a replaced snapshot closes it."""
        with self._guard:
            holding.users -= 1
            last = holding.replaced and holding.users == 0
        if last:
            holding.snapshot.close()
