"""The cluster as servers and commands use it: searches snapshots on it and reports the state of its replicas."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.connection import NAMESPACE, connect, connected
from cluster.health import HealthMonitor
from cluster.messages import ShardState
from cluster.placement_files import ensure_placement
from cluster.replica_client import ReplicaClient
from cluster.router import Router, Timeouts
from cluster.shard import opening_seconds
from cluster.supervisor import RayReplica, ShardPlan, start_shards
from retrieval.errors import FungariumError, ShardUnavailable
from retrieval.snapshots.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """The state of a replica as `/healthz` shows it."""

    shard: int
    replica: int
    alive: bool
    state: ShardState | None


def ignore_call(shard: int, outcome: str) -> None:
    """Do nothing."""


def ignore_search(asked: int, shards: int) -> None:
    """Do nothing."""


def ignore_status(status: Sequence[ReplicaStatus]) -> None:
    """Do nothing."""


class Cluster:
    """A process's connection to the shards of a collection. Create it after any fork."""

    def __init__(
        self,
        address: str,
        plan: ShardPlan,
        *,
        timeouts: Timeouts | None = None,
        namespace: str = NAMESPACE,
        on_call: Callable[[int, str], None] = ignore_call,
        on_search: Callable[[int, int], None] = ignore_search,
        on_status: Callable[[Sequence[ReplicaStatus]], None] = ignore_status,
    ) -> None:
        """Connect, and start the replicas that are not running; raises ClusterError."""
        self.address, self.plan = address, plan
        self._timeouts, self._on_search = timeouts or Timeouts(), on_search
        ray = connect(address, namespace=namespace)
        running_shards = start_shards(ray, plan, namespace=namespace)
        self._clients = [
            ReplicaClient(shard, own, lambda outcome, shard=shard: on_call(shard, outcome))  # type: ignore[misc]
            for shard, own in enumerate(running_shards)
        ]
        replicas = [replica for own in running_shards for replica in own]
        self._watch = HealthMonitor(replicas, self._welcome, lambda: on_status(self.status()))
        self._watch.start()

    @property
    def clients(self) -> tuple[ReplicaClient, ...]:
        """The client of each shard."""
        return tuple(self._clients)

    def adopt(self, snapshot: Snapshot) -> None:
        """Open a snapshot on every shard, then search it there.

        Raises the error that prevents a shard from opening it, and ShardUnavailable if no replica of a shard answers;
        the previous snapshot then stays in use. A lost replica opens it when it returns.
        """
        placement = ensure_placement(Path(self.plan.root), snapshot, self.plan.shards)
        wanted = (snapshot.edition, placement.id)
        calls = [[replica.open(*wanted) for replica in client.replicas] for client in self._clients]
        began, timeout = time.monotonic(), opening_seconds(snapshot.manifest)
        for client, own in zip(self._clients, calls, strict=True):
            opened, lost = 0, ""
            pending = set(own)
            while pending and not (opened and time.monotonic() > began + self._timeouts.timeout):
                left = began + timeout - time.monotonic() if not opened else self._timeouts.timeout
                done, pending = wait(pending, max(0.0, left), "FIRST_COMPLETED")
                for call in done:
                    error = call.exception()
                    if isinstance(error, FungariumError) and not isinstance(error, ShardUnavailable):
                        raise error
                    opened, lost = opened + (error is None), str(error or lost)
                if not done:
                    break
            if not opened:
                raise ShardUnavailable(
                    f"no replica of shard {client.shard} has opened snapshot {snapshot.name}: {lost or 'no answer'}"
                )
        snapshot.shelf.searcher = Router(snapshot, placement, self._clients, self._timeouts, self._on_search)

    def status(self) -> list[ReplicaStatus]:
        """Return the last known state of each replica, without a call."""
        return [
            ReplicaStatus(replica.shard, replica.replica, state is not None, state)
            for replica, state in self._watch.states()
        ]

    def close(self) -> None:
        """Stop monitoring; the shards keep running."""
        self._watch.close()

    def _welcome(self, replica: RayReplica) -> None:
        self._clients[replica.shard].welcome(replica)


@contextmanager
def searching(address: str, plan: ShardPlan, timeouts: Timeouts) -> Iterator[Cluster]:
    """Connect to the cluster for the duration of a command."""
    with connected(address):
        cluster = Cluster(address, plan, timeouts=timeouts)
        try:
            yield cluster
        finally:
            cluster.close()
