"""The shards' processes on a Ray cluster: started by the first client, found by name, restarted by Ray.

They are detached actors, which outlive the process that started them and are shared by all server workers. Replicas of
a shard start on different nodes. An actor that dies is restarted, on another node if its own is gone, and reopens
snapshots on demand. Actors reserve no CPUs, so that they can always be scheduled: a search takes a core for
milliseconds.
"""

from __future__ import annotations

import pickle
import threading
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
from cluster.threads import answer_worker, call_with_timeout, sender_workers
from retrieval.errors import ClusterError, FungariumError, ShardUnavailable

Method = TypeVar("Method", bound=Callable[..., Any])

THREADS: Final = 4  # concurrent calls that a replica answers
GROUPS: Final = {"opening": 1, "looking": 1}  # extra threads, so that opening and monitoring never block searches
NOMINAL: Final = 1_000_000  # bytes of memory reserved: Ray may put an actor without resources on any node
ONLY: Final = "fungarium"  # a custom resource: if any node has it, shards run only on nodes that do
SPREAD_ATTEMPTS: Final = 3  # attempts to spread replicas: a new node takes a moment to become known
STARTING: Final = 60.0  # seconds for a started process to answer
ANSWERING: Final = 20.0  # seconds for a call to Ray's control plane
GRACE: Final = 2.0  # seconds for the remaining replicas, if one of each shard is already running


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """The shards and replicas to run."""

    root: str  # folder of the snapshots, at the same path on every node
    shards: int
    replicas: int
    gpu_keeps: str = "floras"
    gpu_megabytes: int = 0


def actor_name(shard: int, replica: int) -> str:
    """Return the name of a replica's actor."""
    return f"shard-{shard}-{replica}"


def return_unchanged(value: Any) -> Any:
    """Return the value unchanged."""
    return value


def pack(values: Sequence[Any]) -> bytes:
    """Pickle requests or answers: Ray passes bytes on as they are, and takes ten times as long to serialise objects."""
    return pickle.dumps(values, protocol=5)


def unpack(packed: bytes) -> Any:
    """Unpickle what `pack` made on a machine of the same cluster, in which Ray itself trusts pickles."""
    return pickle.loads(packed)  # noqa: S301 - see above


def in_group(group: str) -> Callable[[Method], Method]:
    """Do what `ray.method(concurrency_group=group)` does, without importing Ray: run a method in that thread group."""

    def mark(method: Method) -> Method:
        method.__ray_concurrency_group__ = group  # type: ignore[attr-defined]
        return method

    return mark


class ShardProcess(Shard):
    """A shard as a Ray actor, which opens the GPU of its node if the plan gives it GPU memory."""

    def __init__(self, plan: ShardPlan, number: int, replica: int) -> None:
        accelerator = None
        if plan.gpu_megabytes:
            from retrieval.devices.faiss_gpu import open_accelerator

            accelerator = open_accelerator(plan.gpu_keeps, 1_000_000 * plan.gpu_megabytes)
        super().__init__(plan.root, number, replica, accelerator=accelerator)
        self._plan = plan
        threading.Thread(target=self.open_published, args=(plan.shards,), name="opening", daemon=True).start()

    def answer_packed(self, asks: bytes) -> bytes:
        """Answer packed requests with packed answers."""
        return pack(self.answer(unpack(asks)))

    @in_group("opening")
    def open(self, snapshot: str, placement: str) -> ShardState:
        """As `Shard.open`, in its own thread: all workers of a server request a new snapshot at once."""
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
    def describe(self) -> tuple[ShardPlan, str]:
        """Return the plan it was started with and the id of its node."""
        import ray

        return self._plan, ray.get_runtime_context().get_node_id()


class RayReplica:
    """Implements `Replica` with a Ray actor. Every error of Ray becomes ShardUnavailable."""

    def __init__(self, ray: Any, handle: Any, shard: int, replica: int, namespace: str) -> None:
        self.name = f"replica {replica} of shard {shard}"
        self.node = ""
        self.shard, self.replica = shard, replica
        self._ray, self._handle, self._namespace = ray, handle, namespace
        self._outside = is_outside(ray)

    @classmethod
    def named(cls, ray: Any, shard: int, replica: int, namespace: str = NAMESPACE) -> RayReplica:
        """Find a running replica; if there is none, its calls fail. Raises ClusterError if Ray does not answer."""
        found = cls(ray, None, shard, replica, namespace)
        call_with_timeout(ANSWERING, found.find)
        return found

    def ask(self, asks: Sequence[ShardRequest]) -> Future[list[Answer]]:
        return self._call("answer_packed", pack(list(asks)), read=unpack)

    def open(self, snapshot: str, placement: str) -> Future[ShardState]:
        return self._call("open", snapshot, placement)

    def release(self, snapshot: str) -> None:
        self._call("release", snapshot)

    def state(self) -> Future[ShardState]:
        return self._call("state")

    def describe(self) -> Future[tuple[ShardPlan, str]]:
        """Return the plan it was started with and the id of its node."""
        return self._call("describe")

    @property
    def handle(self) -> Any:
        """The Ray actor handle, or None."""
        return self._handle

    def find(self) -> None:
        """Look the actor up by name again: it may have been stopped and started anew, for example by an upgrade."""
        try:
            self._handle = self._ray.get_actor(actor_name(self.shard, self.replica), namespace=self._namespace)
        except Exception:  # a lost connection raises many types of error
            return  # the next call reports that it is missing

    def _call(self, method: str, *given: Any, read: Callable[[Any], Any] = return_unchanged) -> Future[Any]:
        """Send a call; from outside the cluster, in another thread, since Ray Client blocks the sender."""
        answer: Future[Any] = Future()
        if self._handle is None:
            answer.set_exception(ShardUnavailable(f"{self.name} is not running"))
            return answer

        def send() -> None:
            try:
                call = getattr(self._handle, method).remote(*given).future()
            except Exception as error:
                answer.set_exception(ShardUnavailable(f"{self.name} cannot be called: {first_line_of(error)}"))
                return
            if self._outside:  # leave Ray's thread, from which no call can be sent
                call.add_done_callback(lambda done: answer_worker().submit(lambda: settle(done)))
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
            sender_workers().submit(send)
        else:
            send()
        return answer

    def _own(self, error: BaseException) -> FungariumError:
        """Turn an error of a call into a FungariumError."""
        cause = getattr(error, "cause", None)
        if isinstance(cause, FungariumError):
            return cause
        if isinstance(error, FungariumError):
            return error
        return ShardUnavailable(f"{self.name} is lost: {first_line_of(error)}")


def first_line_of(error: BaseException) -> str:
    """Return the first line of Ray's message, which is followed by pages of advice."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def start_shards(ray: Any, plan: ShardPlan, *, namespace: str = NAMESPACE) -> list[list[RayReplica]]:
    """Return the replicas of each shard, starting those that are not running. Safe to call from several processes.

    Raises ClusterError if running shards serve another folder, a shard does not start, or the cluster does not answer.
    """
    try:
        return _start(ray, plan, namespace)
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise ClusterError(f"the cluster cannot start the shards: {first_line_of(error)}") from error


def _start(ray: Any, plan: ShardPlan, namespace: str) -> list[list[RayReplica]]:
    before = set(list_running(ray, namespace=namespace))
    nodes = list_nodes(ray)
    running_shards = [
        [
            start_replica(ray, plan, shard, replica, nodes[(shard + replica) % len(nodes)], namespace)
            for replica in range(plan.replicas)
        ]
        for shard in range(plan.shards)
    ]
    homes = find_homes(plan, running_shards, GRACE if before else STARTING)
    turns = 0 if before else SPREAD_ATTEMPTS  # replicas that were already running are in use and not moved
    while turns and spread_replicas(ray, plan, running_shards, homes, namespace=namespace):
        turns, homes = turns - 1, find_homes(plan, running_shards)
    return running_shards


def start_replica(ray: Any, plan: ShardPlan, shard: int, replica: int, node: str, namespace: str) -> RayReplica:
    """Start a replica on a node, or on any other if that is lost; a running one is returned as it is."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    process = ray.remote(concurrency_groups=GROUPS)(ShardProcess).options(
        name=actor_name(shard, replica),
        namespace=namespace,
        get_if_exists=True,
        lifetime="detached",
        max_restarts=-1,
        max_task_retries=0,  # the client retries on another replica, which is faster
        max_concurrency=THREADS,
        num_cpus=0,
        memory=NOMINAL,
        num_gpus=0.01 if plan.gpu_megabytes else 0,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=True),
    )
    handle = call_with_timeout(ANSWERING, lambda: process.remote(plan, shard, replica))
    return RayReplica(ray, handle, shard, replica, namespace)


def spread_replicas(
    ray: Any,
    plan: ShardPlan,
    running_shards: Sequence[list[RayReplica]],
    homes: dict[str, str],
    *,
    namespace: str = NAMESPACE,
) -> list[RayReplica]:
    """Move replicas off nodes that hold another replica of the same shard or too many replicas; returns those moved.

    At most one replica of each shard is moved, and if a shard has several, only while another one in `homes` answers:
    call again once the moved ones answer. This is needed because Ray starts an actor elsewhere if its node is lost or
    not yet known, and never moves it back.
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
    """Kill an actor and wait until its name is free: until then, a lookup of the name returns the dying actor.

    An actor that another process has started under the same name in the meantime is left alone.
    """
    ends, first = time.monotonic() + STARTING, None
    while time.monotonic() < ends:
        try:
            found = call_with_timeout(ANSWERING, partial(ray.get_actor, name, namespace=namespace))
            first = first or identity(found)
            if identity(found) != first:
                return
            call_with_timeout(ANSWERING, partial(ray.kill, found, no_restart=True))
        except (ValueError, ray.exceptions.RayError):
            return
        time.sleep(0.02)


def identity(handle: Any) -> bytes:
    """Return the id of a handle's actor, with Ray Client too."""
    known = handle.actor_ref.id if hasattr(handle, "actor_ref") else handle._actor_id.binary()  # noqa: SLF001 - no other way
    return bytes(known)


def list_nodes(ray: Any) -> list[str]:
    """Return the ids of live nodes for shards, in a fixed order; the head node, which is busiest, comes last."""
    living = [node for node in call_with_timeout(ANSWERING, ray.nodes) if node["Alive"]]
    meant = [node for node in living if ONLY in node["Resources"]] or living
    if not meant:
        raise ClusterError("the cluster has no live node")
    ordered = sorted(meant, key=lambda node: ("node:__internal_head__" in node["Resources"], node["NodeID"]))
    return [node["NodeID"] for node in ordered]


def find_homes(
    plan: ShardPlan, running_shards: Sequence[Sequence[RayReplica]], rest: float = STARTING
) -> dict[str, str]:
    """Return the node of each replica that answers, by the replica's name.

    Once one replica of each shard has answered, the others have `rest` seconds; STARTING limits the whole wait.
    Raises ClusterError unless a replica of each shard answers and all serve the plan's folder.
    """
    ends = time.monotonic() + STARTING
    calls = [[(replica, replica.describe()) for replica in own] for own in running_shards]
    for own in calls:
        _await_one([call for _, call in own], ends)
    wait([call for own in calls for _, call in own], min(rest, max(0.0, ends - time.monotonic())))
    homes = {}
    for own in calls:
        found = [(replica, call.result()) for replica, call in own if _came(call)]
        if not found:
            replica, call = own[0]
            reason = call.exception(0) if call.done() else "it is still starting"
            raise ClusterError(f"shard {replica.shard} does not start on the cluster: {reason}")
        for replica, (other, node) in found:
            homes[replica.name] = node
            if other.root != plan.root:
                raise ClusterError(
                    f"the shards that run on this cluster serve {other.root}, not {plan.root}: "
                    "run `fungarium cluster stop` first, or use another cluster"
                )
    return homes


def _await_one(calls: Sequence[Future[Any]], ends: float) -> None:
    """Wait until one call has succeeded, all have failed, or the monotonic clock reaches `ends`."""
    pending = set(calls)
    while pending and not any(_came(call) for call in calls) and (left := ends - time.monotonic()) > 0:
        pending = wait(pending, left, FIRST_COMPLETED).not_done


def _came(call: Future[Any]) -> bool:
    return call.done() and call.exception() is None


def list_running(ray: Any, *, namespace: str = NAMESPACE) -> list[str]:
    """Return the names of all running shard actors, whatever plan they were started with."""
    from ray.util import list_named_actors

    actors = call_with_timeout(ANSWERING, partial(list_named_actors, all_namespaces=True))
    names = [actor["name"] for actor in actors if actor["namespace"] == namespace]
    return sorted(name for name in names if name.startswith("shard-"))


def stop_shards(ray: Any, *, namespace: str = NAMESPACE) -> list[str]:
    """Kill all shard processes and return their names."""
    names = list_running(ray, namespace=namespace)
    for name in names:
        end_replica(ray, name, namespace)
    return names
