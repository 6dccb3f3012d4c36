"""Failing nodes and processes under load: no wrong or silently incomplete answer, and automatic recovery."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from cluster.messages import Replica
from cluster.router import Timeouts
from cluster.serving import Cluster
from cluster.supervisor import ShardPlan, stop_shards
from retrieval.domain import WORLD, SkippedReferences
from retrieval.errors import ShardUnavailable
from retrieval.models.embedder import unit_rows
from retrieval.search.partial_results import PartialSearch
from retrieval.snapshots.current import CurrentSnapshot
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.manifest import switch_current
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from tests.cluster.conftest import Machines
from tests.cluster.load import Expected, agrees, expect, steady_load
from tests.floras import embed, make_entries, publish

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = make_entries()
ROWS = embed(ENTRIES)
QUERIES = [unit_rows(ROWS[n::97] + 0.01) for n in range(4)]
Until = Callable[..., None]
PROMISED = 15  # seconds until all is well again where there are no replicas; see benchmarks/cluster/cluster_failures.py
SLOW = 4  # times as long as elsewhere, where many tests run at once


@pytest.fixture(scope="module", autouse=True)
def published(indexes: Path) -> Path:
    publish(indexes, ENTRIES, segments=2)
    return indexes


@contextmanager
def running(
    machines: Machines, root: Path, *, shards: int = 2, replicas: int = 2, timeout: float = 10
) -> Iterator[tuple[Cluster, Snapshot]]:
    """A fleet of its own, and the snapshot searched by it."""
    cluster = Cluster(machines.address, ShardPlan(str(root), shards, replicas), timeouts=Timeouts(timeout, hedge=0.3))
    snapshot = open_snapshot(root)
    try:
        cluster.adopt(snapshot)
        yield cluster, snapshot
    finally:
        snapshot.close()
        cluster.close()
        stop_shards(machines.ray)


def all_alive(cluster: Cluster) -> bool:
    return all(replica.alive for replica in cluster.status())


def node_of(machines: Machines, shard: int, replica: int) -> object:
    """The node that a replica runs on, None while it runs on none."""
    actors = machines.ray._private.state.actors().values()
    name = f"shard-{shard}-{replica}"
    living = [actor["Address"]["NodeID"] for actor in actors if actor["Name"] == name and actor["State"] == "ALIVE"]
    everyone = [*machines.cluster.worker_nodes, machines.cluster.head_node]
    return next((node for node in everyone if node.node_id in living), None)


def doomed(machines: Machines, cluster: Cluster) -> tuple[object, int]:
    """A node that may die, since it is not the one this process is connected to, and a shard with a replica there."""
    for client in cluster.clients:
        for number in range(len(client.replicas)):
            node = node_of(machines, client.shard, number)
            if node in machines.cluster.worker_nodes:
                return node, client.shard
    raise AssertionError("all replicas run on the head")


def answers(flora: Flora) -> bool:
    """Whether a flora can be searched now."""
    try:
        flora.search(QUERIES[0], 1)
    except ShardUnavailable:
        return False
    return True


def expected_of(root: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    single = open_snapshot(root)
    found = expect(single.flora(WORLD), QUERIES)
    single.close()
    return found


def test_with_replicas_a_node_may_die_under_load_and_nobody_notices(
    machines: Machines, published: Path, until: Until
) -> None:
    expected = expected_of(published)
    with running(machines, published) as (cluster, snapshot):
        world = snapshot.flora(WORLD)
        with steady_load(lambda n: agrees(world.search(QUERIES[n % 4], 20), expected[n % 4])) as load:
            until(lambda: load.right > 20 and all_alive(cluster))
            lost, shard = doomed(machines, cluster)
            machines.kill(lost)
            until(
                lambda: all(node_of(machines, shard, n) not in (None, lost) for n in range(2))
            )  # elsewhere, by itself
            before = load.right
            until(lambda: all_alive(cluster) and load.right > before + 20)
        machines.add()

    assert (load.wrong, load.failed) == (0, [])


def test_without_replicas_failures_are_honest_and_end_by_themselves(
    machines: Machines, published: Path, until: Until
) -> None:
    expected = expected_of(published)
    noted: list[tuple[SkippedReferences, set[int]]] = []
    with running(machines, published, replicas=1, timeout=2) as (cluster, snapshot):
        world = snapshot.flora(WORLD)

        def forgive(number: int) -> bool:
            """A search that leaves out what is missing, all the while; what it says of that is kept."""
            partial = PartialSearch()
            some = world.with_partial(partial).search(QUERIES[number % 4], 20)
            if partial.skipped is None:
                return agrees(some, expected[number % 4])
            noted.append((partial.skipped, set(some.species.ravel().tolist())))
            return True

        with (
            steady_load(lambda n: agrees(world.search(QUERIES[n % 4], 20), expected[n % 4])) as load,
            steady_load(forgive, threads=1) as with_partial,
        ):
            until(lambda: load.right > 20 and all_alive(cluster))
            lost, shard = doomed(machines, cluster)
            machines.kill(lost)
            until(lambda: bool(load.failed and noted))
            before = load.right
            until(lambda: all_alive(cluster) and load.right > before + 20, SLOW * PROMISED)
        machines.add()

    assert noted  # what stood still has been left out, and named

    assert load.wrong == 0
    assert {type(error) for error in load.failed} == {ShardUnavailable}
    assert (with_partial.wrong, with_partial.failed) == (0, [])
    for gap, found in noted:
        assert gap.parts == (shard,)
        assert not found & set(gap.species)


def test_replicas_that_were_all_restarted_have_the_snapshot_open_before_anybody_asks(
    machines: Machines, published: Path, until: Until
) -> None:
    with running(machines, published) as (cluster, snapshot):
        until(lambda: all_alive(cluster))
        replicas = [replica for client in cluster.clients for replica in client.replicas]
        before = {replica.name: replica.state().result(10).pid for replica in replicas}
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)

        def restarted(replica: Replica) -> bool:
            try:
                state = replica.state().result(10)
            except ShardUnavailable:
                return False
            return state.pid != before[replica.name] and state.snapshots == (snapshot.edition,)

        until(lambda: all(restarted(replica) for replica in replicas))


def test_a_process_that_stands_still_delays_nobody_for_long(machines: Machines, published: Path, until: Until) -> None:
    """As a machine that swaps, or a network that swallows all: nothing breaks, and nothing comes."""
    expected = expected_of(published)
    with running(machines, published, shards=1, replicas=2) as (cluster, snapshot):
        until(lambda: all_alive(cluster))
        pid = cluster.status()[0].state.pid  # type: ignore[union-attr] # alive
        world = snapshot.flora(WORLD)
        os.kill(pid, signal.SIGSTOP)
        try:
            with steady_load(lambda n: agrees(world.search(QUERIES[n % 4], 20), expected[n % 4])) as load:
                until(lambda: load.right > 40)
        finally:
            os.kill(pid, signal.SIGCONT)
        until(lambda: all_alive(cluster))

    assert (load.wrong, load.failed) == (0, [])


def test_where_all_that_hold_a_part_stand_still_the_answer_is_an_error_in_bounded_time(
    machines: Machines, published: Path, until: Until
) -> None:
    expected = expected_of(published)
    with running(machines, published, shards=1, replicas=1, timeout=0.5) as (cluster, snapshot):
        until(lambda: all_alive(cluster))
        pid = cluster.status()[0].state.pid  # type: ignore[union-attr] # alive
        world = snapshot.flora(WORLD)
        os.kill(pid, signal.SIGSTOP)
        try:
            with steady_load(lambda n: agrees(world.search(QUERIES[n % 4], 20), expected[n % 4])) as load:
                until(lambda: len(load.failed) > 10)
        finally:
            os.kill(pid, signal.SIGCONT)
        until(lambda: answers(world) and agrees(world.search(QUERIES[0], 20), expected[0]))
    assert (load.right, load.wrong) == (0, 0)
    assert "gave no answer within 0.5 seconds" in str(load.failed[0])


def test_without_the_first_machine_questions_are_refused_and_answered_again_when_another_has_its_place(
    nodes: object, published: Path
) -> None:
    """The machine that keeps the books is killed: that of a small cluster of its own, started by another process."""
    program = [sys.executable, "-m", "tests.cluster.outside", "behead", str(published)]

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    ran = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False)

    assert ran.stdout.splitlines() == ["right", "refused: True", "right"], ran.stderr


@dataclass
class Server:
    """A server's way to the shards, which it shares with others, and the snapshot that it follows when it is let."""

    cluster: Cluster
    root: Path
    adopted: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)  # the snapshot of each answer
    let: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self) -> None:
        self.current = CurrentSnapshot(self.root, self.adopt, patience=0)

    def adopt(self, snapshot: Snapshot) -> None:
        assert self.let.acquire(timeout=60)
        self.cluster.adopt(snapshot)
        self.adopted.append(snapshot.name)

    def ask(self, number: int, expected: Mapping[str, Sequence[Expected]]) -> bool:
        with self.current.lease() as snapshot:
            found = snapshot.flora(WORLD).search(QUERIES[number % 4], 20)
            self.seen.append(snapshot.name)
            return agrees(found, expected[snapshot.name][number % 4])


def publish_beside(root: Path) -> list[str]:
    """The names of what is published and of another snapshot with half of its references."""
    names = [open_snapshot(root).name]
    names.append(publish(root / "other", ENTRIES[::2], rows=embed(ENTRIES[::2])))
    for kind in ("segments", "codebooks", "snapshots"):
        for path in (root / "other" / kind).iterdir():
            if not (root / kind / path.name).exists():
                path.rename(root / kind / path.name)
    return names


def test_two_servers_switch_under_load_at_different_moments_and_no_answer_is_mixed(
    machines: Machines, published: Path, until: Until, rounds: Callable[..., int]
) -> None:
    """Two snapshots take turns; shards answer from both, and every answer is of the one that was leased."""
    names, turns = publish_beside(published), rounds(30, exhaustively=100)
    expected = {}
    for name in names:
        single = open_snapshot(published, name)
        expected[name] = expect(single.flora(WORLD), QUERIES)
        single.close()
    with running(machines, published) as (cluster, _):
        servers = [
            Server(cluster, published),
            Server(Cluster(machines.address, cluster.plan, timeouts=Timeouts(10, hedge=0.3)), published),
        ]
        for server in servers:
            server.let.release()
            server.ask(0, expected)
        with steady_load(lambda n: servers[n % 2].ask(n, expected), threads=4) as load:
            for turn in range(turns):
                first, second = servers if turn % 2 else servers[::-1]
                switch_current(published, names[1 - turn % 2])
                begun = len(second.seen)
                for server in (first, second):
                    server.let.release()
                    until(lambda server=server, new=names[1 - turn % 2]: server.seen[-1] == new)
                    until(lambda second=second, begun=begun: len(second.seen) > begun)  # of the old one before its turn
        for server in servers:
            server.current.close()
        servers[1].cluster.close()

    assert (load.wrong, load.failed) == (0, [])
    assert [server.adopted for server in servers] == [[*(names * (turns // 2)), names[0]]] * 2
