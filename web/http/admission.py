"""Admission control: limits the concurrent identifications of a process, and refuses further ones at once."""

from __future__ import annotations

import threading

from retrieval.errors import FungariumError


class Overloaded(FungariumError):
    """More was requested than can be answered in time."""


class Gate:
    """A semaphore with `places`, and with `room` for the bytes that requests bring; 0 is no limit.

    A request acquires both before its photos are read, which bounds memory.
    """

    def __init__(self, places: int, room: int = 0) -> None:
        self.places = places
        self.room = room
        self._taken = self._bytes = 0
        self._guard = threading.Lock()

    @property
    def taken(self) -> int:
        """Places in use."""
        return self._taken

    def enter(self, brought: int = 0) -> None:
        """Acquire a place and room for `brought` bytes; raises Overloaded if there is none.

        A request that is alone always finds room.
        """
        with self._guard:
            if self._taken >= self.places:
                raise Overloaded(f"the server is busy with {self._taken} identifications; try again in a moment")
            if self.room and self._taken and self._bytes + brought > self.room:
                raise Overloaded("the server is busy with large uploads; try again in a moment")
            self._taken += 1
            self._bytes += brought

    def leave(self, brought: int = 0) -> None:
        """Release the place and the room."""
        with self._guard:
            self._taken -= 1
            self._bytes -= brought
