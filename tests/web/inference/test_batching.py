"""Requests share batches, waiting is bounded, and nothing is computed for disconnected clients."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from retrieval.errors import ModelError
from retrieval.models.embedder import DIM, Embeddings, View, unit_rows
from web.http.admission import Gate, Overloaded
from web.http.deadlines import Deadline, DeadlinePassed, use_deadline
from web.inference.batching import SharedEmbedder

PATIENCE = 60


class Slow:
    """An embedder that computes when it is let, and remembers its batches."""

    model, short_side = "slow@1", 8

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = threading.Semaphore(0)  # released once for each batch that has begun
        self.let = threading.Semaphore(0)

    @property
    def card(self) -> Mapping[str, Any]:
        return {"model": self.model}

    def embed(self, views: Sequence[View]) -> Embeddings:
        numbers = [int(view.pixels[0, 0, 0]) for view in views]
        self.batches.append(numbers)
        self.begun.release()
        assert self.let.acquire(timeout=PATIENCE)
        if 13 in numbers:
            raise ModelError("13 cannot be embedded")
        return embed_number(numbers)


def embed_number(numbers: Sequence[int]) -> Embeddings:
    rows = np.ones((len(numbers), DIM))
    rows[:, 0] = numbers
    return unit_rows(rows)


def view(number: int) -> View:
    return View(np.full((8, 8, 3), number, dtype=np.uint8))


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.let.release(1000)


def share(slow: Slow, **options: Any) -> SharedEmbedder:
    return SharedEmbedder(slow, **({"wait": 0.0} | options))


def ask(pool: ThreadPoolExecutor, shared: SharedEmbedder, *numbers: int) -> Future[Embeddings]:
    """Ask in a thread of its own, and wait until the views are in the queue."""
    before = shared.queued
    asked = pool.submit(shared.embed, [view(number) for number in numbers])
    while shared.queued == before and not asked.done():
        threading.Event().wait(0.001)
    return asked


def test_what_waits_while_the_model_is_busy_shares_the_next_batch(slow: Slow) -> None:
    shared = share(slow, views=4)
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(shared.embed, [view(1)])
        assert slow.begun.acquire(timeout=PATIENCE)
        others = [ask(pool, shared, 2), ask(pool, shared, 3, 4), ask(pool, shared, 5), ask(pool, shared, 6)]
        slow.let.release(3)
        found = [asked.result(PATIENCE) for asked in (first, *others)]

    assert slow.batches == [[1], [2, 3, 4, 5], [6]]
    assert np.array_equal(np.concatenate(found), embed_number([1, 2, 3, 4, 5, 6]))
    shared.close()


def test_more_views_than_a_batch_holds_are_one_batch_of_their_own(slow: Slow) -> None:
    shared = share(slow, views=2)
    slow.let.release()

    assert np.array_equal(shared.embed([view(n) for n in range(1, 6)]), embed_number([1, 2, 3, 4, 5]))
    shared.close()


def test_a_batch_waits_for_those_that_are_expected_but_for_nobody_else(slow: Slow) -> None:
    expected = 3
    shared = share(slow, wait=PATIENCE, expected=lambda: expected)
    slow.let.release(2)
    with ThreadPoolExecutor(3) as pool:
        for asked in [pool.submit(shared.embed, [view(n)]) for n in (1, 2, 3)]:
            asked.result(PATIENCE)
    expected = 1
    shared.embed([view(4)])

    assert [sorted(batch) for batch in slow.batches] == [[1, 2, 3], [4]]
    shared.close()


def test_one_callers_trouble_is_not_the_others(slow: Slow) -> None:
    shared = share(slow)
    with ThreadPoolExecutor(3) as pool:
        busy = pool.submit(shared.embed, [view(1)])
        assert slow.begun.acquire(timeout=PATIENCE)
        well, ill = ask(pool, shared, 2), ask(pool, shared, 13)
        slow.let.release(10)

        assert np.array_equal(busy.result(PATIENCE), embed_number([1]))
        assert np.array_equal(well.result(PATIENCE), embed_number([2]))
        with pytest.raises(ModelError, match="13"):
            ill.result(PATIENCE)
    shared.close()


def test_a_full_queue_refuses_and_an_empty_one_takes_any_number(slow: Slow) -> None:
    shared = share(slow, waiting=2)
    with ThreadPoolExecutor(3) as pool:
        busy = pool.submit(shared.embed, [view(n) for n in (1, 2, 3)])
        assert slow.begun.acquire(timeout=PATIENCE)
        waiting = ask(pool, shared, 4, 5)
        with pytest.raises(Overloaded, match="2 photos are waiting"):
            shared.embed([view(6)])
        slow.let.release(10)
        busy.result(PATIENCE)
        waiting.result(PATIENCE)
    shared.close()

    assert slow.batches == [[1, 2, 3], [4, 5]]


def test_views_are_dropped_before_the_model_when_their_deadline_has_passed(slow: Slow) -> None:
    shared = share(slow)
    with ThreadPoolExecutor(2) as pool:
        busy = pool.submit(shared.embed, [view(1)])
        assert slow.begun.acquire(timeout=PATIENCE)
        soon = Deadline(time.monotonic() + 0.05)
        with use_deadline(soon), pytest.raises(DeadlinePassed):
            shared.embed([view(2)])
        slow.let.release(10)
        busy.result(PATIENCE)
    shared.close()  # the thread ends once it has gone through what waits

    assert slow.batches == [[1]]


def test_whoever_comes_after_the_deadline_is_not_even_queued(slow: Slow) -> None:
    shared = share(slow)

    with use_deadline(Deadline(0.0)), pytest.raises(DeadlinePassed):
        shared.embed([view(1)])

    assert shared.queued == 0
    assert slow.batches == []


def test_a_gate_has_so_many_places_and_takes_them_back() -> None:
    gate = Gate(2)
    gate.enter()
    gate.enter()

    with pytest.raises(Overloaded):
        gate.enter()
    gate.leave()
    gate.enter()

    assert gate.taken == 2
