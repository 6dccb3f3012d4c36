"""How long the caller of a request will wait. Work for somebody who has gone is not begun."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from retrieval.errors import FungariumError


class DeadlinePassed(FungariumError):
    """The caller does not wait for the answer any more."""

    def __init__(self, words: str = "the answer was not ready in time, and the rest of the work was dropped") -> None:
        super().__init__(words)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of the monotonic clock; infinity for work that nobody waits for."""

    at: float

    def left(self) -> float | None:
        """Seconds left, None where there is no end; raises DeadlinePassed where none are."""
        if self.at == float("inf"):
            return None
        left = self.at - time.monotonic()
        if left <= 0:
            raise DeadlinePassed
        return left

    def passed(self) -> bool:
        """Whether nobody waits any more."""
        return time.monotonic() >= self.at


ENDLESS: Final = Deadline(float("inf"))
_present: ContextVar[Deadline] = ContextVar("deadline", default=ENDLESS)


def present_deadline() -> Deadline:
    """The deadline of the request that this thread answers."""
    return _present.get()


def set_deadline(seconds: float) -> None:
    """Give the request that this thread answers so many seconds from now."""
    _present.set(Deadline(time.monotonic() + seconds))


def forget_deadline() -> None:
    """The thread is free for another request."""
    _present.set(ENDLESS)


@contextmanager
def until(deadline: Deadline) -> Iterator[None]:
    """Work under another deadline."""
    token = _present.set(deadline)
    try:
        yield
    finally:
        _present.reset(token)
