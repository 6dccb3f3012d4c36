"""Turns are given in the order in which they were asked for."""

from __future__ import annotations

import threading
import time

from database.turns import Turns

PATIENCE = 60.0


def waits(turns: Turns, number: int) -> None:
    """Return once so many threads wait or have their turn."""
    end = time.monotonic() + PATIENCE
    while len(turns._queue) < number and time.monotonic() < end:
        time.sleep(0.001)
    assert len(turns._queue) == number


def test_who_gives_a_turn_back_and_asks_again_overtakes_nobody() -> None:
    turns, order = Turns(8), []

    def work(name: str) -> None:
        assert turns.take(PATIENCE)
        order.append(name)
        turns.give_back()

    assert turns.take(PATIENCE)
    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for place, thread in enumerate(threads, start=2):
        thread.start()
        waits(turns, place)
    turns.give_back()
    work("again")
    for thread in threads:
        thread.join(PATIENCE)

    assert order == ["a", "b", "c", "again"]


def test_who_finds_no_place_or_waits_too_long_is_sent_away_and_keeps_nobody_waiting() -> None:
    turns = Turns(1)

    assert turns.take(PATIENCE)
    assert not turns.take(PATIENCE)  # at once: there is no place
    turns.places = 2
    assert not turns.take(0.001)
    turns.give_back()
    assert turns.take(PATIENCE)
