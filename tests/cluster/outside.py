"""A process that is no part of the cluster: `python -m tests.cluster.outside ask|lose ray://HOST:PORT [ROOT]`."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cluster.asking import Ask, Reply
from cluster.connection import connected, load_ray
from cluster.fleet import Plan, RayReplica, pack, unpack
from cluster.lane import Job, Lane
from retrieval.domain import WORLD
from retrieval.snapshot import open_snapshot
from web.clustered import Clustered

PATIENCE = 40.0  # seconds until what does not come is given up


class Held:
    """Answers nothing before it is told to go on."""

    def __init__(self) -> None:
        self._gate = threading.Event()

    def answer_packed(self, packed: bytes) -> bytes:
        if not self._gate.wait(PATIENCE):
            raise TimeoutError
        views = [len(ask.views) for ask in unpack(packed)]
        return pack([Reply(np.zeros((n, 1), np.float32), np.zeros((n, 1), np.int64)) for n in views])

    def go_on(self) -> None:
        self._gate.set()


def wait_for(true: Callable[[], bool]) -> None:
    """Until something is so, as long as a slow machine may take."""
    ends = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > ends:
            raise TimeoutError
        time.sleep(0.05)


def make_ask() -> Ask:
    return Ask("snapshot", "placement", b"", (), np.zeros((1, 4), np.float32), 1)


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
    with connected(address, patience=PATIENCE) as ray:
        make = ray.remote(Held).options(max_concurrency=4, num_cpus=0)
        alive, lost = make.remote(), make.remote()
        ray.get(lost.go_on.remote(), timeout=PATIENCE)
        held = RayReplica(ray, alive, 0, 0, "tests")

        lane = Lane(0, [held])
        jobs = [lane.submit(make_ask()) for _ in range(6)]
        ray.get(alive.go_on.remote(), timeout=PATIENCE)
        print("at once:", count_answers(jobs), flush=True)

        ray.kill(lost)
        lane = Lane(0, [RayReplica(ray, lost, 0, 1, "tests"), held])
        print("without the first:", count_answers([lane.submit(make_ask()) for _ in range(2)]), flush=True)


def lose(address: str, root: str) -> None:
    """Search as a server does, have the connection broken for good, and search when it is there again."""
    clustered = Clustered(address, Plan(root, 3, 2), 2.0, silence=0.5)
    snapshot = open_snapshot(Path(root))
    world, query = snapshot.flora(WORLD), np.eye(1, 256, dtype=np.float32)
    clustered.adopt(snapshot)
    world.search(query, 3)
    print("searched", flush=True)
    wait_for(lambda: not clustered.lost)

    ray = load_ray()
    ray.util.client.ray.get_context().client_worker.close()  # as Ray does after half a minute without its server
    wait_for(lambda: clustered.lost)
    print("lost", flush=True)

    wait_for(lambda: not clustered.lost)
    world.search(query, 3)
    print("searched again", flush=True)
    sys.stdout.flush()
    os._exit(0)  # the watching thread is nobody's to end


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        ask(sys.argv[2])
    else:
        lose(*sys.argv[2:])
