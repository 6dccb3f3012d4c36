"""Compares placements of species on shards (random, by genus, by confusion): shards per query, and balance of work.

    python -m benchmarks.cluster.placement --rows 1000000 --work /tmp/cluster_search --results benchmarks/results

No cluster is needed: for new observations of one to four photos, it counts the shards that hold the species probed
by the coarse quantiser. Recall is measured against exact search; it is the same for any number of shards.
`--work` is the folder of `benchmarks.cluster.cluster_search`, which is built if it is empty.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.search.collection import draw_observations, make_collection
from benchmarks.search.flora_search import build
from cluster.placement import METHODS, Lists, Placement, place, rebalance
from cluster.placement_files import read_lists
from retrieval.domain import WORLD
from retrieval.models.embedder import Embeddings
from retrieval.search.recipes import PROTOTYPE_FIRST, Recipe
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.snapshot import Snapshot, open_snapshot

SHARDS = (4, 8, 16)


def main() -> None:
    """Run, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--observations", type=int, default=300, help="asked of each flora")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    if options.results:
        options.results.mkdir(parents=True, exist_ok=True)  # before the work, not after it
    collection = make_collection(options.rows, options.seed)
    root = options.work / "flora_indexes"
    if not (root / "CURRENT").exists():
        build(root, collection)
    count = int(collection.species[-1]) + 1
    listed = {**collection.floras, WORLD: np.arange(count)}
    queries = {
        flora: list(draw_observations(collection, species, options.observations, options.seed + 500 + number))
        for number, (flora, species) in enumerate(listed.items())
        if flora == WORLD or flora.endswith("-02")
    }
    del collection
    results = measure(open_snapshot(root), queries) | {"machine": describe_machine(), "seed": options.seed}
    text = report(results)
    print(text)
    if options.results:
        (options.results / "placement.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (options.results / "placement.txt").write_text(text + "\n", encoding="utf-8")


def measure(snapshot: Snapshot, queries: Mapping[str, Sequence[Embeddings]]) -> dict[str, Any]:
    """Measure everything."""
    lists = read_lists(snapshot)
    results: dict[str, Any] = {
        "references": int(lists.sizes.sum()),
        "species": len(lists.species),
        "recipes": {flora: snapshot.flora(flora).recipe.described() | {"tried": None} for flora in queries},
        "recall_at_10": {flora: recall(snapshot.flora(flora), asked[:100]) for flora, asked in queries.items()},
        "placements": [],
    }
    for shards in SHARDS:
        for method in METHODS:
            started = time.perf_counter()
            placement = place(lists, shards, method)
            seconds = time.perf_counter() - started
            row = {"shards": shards, "method": method, "seconds": seconds, "floras": {}}
            row["floras"] = {
                flora: routing(snapshot, snapshot.flora(flora), asked, placement) for flora, asked in queries.items()
            }
            rows = placement.rows(lists)
            row["memory"] = float(rows.max() / rows.mean())
            results["placements"].append(row)
    results["probes"] = [probing(snapshot, queries[WORLD], lists, probes) for probes in (4, 6, 8, 12, 16, 24)]
    results["growing"] = [growing(lists, shards) for shards in SHARDS]
    return results


def recall(flora: Flora, observations: Sequence[Embeddings], k: int = 10) -> float:
    """Measure recall@k of a flora with its published recipe against exact search."""
    exact = replace(flora, recipe=Recipe())
    views = np.concatenate(list(observations))
    ours, truth = flora.search(views, k), exact.search(views, k)
    return float(np.mean(ours.similarities >= truth.similarities[:, -1:] - 2e-6))


def probing(snapshot: Snapshot, observations: Sequence[Embeddings], lists: Lists, probes: int) -> dict[str, Any]:
    """Measure recall in the world with a number of probed species, and the shards queried."""
    flora = snapshot.flora(WORLD)
    fewer = replace(flora, recipe=replace(flora.recipe, kind=PROTOTYPE_FIRST, depth=0, probes=probes))
    asked = {str(shards): routing(snapshot, fewer, observations, place(lists, shards))["asked"] for shards in SHARDS}
    found = [recall(fewer, observations[:100], k) for k in (10, 50)]
    return {"probes": probes, "recall_at_10": found[0], "recall_at_50": found[1], "asked": asked}


def routing(
    snapshot: Snapshot, chosen: Flora, observations: Sequence[Embeddings], placement: Placement
) -> dict[str, float]:
    """Measure the share of shards queried for an observation and for a view, and the balance of rows scanned."""
    coarse, quantiser = chosen.prepared.coarse, snapshot.shelf.quantiser
    listed = placement.holds(chosen.species).any(axis=1)
    counts = snapshot.count_references(np.asarray(quantiser.species)) if quantiser is not None else None
    asked, alone, scanned = [], [], np.zeros(placement.shards)
    for views in observations:
        if coarse is None or quantiser is None or counts is None or not chosen.recipe.probes:
            asked.append(listed.mean())
            alone += [listed.mean()] * len(views)
            continue
        lines = coarse.quantiser.nearest(views, chosen.recipe.probes, coarse.cut)
        leads = placement.holds(np.asarray(quantiser.species))[:, lines]  # (shards, views, lines)
        asked.append(leads.any(axis=(1, 2)).mean())
        alone += leads.any(axis=2).mean(axis=0).tolist()
        scanned += (leads * counts[lines]).sum(axis=(1, 2))
    return {
        "asked": float(np.mean(asked)),
        "asked_of_a_view": float(np.mean(alone)),
        "of_the_flora": float(listed.mean()),
        "work": float(scanned.max() / max(1e-9, scanned.mean())),
    }


def growing(lists: Lists, shards: int) -> dict[str, float]:
    """Add a tenth of the species later: the share of placed species that move, and the balance of memory."""
    draw = np.random.default_rng(3)
    before = np.sort(draw.choice(len(lists.species), 9 * len(lists.species) // 10, replace=False))
    few = Lists(lists.species[before], lists.sizes[before], lists.genera[before], lists.means[before])
    old = place(few, shards)
    new = rebalance(old, lists)
    kept = dict(zip(old.species.tolist(), old.shard.tolist(), strict=True))
    moved = [kept[s] != shard for s, shard in zip(new.species.tolist(), new.shard.tolist(), strict=True) if s in kept]
    rows = new.rows(lists)
    return {"shards": shards, "moved": float(np.mean(moved)), "memory": float(rows.max() / rows.mean())}


def report(results: Mapping[str, Any]) -> str:
    """Format the results as text."""
    world = results["recipes"][WORLD]
    small = [flora for flora in results["recipes"] if flora != WORLD]
    lowest = min(results["recall_at_10"].values())
    lines = [
        f"{results['references']:,} references, {results['species']:,} species, seed {results['seed']}; "
        f"{world['probes']} species are looked at in the world, {world['looked_at']:,} references",
        json.dumps(results["machine"]),
        f"recall@10: world {results['recall_at_10'][WORLD]:.4f}, lowest {lowest:.4f}",
        "",
        "shares of all shards: asked for an observation (1 to 4 photos) and for one photo of the world, asked for an",
        "observation of a 2 % flora, and holding any of that flora; work and memory: the fullest shard over the mean",
        f"{'shards':>6} {'placed by':10} {'world':>7} {'a photo':>8} {'2 %':>6} {'has 2 %':>8} {'work':>6} "
        f"{'memory':>7} {'seconds':>8}",
    ]
    for row in results["placements"]:
        floras = row["floras"]
        asked, holding = (
            float(np.mean([floras[flora][name] for flora in small])) for name in ("asked", "of_the_flora")
        )
        of_world = floras[WORLD]
        lines.append(
            f"{row['shards']:6} {row['method']:10} {of_world['asked']:7.0%} {of_world['asked_of_a_view']:8.0%} "
            f"{asked:6.0%} {holding:8.0%} {of_world['work']:6.2f} {row['memory']:7.2f} {row['seconds']:8.1f}"
        )
    lines += ["", "the world with other numbers of species looked at, placed by confusion: recall, and shards asked"]
    lines.append(f"{'species':>7} {'r@10':>7} {'r@50':>7} " + " ".join(f"{f'of {shards}':>6}" for shards in SHARDS))
    for row in results["probes"]:
        shares = " ".join(f"{row['asked'][str(shards)]:6.0%}" for shards in SHARDS)
        lines.append(f"{row['probes']:7} {row['recall_at_10']:7.4f} {row['recall_at_50']:7.4f} {shares}")
    lines += ["", "a tenth of the species come later, and the placement is kept but for what must move"]
    lines += [
        f"{row['shards']:6} shards: {row['moved']:.1%} of the species move; memory {row['memory']:.2f}"
        for row in results["growing"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
