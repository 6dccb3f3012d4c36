"""Processes that are killed while they work, without importing the program again for each."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
TWINS = """

import os, sys
for line in sys.stdin:
    if os.fork() == 0:
        try:
            print(os.getpid(), flush=True)
            work(*line.rstrip("\\n").split("\\t"))
        finally:
            os._exit(1)
    os.wait()
    print("gone", flush=True)
"""


@dataclass
class Mortal:
    """A process at work; it says a line whenever it has finished something."""

    pid: int
    said: IO[str]

    def kill_amid(self, moments: random.Random, pieces: int) -> None:
        """Kill it at a random moment of any piece of its work but the first, of so many; wait until it is gone.

        How long a piece takes is seen from the one before: a moment chosen without that is always the same one on a
        machine that has much to do.
        """
        for _ in range(1 + moments.randrange(pieces)):
            began = time.monotonic()
            assert self.said.readline() == "finished\n", "it ended by itself"
        time.sleep(moments.uniform(0, 1.2) * (time.monotonic() - began))  # the moment of death is the point
        os.kill(self.pid, signal.SIGKILL)
        while self.said.readline() not in ("gone\n", ""):
            pass


class Mortals:
    """A process that has imported what the work needs, and parts from itself a copy for each life."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._orders, self._said = process.stdin, process.stdout

    def begin(self, *given: object) -> Mortal:
        """Begin to work at something, in a process of its own."""
        self._orders.write("\t".join(map(str, given)) + "\n")
        self._orders.flush()
        return Mortal(int(self._said.readline()), self._said)


@contextmanager
def mortals(program: str) -> Iterator[Mortals]:
    """Import what `program` imports; its function `work` is what they do, and it prints `finished` now and then.

    The imports must start no threads and open nothing: all lives share what was there before they parted.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", program + TWINS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    with process:  # closes its input, at which it ends
        yield Mortals(process)
