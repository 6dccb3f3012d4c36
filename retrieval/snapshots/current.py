"""Holds the published snapshot open for a server, and goes over to the next one without a failed or mixed answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import FungariumError, SnapshotError
from retrieval.snapshots.manifest import read_current
from retrieval.snapshots.snapshot import Snapshot, open_snapshot

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds until a snapshot that could not be opened is tried again


def accept_all(snapshot: Snapshot) -> None:
    """Accept any snapshot that could be opened."""


@dataclass(slots=True)
class LeasedSnapshot:
    """An open snapshot, how many are using it, and whether a newer one has taken its place."""

    snapshot: Snapshot
    users: int = 0
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class CurrentState:
    """What is open, and what keeps a newer snapshot from being used; empty where nothing does."""

    snapshot: Snapshot | None
    trouble: str
    error: FungariumError | None = None  # the same as it was raised


class CurrentSnapshot:
    """The snapshot that CURRENT names, for many threads.

    `lease` gives it for the time of one answer: whoever holds a lease reads one snapshot from beginning to end.
    When CURRENT names another, one thread opens that beside the old one while the others go on; then it is
    exchanged in one step, and the old one is closed by whoever ends its last lease. A snapshot that cannot be
    opened, or that `accept` refuses by raising a FungariumError, changes nothing: the old one stays.
    Nothing is opened before the first lease, since FAISS must not be used on both sides of a fork.
    """

    def __init__(
        self, root: Path, accept: Callable[[Snapshot], None] = accept_all, *, patience: float = PATIENCE
    ) -> None:
        self._root = root
        self._accept = accept
        self._patience = patience
        self._opening = threading.Lock()  # held while a snapshot is being opened
        self._guard = threading.Lock()  # of the fields below; held for moments only
        self._holding: LeasedSnapshot | None = None
        self._refused: tuple[str, float, FungariumError] | None = None  # name, when, why

    @contextmanager
    def lease(self) -> Iterator[Snapshot]:
        """Give the published snapshot; raises NoSnapshot, DamagedSnapshot or what `accept` raised if there is none."""
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

    def standing(self) -> CurrentState:
        """What is open now, without waiting for anything."""
        if not self._opening.locked():
            self._follow()
        with self._guard:
            snapshot = self._holding.snapshot if self._holding else None
            error = self._refused[2] if self._refused else None
            return CurrentState(snapshot, str(error) if error else "", error)

    def close(self) -> None:
        """Let go of the snapshot, once its last lease has ended."""
        with self._guard:
            holding, self._holding = self._holding, None
        if holding is not None:
            self._retire(holding)

    def _follow(self) -> None:
        """Go over to what CURRENT names, if that is another; only the first thread ever waits for it."""
        name = self._published()
        if self._is_settled(name) or not self._opening.acquire(blocking=self._holding is None):
            return
        try:
            if not self._is_settled(name):
                self._exchange(name)
        finally:
            self._opening.release()

    def _published(self) -> str:
        """The published name; empty where there is none, which opening will then explain."""
        try:
            return read_current(self._root)
        except (SnapshotError, OSError, ValueError):
            return ""

    def _is_settled(self, name: str) -> bool:
        """Whether the snapshot of this name is open, or was refused a moment ago."""
        with self._guard:
            if self._holding is not None and self._holding.snapshot.name == name:
                self._refused = None
                return True
            if self._refused is None or self._refused[0] != name:
                return False
            return time.monotonic() - self._refused[1] < self._patience

    def _exchange(self, name: str) -> None:
        """Open a snapshot beside the present one and put it in its place, or remember why not."""
        try:
            snapshot = self._open(name)
        except FungariumError as error:
            log.error("snapshot %s is not used: %s", name or "(none)", error)
            with self._guard:
                self._refused = (name, time.monotonic(), error)
            return
        with self._guard:
            old, self._holding, self._refused = self._holding, LeasedSnapshot(snapshot), None
        log.info("snapshot %s is open", snapshot.name)
        if old is not None:
            self._retire(old)

    def _open(self, name: str) -> Snapshot:
        """Open and offer a snapshot; whatever is wrong is a FungariumError."""
        try:
            snapshot = open_snapshot(self._root, name or None)
        except OSError as error:
            raise SnapshotError(f"the published snapshot cannot be read: {error}") from error
        try:
            self._accept(snapshot)
        except BaseException:
            snapshot.close()
            raise
        return snapshot

    def _retire(self, holding: LeasedSnapshot) -> None:
        """Close a snapshot that has been replaced, unless somebody still reads it."""
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
