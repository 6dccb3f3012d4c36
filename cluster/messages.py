"""The messages between a router and its shards, and the protocol of a replica."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import FungariumError
from retrieval.models.embedder import Embeddings
from retrieval.search.index import Lists, Rows, Similarities

LIST_NUMBERS: Final = np.int32  # type in which list numbers of the coarse quantiser are sent


@dataclass(frozen=True, slots=True)
class ShardRequest:
    """A search of some species of a snapshot, as far as a placement assigns them to this shard."""

    snapshot: str
    placement: str
    species: bytes | str  # a packed bit for each species of the snapshot, or the id of one of its published floras
    licences: tuple[str, ...]
    views: Embeddings
    k: int
    candidates: int = 0  # candidates to choose by PQ codes; 0: exact search
    lists: Lists | None = None  # lists of the coarse quantiser to probe, (views, lists), -1 for none; None: all

    @property
    def kind(self) -> tuple[str, str, bytes | str, tuple[str, ...], int, int, bool]:
        """What requests must have in common to be searched in one pass."""
        return (
            self.snapshot,
            self.placement,
            self.species,
            self.licences,
            self.k,
            self.candidates,
            self.lists is None,
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Serialise arrays as bytes, which is several times faster than pickling array objects.

        The bits of a list of species are compressed: of 300,000 species there are 37 kB.
        """
        species = self.species if isinstance(self.species, str) else zlib.compress(self.species, level=1)
        header = (self.snapshot, self.placement, species, self.licences, self.k, self.candidates)
        return read_request, (header, serialise(self.views, np.float32), serialise(self.lists, LIST_NUMBERS))


@dataclass(frozen=True, slots=True)
class ShardReply:
    """Snapshot rows found for each view, -1 for none, with the similarities of their float16 embeddings.

    All arrays are (views, n). With `codes`, the rows are candidates that the router still filters by the similarities
    of their PQ codes; without, they are the final nearest rows of this shard.
    """

    similarities: Similarities
    rows: Rows
    codes: Similarities | None = None

    def part(self, start: int, end: int) -> ShardReply:
        """Return the reply for the views from `start` up to `end`."""
        codes = None if self.codes is None else self.codes[start:end]
        return ShardReply(self.similarities[start:end], self.rows[start:end], codes)

    def __reduce__(self) -> tuple[object, ...]:
        """Serialise arrays as bytes, as `ShardRequest` does."""
        return read_reply, (
            serialise(self.similarities, np.float32),
            serialise(self.rows, np.int64),
            serialise(self.codes, np.float32),
        )


SerialisedArray: TypeAlias = tuple[tuple[int, ...], bytes] | None
"""A serialised array: its shape and its bytes."""


def serialise(array: NDArray[Any] | None, kind: type[Any]) -> SerialisedArray:
    """Serialise an array as the dtype `kind`, which both sides know."""
    return None if array is None else (array.shape, array.astype(kind, copy=False).tobytes())


def deserialise(array: SerialisedArray, kind: type[Any]) -> Any:
    """Deserialise an array of the dtype `kind`; it is read-only."""
    return None if array is None else np.frombuffer(array[1], kind).reshape(array[0])


def read_request(
    header: tuple[str, str, bytes | str, tuple[str, ...], int, int], views: SerialisedArray, lists: SerialisedArray
) -> ShardRequest:
    """Deserialise a request."""
    snapshot, placement, species, licences, k, candidates = header
    return ShardRequest(
        snapshot,
        placement,
        species if isinstance(species, str) else zlib.decompress(species),
        licences,
        deserialise(views, np.float32),
        k,
        candidates,
        deserialise(lists, LIST_NUMBERS),
    )


def read_reply(similarities: SerialisedArray, rows: SerialisedArray, codes: SerialisedArray) -> ShardReply:
    """Deserialise a reply."""
    return ShardReply(
        deserialise(similarities, np.float32), deserialise(rows, np.int64), deserialise(codes, np.float32)
    )


@dataclass(frozen=True, slots=True)
class ShardState:
    """The state of one replica's process."""

    shard: int
    replica: int
    node: str  # host name
    snapshots: tuple[str, ...]  # open ones, the most recently opened last
    pid: int
    memory: int  # private bytes, without mapped files
    asked: int = 0  # requests answered since it started
    calls: int = 0  # remote calls that carried them
    searched_on: str = "cpu"


Answer: TypeAlias = ShardReply | FungariumError
"""Each request of a call succeeds or fails on its own."""


class Replica(Protocol):
    """A process that serves a shard. Errors, also of a lost process (ShardUnavailable), are raised by the futures."""

    name: str  # for messages
    node: str  # host name of the machine where it was seen last; empty before

    def ask(self, requests: Sequence[ShardRequest]) -> Future[list[Answer]]:
        """Answer several requests in one call."""
        ...

    def open(self, snapshot: str, placement: str) -> Future[ShardState]:
        """Open a snapshot; the future fails with a FungariumError if that is impossible."""
        ...

    def release(self, snapshot: str) -> None:
        """Say that the caller no longer needs a snapshot."""
        ...

    def state(self) -> Future[ShardState]:
        """Return the state of the process."""
        ...


def describe_replica(replica: Replica, shard: int) -> dict[str, Any]:
    """Return the fields of a line of the log about a replica."""
    return {"shard": shard, "replica": replica.name, "node": replica.node}


def join_lists(lists: Sequence[Lists]) -> Lists:
    """Stack the list numbers of several requests, padded with -1 to the same width."""
    width = max(own.shape[1] for own in lists)
    joined = np.full((sum(len(own) for own in lists), width), -1, dtype=np.int64)
    start = 0
    for own in lists:
        joined[start : start + len(own), : own.shape[1]] = own
        start += len(own)
    return joined
