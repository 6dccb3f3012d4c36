"""What a long build tells of itself while it goes on: the stage, how much more is done, and of how much in all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias, TypeVar

Item = TypeVar("Item")
Advance: TypeAlias = Callable[[str, int, int], object]
OFTEN = 1_000  # items after which it is told


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


def counted(items: Iterable[Item], stage: str, total: int, advance: Advance) -> Iterator[Item]:
    """The same items, told as they go by."""
    waiting = 0
    for item in items:
        yield item
        waiting += 1
        if waiting == OFTEN:
            advance(stage, waiting, total)
            waiting = 0
    advance(stage, waiting, total)


def told_of(stage: str, total: int, advance: Advance) -> Callable[[int], object]:
    """What is told how much more of one stage is done."""
    return lambda done: advance(stage, done, total)
