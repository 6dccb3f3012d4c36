"""What was worked out a moment ago, kept within a bound of memory."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """Values by key; where they weigh more than `capacity` together, what was unused for longest goes. For threads."""

    def __init__(self, capacity: int, weigh: Callable[[Value], int]) -> None:
        """`weigh` gives the bytes of a value, roughly; a capacity of 0 keeps nothing."""
        self._capacity = capacity
        self._weigh = weigh
        self._values: OrderedDict[str, tuple[Value, int]] = OrderedDict()
        self._weight = 0
        self._guard = threading.Lock()

    @property
    def weight(self) -> int:
        """Bytes of all values, as they were weighed."""
        return self._weight

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> Value | None:
        """The value, which is now the one used last."""
        with self._guard:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: str, value: Value) -> None:
        """Keep the value, unless it alone is heavier than all may be."""
        weight = self._weigh(value)
        if weight > self._capacity:
            return
        with self._guard:
            if key in self._values:
                self._weight -= self._values.pop(key)[1]
            self._values[key] = (value, weight)
            self._weight += weight
            while self._weight > self._capacity:
                _, (_, lighter) = self._values.popitem(last=False)
                self._weight -= lighter


def make_key(*parts: object) -> str:
    """A key of the given parts; a digest, so that no place and no name of a photo stays in memory with the answer."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()
