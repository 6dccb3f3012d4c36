"""Starts, shows, places and stops the shards on a Ray cluster."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from cluster.connection import connected
from cluster.messages import Replica
from cluster.placement_files import ensure_placement, read_lists, replace_placement
from cluster.shard import opening_seconds
from cluster.supervisor import (
    ANSWERING,
    SPREAD_ATTEMPTS,
    RayReplica,
    ShardPlan,
    actor_name,
    find_homes,
    list_running,
    spread_replicas,
    start_shards,
    stop_shards,
)
from cluster.threads import call_with_timeout
from fungarium.terminal import print_json
from retrieval.errors import ClusterError
from retrieval.snapshots.manifest import current_or_none
from retrieval.snapshots.snapshot import open_snapshot
from settings import Settings

STATUS_TIMEOUT = 5.0  # time limit of a replica's status reply


def require_cluster(settings: Settings) -> None:
    """Raise ClusterError if no cluster is set."""
    if not settings.cluster:
        raise ClusterError("FUNGARIUM_CLUSTER is not set: no cluster is configured")


def read_plan(settings: Settings) -> ShardPlan:
    """Return the configured shards and replicas."""
    root = str(settings.flora_indexes.absolute())
    return ShardPlan(root, settings.shards, settings.replicas, settings.gpu_keeps, settings.gpu_megabytes)


def start(settings: Settings) -> int:
    """Start the shards and open the published snapshot on all of them. Returns 1 if some failed."""
    require_cluster(settings)
    plan = read_plan(settings)
    with connected(settings.cluster) as ray, closing(open_snapshot(Path(plan.root))) as snapshot:
        before = set(list_running(ray))
        running_shards = start_shards(ray, plan)
        names = [actor_name(shard, replica) for shard in range(plan.shards) for replica in range(plan.replicas)]
        placement = ensure_placement(Path(plan.root), snapshot, plan.shards)
        timeout = opening_seconds(snapshot.manifest)
        print(
            f"{len(names)} processes open snapshot {snapshot.name}; timeout {timeout:.0f} seconds",
            file=sys.stderr,
        )
        replicas = [replica for own in running_shards for replica in own]
        failed = open_on(replicas, snapshot.edition, placement.id, timeout)
        moved = 0
        for _turn in range(
            SPREAD_ATTEMPTS * plan.replicas
        ):  # a replica that has not opened the snapshot does not justify stopping another
            homes = {name: node for name, node in find_homes(plan, running_shards).items() if name not in failed}
            moving = spread_replicas(ray, plan, running_shards, homes)
            if not moving:
                break
            moved += len(moving)
            failed |= open_on(moving, snapshot.edition, placement.id, timeout)
        print(f"{len(set(names) - before)} processes started, {len(before & set(names))} were running, {moved} moved")
        print(f"{len(names) - len(failed)} of {len(names)} have opened snapshot {snapshot.name}")
        for name, error in failed.items():
            print(f"{name}: {error}", file=sys.stderr)
    return 1 if failed else 0


def open_on(replicas: Sequence[Replica], snapshot: str, placement: str, timeout: float) -> dict[str, BaseException]:
    """Let replicas open a snapshot, all at once. Returns the errors, by name."""
    calls = [(replica, replica.open(snapshot, placement)) for replica in replicas]
    results = time.monotonic() + timeout
    failed: dict[str, BaseException] = {}
    for replica, call in calls:
        try:
            error = call.exception(max(0.0, results - time.monotonic()))
        except TimeoutError:
            error = ClusterError(f"the snapshot was not opened within {timeout:.0f} seconds")
        if error is not None:
            failed[replica.name] = error
    return failed


def status(settings: Settings, *, as_json: bool) -> int:
    """Show the state of the cluster. Returns 1 if a shard has no live replica with the published snapshot open."""
    require_cluster(settings)
    with connected(settings.cluster) as ray:
        names = list_running(ray)
        found = [ask_state(ray, name) for name in names]
        nodes = Counter("alive" if node["Alive"] else "dead" for node in call_with_timeout(ANSWERING, ray.nodes))
    wanted = {(shard, replica) for shard in range(settings.shards) for replica in range(settings.replicas)}
    published = current_or_none(settings.flora_indexes) or ""
    shards = set(range(settings.shards))
    lost = sorted(shards - {line["shard"] for line in found if line["alive"]})
    serving = {line["shard"] for line in found if any(name.startswith(published) for name in line.get("snapshots", ()))}
    closed = sorted(shards - serving - set(lost)) if published else []
    if as_json:
        print_json({"nodes": dict(nodes), "replicas": found, "shardsLost": lost, "shardsWithoutSnapshot": closed})
        return 1 if lost or closed else 0
    print(f"nodes: {nodes['alive']} alive, {nodes['dead']} dead")
    for line in found:
        if line["alive"]:
            opened = ", ".join(line["snapshots"]) or "nothing yet"
            print(
                f"shard {line['shard']} replica {line['replica']}: alive on {line['node']} (pid {line['pid']}), "
                f"{line['memory'] >> 20} MB of its own, {line['asked']} requests in {line['calls']} calls, "
                f"{line['index']}; open: {opened}"
            )
        else:
            print(f"shard {line['shard']} replica {line['replica']}: no answer ({line['trouble']})")
    for shard, replica in sorted(wanted - {(line["shard"], line["replica"]) for line in found}):
        print(f"shard {shard} replica {replica}: not started; run `fungarium cluster start`")
    if others := sorted({line["shard"] for line in found} - shards):
        print(
            f"shard {', '.join(map(str, others))} runs too, although FUNGARIUM_SHARDS is {settings.shards}: a server"
            " with another setting uses it, or it is left over; `fungarium cluster stop` and `start` begin anew"
        )
    if closed:
        print(
            f"no replica of shard {', '.join(map(str, closed))} has opened the published snapshot {published}: "
            "run `fungarium cluster start`"
        )
    if lost:
        print(f"no replica serves shard {', '.join(map(str, lost))}")
    if not lost and not closed:
        print("every shard is served")
    return 1 if lost or closed else 0


def ask_state(ray: Any, name: str) -> dict[str, Any]:
    """Return the state of a replica as JSON values."""
    shard, replica = (int(part) for part in name.split("-")[1:])
    line: dict[str, Any] = {"shard": shard, "replica": replica, "alive": False, "trouble": ""}
    try:
        asked = RayReplica.named(ray, shard, replica)
        state = asked.state().result(STATUS_TIMEOUT)
    except (ClusterError, TimeoutError) as error:
        return line | {"trouble": str(error) or f"no reply within {STATUS_TIMEOUT:g} seconds"}
    return line | {
        "alive": True,
        "node": state.node,
        "pid": state.pid,
        "snapshots": list(state.snapshots),
        "memory": state.memory,
        "asked": state.asked,
        "calls": state.calls,
        "index": state.searched_on,
    }


def place(settings: Settings, anew: str | None) -> None:
    """Show the placement of the published snapshot; it is made if there is none."""
    root = settings.flora_indexes.absolute()
    with closing(open_snapshot(root)) as snapshot:
        if anew:
            replace_placement(root, snapshot, settings.shards, anew)
        placement = ensure_placement(root, snapshot, settings.shards)
        lists = read_lists(snapshot)
    rows = placement.rows(lists)
    print(
        f"snapshot {snapshot.name}, placement {placement.id}: {len(lists.species)} species on {placement.shards} shards"
    )
    for shard, references in enumerate(rows.tolist()):
        species = np.unique(placement.species[placement.shard == shard])
        genera = np.unique(lists.genera[np.searchsorted(lists.species, species)])
        print(f"shard {shard}: {references} references, {len(species)} species, {len(genera)} genera")


def stop(settings: Settings) -> None:
    """Stop all shards."""
    require_cluster(settings)
    with connected(settings.cluster) as ray:
        print(f"{len(stop_shards(ray))} processes stopped")
