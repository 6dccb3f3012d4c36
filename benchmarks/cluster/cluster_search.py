"""Compares search on a cluster of three nodes with a single process: identical results, and the added latency.

    python -m benchmarks.cluster.cluster_search --rows 1000000 --work /tmp/cluster_search --results benchmarks/results

The seeded collection is built once into `--work`. For every flora, neighbours are compared bit by bit, rows
and similarities, with the published recipe and with exact search. Then both are queried alternately, with
observations of one to four photos; the added latency is the difference of the medians. Finally, several threads query
concurrently. Ray assigns each node one processor; the real number is in the machine's description.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.search.collection import Collection, draw_observations, make_collection
from benchmarks.search.flora_search import build
from cluster.connection import connect, disconnect
from cluster.router import Timeouts
from cluster.serving import Cluster
from cluster.supervisor import ShardPlan, stop_shards
from retrieval.domain import WORLD
from retrieval.models.embedder import Embeddings
from retrieval.search.recipes import Recipe
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.snapshot import Snapshot, open_snapshot

OBJECTS = 80_000_000
K = 50


def main() -> None:
    """Run, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=86_000)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--shards", type=int, default=3)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--observations", type=int, default=6, help="asked of each flora in each round")
    parser.add_argument("--same", type=int, default=40, help="observations of each flora whose answers are compared")
    parser.add_argument("--work", type=Path, required=True, help="folder of the snapshot; built where it is empty")
    parser.add_argument("--results", type=Path, help="folder to write NAME.json and NAME.txt to")
    parser.add_argument("--build-only", action="store_true")
    options = parser.parse_args()
    if options.results:
        options.results.mkdir(parents=True, exist_ok=True)  # before the work, not after it
    collection = make_collection(options.rows, options.seed)
    root = options.work / "flora_indexes"
    if not (root / "CURRENT").exists():
        build(root, collection)
    if options.build_only:
        return
    results = measure(options, root, collection)
    text = report(results)
    print(text)
    if options.results:
        name = f"cluster_search-{options.rows}"
        (options.results / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (options.results / f"{name}.txt").write_text(text + "\n", encoding="utf-8")


@contextmanager
def three_nodes() -> Iterator[tuple[Any, str]]:
    """Start a cluster of three nodes with one processor each; yields the connected `ray` and the address."""
    from ray.cluster_utils import Cluster as Nodes

    nodes = Nodes()
    try:
        nodes.add_node(num_cpus=1, object_store_memory=OBJECTS, include_dashboard=False)
        for _ in range(2):
            nodes.add_node(num_cpus=1, object_store_memory=OBJECTS)
        yield connect(nodes.address), nodes.address
    finally:
        disconnect()
        nodes.shutdown()


def measure(options: argparse.Namespace, root: Path, collection: Collection) -> dict[str, Any]:
    """Measure everything once."""
    listed = {**collection.floras, WORLD: np.arange(int(collection.species[-1]) + 1)}
    queries = {
        flora: list(draw_observations(collection, species, 64, options.seed + number))
        for number, (flora, species) in enumerate(listed.items())
    }
    results: dict[str, Any] = {
        "machine": describe_machine(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "seed": options.seed,
        "rounds": options.rounds,
        "shards": options.shards,
        "replicas": options.replicas,
        "references": len(collection.rows),
        "species": len(listed[WORLD]),
    }
    del collection
    asked: list[tuple[int, int]] = []
    calls: list[str] = []
    with three_nodes() as (ray, address):
        results["ray"] = ray.__version__
        cluster = Cluster(
            address,
            ShardPlan(str(root.absolute()), options.shards, options.replicas),
            timeouts=Timeouts(timeout=60, hedge=30),
            on_call=lambda _, outcome: calls.append(outcome),
            on_search=lambda some, all_: asked.append((some, all_)),
        )
        single, routed = open_snapshot(root), open_snapshot(root)
        started = time.perf_counter()
        cluster.adopt(routed)
        results["adopt_s"] = time.perf_counter() - started
        time.sleep(5)  # until the health monitor knows the memory of all replicas
        results["memory"] = [r.state.memory for r in cluster.status() if r.state is not None]
        results["same"] = compare(single, routed, queries, options.same)
        results["bare_call_ms"] = bare_calls(cluster)
        asked.clear()
        results["latency_ms"], results["shards_asked"] = latency(single, routed, queries, options, asked)
        results["together"] = together(single, routed, queries[WORLD], calls)
        routed.close()
        single.close()
        cluster.close()
        stop_shards(ray)
    return results


def compare(
    single: Snapshot, routed: Snapshot, queries: Mapping[str, Sequence[Embeddings]], count: int
) -> dict[str, dict[str, bool]]:
    """Check that rows and similarities are bit-identical, for each flora with its recipe and with exact search."""
    same: dict[str, dict[str, bool]] = {}
    for flora, observations in queries.items():
        same[flora] = {}
        for kind in ("published", "exact"):
            ours, theirs = (cut(snapshot, flora, kind) for snapshot in (routed, single))
            some = observations[: count if kind == "published" else max(1, count // 8)]
            pairs = [(ours.search(views, K), theirs.search(views, K)) for views in some]
            same[flora][kind] = all(
                np.array_equal(one.rows, other.rows) and np.array_equal(one.similarities, other.similarities)
                for one, other in pairs
            )
    return same


def cut(snapshot: Snapshot, flora: str, kind: str) -> Flora:
    """Return a flora with its published recipe, or with exact search."""
    published = snapshot.flora(flora)
    return published if kind == "published" else replace(published, recipe=Recipe())


def bare_calls(cluster: Cluster) -> float:
    """Time concurrent empty calls to all shards, in milliseconds: the lower bound of a search of all shards."""
    taken = []
    for _ in range(200):
        started = time.perf_counter()
        for call in [client.replicas[0].ask([]) for client in cluster.clients]:
            call.result()
        taken.append(1e3 * (time.perf_counter() - started))
    return float(np.median(taken))


def latency(
    single: Snapshot,
    routed: Snapshot,
    queries: Mapping[str, Sequence[Embeddings]],
    options: argparse.Namespace,
    asked: list[tuple[int, int]],
) -> tuple[dict[str, dict[str, list[float]]], dict[str, float]]:
    """Time observations alternately in one process and on the cluster, in milliseconds, and count shards."""
    columns: dict[str, Snapshot] = {"one process": single, "cluster": routed}
    taken: dict[str, dict[str, list[float]]] = {name: {flora: [] for flora in queries} for name in columns}
    shares: dict[str, list[float]] = {flora: [] for flora in queries}
    for turn in range(options.rounds + 1):
        for flora, observations in queries.items():
            chosen = [observations[(turn * options.observations + n) % 64] for n in range(options.observations)]
            for name, snapshot in columns.items():
                searched = snapshot.flora(flora)
                searched.search(chosen[0], K)  # warm the caches again
                asked.clear()
                for views in chosen:
                    started = time.perf_counter()
                    searched.search(views, K)
                    if turn:  # the first round warms up
                        taken[name][flora].append(1e3 * (time.perf_counter() - started))
                shares[flora] += [some / all_ for some, all_ in asked]
    return taken, {flora: float(np.mean(found)) for flora, found in shares.items()}


def together(
    single: Snapshot, routed: Snapshot, observations: Sequence[Embeddings], calls: list[str]
) -> dict[str, dict[str, float]]:
    """Measure throughput with 1, 4 and 16 threads on the world, and the calls to shards for each observation."""
    figures: dict[str, dict[str, float]] = {}
    for threads in (1, 4, 16):
        row: dict[str, float] = {}
        for name, snapshot in (("one process", single), ("cluster", routed)):
            ask = partial(search, snapshot.flora(WORLD))
            rates, counts = [], []
            for _ in range(3):
                calls.clear()
                started = time.perf_counter()
                with ThreadPoolExecutor(threads) as pool:
                    list(pool.map(ask, [*observations, *observations]))
                rates.append(2 * len(observations) / (time.perf_counter() - started))
                counts.append(len(calls) / (2 * len(observations)))
            row[name] = float(np.median(rates))
            row[f"{name}, calls an observation"] = float(np.median(counts))
        figures[str(threads)] = row
    return figures


def search(flora: Flora, views: Embeddings) -> object:
    """Search once."""
    return flora.search(views, K)


def report(results: Mapping[str, Any]) -> str:
    """Format the results as text."""
    taken = results["latency_ms"]
    one, other = ([t for flora in taken[name].values() for t in flora] for name in ("one process", "cluster"))
    differing = [
        f"{flora} {kind}" for flora, kinds in results["same"].items() for kind, same in kinds.items() if not same
    ]
    lines = [
        f"{results['references']:,} references, {results['species']:,} species, {len(results['same'])} floras; "
        f"3 nodes, {results['shards']} shards, {results['replicas']} replica(s); seed {results['seed']}",
        json.dumps(results["machine"] | {"ray": results["ray"], "load average before": results["load"]}),
        f"neighbours and similarities: {'identical in every flora' if not differing else 'OTHER in ' + str(differing)}",
        f"all shards had opened the snapshot after {results['adopt_s']:.1f} s; "
        f"memory of a shard's own {max(results['memory'], default=0) >> 20} MB at most",
        f"median observation: one process {np.median(one):.2f} ms, cluster {np.median(other):.2f} ms, "
        f"added {np.median(other) - np.median(one):.2f} ms; p90 {np.percentile(one, 90):.2f} and "
        f"{np.percentile(other, 90):.2f} ms; bare calls to all shards {results['bare_call_ms']:.2f} ms",
        "",
        f"{'flora':12} {'one process':>12} {'cluster':>8} {'added':>7} {'shards asked':>13}",
    ]
    for flora in results["same"]:
        alone, routed = np.median(taken["one process"][flora]), np.median(taken["cluster"][flora])
        share = results["shards_asked"][flora]
        lines.append(f"{flora:12} {alone:12.2f} {routed:8.2f} {routed - alone:7.2f} {share:13.0%}")
    lines += ["", "observations of the world a second, by threads that ask"]
    for threads, row in results["together"].items():
        lines.append(
            f"{threads:>4}: one process {row['one process']:.0f}, cluster {row['cluster']:.0f} "
            f"({row['cluster, calls an observation']:.2f} calls to shards an observation)"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
