"""Deadlines of requests. No work is begun for a client that no longer waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from retrieval.errors import FungariumError


class DeadlinePassed(FungariumError):
    """The deadline of the request has passed."""

    def __init__(self, words: str = "the answer was not ready in time, and the rest of the work was dropped") -> None:
        super().__init__(words)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A time of the monotonic clock; infinity for work without a deadline."""

    at: float

    def left(self) -> float | None:
        """Return the seconds left, None without a deadline; raises DeadlinePassed if there are none."""
        if self.at == float("inf"):
            return None
        left = self.at - time.monotonic()
        if left <= 0:
            raise DeadlinePassed
        return left

    def passed(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self.at


ENDLESS: Final = Deadline(float("inf"))
_current: ContextVar[Deadline] = ContextVar("deadline", default=ENDLESS)


def current_deadline() -> Deadline:
    """Return the deadline of the request in this thread."""
    return _current.get()


def set_deadline(seconds: float) -> None:
    """Set the deadline of the request in this thread, in seconds from now."""
    _current.set(Deadline(time.monotonic() + seconds))


def clear_deadline() -> None:
    """Clear the deadline of this thread."""
    _current.set(ENDLESS)


@contextmanager
def use_deadline(deadline: Deadline) -> Iterator[None]:
    """Work under another deadline."""
    token = _current.set(deadline)
    try:
        yield
    finally:
        _current.reset(token)
