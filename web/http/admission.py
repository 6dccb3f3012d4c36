"""How many identifications a process has in hand: whoever comes on top is told so at once, and when to come again."""

from __future__ import annotations

import threading

from retrieval.errors import FungariumError


class Overloaded(FungariumError):
    """More is asked for than can be answered in time."""


class Gate:
    """So many places; a request takes one before its photos are read, so that what waits has a bound in memory too."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._taken = 0
        self._guard = threading.Lock()

    @property
    def taken(self) -> int:
        """Requests in hand."""
        return self._taken

    def enter(self) -> None:
        """Take a place; raises Overloaded where there is none."""
        with self._guard:
            if self._taken >= self.places:
                raise Overloaded(f"the server is busy with {self._taken} identifications; try again in a moment")
            self._taken += 1

    def leave(self) -> None:
        """Give the place back."""
        with self._guard:
            self._taken -= 1
