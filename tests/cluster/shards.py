"""Shards in threads of this process, for tests of the router without Ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cluster.messages import Answer, ShardRequest, ShardState
from cluster.placement import CONFUSION, Placement
from cluster.placement_files import ensure_placement
from cluster.replica_client import ReplicaClient
from cluster.router import Router, Timeouts
from cluster.shard import Shard
from retrieval.errors import ShardUnavailable
from retrieval.snapshots.snapshot import Snapshot


@dataclass
class LocalReplica:
    """A shard behind a thread. A test may have it fail, or keep what it is asked until `go_on`."""

    shard: Shard
    name: str = "a replica"
    node: str = "a machine"
    failing: bool = False
    silent: bool = False
    kept: list[tuple[Sequence[ShardRequest], Future[list[Answer]]]] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)  # asks of each
    released: list[str] = field(default_factory=list)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def ask(self, asks: Sequence[ShardRequest]) -> Future[list[Answer]]:
        self.calls.append(len(asks))
        if self.failing or self.silent:
            answer: Future[list[Answer]] = Future()
            if self.failing:
                answer.set_exception(ShardUnavailable(f"{self.name} is gone"))
            else:
                self.kept.append((asks, answer))
            return answer
        return self.pool.submit(self.shard.answer, asks)

    def go_on(self) -> None:
        """Answer what was kept, and all that comes."""
        self.silent = False
        for asks, answer in self.kept:
            answer.set_result(self.shard.answer(asks))
        self.kept.clear()

    def open(self, snapshot: str, placement: str) -> Future[ShardState]:
        return self.pool.submit(self.shard.open, snapshot, placement)

    def release(self, snapshot: str) -> None:
        self.released.append(snapshot)

    def state(self) -> Future[ShardState]:
        return self.pool.submit(self.shard.state)


@dataclass
class Routed:
    """A snapshot that is searched through shards, beside the same one that is not."""

    single: Snapshot
    snapshot: Snapshot
    placement: Placement
    router: Router
    replicas: list[list[LocalReplica]]
    asked: list[tuple[int, int]]  # shards asked, of how many, of each search


@contextmanager
def routed(
    root: Path,
    single: Snapshot,
    snapshot: Snapshot,
    *,
    shards: int = 3,
    replicas: int = 1,
    method: str = CONFUSION,
    timeouts: Timeouts | None = None,
) -> Iterator[Routed]:
    """Search `snapshot` through shards of its own; `single` is the same, opened once more."""
    placement = ensure_placement(root, snapshot, shards, method)
    held = [
        [LocalReplica(Shard(str(root), number, replica), f"{number}/{replica}") for replica in range(replicas)]
        for number in range(shards)
    ]
    for own in held:
        for replica in own:
            replica.shard.open(snapshot.edition, placement.id)
    asked: list[tuple[int, int]] = []
    clients = [ReplicaClient(number, own) for number, own in enumerate(held)]
    router = Router(
        snapshot, placement, clients, timeouts or Timeouts(20, 10), lambda some, all_: asked.append((some, all_))
    )
    snapshot.shelf.searcher = router
    try:
        yield Routed(single, snapshot, placement, router, held, asked)
    finally:
        snapshot.shelf.searcher = None
        for own in held:
            for replica in own:
                replica.pool.shutdown()
                replica.shard.close()
