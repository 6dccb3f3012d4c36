"""A memory-bounded cache of recent answers and embeddings."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from cachetools import LRUCache

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """A least-recently-used cache bounded by the weight of its values. Thread-safe."""

    def __init__(self, capacity: int, weigh: Callable[[Value], int]) -> None:
        """`weigh` estimates the bytes of a value; a capacity of 0 disables the cache."""
        self._values: LRUCache[str, Value] = LRUCache(capacity, getsizeof=weigh)
        self._guard = threading.Lock()

    @property
    def weight(self) -> int:
        """Total weight of all values, in bytes."""
        return int(self._values.currsize)

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> Value | None:
        """Return a value and mark it as most recently used; None if it is missing."""
        with self._guard:
            found: Value | None = self._values.get(key)
            return found

    def put(self, key: str, value: Value) -> None:
        """Store a value, unless it alone exceeds the capacity."""
        with self._guard, suppress(ValueError):
            self._values[key] = value


def make_key(*parts: object) -> str:
    """Return a digest of the parts as a key, so that no place or photo's name is kept in memory."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()
