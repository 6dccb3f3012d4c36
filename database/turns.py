"""A queue in front of something that one thread has at a time."""

from __future__ import annotations

import threading
from collections import deque


class Turns:
    """Gives turns to threads in the order in which they asked; at most `places` wait or have it.

    A plain lock is not fair: who gives it back and takes it again at once overtakes all that wait.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._guard = threading.Lock()
        self._queue: deque[threading.Event] = deque()

    def take(self, patience: float) -> bool:
        """Wait for the turn, at most `patience` seconds; False without a place or in time."""
        mine = threading.Event()
        with self._guard:
            if len(self._queue) >= self.places:
                return False
            self._queue.append(mine)
            if len(self._queue) == 1:
                mine.set()
        mine.wait(patience)
        with self._guard:
            if not mine.is_set():
                self._queue.remove(mine)
        return mine.is_set()

    def give_back(self) -> None:
        """End the turn; the next one begins."""
        with self._guard:
            self._queue.popleft()
            if self._queue:
                self._queue[0].set()
