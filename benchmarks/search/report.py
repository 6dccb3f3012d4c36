"""Formats the results of the flora search benchmark as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from retrieval.domain import WORLD

OURS = "Fungarium"
YARDSTICK = "FAISS flat fp16 + IDSelectorBitmap"


def report(results: Mapping[str, Any]) -> str:
    """Format the results as text."""
    lines = [
        f"{results['references']:,} references, {results['species']:,} species, seed {results['seed']}, "
        f"{results['rounds']} rounds; ms are medians of the mean over floras, one thread",
        json.dumps(results["machine"]),
        f"not installed: {', '.join(results['not_installed']) or 'none'}",
        "",
        f"{'column':38} {'ms':>8} {'2 %':>8} {'25 %':>8} {'world':>8} {'x bitmap':>8} {'r@10 min':>8} {'r@50 min':>8} "
        f"{'B/ref':>7} {'build s':>8}",
    ]
    yardstick = results["latency_ms"].get(YARDSTICK, {})
    for name, per_flora in results["latency_ms"].items():

        def mean(part: str, values: Mapping[str, float] = per_flora) -> float:
            chosen = [taken for flora, taken in values.items() if part in flora]
            return float(np.mean(chosen)) if chosen else float("nan")

        beside = float(np.mean([yardstick[flora] for flora in per_flora])) if yardstick else float("nan")
        at_10, at_50 = (min(values) for values in zip(*results["recall"][name].values(), strict=True))
        figures = (mean(""), mean("-02"), mean("-25"), mean(WORLD), beside / mean(""))
        size, built = (results[part].get(name, float("nan")) for part in ("bytes_per_reference", "peer_build_s"))
        line = f"{name:38} " + " ".join(f"{figure:8.3f}" for figure in figures)
        lines.append(f"{line} {at_10:8.4f} {at_50:8.4f} {size:7.0f} {built:8.1f}")
        if len(per_flora) < len(results["floras"]):
            same = float(np.mean([results["latency_ms"][OURS][flora] for flora in per_flora]))
            lines.append(f"    over {', '.join(per_flora)} alone, where {OURS} takes {same:.3f} ms")
    ratios = [figures["ratio"] for figures in results["batch"].values()]
    one, many, alone = (sum(1 / f[n] for f in results["batch"].values()) for n in ("one", "many", "many_on_one_thread"))
    lines += [
        "",
        "flora: references, species, recipe, depth, species looked in, recalls in the manifest, and here",
        *(
            f"  {flora:10} {results['floras'][flora]:9,} {recipe['species']:6,} {recipe['kind']:15} "
            f"{recipe['depth']:5} {recipe['probes']:4} {recipe['recall_at_10']:.4f} {recipe['recall_at_50']:.4f}   "
            f"{results['recall'][OURS][flora][0]:.4f} {results['recall'][OURS][flora][1]:.4f}  "
            f"{results['latency_ms'][OURS][flora]:7.3f} ms"
            for flora, recipe in results["recipes"].items()
        ),
        "",
        f"64 observations in one call, two threads: {one / many:.2f} times the observations per second, all floras; "
        f"median flora {np.median(ratios):.2f}, least {min(ratios):.2f}; "
        f"in one call on one thread {one / alone:.2f}; "
        f"a second thread was worth {results['second_thread']['hashing']:.2f} of 2 where it hashed, and "
        f"{results['second_thread']['reading']:.2f} where it read memory",
        *(f"{part}: {json.dumps(results[part])}" for part in ("build", "opening", "append", "many_floras")),
        "",
        "lists put together on the spot, beside the prepared floras of half to twice their size:",
        *(line for group in results["ad_hoc"] for line in describe_lists(group)),
        "",
        *(f"GPU, {keeps}: {json.dumps(figures)}" for keeps, figures in results["gpu"].items()),
        f"at most {results['peak_memory_mb']:,} MB of memory were taken, with the collection and its entries",
    ]
    return "\n".join(lines)


def describe_lists(group: Mapping[str, Any]) -> list[str]:
    """Format the results of ad-hoc floras of one size, beside prepared floras of similar size."""
    lists, prepared = group["lists"], group["prepared"]
    means = [
        float(np.mean(values)) for values in zip(*((made["references"], made["ms"]) for made in lists), strict=True)
    ]
    beside = [float(np.mean(values)) for values in zip(*prepared.values(), strict=True)]
    least = [min(made["recalls"][place] for made in lists) for place in (0, 1)]
    return [
        f"  {group['species']:,} species: {means[1]:.3f} ms with {means[0]:,.0f} references; {', '.join(prepared)}: "
        f"{beside[1]:.3f} ms with {beside[0]:,.0f}; least recalls {least[0]:.4f} and {least[1]:.4f}; "
        f"put together in {group['make_ms']:.1f} ms",
        *(
            f"    {made['list']:9} {made['references']:9,} {made['kind']:15} {made['probes']:4} "
            f"{made['recalls'][0]:.4f} {made['recalls'][1]:.4f} {made['ms']:7.3f} ms"
            for made in lists
        ),
    ]
