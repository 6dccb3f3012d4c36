"""A steady load on a cluster, whose answers are all compared with those of a single process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import FungariumError
from retrieval.models.embedder import Embeddings
from retrieval.segments.store import NearestReferences
from retrieval.snapshots.flora import Flora

Expected = tuple[NDArray[np.int64], NDArray[np.float32]]


def expect(flora: Flora, queries: Sequence[Embeddings], k: int = 20) -> list[Expected]:
    """What one process finds."""
    return [(found.rows, found.similarities) for found in (flora.search(views, k) for views in queries)]


def agrees(found: NearestReferences, expected: Expected) -> bool:
    """Whether an answer is that of one process, to the last bit."""
    return np.array_equal(found.rows, expected[0]) and np.array_equal(found.similarities, expected[1])


@dataclass
class Load:
    """What became of the questions so far."""

    right: int = 0
    wrong: int = 0
    failed: list[FungariumError] = field(default_factory=list)
    strange: list[BaseException] = field(default_factory=list)  # no error of ours: a fault of the program


@contextmanager
def steady_load(ask: Callable[[int], bool], threads: int = 2) -> Iterator[Load]:
    """Ask all the time, from several threads; `ask` is given the number of the question, and says if it was right."""
    load, ended, lock = Load(), threading.Event(), threading.Lock()

    def go_on(number: int) -> None:
        while not ended.wait(0.01):
            number += threads
            try:
                right = ask(number)
            except FungariumError as error:
                with lock:
                    load.failed.append(error)
            except BaseException as error:
                load.strange.append(error)
                raise
            else:
                with lock:
                    load.right, load.wrong = load.right + right, load.wrong + (not right)

    asking = [threading.Thread(target=go_on, args=(number,)) for number in range(threads)]
    for thread in asking:
        thread.start()
    try:
        yield load
    finally:
        ended.set()
        for thread in asking:
            thread.join(60)
    assert not load.strange
    assert not any(thread.is_alive() for thread in asking), "a question hangs"
