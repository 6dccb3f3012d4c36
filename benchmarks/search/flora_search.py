"""Flora search against its peers on one seeded collection: recall, latency, batches, memory, opening, growing.

python -m benchmarks.search.flora_search --rows 1000000 --work /tmp/flora_search --results benchmarks/results

Each round queries all methods in turn, so that other load affects all; medians over rounds and ratios to `FAISS flat
fp16 + IDSelectorBitmap` are reported. One query is one observation of one to four photos. Peers that are not installed
are skipped and named. `--costly` limits slowly built peers to some floras; their means, and ours beside them, are over
those.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe_machine, second_thread
from benchmarks.search.collection import Collection, draw_observations, make_collection
from benchmarks.search.engine import CARD, FIRST, Rows, brute_force, make_catalogue, measure_opening
from benchmarks.search.growing import append, many_floras
from benchmarks.search.peers import PEERS, Peer, installed
from benchmarks.search.report import OURS, report
from indexer.building.build import build_snapshot
from retrieval.devices.faiss_gpu import count_gpus, open_accelerator
from retrieval.domain import WORLD
from retrieval.models.embedder import Embeddings
from retrieval.search.recipes import Recipe
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.publishing import publish_snapshot
from retrieval.snapshots.snapshot import Snapshot, open_snapshot

COSTLY = (
    "ScaNN bf16 per flora",
    "usearch fp16 per flora",
    "FAISS HNSW fp16 per flora",
    "hnswlib with a filter",
    "Milvus-lite, flat with a filter",
)
AD_HOC = (50, 150, 500, 1_500)  # species of ad-hoc lists
Ask = Callable[[str, Embeddings], Any]


def main() -> None:
    """Run, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=86_000)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--observations", type=int, default=6, help="asked of each flora in each round")
    parser.add_argument("--peers", nargs="*", default=list(PEERS)[:4], choices=list(PEERS), metavar="PEER")
    parser.add_argument("--costly", nargs="*", default=(), help="floras of costly peers (default: all)")
    parser.add_argument("--work", type=Path, required=True, help="folder for the snapshot; made anew")
    parser.add_argument("--results", type=Path, help="folder to write NAME.json and NAME.txt to")
    parser.add_argument("--name", help="of the results (default: flora_search-ROWS)")
    parser.add_argument(
        "--gpu", type=int, default=0, metavar="MEGABYTES", help="search on GPUs too, with so much of each"
    )
    options = parser.parse_args()
    if options.results:
        options.results.mkdir(parents=True, exist_ok=True)  # before the work, not after it
    if options.gpu and not count_gpus():
        parser.error(
            "FAISS sees no GPU here: install requirements-gpu.txt on a machine that has one, or leave --gpu out"
        )
    shutil.rmtree(options.work, ignore_errors=True)
    results = measure(options)
    text = report(results)
    print(text)
    if options.results:
        name = options.name or f"flora_search-{options.rows}"
        options.results.mkdir(parents=True, exist_ok=True)
        (options.results / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (options.results / f"{name}.txt").write_text(text + "\n", encoding="utf-8")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything once."""
    results: dict[str, Any] = {"machine": describe_machine(), "seed": options.seed, "rounds": options.rounds}
    collection = make_collection(options.rows, options.seed)
    results["references"] = len(collection.rows)
    results["species"] = int(collection.species[-1]) + 1
    root = options.work / "flora_indexes"
    results["build"] = build(root, collection)
    results["opening"] = measure_opening(root)
    snapshot = open_snapshot(root)
    members = {
        flora: np.flatnonzero(np.isin(collection.species, listed)) for flora, listed in collection.floras.items()
    }
    members[WORLD] = np.arange(len(collection.rows))
    listed = {**collection.floras, WORLD: np.arange(results["species"])}
    queries = {
        flora: list(draw_observations(collection, listed[flora], 64, options.seed + number))
        for number, flora in enumerate(members)
    }
    results["floras"] = {flora: len(rows) for flora, rows in members.items()}
    results["bytes_per_reference"] = {OURS: memory(snapshot) / len(collection.rows)}
    columns: dict[str, tuple[Ask, Sequence[str]]] = {OURS: (ours(snapshot), list(members))}
    columns[f"{OURS}, exact"] = (exact(snapshot), list(members))
    results["gpu"] = {}
    for keeps in ("floras", "lists") if options.gpu else ():
        on_gpu = open_snapshot(root)
        on_gpu.shelf.accelerator = open_accelerator(keeps, 1_000_000 * options.gpu)
        columns[f"{OURS}, GPU, {keeps}"] = (ours(on_gpu), list(members))
        results["gpu"][keeps] = on_gpu
    results["not_installed"] = [name for name in options.peers if not installed(name)]
    results["peer_build_s"] = {}
    for name in options.peers:
        if installed(name):
            some = [f for f in members if f in options.costly or name not in COSTLY or not options.costly]
            started = time.perf_counter()
            peer: Peer = PEERS[name][0](collection.rows, {flora: members[flora] for flora in some})
            results["peer_build_s"][name] = time.perf_counter() - started
            results["bytes_per_reference"][name] = peer.bytes / len(collection.rows)
            columns[name] = (asker(peer), some)
    truth = {
        flora: brute_force(collection.rows[rows], np.concatenate(queries[flora][:40]), 50)
        for flora, rows in members.items()
    }
    results["recall"] = {
        name: {f: recall(ask, f, queries[f][:40], collection, truth[f]) for f in floras}
        for name, (ask, floras) in columns.items()
    }
    results["recipes"] = {
        flora: snapshot.flora(flora).recipe.described() | {"species": snapshot.flora(flora).card.covered}
        for flora in members
    }
    results["latency_ms"] = latency(columns, queries, options.rounds, options.observations)
    results["ad_hoc"] = ad_hoc(snapshot, collection, options)
    results["batch"] = batch(snapshot, queries, options.rounds)
    for keeps, on_gpu in results["gpu"].items():
        batches = batch(on_gpu, queries, options.rounds)
        accelerator = on_gpu.shelf.accelerator
        results["gpu"][keeps] = {"batch": batches, "standing": accelerator.description if accelerator else ""}
    results["second_thread"] = second_thread()
    results["many_floras"] = many_floras()
    snapshot.close()
    columns.clear()
    gc.collect()
    results["append"] = append(root, collection)
    results["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return results


def build(root: Path, collection: Collection) -> dict[str, float]:
    """Build and publish the collection; returns seconds."""
    catalogue = make_catalogue(collection)
    started = time.perf_counter()
    build_snapshot(root, catalogue, Rows(collection.rows), CARD)  # type: ignore[arg-type] # has the store's interface
    built = time.perf_counter()
    publish_snapshot(root)
    return {"build_s": built - started, "publish_s": time.perf_counter() - built}


def memory(snapshot: Snapshot) -> int:
    """Return the bytes of all files read for search: all but the tables of photos and taxa."""
    sizes = [seal.bytes for seal in snapshot.manifest.files if not seal.path.endswith((".sqlite", ".json", ".md"))]
    return sum(sizes)


def ours(snapshot: Snapshot) -> Ask:
    """Search floras with their published recipes."""
    return lambda flora, views: snapshot.flora(flora).search(views, 50).rows


def exact(snapshot: Snapshot) -> Ask:
    """Search the same floras exactly."""
    floras = {card.id: replace(snapshot.flora(card.id), recipe=Recipe()) for card in snapshot.floras}
    return lambda flora, views: floras[flora].search(views, 50).rows


def asker(peer: Peer) -> Ask:
    """Search with a peer, on one thread."""

    def ask(flora: str, views: Embeddings) -> NDArray[np.int64]:
        faiss.omp_set_num_threads(1)
        return peer.search(flora, views, 50)

    return ask


def recall(
    ask: Ask, flora: str, queries: Sequence[Embeddings], collection: Collection, truth: NDArray[np.float32]
) -> tuple[float, float]:
    """Return recall@10 and @50: the share of results at least as similar as the last true one, up to rounding."""
    views = np.concatenate(queries)
    found = np.concatenate([ask(flora, observation) for observation in queries])
    stored = collection.rows[np.maximum(found, 0)].astype(np.float32)
    near = np.einsum("vkd,vd->vk", stored, views)
    near[found < 0] = -np.inf
    near = -np.sort(-near, axis=1)
    return tuple(float(np.mean(near[:, :k] >= truth[:, k - 1 : k] - 2e-6)) for k in (10, 50))  # type: ignore[return-value]


def latency(
    columns: Mapping[str, tuple[Ask, Sequence[str]]],
    queries: Mapping[str, Sequence[Embeddings]],
    rounds: int,
    observations: int,
) -> dict[str, dict[str, float]]:
    """Return milliseconds per observation: medians over rounds, with methods alternating within each flora."""
    times: dict[str, dict[str, list[float]]] = {name: {flora: [] for flora in fs} for name, (_, fs) in columns.items()}
    for turn in range(rounds + 1):
        for flora, asked in queries.items():
            chosen = [asked[(turn * observations + n) % len(asked)] for n in range(observations)]
            for name, (ask, floras) in columns.items():
                if flora in floras:
                    ask(flora, chosen[0])  # warm the caches again
                    started = time.perf_counter()
                    for views in chosen:
                        ask(flora, views)
                    if turn:  # the first round warms up
                        times[name][flora].append(1e3 * (time.perf_counter() - started) / observations)
    return {name: {f: float(np.median(taken)) for f, taken in floras.items()} for name, floras in times.items()}


def ad_hoc(snapshot: Snapshot, collection: Collection, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure ad-hoc lists of species, at random and by genus, beside prepared floras of their size."""
    draw = np.random.default_rng(options.seed)
    count = int(collection.species[-1]) + 1
    genera, every = collection.world.genus, np.arange(count)
    groups = []
    for size in sorted({max(2, min(size, count // 2)) for size in AD_HOC}):
        lists = {}
        for turn in range(3):
            by_genus = np.lexsort((draw.random(count), draw.permutation(int(genera.max()) + 1)[genera]))[:size]
            lists[f"random {turn}"] = np.sort(draw.choice(count, size, replace=False))
            lists[f"genera {turn}"] = np.sort(by_genus)
        started = time.perf_counter()
        floras = {name: snapshot.flora_of((FIRST + chosen).tolist()) for name, chosen in lists.items()}
        made = 1e3 * (time.perf_counter() - started) / len(lists)
        typical = float(np.median([flora.card.references for flora in floras.values()]))
        apart = {card.id: abs(np.log(card.references / typical)) for card in snapshot.floras}
        beside = [name for name, far in apart.items() if far <= np.log(2)] or [min(apart, key=apart.__getitem__)]
        asked = {
            name: list(draw_observations(collection, lists.get(name, collection.floras.get(name, every)), 30, turn))
            for turn, name in enumerate((*lists, *beside))
        }
        ms = time_floras({**floras, **{name: snapshot.flora(name) for name in beside}}, asked, max(3, options.rounds))
        groups.append(
            {
                "species": size,
                "make_ms": made,
                "lists": [
                    {
                        "list": name,
                        "references": flora.card.references,
                        "probes": flora.recipe.probes,
                        "kind": flora.recipe.kind,
                        "recalls": recall_list(flora, lists[name], asked[name], collection),
                        "ms": ms[name],
                    }
                    for name, flora in floras.items()
                ],
                "prepared": {name: [snapshot.flora(name).card.references, ms[name]] for name in beside},
            }
        )
    return groups


def recall_list(
    flora: Flora, species: NDArray[np.int64], asked: Sequence[Embeddings], collection: Collection
) -> tuple[float, float]:
    """Return recall@10 and @50 of an ad-hoc list."""
    truth = brute_force(collection.rows[np.isin(collection.species, species)], np.concatenate(asked), 50)
    return recall(lambda _, views: flora.search(views, 50).rows, "", asked, collection, truth)


def time_floras(
    floras: Mapping[str, Flora], asked: Mapping[str, Sequence[Embeddings]], rounds: int
) -> dict[str, float]:
    """Return milliseconds per observation: medians over alternating rounds, after one to warm up."""
    spent: dict[str, list[float]] = {name: [] for name in floras}
    for _ in range(rounds + 1):
        for name, flora in floras.items():
            started = time.perf_counter()
            for views in asked[name]:
                flora.search(views, 50)
            spent[name].append(1e3 * (time.perf_counter() - started) / len(asked[name]))
    return {name: float(np.median(taken[1:])) for name, taken in spent.items()}


def batch(snapshot: Snapshot, queries: Mapping[str, Sequence[Embeddings]], rounds: int) -> dict[str, dict[str, float]]:
    """Return observations per second: singly on one thread, and batches of 64 on two threads and on one."""
    figures = {}
    for flora, asked in queries.items():
        one, alone, many = [], [], []
        chosen: Flora = snapshot.flora(flora)
        for _ in range(max(3, rounds // 2)):
            started = time.perf_counter()
            for views in asked:
                chosen.search(views, 50)
            between = time.perf_counter()
            chosen.search(np.concatenate(asked), 50, threads=2)
            after = time.perf_counter()
            chosen.search(np.concatenate(asked), 50)
            one.append(len(asked) / (between - started))
            many.append(len(asked) / (after - between))
            alone.append(len(asked) / (time.perf_counter() - after))
        figures[flora] = {
            "one": float(np.median(one)),
            "many": float(np.median(many)),
            "many_on_one_thread": float(np.median(alone)),
            "ratio": float(np.median(np.array(many) / np.array(one))),
        }
    return figures


if __name__ == "__main__":
    main()
