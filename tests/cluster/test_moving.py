"""Replicas are moved to different nodes while each shard keeps a live replica. Nodes are only names here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest

from cluster import supervisor as supervisor
from cluster.supervisor import ShardPlan, end_replica, spread_replicas
from cluster.threads import call_with_timeout
from fungarium.jobs import shards as commands
from retrieval.errors import ClusterError
from tests.cluster.test_replica_client import Scripted

NODES = ["a", "b", "c", "d"]
Fleet = list[list[Any]]


@dataclass
class Named:
    """All that is looked at of a replica."""

    shard: int
    replica: int

    @property
    def name(self) -> str:
        return f"{self.shard}/{self.replica}"


class Nowhere:
    """In Ray's place: actors that a test lists under a name, each for one look."""

    class exceptions:  # noqa: N801 - as Ray names it
        RayError = RuntimeError

    def __init__(self, *actors: Any) -> None:
        self.actors = list(actors)
        self.killed: list[Any] = []

    def get_actor(self, name: str, namespace: str) -> Any:
        if not self.actors:
            raise ValueError(name)
        return self.actors.pop(0)

    def kill(self, actor: Any, *, no_restart: bool) -> None:
        self.killed.append(actor)


class Handle:
    """An actor as seen from outside the cluster."""

    def __init__(self, number: bytes) -> None:
        self.actor_ref = self
        self.id = number


@pytest.fixture
def four_shards(monkeypatch: pytest.MonkeyPatch) -> tuple[ShardPlan, Fleet, dict[str, str]]:
    """Two replicas of each on two nodes, where two more have just joined."""
    monkeypatch.setattr(supervisor, "list_nodes", lambda ray: NODES)
    monkeypatch.setattr(supervisor, "end_replica", lambda ray, name, namespace: None)
    monkeypatch.setattr(
        supervisor,
        "start_replica",
        lambda ray, plan, shard, replica, node, namespace: Named(shard, replica),
    )
    running_shards = [[Named(shard, n) for n in range(2)] for shard in range(4)]
    return (
        ShardPlan("", 4, 2),
        running_shards,
        {replica.name: NODES[replica.replica] for own in running_shards for replica in own},
    )


def test_of_each_shard_one_replica_moves_at_a_time(four_shards: tuple[ShardPlan, Fleet, dict[str, str]]) -> None:
    plan, running_shards, homes = four_shards

    moves = []
    while moved := spread_replicas(Nowhere(), plan, running_shards, homes):
        moves.append([replica.shard for replica in moved])

    assert moves
    assert all(len(shards) == len(set(shards)) for shards in moves)
    assert sorted(homes.values()) == sorted(NODES * 2)
    assert all(homes[own[0].name] != homes[own[1].name] for own in running_shards)


def test_nothing_moves_where_the_other_replica_does_not_answer(
    four_shards: tuple[ShardPlan, Fleet, dict[str, str]],
) -> None:
    plan, running_shards, homes = four_shards

    moved = spread_replicas(
        Nowhere(), plan, running_shards, {name: node for name, node in homes.items() if node == "a"}
    )

    assert moved == []


def test_whoever_has_taken_the_name_meanwhile_is_not_ended() -> None:
    old, new = Handle(b"old"), Handle(b"new")
    ray = Nowhere(old, old, new, new)

    end_replica(ray, "shard-0-0", "")

    assert ray.killed == [old, old]


def test_a_process_that_never_opens_the_snapshot_is_a_failure_in_bounded_time() -> None:
    class Silent(Scripted):
        def open(self, snapshot: str, placement: str) -> Any:
            return Future()

    failed = commands.open_on([Silent("one"), Silent("two")], "snapshot", "placement", 0.05)

    assert [*failed] == ["one", "two"]
    assert all(isinstance(error, ClusterError) for error in failed.values())


class Frozen(Nowhere):
    """A cluster that takes everything and says nothing, as through a machine that stands still."""

    def __init__(self) -> None:
        super().__init__()
        self.let = threading.Event()

    def get_actor(self, name: str, namespace: str) -> Any:
        self.let.wait(60)

    def nodes(self) -> Any:
        self.let.wait(60)


def test_what_asks_a_cluster_that_stands_still_ends_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "ANSWERING", 0.05)
    ray = Frozen()
    calls: list[Callable[[], object]] = [
        lambda: supervisor.list_nodes(ray),
        lambda: end_replica(ray, "shard-0-0", ""),
    ]

    for call in calls:
        with pytest.raises(ClusterError, match=r"the cluster gave no answer within 0.05 seconds"):
            call()
    ray.let.set()


def test_what_a_call_raises_in_time_is_raised() -> None:
    def fail() -> None:
        raise TimeoutError("of the call itself")

    with pytest.raises(TimeoutError, match="of the call itself"):
        call_with_timeout(20, fail)
    assert call_with_timeout(20, lambda: 7) == 7
