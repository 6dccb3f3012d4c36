"""The cluster that floras are searched on, where the setting names one: reached in the worker, after the fork."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from retrieval.snapshot import Snapshot

if TYPE_CHECKING:
    from cluster.fleet import Plan
    from cluster.serving import Cluster, ReplicaStanding
    from web.metrics import Metrics

NOWHERE: Final = "cluster: not reached yet"


@dataclass(slots=True)
class Clustered:
    """Has snapshots searched on a cluster; connects when the first one is adopted, and not before."""

    address: str
    plan: Plan
    timeout: float
    metrics: Metrics | None = None  # set by whoever counts
    _cluster: Cluster | None = None
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def adopt(self, snapshot: Snapshot) -> None:
        """Have all parts open a snapshot, and search it there; raises ClusterError and what keeps them from it."""
        self._connect().adopt(snapshot)

    def standing(self) -> Sequence[ReplicaStanding]:
        """How each replica was when it was last looked at; nothing before the first snapshot."""
        return () if self._cluster is None else self._cluster.standing()

    @property
    def described(self) -> str:
        """A line for people and `/healthz`."""
        found = self.standing()
        if not found:
            return NOWHERE
        alive = sum(replica.alive for replica in found)
        return f"cluster: {self.plan.shards} parts, {alive} of {len(found)} processes alive"

    @property
    def trouble(self) -> str:
        """What is missing, in a sentence; empty where nothing is."""
        found = self.standing()
        lost = [replica for replica in found if not replica.alive]
        if not lost:
            return ""
        alive = {replica.shard for replica in found if replica.alive}
        gone = sorted({replica.shard for replica in found} - alive)
        words = f"{len(lost)} of {len(found)} processes of the cluster give no answer"
        return words + (f"; nobody answers for part {', '.join(map(str, gone))} of the references" if gone else "")

    def _connect(self) -> Cluster:
        from cluster.router import Patience
        from cluster.serving import Cluster

        with self._guard:
            if self._cluster is None:
                self._cluster = Cluster(
                    self.address,
                    self.plan,
                    patience=Patience(self.timeout),
                    saw_call=self._saw_call,
                    saw_search=self._saw_search,
                    saw_standing=self._saw_standing,
                )
            return self._cluster

    def _saw_call(self, shard: int, outcome: str) -> None:
        if self.metrics is not None:
            self.metrics.shard_calls.labels(str(shard), outcome).inc()

    def _saw_search(self, asked: int, shards: int) -> None:
        if self.metrics is not None:
            self.metrics.shards_asked.observe(asked / max(1, shards))

    def _saw_standing(self, standing: Sequence[ReplicaStanding]) -> None:
        if self.metrics is not None:
            for shard in {replica.shard for replica in standing}:
                alive = sum(replica.alive for replica in standing if replica.shard == shard)
                self.metrics.replicas_alive.labels(str(shard)).set(alive)


def make_clustered(address: str, timeout: float, **plan: Any) -> Clustered:
    """Put together what the settings say; connects to nothing."""
    from cluster.fleet import Plan

    return Clustered(address, Plan(**plan), timeout)


def parts_json(standing: Sequence[ReplicaStanding]) -> list[dict[str, Any]]:
    """The parts with their replicas, as `/healthz` shows them."""
    parts: dict[int, list[dict[str, Any]]] = {}
    for replica in standing:
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
