"""Threads in which a process that is no part of the cluster sends calls and takes their answers, and others beside.

Such a process has one thread of Ray's that receives everything. Whoever sends waits in Ray until that thread has
brought the call's number, so what Ray calls back in it must never send: both would wait for ever.
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

SENDERS: Final = 8  # calls whose number is awaited at a time

Work = Callable[[], None]
Given = TypeVar("Given")


class Workers:
    """Do what they are given, one thing after the other each. Unlike an executor's they let the process end."""

    def __init__(self, name: str, count: int = 1) -> None:
        self._work: SimpleQueue[Work] = SimpleQueue()
        for _ in range(count):
            threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, work: Work) -> None:
        """Have something done, soon, and by another thread than this."""
        self._work.put(work)

    def _run(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except Exception:
                logging.getLogger(__name__).exception("a call to the cluster went wrong")
            del work  # it holds an answer, which may be large


def senders() -> Workers:
    """Those of this process that send."""
    return _of_process("sending to shards", SENDERS, os.getpid())


def settler() -> Workers:
    """The one of this process that takes answers."""
    return _of_process("taking answers of shards", 1, os.getpid())


def within(seconds: float, work: Callable[[], Given]) -> Given:
    """What some work gives, or raises; ClusterError where it takes longer, as calls of Ray without a bound may.

    It then goes on in a thread of its own, for nobody: Ray cannot be told to give up.
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
            f"the cluster gave no answer within {seconds:g} seconds: look at its first machine with `ray status`"
        ) from error


_making = threading.Lock()


def _of_process(name: str, count: int, pid: int) -> Workers:
    with _making:
        return _made(name, count, pid)


@cache
def _made(name: str, count: int, pid: int) -> Workers:
    """A process that was forked has none of its parent's threads: its number makes its own."""
    return Workers(name, count)
