"""Admission control: limits the concurrent identifications of a process, and refuses further ones at once."""

from __future__ import annotations

import threading

from retrieval.errors import FungariumError


class Overloaded(FungariumError):
    """More was requested than can be answered in time."""


class Gate:
    """A semaphore with `places`. A request acquires one before its photos are read, which bounds memory too."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._taken = 0
        self._guard = threading.Lock()

    @property
    def taken(self) -> int:
        """Places in use."""
        return self._taken

    def enter(self) -> None:
        """Acquire a place; raises Overloaded if there is none."""
        with self._guard:
            if self._taken >= self.places:
                raise Overloaded(f"the server is busy with {self._taken} identifications; try again in a moment")
            self._taken += 1

    def leave(self) -> None:
        """Release the place."""
        with self._guard:
            self._taken -= 1
