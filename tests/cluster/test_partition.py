"""A network partition between router and shards: time-outs are bounded, and nothing hangs.

A node of the cluster runs in a network namespace of its own, behind a pair of virtual links. Taking one end down is a
partition: no reset comes, packets vanish. Only root may do that, and not on every machine.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.router import Timeouts
from cluster.serving import Cluster
from cluster.supervisor import ONLY, ShardPlan, stop_shards
from retrieval.domain import WORLD
from retrieval.errors import ShardUnavailable
from retrieval.models.embedder import unit_rows
from retrieval.snapshots.snapshot import open_snapshot
from tests.cluster.conftest import OBJECTS, Machines
from tests.cluster.load import agrees, expect, steady_load
from tests.floras import embed, make_entries, publish

ENTRIES = make_entries(2)
QUERIES = [unit_rows(embed(ENTRIES)[n::61] + 0.01) for n in range(4)]
SPACE, OURS, THEIRS = f"fungarium{os.getpid()}", f"fgo{os.getpid() % 10**8}", f"fgt{os.getpid() % 10**8}"
HERE, THERE = "10.213.77.1", "10.213.77.2"
Until = Callable[[Callable[[], bool]], None]


@dataclass
class Island:
    """A node that can be cut off."""

    process: subprocess.Popen[bytes]

    def cut_off(self) -> None:
        ip("-n", SPACE, "link", "set", THEIRS, "down")

    def reach_again(self) -> None:
        ip("-n", SPACE, "link", "set", THEIRS, "up")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def island(machines: Machines, until: Until) -> Iterator[Island]:
    if shutil.which("ip") is None:
        pytest.skip("there is no program `ip` to make a network namespace with")
    try:
        ip("netns", "add", SPACE)
        ip("link", "add", OURS, "type", "veth", "peer", "name", THEIRS, "netns", SPACE)
    except subprocess.CalledProcessError as error:
        subprocess.run(["ip", "netns", "del", SPACE], check=False, capture_output=True)
        pytest.skip(f"no network namespace can be made here: {error.stderr.decode().strip()}")
    process = None
    try:
        ip("addr", "add", f"{HERE}/24", "dev", OURS)
        ip("link", "set", OURS, "up")
        ip("-n", SPACE, "addr", "add", f"{THERE}/24", "dev", THEIRS)
        ip("-n", SPACE, "link", "set", "lo", "up")
        ip("-n", SPACE, "link", "set", THEIRS, "up")
        ip("-n", SPACE, "route", "add", "default", "via", HERE)
        options = {
            "address": machines.address,
            "node-ip-address": THERE,
            "num-cpus": "1",
            "object-store-memory": str(OBJECTS),
            "resources": f'{{"{ONLY}": 1}}',
        }
        process = subprocess.Popen(
            ["ip", "netns", "exec", SPACE, sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
            + [f"--{name}={value}" for name, value in options.items()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until(lambda: any(n["Alive"] and n["NodeManagerAddress"] == THERE for n in machines.ray.nodes()))
        yield Island(process)
    finally:
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(20)
        inside = subprocess.run(["ip", "netns", "pids", SPACE], check=False, capture_output=True, text=True).stdout
        for pid in inside.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "link", "del", OURS], check=False, capture_output=True)
        ip("netns", "del", SPACE)


def test_behind_a_partition_answers_fail_in_bounded_time_and_come_back(
    machines: Machines, island: Island, tmp_path: Path, until: Until
) -> None:
    publish(tmp_path, ENTRIES)
    single = open_snapshot(tmp_path)
    expected = expect(single.flora(WORLD), QUERIES)
    cluster = Cluster(machines.address, ShardPlan(str(tmp_path), 1, 1), timeouts=Timeouts(timeout=0.5, hedge=0.1))
    snapshot = open_snapshot(tmp_path)
    try:
        cluster.adopt(snapshot)
        world = snapshot.flora(WORLD)
        with steady_load(lambda n: agrees(world.search(QUERIES[n % 4], 20), expected[n % 4])) as load:
            until(lambda: load.right > 20)
            island.cut_off()
            until(lambda: len(load.failed) > 10)  # each in half a second, or at once
            island.reach_again()
            before = load.right
            until(lambda: load.right > before + 20)  # by the same process, or where it was started again
    finally:
        snapshot.close()
        cluster.close()
        stop_shards(machines.ray)
        single.close()

    assert load.wrong == 0
    assert {type(error) for error in load.failed} == {ShardUnavailable}
