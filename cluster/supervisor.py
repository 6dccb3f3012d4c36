"""The shards' processes on a Ray cluster: started once, by whoever comes first, found by name, restarted by Ray.

They are detached actors: they outlive whoever started them, and all workers of a server share them. Replicas of a shard
start on different nodes. One that dies is started again, where its node is gone on another, and opens what it is asked
for. No CPUs are reserved for them, so that they always find a place: a search takes a core for milliseconds.
"""

from __future__ import annotations

import pickle
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from cluster.connection import NAMESPACE, is_outside
from cluster.messages import Answer, ShardRequest, ShardState
from cluster.shard import Shard
from cluster.threads import senders, settler, within
from retrieval.errors import ClusterError, FungariumError, ShardUnavailable

Method = TypeVar("Method", bound=Callable[..., Any])

THREADS: Final = 4  # questions that a replica answers at a time
GROUPS: Final = {"opening": 1, "looking": 1}  # threads beside: whoever opens or looks keeps nobody from being answered
NOMINAL: Final = 1_000_000  # bytes reserved of a node's memory: an actor that asks for nothing goes anywhere
ONLY: Final = "fungarium"  # a resource: where nodes have it, shards go to those alone
SPREADING: Final = 3  # times that replicas are moved apart: a node that has just joined is not known to all at once
STARTING: Final = 60.0  # seconds until a process that was started must be there
ANSWERING: Final = 20.0  # seconds that Ray may take to say what there is, or that it will start something
RESTING: Final = 2.0  # seconds for the others, where one of each shard runs already


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """What is to run."""

    root: str  # folder of the snapshots, the same on every node
    shards: int
    replicas: int
    gpu_keeps: str = "floras"
    gpu_megabytes: int = 0


def actor_name(shard: int, replica: int) -> str:
    """Under which an actor is found."""
    return f"shard-{shard}-{replica}"


def settings_as_given(value: Any) -> Any:
    """Nothing to be read."""
    return value


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

    def __init__(self, plan: ShardPlan, number: int, replica: int) -> None:
        accelerator = None
        if plan.gpu_megabytes:
            from retrieval.devices.faiss_gpu import open_accelerator

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
    def about(self) -> tuple[ShardPlan, str]:
        """What it was started for, and the node it runs on."""
        import ray

        return self._plan, ray.get_runtime_context().get_node_id()


class RayReplica:
    """An actor behind the promise of `Replica`. Everything that Ray raises is a ShardUnavailable."""

    def __init__(self, ray: Any, handle: Any, shard: int, replica: int, namespace: str) -> None:
        self.name = f"replica {replica} of shard {shard}"
        self.shard, self.replica = shard, replica
        self._ray, self._handle, self._namespace = ray, handle, namespace
        self._outside = is_outside(ray)

    @classmethod
    def named(cls, ray: Any, shard: int, replica: int, namespace: str = NAMESPACE) -> RayReplica:
        """The one that runs; its calls fail where there is none. Raises ClusterError where Ray does not answer."""
        found = cls(ray, None, shard, replica, namespace)
        within(ANSWERING, found.find)
        return found

    def ask(self, asks: Sequence[ShardRequest]) -> Future[list[Answer]]:
        return self._call("answer_packed", pack(list(asks)), read=unpack)

    def open(self, snapshot: str, placement: str) -> Future[ShardState]:
        return self._call("open", snapshot, placement)

    def release(self, snapshot: str) -> None:
        self._call("release", snapshot)

    def state(self) -> Future[ShardState]:
        return self._call("state")

    def about(self) -> Future[tuple[ShardPlan, str]]:
        """What it was started for, and its node."""
        return self._call("about")

    @property
    def handle(self) -> Any:
        """The actor."""
        return self._handle

    def find(self) -> None:
        """Look the actor up again by its name: whoever upgrades stops it and starts another."""
        try:
            self._handle = self._ray.get_actor(actor_name(self.shard, self.replica), namespace=self._namespace)
        except Exception:  # a connection that is lost raises errors of all kinds
            return  # it is not there; the next call says so

    def _call(self, method: str, *given: Any, read: Callable[[Any], Any] = settings_as_given) -> Future[Any]:
        """Send a call. From outside the cluster another thread does, since Ray has whoever sends wait."""
        answer: Future[Any] = Future()
        if self._handle is None:
            answer.set_exception(ShardUnavailable(f"{self.name} is not there"))
            return answer

        def send() -> None:
            try:
                call = getattr(self._handle, method).remote(*given).future()
            except Exception as error:
                answer.set_exception(ShardUnavailable(f"{self.name} cannot be asked: {first_line(error)}"))
                return
            if self._outside:  # not in Ray's thread, in which nothing can be sent
                call.add_done_callback(lambda done: settler().submit(lambda: settle(done)))
            else:
                call.add_done_callback(settle)

        def settle(done: Future[Any]) -> None:
            try:
                found = read(done.result())
            except Exception as error:
                answer.set_exception(self._own(error))
            else:
                answer.set_result(found)

        if self._outside:
            senders().submit(send)
        else:
            send()
        return answer

    def _own(self, error: BaseException) -> FungariumError:
        """The error of ours that an error of a call is."""
        cause = getattr(error, "cause", None)
        if isinstance(cause, FungariumError):
            return cause
        if isinstance(error, FungariumError):
            return error
        return ShardUnavailable(f"{self.name} is gone: {first_line(error)}")


def first_line(error: BaseException) -> str:
    """What Ray says, without its pages of advice."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def start_shards(ray: Any, plan: ShardPlan, *, namespace: str = NAMESPACE) -> list[list[RayReplica]]:
    """The replicas of each shard; those that do not run yet are started. Several may do so at once.

    Raises ClusterError where the processes that run serve another folder, none comes up, or the cluster is lost or
    gives no answer.
    """
    try:
        return _start(ray, plan, namespace)
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise ClusterError(f"the cluster cannot start what searches: {first_line(error)}") from error


def _start(ray: Any, plan: ShardPlan, namespace: str) -> list[list[RayReplica]]:
    before = set(running(ray, namespace=namespace))
    nodes = list_nodes(ray)
    running_shards = [
        [
            start_replica(ray, plan, shard, replica, nodes[(shard + replica) % len(nodes)], namespace)
            for replica in range(plan.replicas)
        ]
        for shard in range(plan.shards)
    ]
    homes = find_homes(plan, running_shards, RESTING if before else STARTING)
    turns = 0 if before else SPREADING  # whoever finds some running moves none: others use them
    while turns and spread_replicas(ray, plan, running_shards, homes, namespace=namespace):
        turns, homes = turns - 1, find_homes(plan, running_shards)
    return running_shards


def start_replica(ray: Any, plan: ShardPlan, shard: int, replica: int, node: str, namespace: str) -> RayReplica:
    """A replica, started on a node unless it runs somewhere; where that node is lost, on any other."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    process = ray.remote(concurrency_groups=GROUPS)(ShardProcess).options(
        name=actor_name(shard, replica),
        namespace=namespace,
        get_if_exists=True,
        lifetime="detached",
        max_restarts=-1,
        max_task_retries=0,  # a lane asks another replica, which is sooner
        max_concurrency=THREADS,
        num_cpus=0,
        memory=NOMINAL,
        num_gpus=0.01 if plan.gpu_megabytes else 0,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=True),
    )
    handle = within(ANSWERING, lambda: process.remote(plan, shard, replica))
    return RayReplica(ray, handle, shard, replica, namespace)


def spread_replicas(
    ray: Any,
    plan: ShardPlan,
    running_shards: Sequence[list[RayReplica]],
    homes: dict[str, str],
    *,
    namespace: str = NAMESPACE,
) -> list[RayReplica]:
    """Move replicas off nodes that hold another of their shard, or more than their share; gives those that moved.

    Of each shard one at most, and where it has several only while `homes` has another, which answers meanwhile: call
    it again when the moved ones do. Ray starts an actor elsewhere where its node is not known to all yet, or was lost;
    nobody moves it back.
    """
    nodes = list_nodes(ray)
    fair = -(-plan.shards * plan.replicas // len(nodes))
    held = Counter(homes.values())
    moved = []
    for shard, own in enumerate(running_shards):
        for number, replica in enumerate(own):
            home = homes.get(replica.name, "")
            others = {homes.get(other.name) for other in own if other is not replica}
            free = [node for node in nodes if node not in others and node != home]
            if home not in others:
                free = [node for node in free if held[node] < fair and held[home] > fair]
            served = len(own) == 1 or any(other.name in homes for other in own if other is not replica)
            if free and home and served:
                there = min(free, key=lambda node: held[node])
                end_replica(ray, actor_name(shard, number), namespace)
                own[number] = start_replica(ray, plan, shard, number, there, namespace)
                homes[own[number].name] = there
                held.update({home: -1, there: 1})
                moved.append(own[number])
                break
    return moved


def end_replica(ray: Any, name: str, namespace: str) -> None:
    """End an actor, and wait until its name is free: whoever asks for it meanwhile would be given the dying one.

    One that somebody else has started under the name meanwhile is left alone.
    """
    ends, first = time.monotonic() + STARTING, None
    while time.monotonic() < ends:
        try:
            found = within(ANSWERING, partial(ray.get_actor, name, namespace=namespace))
            first = first or identity(found)
            if identity(found) != first:
                return
            within(ANSWERING, partial(ray.kill, found, no_restart=True))
        except (ValueError, ray.exceptions.RayError):
            return
        time.sleep(0.02)


def identity(handle: Any) -> bytes:
    """Which actor a handle is of, for those outside the cluster too."""
    known = handle.actor_ref.id if hasattr(handle, "actor_ref") else handle._actor_id.binary()  # noqa: SLF001 - no other way
    return bytes(known)


def list_nodes(ray: Any) -> list[str]:
    """The ids of living nodes that shards may run on, in a fixed order; the head last, which has enough to do."""
    living = [node for node in within(ANSWERING, ray.nodes) if node["Alive"]]
    meant = [node for node in living if ONLY in node["Resources"]] or living
    if not meant:
        raise ClusterError("the cluster has no living node")
    ordered = sorted(meant, key=lambda node: ("node:__internal_head__" in node["Resources"], node["NodeID"]))
    return [node["NodeID"] for node in ordered]


def find_homes(
    plan: ShardPlan, running_shards: Sequence[Sequence[RayReplica]], rest: float = STARTING
) -> dict[str, str]:
    """The node of each replica that is there, by its name.

    Where one of each shard is there, the others are given `rest` seconds; nothing is waited for beyond STARTING.
    Raises ClusterError unless some replica of each shard is there, and all serve the plan's folder.
    """
    ends = time.monotonic() + STARTING
    calls = [[(replica, replica.about()) for replica in own] for own in running_shards]
    for own in calls:
        _await_one([call for _, call in own], ends)
    wait([call for own in calls for _, call in own], min(rest, max(0.0, ends - time.monotonic())))
    homes = {}
    for own in calls:
        found = [(replica, call.result()) for replica, call in own if _came(call)]
        if not found:
            replica, call = own[0]
            reason = call.exception(0) if call.done() else "it is still starting"
            raise ClusterError(f"shard {replica.shard} does not come up on the cluster: {reason}")
        for replica, (other, node) in found:
            homes[replica.name] = node
            if other.root != plan.root:
                raise ClusterError(
                    f"the shards that run on this cluster serve {other.root}, not {plan.root}: "
                    "run `fungarium cluster stop` first, or use another cluster"
                )
    return homes


def _await_one(calls: Sequence[Future[Any]], ends: float) -> None:
    """Wait until one call has come, all have failed, or the monotonic clock says `ends`."""
    pending = set(calls)
    while pending and not any(_came(call) for call in calls) and (left := ends - time.monotonic()) > 0:
        pending = wait(pending, left, FIRST_COMPLETED).not_done


def _came(call: Future[Any]) -> bool:
    return call.done() and call.exception() is None


def running(ray: Any, *, namespace: str = NAMESPACE) -> list[str]:
    """The names of the shards' actors that are there, whatever plan they were started for."""
    from ray.util import list_named_actors

    actors = within(ANSWERING, partial(list_named_actors, all_namespaces=True))
    names = [actor["name"] for actor in actors if actor["namespace"] == namespace]
    return sorted(name for name in names if name.startswith("shard-"))


def stop_shards(ray: Any, *, namespace: str = NAMESPACE) -> list[str]:
    """End all shards' processes and give their names."""
    names = running(ray, namespace=namespace)
    for name in names:
        end_replica(ray, name, namespace)
    return names
