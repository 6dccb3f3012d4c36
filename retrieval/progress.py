"""The protocol for reporting the progress of long jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol, TypeVar

Item = TypeVar("Item")
OFTEN: Final = 1_000  # items between two reports of `counted`


class Progress(Protocol):
    """Called with a stage, the number of steps done since the last call, and their total (0 where unknown).

    A call without steps reports the stage as a sentence on its own. Calls may come from several threads.
    """

    def __call__(self, stage: str, /, done: int = 0, total: int = 0) -> object: ...


def silent(stage: str, done: int = 0, total: int = 0) -> None:
    """Report nothing."""


def counted(items: Iterable[Item], stage: str, total: int, progress: Progress) -> Iterator[Item]:
    """Yield the items unchanged, reporting progress every OFTEN items and at the end."""
    waiting = 0
    for item in items:
        yield item
        waiting += 1
        if waiting == OFTEN:
            progress(stage, waiting, total)
            waiting = 0
    progress(stage, waiting, total)
