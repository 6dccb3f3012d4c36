"""What a router asks of a shard, and what it gets: values that travel between machines."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import FungariumError
from retrieval.models.embedder import Embeddings
from retrieval.search.index import Lists, Rows, Similarities

LINES: Final = np.int32  # of a guide's lines on their way


@dataclass(frozen=True, slots=True)
class ShardRequest:
    """Look through some species of a snapshot, as a placement deals them out, for some views."""

    snapshot: str
    placement: str
    species: bytes  # bits over the snapshot's species
    licences: tuple[str, ...]
    views: Embeddings
    k: int
    wide: int = 0  # rows to choose by their codes; 0: compare all
    lines: Lists | None = None  # of the snapshot's guide, (views, lines), -1 for none; None: all species

    @property
    def kind(self) -> tuple[str, str, bytes, tuple[str, ...], int, int, bool]:
        """What asks must share to be answered together."""
        return (
            self.snapshot,
            self.placement,
            self.species,
            self.licences,
            self.k,
            self.wide,
            self.lines is None,
        )

    def __reduce__(self) -> tuple[object, ...]:
        """As it travels: bytes are packed several times sooner than objects with arrays in them."""
        about = (self.snapshot, self.placement, self.species, self.licences, self.k, self.wide)
        return read_request, (about, flat(self.views, np.float32), flat(self.lines, LINES))


@dataclass(frozen=True, slots=True)
class ShardReply:
    """Rows of the snapshot that a shard found for each view, -1 for none, with their similarities at float16.

    (views, n) each. With `codes` these are candidates, to be cut by the similarity of their codes; without, they are
    the best of all that was to be looked at.
    """

    similarities: Similarities
    rows: Rows
    codes: Similarities | None = None

    def part(self, start: int, end: int) -> ShardReply:
        """The reply to some of the views."""
        codes = None if self.codes is None else self.codes[start:end]
        return ShardReply(self.similarities[start:end], self.rows[start:end], codes)

    def __reduce__(self) -> tuple[object, ...]:
        """As it travels."""
        return read_reply, (
            flat(self.similarities, np.float32),
            flat(self.rows, np.int64),
            flat(self.codes, np.float32),
        )


Flat: TypeAlias = tuple[tuple[int, ...], bytes] | None
"""An array on its way: its shape and its bytes."""


def flat(array: NDArray[Any] | None, kind: type[Any]) -> Flat:
    """An array of a kind that both sides know."""
    return None if array is None else (array.shape, array.astype(kind, copy=False).tobytes())


def unflat(array: Flat, kind: type[Any]) -> Any:
    """The same, to be read only."""
    return None if array is None else np.frombuffer(array[1], kind).reshape(array[0])


def read_request(about: tuple[str, str, bytes, tuple[str, ...], int, int], views: Flat, lines: Flat) -> ShardRequest:
    """An ask that has travelled."""
    snapshot, placement, species, licences, k, wide = about
    return ShardRequest(
        snapshot, placement, species, licences, unflat(views, np.float32), k, wide, unflat(lines, LINES)
    )


def read_reply(similarities: Flat, rows: Flat, codes: Flat) -> ShardReply:
    """A reply that has travelled."""
    return ShardReply(unflat(similarities, np.float32), unflat(rows, np.int64), unflat(codes, np.float32))


@dataclass(frozen=True, slots=True)
class ShardState:
    """How a shard's process is."""

    shard: int
    replica: int
    node: str  # where it runs, for people
    snapshots: tuple[str, ...]  # that it has open, the one opened last at the end
    pid: int
    memory: int  # bytes of its own, without what is mapped
    asked: int = 0  # asks answered since it began
    calls: int = 0  # that brought them
    searched_on: str = "cpu"


Answer: TypeAlias = ShardReply | FungariumError
"""A shard answers each ask by itself: what is wrong with one is not the others' fault."""


class Replica(Protocol):
    """A process that holds a shard. Futures fail with ShardUnavailable where it is gone, and never before."""

    name: str  # for people

    def ask(self, asks: Sequence[ShardRequest]) -> Future[list[Answer]]:
        """Answer some asks in one call."""
        ...

    def open(self, snapshot: str, placement: str) -> Future[ShardState]:
        """Have a snapshot open; fails with a FungariumError where it cannot be."""
        ...

    def release(self, snapshot: str) -> None:
        """The caller does not need a snapshot any more."""
        ...

    def state(self) -> Future[ShardState]:
        """How it is."""
        ...


def join_lines(lines: Sequence[Lists]) -> Lists:
    """The lines of several asks below each other, filled up with -1."""
    width = max(own.shape[1] for own in lines)
    joined = np.full((sum(len(own) for own in lines), width), -1, dtype=np.int64)
    start = 0
    for own in lines:
        joined[start : start + len(own), : own.shape[1]] = own
        start += len(own)
    return joined
