"""Threads for calls to Ray: with a time limit, and for Ray Client, which connects from outside the cluster.

Ray Client receives everything in one thread. Sending a call blocks until that thread has delivered the call's id, so a
callback that runs in it must never send a call: that would deadlock.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from queue import SimpleQueue
from typing import Final, TypeVar

from retrieval.errors import ClusterError

SENDERS: Final = 8  # calls that may wait for their id at a time

Work = Callable[[], None]
Given = TypeVar("Given")


class Workers:
    """Daemon threads that run work from a queue. Unlike an executor's threads, they do not delay process exit."""

    def __init__(self, name: str, count: int = 1) -> None:
        self._work: SimpleQueue[Work] = SimpleQueue()
        for _ in range(count):
            threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, work: Work) -> None:
        """Queue some work for another thread."""
        self._work.put(work)

    def _run(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except Exception:
                logging.getLogger(__name__).exception("a call to the cluster failed")
            del work  # it may hold a large answer


def sender_workers() -> Workers:
    """Return this process's threads that send calls."""
    return _of_process("sending to shards", SENDERS, os.getpid())


def answer_worker() -> Workers:
    """Return this process's thread that handles answers."""
    return _of_process("taking answers of shards", 1, os.getpid())


def call_with_timeout(seconds: float, work: Callable[[], Given]) -> Given:
    """Return what `work` returns or raises; raises ClusterError if it takes longer than `seconds`.

    For calls of Ray without a timeout. They cannot be cancelled: the thread goes on in the background.
    """
    given: Future[Given] = Future()

    def run() -> None:
        try:
            given.set_result(work())
        except BaseException as error:
            given.set_exception(error)

    threading.Thread(target=run, name="asking the cluster", daemon=True).start()
    try:
        return given.result(seconds)
    except TimeoutError as error:
        if given.done():
            raise  # the work's own
        raise ClusterError(
            f"the cluster gave no answer within {seconds:g} seconds: run `ray status` on its head node"
        ) from error


_making = threading.Lock()


def _of_process(name: str, count: int, pid: int) -> Workers:
    with _making:
        return _made(name, count, pid)


@cache
def _made(name: str, count: int, pid: int) -> Workers:
    """Make the threads of a process: `pid` is part of the key because a fork does not inherit threads."""
    return Workers(name, count)
