"""How far a piece of work is: one protocol for whoever does it and whoever shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol, TypeVar

Item = TypeVar("Item")
OFTEN: Final = 1_000  # items after which `counted` reports


class Progress(Protocol):
    """Called with a stage, how many more of its steps are done, and how many there are; 0: that is not known.

    A stage without steps is a sentence on what begins or what was found. Calls may come from several threads.
    """

    def __call__(self, stage: str, /, done: int = 0, total: int = 0) -> object: ...


def silent(stage: str, done: int = 0, total: int = 0) -> None:
    """Show nothing."""


def counted(items: Iterable[Item], stage: str, total: int, progress: Progress) -> Iterator[Item]:
    """The same items, reported as they go by."""
    waiting = 0
    for item in items:
        yield item
        waiting += 1
        if waiting == OFTEN:
            progress(stage, waiting, total)
            waiting = 0
    progress(stage, waiting, total)
