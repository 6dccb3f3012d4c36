"""A process that is no part of the cluster, and asks its shards: `python -m tests.cluster.outside ray://HOST:PORT`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence

import numpy as np

from cluster.asking import Ask, Reply
from cluster.connection import connected
from cluster.fleet import RayReplica
from cluster.lane import Job, Lane
from cluster.process import pack, unpack

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


def main(address: str) -> None:
    """Say what came of six asks at once, and of one whose first replica is lost."""
    with connected(address) as ray:
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


if __name__ == "__main__":
    main(sys.argv[1])
