"""Recent answers and embeddings, kept within a bound of memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from cachetools import LRUCache

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """A least-recently-used cache bounded by the weight of its values. Safe for threads."""

    def __init__(self, capacity: int, weigh: Callable[[Value], int]) -> None:
        """`weigh` gives the bytes of a value, roughly; a capacity of 0 keeps nothing."""
        self._values: LRUCache[str, Value] = LRUCache(capacity, getsizeof=weigh)
        self._guard = threading.Lock()

    @property
    def weight(self) -> int:
        """Bytes of all values, as they were weighed."""
        return int(self._values.currsize)

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> Value | None:
        """The value, which is now the one used last."""
        with self._guard:
            found: Value | None = self._values.get(key)
            return found

    def put(self, key: str, value: Value) -> None:
        """Keep the value, unless it alone is heavier than all may be."""
        with self._guard, suppress(ValueError):
            self._values[key] = value


def make_key(*parts: object) -> str:
    """A key of the given parts; a digest, so that no place and no name of a photo stays in memory with the answer."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()
