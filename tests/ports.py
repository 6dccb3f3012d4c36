"""Ports for servers that a test starts in a process of their own."""

from __future__ import annotations

import os
import random
import socket

LOWEST, HIGHEST = 20_000, 32_000
"""Below those that the kernel gives to whoever asks for any, above those of Ray's processes."""


def free_port() -> int:
    """A port that nobody listens on, and that nobody is given before the server of the test has taken it.

    A port that the kernel chose may be given to somebody else once it is let go. Processes that run tests side by side
    take every other port.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    while True:
        port = random.randrange(LOWEST, HIGHEST) // workers * workers + worker % workers
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
