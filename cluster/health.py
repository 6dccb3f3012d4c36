"""How the shards' processes are, looked at from a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final

from cluster.messages import ShardState
from cluster.supervisor import RayReplica

STALE: Final = 30.0  # seconds after which what was seen last says nothing about now
CLOSING: Final = 5.0  # seconds that whoever closes waits for a thread

log = logging.getLogger(__name__)


class HealthMonitor:
    """Looks after replicas from a thread of its own: how each is, and whether one that was lost is back."""

    def __init__(
        self,
        replicas: Sequence[RayReplica],
        seen: Callable[[RayReplica], None],
        looked: Callable[[], None],
        every: float = 2.0,
    ) -> None:
        """`seen` is told of each replica that gives a sign of life, `looked` that all were looked at."""
        self._replicas, self._seen, self._looked, self._every = list(replicas), seen, looked, every
        self._states: dict[str, ShardState | None] = {replica.name: None for replica in replicas}
        self._asked: dict[str, Future[ShardState]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watching shards", daemon=True)
        self._began, self._at = False, time.monotonic()

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def states(self) -> list[tuple[RayReplica, ShardState | None]]:
        """What each replica said last, None where it gives no answer now, or nobody could look for long."""
        fresh = time.monotonic() - self._at < STALE and not self._end.is_set()
        return [(replica, self._states[replica.name] if fresh else None) for replica in self._replicas]

    def close(self) -> None:
        """End the thread; one that waits for a cluster which says nothing ends with the process."""
        self._end.set()
        self._thread.join(CLOSING)

    def _run(self) -> None:
        pause = 0.0
        while not self._end.wait(pause):
            try:
                pause = self._look()
            except Exception:  # this thread must not end: nobody else sees what is lost, and what is back
                log.exception("the processes of the cluster cannot be looked at")
                self._states, pause = dict.fromkeys(self._states), self._every
            self._at = time.monotonic()

    def _look(self) -> float:
        """Ask all, take what came of the last time; gives seconds until the next look, fewer while one is missing."""
        for replica in self._replicas:
            call = self._asked.get(replica.name)
            if call is not None and not call.done():
                self._states[replica.name] = None  # no answer since the last look
                continue
            if call is not None and call.exception() is None:
                self._states[replica.name] = call.result()
                self._seen(replica)
            elif call is not None:
                self._states[replica.name] = None
                replica.find()
            self._asked[replica.name] = replica.state()
        if self._began:
            self._looked()
        self._began = True
        return self._every if all(self._states.values()) else self._every / 4
