"""Measures the effect of a dying node on concurrent queries: right and failed answers, and seconds until recovery.

    python -m benchmarks.cluster.cluster_failures --work /tmp/cluster_small --results benchmarks/results

Three nodes run on this machine; two threads query the world continuously, and every answer is compared with that of a
single process. A node that holds a replica is killed without warning, with two replicas of each shard and with one.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cluster.cluster_search import OBJECTS
from benchmarks.machine import describe_machine
from benchmarks.search.collection import draw_observations, make_collection
from benchmarks.search.flora_search import build
from cluster.connection import connect, disconnect, load_ray
from cluster.router import Timeouts
from cluster.serving import Cluster
from cluster.supervisor import ShardPlan, find_homes, stop_shards
from retrieval.domain import WORLD
from retrieval.errors import ShardUnavailable
from retrieval.snapshots.snapshot import open_snapshot

HASTY = {  # as recommended in docs/scale.md
    "health_check_initial_delay_ms": 1_000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1_000,
    "health_check_failure_threshold": 3,
}
LONGEST = 60.0  # time limit of each wait, in seconds


def main() -> None:
    """Run, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True, help="folder of the snapshot; built where it is empty")
    parser.add_argument("--results", type=Path, help="folder to write cluster_failures.json to")
    options = parser.parse_args()
    if options.results:
        options.results.mkdir(parents=True, exist_ok=True)  # before the work, not after it
    collection = make_collection(options.rows, options.seed)
    root = options.work / "flora_indexes"
    if not (root / "CURRENT").exists():
        build(root, collection)
    queries = list(draw_observations(collection, np.arange(int(collection.species[-1]) + 1), 16, 5))
    rounds = [run(root, queries, replicas) for _ in range(options.rounds) for replicas in (2, 1)]
    results = {
        "machine": describe_machine(),
        "seed": options.seed,
        "references": len(collection.rows),
        "rounds": rounds,
    }
    text = json.dumps(results, indent=1)
    print(text)
    if options.results:
        (options.results / "cluster_failures.json").write_text(text + "\n", encoding="utf-8")


def run(root: Path, queries: list[Any], replicas: int) -> dict[str, Any]:
    """Kill a node under load; return the outcomes of queries, and how long some of them failed."""
    load_ray()
    from ray.cluster_utils import Cluster as Nodes

    nodes = Nodes()
    try:
        options = {"num_cpus": 1, "object_store_memory": OBJECTS, "include_dashboard": False}
        nodes.add_node(**options, _system_config=HASTY)
        for _ in range(2):
            nodes.add_node(**options)
        ray = connect(nodes.address)
        plan = ShardPlan(str(root.absolute()), 3, replicas)
        cluster = Cluster(nodes.address, plan, timeouts=Timeouts(timeout=5))
        single, routed = open_snapshot(root), open_snapshot(root)
        expected = [single.flora(WORLD).search(views, 50).rows for views in queries]
        cluster.adopt(routed)
        events: list[tuple[float, str]] = []
        ended = threading.Event()

        def ask(number: int) -> None:
            while not ended.wait(0.005):
                number = (number + 1) % len(queries)
                began = time.monotonic()
                try:
                    found = routed.flora(WORLD).search(queries[number], 50).rows
                    outcome = "right" if np.array_equal(found, expected[number]) else "wrong"
                except ShardUnavailable:
                    outcome = "refused"
                events.append((time.monotonic(), outcome))
                slowest[0] = max(slowest[0], time.monotonic() - began)

        slowest = [0.0]
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(4)
        slowest[0] = 0.0
        homes = set(find_homes(plan, [list(client.replicas) for client in cluster.clients]).values())  # type: ignore[arg-type]
        victim = next(node for node in nodes.worker_nodes if node.node_id in homes)
        killed = time.monotonic()
        nodes.remove_node(victim, allow_graceful=False)
        while time.monotonic() - killed < 15 or not all(replica.alive for replica in cluster.status()):
            time.sleep(0.1)
            if time.monotonic() - killed > LONGEST:
                break
        ended.set()
        for thread in threads:
            thread.join(LONGEST)
        refused = [at - killed for at, outcome in events if outcome == "refused"]
        last = max(refused, default=0.0)
        answered = [at - killed for at, outcome in events if outcome == "right" and at - killed > last]
        counted = {name: sum(outcome == name for _, outcome in events) for name in ("right", "wrong", "refused")}
        all_alive = all(replica.alive for replica in cluster.status())
        routed.close()
        single.close()
        cluster.close()
        stop_shards(ray)
        return {
            "replicas": replicas,
            **counted,
            "last_refusal_s": last,
            "answered_again_s": min(answered, default=None) if refused else 0.0,  # for good; promised within 15
            "slowest_s": slowest[0],
            "all_replicas_alive_in_the_end": all_alive,
        }
    finally:
        disconnect()
        nodes.shutdown()


if __name__ == "__main__":
    main()
