"""Nodes and processes that go while people ask: no wrong answer, no silent gap, and all is well again by itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from cluster.fleet import Plan, stop_fleet
from cluster.router import Patience
from cluster.serving import Cluster
from retrieval.domain import WORLD, Unsearched
from retrieval.embedder import unit_rows
from retrieval.errors import ShardUnavailable
from retrieval.flora import Flora
from retrieval.gaps import Gaps
from retrieval.manifest import switch_current
from retrieval.serving import CurrentSnapshot
from retrieval.snapshot import Snapshot, open_snapshot
from tests.cluster.conftest import Machines
from tests.cluster.load import agrees, expect, steady_load
from tests.floras import embed, make_entries, publish

ENTRIES = make_entries()
ROWS = embed(ENTRIES)
QUERIES = [unit_rows(ROWS[n::97] + 0.01) for n in range(4)]
Until = Callable[[Callable[[], bool]], None]


@pytest.fixture(scope="module", autouse=True)
def published(indexes: Path) -> Path:
    publish(indexes, ENTRIES, segments=2)
    return indexes


@contextmanager
def running(
    machines: Machines, root: Path, *, shards: int = 2, replicas: int = 2, timeout: float = 10
) -> Iterator[tuple[Cluster, Snapshot]]:
    """A fleet of its own, and the snapshot searched by it."""
    cluster = Cluster(machines.address, Plan(str(root), shards, replicas), patience=Patience(timeout, hedge=0.3))
    snapshot = open_snapshot(root)
    try:
        cluster.adopt(snapshot)
        yield cluster, snapshot
    finally:
        snapshot.close()
        cluster.close()
        stop_fleet(machines.ray)


def all_alive(cluster: Cluster) -> bool:
    return all(replica.alive for replica in cluster.standing())


def node_of(machines: Machines, shard: int, replica: int) -> object:
    """The node that a replica runs on, None while it runs on none."""
    actors = machines.ray._private.state.actors().values()
    name = f"shard-{shard}-{replica}"
    living = [actor["Address"]["NodeID"] for actor in actors if actor["Name"] == name and actor["State"] == "ALIVE"]
    everyone = [*machines.cluster.worker_nodes, machines.cluster.head_node]
    return next((node for node in everyone if node.node_id in living), None)


def doomed(machines: Machines, cluster: Cluster) -> tuple[object, int]:
    """A node that may die, since it is not the one this process is connected to, and a shard with a replica there."""
    for lane in cluster.lanes:
        for number in range(len(lane.replicas)):
            node = node_of(machines, lane.shard, number)
            if node in machines.cluster.worker_nodes:
                return node, lane.shard
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
    noted: list[tuple[Unsearched, set[int]]] = []
    with running(machines, published, replicas=1, timeout=2) as (cluster, snapshot):
        world = snapshot.flora(WORLD)

        def forgive(number: int) -> bool:
            """A search that leaves out what is missing, all the while; what it says of that is kept."""
            gaps = Gaps()
            some = world.forgiving(gaps).search(QUERIES[number % 4], 20)
            if gaps.unsearched is None:
                return agrees(some, expected[number % 4])
            noted.append((gaps.unsearched, set(some.species.ravel().tolist())))
            return True

        with (
            steady_load(lambda n: agrees(world.search(QUERIES[n % 4], 20), expected[n % 4])) as load,
            steady_load(forgive, threads=1) as forgiving,
        ):
            until(lambda: load.right > 20 and all_alive(cluster))
            lost, shard = doomed(machines, cluster)
            machines.kill(lost)
            until(lambda: bool(load.failed and noted))
            before = load.right
            until(lambda: all_alive(cluster) and load.right > before + 20)
        machines.add()

    assert load.wrong == 0
    assert {type(error) for error in load.failed} == {ShardUnavailable}
    assert (forgiving.wrong, forgiving.failed) == (0, [])
    for gap, found in noted:
        assert gap.parts == (shard,)
        assert not found & set(gap.species)


def test_a_process_that_stands_still_delays_nobody_for_long(machines: Machines, published: Path, until: Until) -> None:
    """As a machine that swaps, or a network that swallows all: nothing breaks, and nothing comes."""
    expected = expected_of(published)
    with running(machines, published, shards=1, replicas=2) as (cluster, snapshot):
        until(lambda: all_alive(cluster))
        pid = cluster.standing()[0].state.pid  # type: ignore[union-attr] # alive
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
        pid = cluster.standing()[0].state.pid  # type: ignore[union-attr] # alive
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


def test_a_hundred_switches_under_load_and_no_mixed_answer(machines: Machines, published: Path, until: Until) -> None:
    """Two snapshots take turns; every answer is one of theirs, and of the one that was leased."""
    root = published
    names = [open_snapshot(root).name]
    names.append(publish(root / "other", ENTRIES[::2], rows=embed(ENTRIES[::2])))
    for kind in ("segments", "codebooks", "snapshots"):
        for path in (root / "other" / kind).iterdir():
            if not (root / kind / path.name).exists():
                path.rename(root / kind / path.name)
    expected = {}
    for name in names:
        single = open_snapshot(root, name)
        expected[name] = expect(single.flora(WORLD), QUERIES)
        single.close()
    with running(machines, root, shards=2, replicas=2) as (cluster, _):
        current = CurrentSnapshot(root, cluster.adopt, patience=0)
        seen: set[str] = set()

        def ask(number: int) -> bool:
            with current.lease() as snapshot:
                seen.add(snapshot.name)
                return agrees(
                    snapshot.flora(WORLD).search(QUERIES[number % 4], 20), expected[snapshot.name][number % 4]
                )

        with steady_load(ask, threads=3) as load:
            for turn in range(100):
                switch_current(root, names[1 - turn % 2])  # the other one is published
                with current.lease() as snapshot:
                    pass
                until(lambda name=names[1 - turn % 2]: current.standing().snapshot.name == name)  # type: ignore[misc, union-attr]
                until(lambda before=load.right: load.right > before)  # type: ignore[misc]
        current.close()

    assert (load.wrong, load.failed) == (0, [])
    assert seen == set(names)
    assert snapshot.name in names
