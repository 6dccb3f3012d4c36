"""A process outside the cluster: `python -m tests.cluster.outside ask|lose ray://HOST:PORT [ROOT]`.

`behead ROOT` has a small cluster of its own, whose first machine it loses.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cluster.connection import CLIENT, connected, load_ray
from cluster.messages import ShardReply, ShardRequest
from cluster.replica_client import Job, ReplicaClient
from cluster.supervisor import RayReplica, ShardPlan, pack, unpack
from retrieval.domain import WORLD
from retrieval.errors import ShardUnavailable
from retrieval.snapshots.snapshot import open_snapshot
from tests.cluster.conftest import OBJECTS
from tests.ports import free_port
from web.inference.cluster import ClusterSearch

PATIENCE = 60.0  # seconds until what does not come is given up


class Held:
    """Answers nothing before it is told to go on."""

    def __init__(self) -> None:
        self._gate = threading.Event()

    def answer_packed(self, packed: bytes) -> bytes:
        if not self._gate.wait(PATIENCE):
            raise TimeoutError
        views = [len(ask.views) for ask in unpack(packed)]
        return pack([ShardReply(np.zeros((n, 1), np.float32), np.zeros((n, 1), np.int64)) for n in views])

    def go_on(self) -> None:
        self._gate.set()


def wait_for(true: Callable[[], bool]) -> None:
    """Until something is so, as long as a slow machine may take."""
    ends = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > ends:
            raise TimeoutError
        time.sleep(0.05)


def make_ask() -> ShardRequest:
    return ShardRequest("snapshot", "placement", b"", (), np.zeros((1, 4), np.float32), 1)


def count_answers(jobs: Sequence[Job]) -> int:
    """Those that come; the first that does not ends the count."""
    for number, job in enumerate(jobs):
        try:
            job.answer.result(PATIENCE if number == 0 else 10)
        except TimeoutError:
            return number
    return len(jobs)


def ask(address: str) -> None:
    """Say what came of six asks at once, and of one whose first replica is lost."""
    with connected(address, timeout=PATIENCE) as ray:
        make = ray.remote(Held).options(max_concurrency=4, num_cpus=0)
        alive, lost = make.remote(), make.remote()
        ray.get(lost.go_on.remote(), timeout=PATIENCE)
        held = RayReplica(ray, alive, 0, 0, "tests")

        client = ReplicaClient(0, [held])
        jobs = [client.submit(make_ask()) for _ in range(6)]
        ray.get(alive.go_on.remote(), timeout=PATIENCE)
        print("at once:", count_answers(jobs), flush=True)

        ray.kill(lost)
        client = ReplicaClient(0, [RayReplica(ray, lost, 0, 1, "tests"), held])
        print("without the first:", count_answers([client.submit(make_ask()) for _ in range(2)]), flush=True)


def lose(address: str, root: str) -> None:
    """Search as a server does, have the connection broken for good, and search when it is there again."""
    cluster_search = ClusterSearch(address, ShardPlan(root, 3, 2), 2.0, silence=0.5)
    snapshot = open_snapshot(Path(root))
    world, query = snapshot.flora(WORLD), np.eye(1, 256, dtype=np.float32)
    cluster_search.adopt(snapshot)
    world.search(query, 3)
    print("searched", flush=True)
    wait_for(lambda: not cluster_search.is_lost)

    ray = load_ray()
    if address.startswith(CLIENT):
        ray.util.client.ray.get_context().client_worker.close()  # as Ray does after half a minute without its server
    else:
        ray.shutdown()
    wait_for(lambda: cluster_search.is_lost)
    print("lost", flush=True)

    wait_for(lambda: not cluster_search.is_lost)
    world.search(query, 3)
    print("searched again", flush=True)
    sys.stdout.flush()
    os._exit(0)  # the watching thread is nobody's to end


def lead(port: str) -> None:
    """Be the first machine of a cluster, which those outside reach at a port; lost when nobody holds this process."""
    load_ray()
    from ray.cluster_utils import Cluster as Nodes

    options = {"num_cpus": 1, "object_store_memory": OBJECTS, "include_dashboard": False}
    nodes = Nodes(initialize_head=True, head_node_args=options | {"ray_client_server_port": int(port)})
    print("leads", flush=True)
    sys.stdin.read()
    nodes.remove_node(nodes.head_node, allow_graceful=False)


def listens(port: int) -> bool:
    """Whether somebody does on this machine."""
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def leader(port: int) -> Iterator[None]:
    """A first machine, lost at the end without a word to anybody."""
    program = [sys.executable, "-m", "tests.cluster.outside", "lead", str(port)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "leads\n"
        wait_for(lambda: listens(port))  # what lets others in is a process of its own, which comes later
        yield
        process.communicate(timeout=PATIENCE)


def behead(root: str) -> None:
    """Search as a server does, lose the first machine with all its books, and search when another has its place."""
    port = free_port()
    snapshot = open_snapshot(Path(root))
    world, query = snapshot.flora(WORLD), np.eye(1, 256, dtype=np.float32)
    expected = world.search(query, 3).rows
    cluster_search = ClusterSearch(f"ray://127.0.0.1:{port}", ShardPlan(root, 1, 1), 2.0, silence=0.5)

    def is_right() -> bool:
        return np.array_equal(world.search(query, 3).rows, expected)

    def is_refused() -> bool:
        try:
            return not is_right()
        except ShardUnavailable:
            return True

    with leader(port):
        cluster_search.adopt(snapshot)
        print("right" if is_right() else "wrong", flush=True)
    wait_for(lambda: is_refused() and cluster_search.is_lost)  # which /healthz answers 503 for
    print("refused:", all(is_refused() for _ in range(5)), flush=True)
    with leader(port):
        wait_for(lambda: not is_refused() and not cluster_search.is_lost)
        print("right" if is_right() else "wrong", flush=True)
    sys.stdout.flush()
    os._exit(0)  # the watching thread is nobody's to end


if __name__ == "__main__":
    parts: dict[str, Callable[..., None]] = {"ask": ask, "lose": lose, "behead": behead, "lead": lead}
    parts[sys.argv[1]](*sys.argv[2:])
