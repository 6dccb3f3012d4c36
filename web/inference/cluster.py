"""Searches snapshots on a cluster, if one is configured; connects in the worker, after the fork."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from retrieval.snapshots.snapshot import Snapshot

if TYPE_CHECKING:
    from cluster.serving import Cluster, ReplicaStatus
    from cluster.supervisor import ShardPlan
    from web.http.metrics import Metrics

NOWHERE: Final = "cluster: not reached yet"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class ClusterSearch:
    """Searches snapshots on a cluster; connects when the first one is adopted."""

    address: str
    plan: ShardPlan
    timeout: float
    metrics: Metrics | None = None  # set by the application
    silence: float = 10.0  # seconds without any heartbeat after which it reconnects
    _cluster: Cluster | None = None
    _adopted: Snapshot | None = None  # the latest
    _silent_since: float | None = None  # on the monotonic clock
    _reconnecting: bool = False  # a thread is reconnecting
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def adopt(self, snapshot: Snapshot) -> None:
        """Open a snapshot on all shards, and search it there; raises ClusterError and the errors of the shards."""
        self._connect().adopt(snapshot)
        self._adopted = snapshot

    def status(self) -> Sequence[ReplicaStatus]:
        """Return the last known state of each replica; empty before the first snapshot."""
        return () if self._cluster is None else self._cluster.status()

    @property
    def description(self) -> str:
        """A description for people and `/healthz`."""
        found = self.status()
        if not found:
            return NOWHERE
        alive = sum(replica.alive for replica in found)
        return f"cluster: {self.plan.shards} parts, {alive} of {len(found)} processes alive"

    @property
    def warning(self) -> str:
        """A sentence about missing replicas; empty if there are none."""
        found = self.status()
        lost = [replica for replica in found if not replica.alive]
        if not lost:
            return ""
        alive = {replica.shard for replica in found if replica.alive}
        gone = sorted({replica.shard for replica in found} - alive)
        words = f"{len(lost)} of {len(found)} replicas of the cluster do not respond"
        return words + (f"; no replica of shard {', '.join(map(str, gone))} responds" if gone else "")

    @property
    def is_lost(self) -> bool:
        """Whether no replica of the cluster responds, so that nothing can be searched."""
        found = self.status()
        return bool(found) and not any(replica.alive for replica in found)

    def _connect(self) -> Cluster:
        with self._guard:
            if self._cluster is None:
                self._cluster = self._open_connection()
            return self._cluster

    def _open_connection(self) -> Cluster:
        from cluster.router import Timeouts
        from cluster.serving import Cluster

        return Cluster(
            self.address,
            self.plan,
            timeouts=Timeouts(self.timeout),
            on_call=self._record_call,
            on_search=self._record_search,
            on_status=self._record_status,
        )

    def _reconnect(self, lost: Cluster) -> None:
        """Replace a lost connection, however long it takes; runs in a thread."""
        from cluster.connection import disconnect

        lost.close()
        while True:
            found = None
            try:
                disconnect()
                found = self._open_connection()
                if self._adopted is not None:
                    found.adopt(self._adopted)
                self._cluster, self._silent_since, self._reconnecting = found, None, False
            except Exception as error:
                log.warning("the cluster cannot be reconnected: %s", error)
                if found is not None:
                    found.close()
                time.sleep(self.silence)
            else:
                log.warning("the cluster is reconnected")
                return

    def _check_silence(self, status: Sequence[ReplicaStatus]) -> None:
        """Reconnect if no replica has responded for long."""
        lost = self._cluster
        if self._reconnecting:
            return
        if lost is None or any(replica.alive for replica in status):
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = time.monotonic()
        elif time.monotonic() - self._silent_since > self.silence:
            self._reconnecting = True  # until the thread is done
            log.warning("the cluster does not respond; reconnecting")
            threading.Thread(
                target=self._reconnect, args=(lost,), name="reconnecting to the cluster", daemon=True
            ).start()

    def _record_call(self, shard: int, outcome: str) -> None:
        if self.metrics is not None:
            self.metrics.shard_calls.labels(str(shard), outcome).inc()

    def _record_search(self, asked: int, shards: int) -> None:
        if self.metrics is not None:
            self.metrics.shards_asked.observe(asked / max(1, shards))

    def _record_status(self, status: Sequence[ReplicaStatus]) -> None:
        if self.metrics is not None:
            for shard in {replica.shard for replica in status}:
                alive = sum(replica.alive for replica in status if replica.shard == shard)
                self.metrics.replicas_alive.labels(str(shard)).set(alive)
        self._check_silence(status)


def make_cluster_search(address: str, timeout: float, **plan: Any) -> ClusterSearch:
    """Make the search from the settings; connects to nothing."""
    from cluster.supervisor import ShardPlan

    return ClusterSearch(address, ShardPlan(**plan), timeout)


def parts_json(status: Sequence[ReplicaStatus]) -> list[dict[str, Any]]:
    """Convert the state of shards and replicas to JSON values, for `/healthz`."""
    parts: dict[int, list[dict[str, Any]]] = {}
    for replica in status:
        state = replica.state
        parts.setdefault(replica.shard, []).append(
            {
                "replica": replica.replica,
                "alive": replica.alive,
                **(
                    {}
                    if state is None
                    else {
                        "node": state.node,
                        "snapshots": list(state.snapshots),
                        "memory": state.memory,
                        "index": state.searched_on,
                    }
                ),
            }
        )
    return [{"part": part, "replicas": replicas} for part, replicas in sorted(parts.items())]
