"""Shards as processes on a Ray cluster of three nodes: any live replica gives the same answers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.health import HealthMonitor
from cluster.messages import ShardState
from cluster.router import Timeouts
from cluster.serving import Cluster
from cluster.supervisor import THREADS, ShardPlan, find_homes, list_running, start_shards, stop_shards
from retrieval.domain import WORLD
from retrieval.errors import ClusterError, ShardUnavailable
from retrieval.models.embedder import unit_rows
from retrieval.search.recipes import EXACT, PROTOTYPE_FIRST, TWO_STAGE, Recipe
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from tests.cluster.conftest import Machines
from tests.floras import embed, make_entries, publish

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = make_entries()
ROWS = embed(ENTRIES)
QUERIES = unit_rows(ROWS[::29] + 0.05 * np.random.default_rng(3).normal(size=ROWS[::29].shape))
RECIPES = (Recipe(EXACT), Recipe(TWO_STAGE, 90), Recipe(PROTOTYPE_FIRST, 60, probes=9))


@pytest.fixture(scope="module")
def running_shards(machines: Machines, indexes: Path) -> Iterator[Cluster]:
    publish(indexes, ENTRIES, segments=2)
    cluster = Cluster(machines.address, ShardPlan(str(indexes), 3, 2), timeouts=Timeouts(timeout=10, hedge=0.5))
    yield cluster
    cluster.close()
    stop_shards(machines.ray)


@pytest.fixture
def snapshot(running_shards: Cluster) -> Iterator[Snapshot]:
    opened = open_snapshot(Path(running_shards.plan.root))
    running_shards.adopt(opened)
    yield opened
    opened.close()


@pytest.mark.parametrize("flora", [WORLD, "north", "few"])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.kind)
def test_neighbours_are_those_of_a_single_process(
    running_shards: Cluster, snapshot: Snapshot, flora: str, recipe: Recipe
) -> None:
    single = open_snapshot(Path(running_shards.plan.root))

    ours = replace(snapshot.flora(flora), recipe=recipe).search(QUERIES, 20)
    theirs = replace(single.flora(flora), recipe=recipe).search(QUERIES, 20)

    assert np.array_equal(ours.rows, theirs.rows)
    assert np.array_equal(ours.similarities, theirs.similarities)
    single.close()


def test_replicas_of_a_shard_run_on_different_nodes(machines: Machines, running_shards: Cluster) -> None:
    actors = machines.ray._private.state.actors().values()
    found = {actor["Name"]: actor["Address"]["NodeID"] for actor in actors if actor["State"] == "ALIVE"}

    for shard in range(3):
        assert found[f"shard-{shard}-0"] != found[f"shard-{shard}-1"]


def test_every_replica_says_what_it_has_open(
    running_shards: Cluster, snapshot: Snapshot, until: Callable[[Callable[[], bool]], None]
) -> None:
    def all_open() -> bool:
        status = running_shards.status()
        return all(own.state is not None and snapshot.name in own.state.snapshots for own in status)

    until(all_open)

    assert [(own.shard, own.replica) for own in running_shards.status()] == [(s, r) for s in range(3) for r in range(2)]


def test_while_a_snapshot_is_opened_for_all_workers_of_a_server_the_present_one_is_searched(
    running_shards: Cluster, snapshot: Snapshot
) -> None:
    """Reading the new snapshot stands still: its placement is a pipe that nobody writes to."""
    replicas = [replica for client in running_shards.clients for replica in client.replicas]
    pipe = Path(running_shards.plan.root) / "placements" / f"{'0' * 16}.npz"
    os.mkfifo(pipe)
    kept_open = os.open(pipe, os.O_RDWR)
    try:
        opening = [replica.open(snapshot.name, pipe.stem) for replica in replicas for _ in range(THREADS)]

        found = snapshot.flora(WORLD).search(QUERIES, 5)
        states = [replica.state().result(20) for replica in replicas]
        began = [call for call in opening if call.done()]
    finally:
        pipe.unlink()
        os.close(kept_open)

    assert found.rows.shape == (len(QUERIES), 5)
    assert len(states) == 6
    assert began == []
    assert all(isinstance(call.exception(20), ClusterError) for call in opening)


def test_whoever_comes_second_finds_the_shards_that_run(machines: Machines, running_shards: Cluster) -> None:
    before = list_running(machines.ray)

    second = Cluster(machines.address, running_shards.plan)

    assert list_running(machines.ray) == before == sorted(f"shard-{s}-{r}" for s in range(3) for r in range(2))
    second.close()


def test_shards_of_another_folder_are_not_used(machines: Machines, running_shards: Cluster, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="fungarium cluster stop"):
        Cluster(machines.address, replace(running_shards.plan, root=str(tmp_path)))


def test_from_outside_the_cluster_many_ask_at_once_and_a_lost_replica_is_no_end(from_outside: str) -> None:
    """Ray has one thread there that receives: what is called back in it must not send, or nothing ever comes again."""
    program = [sys.executable, "-m", "tests.cluster.outside", "ask", from_outside]

    ran = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)

    assert ran.stdout.splitlines() == ["at once: 6", "without the first: 2"], ran.stderr


@pytest.mark.parametrize("outside", [True, False], ids=["from-outside", "on-a-node"])
def test_a_server_whose_connection_is_lost_connects_anew(
    from_outside: str, running_shards: Cluster, outside: bool
) -> None:
    address = from_outside if outside else running_shards.address
    program = [sys.executable, "-m", "tests.cluster.outside", "lose", address, running_shards.plan.root]

    ran = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)

    assert ran.stdout.splitlines() == ["searched", "lost", "searched again"], ran.stderr


@dataclass
class Troubled:
    """A replica that raises what no replica may, once."""

    name: str = "a replica"
    shard: int = 0
    node: str = ""
    raised: bool = False

    def state(self) -> Future[ShardState]:
        answer: Future[ShardState] = Future()
        if not self.raised:
            self.raised = True
            raise ConnectionError("the connection is gone")
        answer.set_result(ShardState(0, 0, "here", (), 1, 1))
        return answer


def test_whoever_looks_after_replicas_goes_on_after_any_error(until: Callable[[Callable[[], bool]], None]) -> None:
    replica = Troubled()
    watch = HealthMonitor([replica], lambda seen: None, lambda: None, interval=0.01)  # type: ignore[list-item] # as much as it needs

    watch.start()

    until(lambda: watch.states()[0][1] is not None)
    watch.close()
    assert replica.raised
    assert watch.states()[0][1] is None  # nobody looks any more


@dataclass
class Flickering(Troubled):
    """A replica that answers, then fails for three rounds, then answers for good."""

    rounds: int = 0

    def state(self) -> Future[ShardState]:
        answer: Future[ShardState] = Future()
        self.rounds += 1
        if 3 < self.rounds < 7:
            answer.set_exception(ShardUnavailable(f"{self.name} is lost: it is gone"))
        else:
            answer.set_result(ShardState(3, 0, "oak", (), 1, 1))
        return answer

    def find(self) -> None:
        """It is where it was."""


def test_the_death_of_a_replica_and_its_return_are_one_line_each_with_shard_and_node(
    until: Callable[[Callable[[], bool]], None], caplog: pytest.LogCaptureFixture
) -> None:
    replica = Flickering("replica 0 of shard 3", shard=3)
    watch = HealthMonitor([replica], lambda seen: None, lambda: None, interval=0.01)  # type: ignore[list-item] # as much as it needs

    watch.start()

    until(lambda: replica.rounds > 12)
    watch.close()
    assert caplog.messages == ["replica 0 of shard 3 is lost: it is gone", "replica 0 of shard 3 answers again"]
    fields = {"shard": 3, "replica": "replica 0 of shard 3", "node": "oak"}
    assert [vars(record)["fields"] for record in caplog.records] == [fields, fields]


@pytest.mark.parametrize(("patience", "lines"), [(1e9, 0), (0.0, 2)])
def test_a_replica_that_only_takes_long_is_not_called_lost_before_its_time(
    until: Callable[[Callable[[], bool]], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    patience: float,
    lines: int,
) -> None:
    monkeypatch.setattr("cluster.health.SILENT", patience)
    replica = Silent("replica 0 of shard 3", shard=3)
    watch = HealthMonitor([replica], lambda seen: None, lambda: None, interval=0.01)  # type: ignore[list-item] # as much as it needs

    watch.start()
    until(lambda: watch.states()[0][1] is not None)
    replica.silent = True
    until(lambda: bool(replica.kept) and watch.states()[0][1] is None)
    replica.silent = False
    replica.kept[0].set_result(ShardState(3, 0, "oak", (), 1, 1))
    until(lambda: watch.states()[0][1] is not None)
    watch.close()

    assert len(caplog.messages) == lines


@dataclass
class Silent(Troubled):
    """A replica that answers at once, or keeps its caller waiting."""

    silent: bool = False
    kept: list[Future[ShardState]] = field(default_factory=list)

    def state(self) -> Future[ShardState]:
        answer: Future[ShardState] = Future()
        if self.silent:
            self.kept.append(answer)
        else:
            answer.set_result(ShardState(3, 0, "oak", (), 1, 1))
        return answer


@dataclass
class Started:
    """A replica that says where it runs, or nothing at all."""

    name: str
    there: bool
    shard: int = 0

    def describe(self) -> Future[tuple[ShardPlan, str]]:
        answer: Future[tuple[ShardPlan, str]] = Future()
        if self.there:
            answer.set_result((ShardPlan("/srv/flora_indexes", 1, 2), f"node of {self.name}"))
        return answer


def test_where_one_replica_of_each_shard_runs_nobody_waits_for_the_rest() -> None:
    running_shards = [[Started("silent", False), Started("alive", True)]] * 3

    homes = find_homes(ShardPlan("/srv/flora_indexes", 3, 2), running_shards, rest=0)  # type: ignore[arg-type] # as much as it needs

    assert homes == {"alive": "node of alive"}


@dataclass
class Broken:
    """Ray on a connection that breaks."""

    exceptions: Any

    def nodes(self) -> list[Any]:
        raise ConnectionError("the channel is closed")


def test_a_connection_that_breaks_while_shards_start_is_told_in_a_sentence(machines: Machines, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="cannot start the shards: the channel is closed"):
        start_shards(Broken(machines.ray.exceptions), ShardPlan(str(tmp_path), 1, 1))
