"""Holds the published snapshot open for a server, and goes over to the next one without a failed or mixed answer."""

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
from retrieval.snapshots.manifest import read_current
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from retrieval.snapshots.withdrawals import FileState, withdrawals_state

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds until a snapshot that could not be opened is tried again


def accept_all(snapshot: Snapshot) -> None:
    """Accept any snapshot that could be opened."""


class Wanted(NamedTuple):
    """What is to be open: the name that CURRENT says (empty: none), and the list of withdrawals as it was then."""

    name: str
    withdrawals: FileState


@dataclass(slots=True)
class LeasedSnapshot:
    """An open snapshot, how many are using it, and whether a newer one has taken its place."""

    snapshot: Snapshot
    wanted: Wanted
    users: int = 0
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class CurrentState:
    """What is open, and what keeps a newer snapshot from being used; empty where nothing does."""

    snapshot: Snapshot | None
    trouble: str
    error: FungariumError | None = None  # the same as it was raised


class CurrentSnapshot:
    """The snapshot that CURRENT names, without the photos on the list of withdrawals, for many threads.

    `lease` gives it for the time of one answer: whoever holds a lease reads one snapshot from beginning to end.
    When CURRENT names another or the list changes, one thread opens that beside the old one while the others go on;
    then it is exchanged in one step, and the old one is closed by whoever ends its last lease. A snapshot that cannot
    be opened, or that `accept` refuses by raising a FungariumError, changes nothing: the old one stays.
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
        self._refused: tuple[Wanted, float, FungariumError] | None = None  # what, when, why

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
        """Go over to what is published, if that is another; only the first thread ever waits for it."""
        wanted = self._published()
        if self._is_settled(wanted) or not self._opening.acquire(blocking=self._holding is None):
            return
        try:
            if not self._is_settled(wanted):
                self._exchange(wanted)
        finally:
            self._opening.release()

    def _published(self) -> Wanted:
        """What is published; without a name where nothing is, which opening will then explain."""
        try:
            return Wanted(read_current(self._root), withdrawals_state(self._root))
        except (SnapshotError, OSError, ValueError):
            return Wanted("", None)

    def _is_settled(self, wanted: Wanted) -> bool:
        """Whether this is open, or was refused a moment ago."""
        with self._guard:
            if self._holding is not None and self._holding.wanted == wanted:
                self._refused = None
                return True
            if self._refused is None or self._refused[0] != wanted:
                return False
            return time.monotonic() - self._refused[1] < self._patience

    def _exchange(self, wanted: Wanted) -> None:
        """Open a snapshot beside the present one and put it in its place, or remember why not."""
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
        """Open and offer a snapshot, or give the present one where it would answer the same.

        Whatever is wrong is a FungariumError.
        """
        try:
            snapshot = open_snapshot(self._root, wanted.name or None)
        except OSError as error:
            raise SnapshotError(f"the published snapshot cannot be read: {error}") from error
        present = self._holding.snapshot if self._holding is not None else None
        if present is not None and present.edition == snapshot.edition:  # the list names photos of other snapshots
            snapshot.close()
            return present
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
