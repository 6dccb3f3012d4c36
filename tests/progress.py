"""Progress that records its calls."""

from __future__ import annotations


class Recorder:
    """In the place of bars on a terminal."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.done: list[int] = []
        self.totals: list[int] = []

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        self.stages.append(stage)
        self.done.append(done)
        self.totals.append(total)
