"""A shard as Ray runs it: an actor, whose methods have threads of their own where one must not wait for another."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from cluster.asking import ShardState
from cluster.shard import Shard

if TYPE_CHECKING:
    from cluster.fleet import Plan

Method = TypeVar("Method", bound=Callable[..., Any])


def pack(values: Sequence[Any]) -> bytes:
    """Asks or answers as bytes: Ray passes these on as they are, and takes ten times as long to pack objects itself."""
    return pickle.dumps(values, protocol=5)


def unpack(packed: bytes) -> Any:
    """What `pack` packed, on a machine of the same cluster, where Ray itself unpickles whatever comes."""
    return pickle.loads(packed)  # noqa: S301 - see above


def in_group(group: str) -> Callable[[Method], Method]:
    """What `ray.method(concurrency_group=group)` does, without Ray: a method is called in threads of that group."""

    def mark(method: Method) -> Method:
        method.__ray_concurrency_group__ = group  # type: ignore[attr-defined]
        return method

    return mark


class ShardProcess(Shard):
    """A shard as an actor is made of it: opens the GPU, if it is given one, where it runs."""

    def __init__(self, plan: Plan, number: int, replica: int) -> None:
        accelerator = None
        if plan.gpu_megabytes:
            from retrieval.faiss_gpu import open_accelerator

            accelerator = open_accelerator(plan.gpu_keeps, 1_000_000 * plan.gpu_megabytes)
        super().__init__(plan.root, number, replica, accelerator=accelerator)
        self._plan = plan

    def answer_packed(self, asks: bytes) -> bytes:
        """`answer`, with asks and answers as `pack` makes them."""
        return pack(self.answer(unpack(asks)))

    @in_group("opening")
    def open(self, snapshot: str, placement: str) -> ShardState:
        """As `Shard.open`. All workers of a server ask for a new snapshot at once."""
        return super().open(snapshot, placement)

    @in_group("looking")
    def release(self, snapshot: str) -> None:
        """As `Shard.release`."""
        super().release(snapshot)

    @in_group("looking")
    def state(self) -> ShardState:
        """As `Shard.state`."""
        return super().state()

    @in_group("looking")
    def about(self) -> tuple[Plan, str]:
        """What it was started for, and the node it runs on."""
        import ray

        return self._plan, ray.get_runtime_context().get_node_id()
