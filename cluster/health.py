"""Monitors the shards' processes from a background thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final

from cluster.messages import ShardState, describe_replica
from cluster.supervisor import RayReplica

STALE: Final = 30.0  # seconds after which the last known state is no longer trusted
SILENT: Final = 5.0  # seconds without an answer after which the log calls a replica lost
CLOSING: Final = 5.0  # seconds to wait for the thread when closing

log = logging.getLogger(__name__)


class HealthMonitor:
    """Polls replicas in a background thread: the state of each, and whether a lost one has returned."""

    def __init__(
        self,
        replicas: Sequence[RayReplica],
        on_answer: Callable[[RayReplica], None],
        on_round: Callable[[], None],
        interval: float = 2.0,
    ) -> None:
        """`on_answer` is called with each replica that answers, `on_round` after each round; `interval` in seconds."""
        self._replicas, self._on_answer, self._on_round, self._interval = list(replicas), on_answer, on_round, interval
        self._states: dict[str, ShardState | None] = {replica.name: None for replica in replicas}
        self._answered: dict[str, float] = {}  # when each answered last, by the monotonic clock
        self._lost: set[str] = set()  # names of replicas of which the log says so
        self._pending: dict[str, Future[ShardState]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watching shards", daemon=True)
        self._polled, self._polled_at = False, time.monotonic()

    def start(self) -> None:
        """Start polling."""
        self._thread.start()

    def states(self) -> list[tuple[RayReplica, ShardState | None]]:
        """Return the last state of each replica; None if it does not answer, or polling has stalled."""
        fresh = time.monotonic() - self._polled_at < STALE and not self._ended.is_set()
        return [(replica, self._states[replica.name] if fresh else None) for replica in self._replicas]

    def close(self) -> None:
        """Stop the thread. If it is blocked by an unresponsive cluster, it ends with the process."""
        self._ended.set()
        self._thread.join(CLOSING)

    def _run(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            try:
                pause = self._poll()
            except Exception:  # keep polling: nothing else notices lost and returned replicas
                log.exception("cannot monitor the cluster's processes")
                self._states, pause = dict.fromkeys(self._states), self._interval
            self._polled_at = time.monotonic()

    def _poll(self) -> float:
        """Collect the last round's answers and ask again; returns seconds until the next, fewer if one is missing."""
        for replica in self._replicas:
            call = self._pending.get(replica.name)
            if call is not None and not call.done():
                self._note(replica, None)  # no answer since the last round
                continue
            error = call.exception() if call is not None else None
            if call is not None and error is None:
                self._note(replica, call.result())
                self._on_answer(replica)
            elif call is not None:
                self._note(replica, None, error)
                replica.find()
            self._pending[replica.name] = replica.state()
        if self._polled:
            self._on_round()
        self._polled = True
        return self._interval if all(self._states.values()) else self._interval / 4

    def _note(self, replica: RayReplica, state: ShardState | None, error: BaseException | None = None) -> None:
        """Keep the state of a replica; a line of the log says when it is lost, and one when it is back.

        One that only takes long, on a busy machine, is not called lost before SILENT seconds.
        """
        self._states[replica.name] = state
        if state is not None:
            replica.node = state.node
            self._answered[replica.name] = time.monotonic()
            if replica.name in self._lost:
                self._lost.remove(replica.name)
                log.warning(
                    "%s answers again", replica.name, extra={"fields": describe_replica(replica, replica.shard)}
                )
        elif replica.name in self._answered and replica.name not in self._lost:
            silence = time.monotonic() - self._answered[replica.name]
            if error is None and silence < SILENT:
                return
            self._lost.add(replica.name)
            reason = error or f"{replica.name} is lost: no answer for {silence:.0f} seconds"
            log.warning("%s", reason, extra={"fields": describe_replica(replica, replica.shard)})
