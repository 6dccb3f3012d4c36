"""What a server or a command needs of the cluster: snapshots that are searched there, and how it stands."""

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
from cluster.placement_files import placement_of
from cluster.replica_client import ReplicaClient
from cluster.router import Router, Timeouts
from cluster.shard import opening_seconds
from cluster.supervisor import RayReplica, ShardPlan, start_shards
from retrieval.errors import FungariumError, ShardUnavailable
from retrieval.snapshots.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class ReplicaStanding:
    """A replica for people and `/healthz`."""

    shard: int
    replica: int
    alive: bool
    state: ShardState | None


def see_call(shard: int, outcome: str) -> None:
    """Watch calls without a word."""


def see_search(asked: int, shards: int) -> None:
    """Watch searches without a word."""


def see_standing(standing: Sequence[ReplicaStanding]) -> None:
    """Watch replicas without a word."""


class Cluster:
    """The shards of a collection, reached from this process. Make it after a fork."""

    def __init__(
        self,
        address: str,
        plan: ShardPlan,
        *,
        timeouts: Timeouts | None = None,
        namespace: str = NAMESPACE,
        saw_call: Callable[[int, str], None] = see_call,
        saw_search: Callable[[int, int], None] = see_search,
        saw_standing: Callable[[Sequence[ReplicaStanding]], None] = see_standing,
    ) -> None:
        """Connect, and start what does not run yet; raises ClusterError."""
        self.address, self.plan = address, plan
        self._patience, self._saw_search = timeouts or Timeouts(), saw_search
        ray = connect(address, namespace=namespace)
        running_shards = start_shards(ray, plan, namespace=namespace)
        self._lanes = [
            ReplicaClient(shard, own, lambda outcome, shard=shard: saw_call(shard, outcome))  # type: ignore[misc]
            for shard, own in enumerate(running_shards)
        ]
        replicas = [replica for own in running_shards for replica in own]
        self._watch = HealthMonitor(replicas, self._welcome, lambda: saw_standing(self.standing()))
        self._watch.start()

    @property
    def clients(self) -> tuple[ReplicaClient, ...]:
        """The way to each shard."""
        return tuple(self._lanes)

    def adopt(self, snapshot: Snapshot) -> None:
        """Have every shard open a snapshot, then search it there.

        Raises what keeps a shard from opening it, and ShardUnavailable where no replica of one answers: until then
        the snapshot before stays in use. A replica that is lost opens it when it is back.
        """
        placement = placement_of(Path(self.plan.root), snapshot, self.plan.shards)
        calls = [[replica.open(snapshot.name, placement.id) for replica in client.replicas] for client in self._lanes]
        began, timeout = time.monotonic(), opening_seconds(snapshot.manifest)
        for client, own in zip(self._lanes, calls, strict=True):
            opened, lost = 0, ""
            pending = set(own)
            while pending and not (opened and time.monotonic() > began + self._patience.timeout):
                left = began + timeout - time.monotonic() if not opened else self._patience.timeout
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
        snapshot.shelf.searcher = Router(snapshot, placement, self._lanes, self._patience, self._saw_search)

    def standing(self) -> list[ReplicaStanding]:
        """How each replica is, as last seen; asks nothing."""
        return [
            ReplicaStanding(replica.shard, replica.replica, state is not None, state)
            for replica, state in self._watch.states()
        ]

    def close(self) -> None:
        """Let go of the shards, which go on."""
        self._watch.close()

    def _welcome(self, replica: RayReplica) -> None:
        self._lanes[replica.shard].welcome(replica)


@contextmanager
def searching(address: str, plan: ShardPlan, timeouts: Timeouts) -> Iterator[Cluster]:
    """The cluster for the time of a command."""
    with connected(address):
        cluster = Cluster(address, plan, timeouts=timeouts)
        try:
            yield cluster
        finally:
            cluster.close()
