"""Measures detection of misnamed records by the atlas, and its cost for growing numbers of references.

    python -m benchmarks.building.atlas FLORA_INDEXES [--out benchmarks/results/atlas.json]

FLORA_INDEXES contains a published snapshot. Each round replaces the names of some observations by random others;
`told` counts the records that the atlas then marks as doubtful, which should be exactly those. Costs are measured on
random clusters; openTSNE is timed if it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.building.atlas import find_strangers, gather, has_tsne, lay_out_pca, lay_out_tsne
from retrieval.models.embedder import DIM, Embeddings, unit_rows
from retrieval.snapshots.snapshot import open_snapshot

CHANGED = 30  # misnamed observations in a round
SEEDS = (20, 21, 22, 23, 24)
SIZES = (2_000, 20_000, 100_000)
LARGEST_TSNE = 20_000
EACH = 40  # references of a synthetic species


def exchange_names(
    species: NDArray[np.int64], finds: NDArray[np.int64], embeddings: Embeddings, seed: int
) -> dict[str, int]:
    """Replace the names of some observations, and count the records marked as doubtful."""
    dice = np.random.default_rng(seed)
    changed = dice.choice(np.unique(finds), CHANGED, replace=False)
    names, said = np.unique(species), species.copy()
    for find in changed:
        mine = finds == find
        said[mine] = dice.choice(names[names != species[mine][0]])
    strangers, _ = find_strangers(said, finds, embeddings)
    told, wrong = strangers > 0, np.isin(finds, changed)
    return {
        "records": len(species),
        "of_changed_finds": int(wrong.sum()),
        "told": int(told.sum()),
        "told_of_changed_finds": int((told & wrong).sum()),
        "changed_finds": CHANGED,
        "changed_finds_told": len(np.unique(finds[told & wrong])),
        "told_with_the_right_name": int((strangers[told & wrong] == species[told & wrong]).sum()),
    }


def make_clouds(count: int) -> tuple[NDArray[np.int64], Embeddings]:
    """Draw references around random centres, sorted by species."""
    dice = np.random.default_rng(1)
    species = np.sort(np.arange(count) % (count // EACH))
    centres = dice.normal(size=(count // EACH, DIM)).astype(np.float32)
    return species, unit_rows(centres[species] + 0.7 * dice.normal(size=(count, DIM)).astype(np.float32))


def time_parts(count: int) -> dict[str, Any]:
    """Time each step of the atlas for `count` references, in seconds."""
    species, embeddings = make_clouds(count)
    began = time.perf_counter()
    start = lay_out_pca(embeddings)
    after_pca = time.perf_counter()
    find_strangers(species, np.arange(count) // 2, embeddings)
    after_strangers = time.perf_counter()
    found: dict[str, Any] = {
        "references": count,
        "species": count // EACH,
        "pca_s": round(after_pca - began, 2),
        "strangers_s": round(after_strangers - after_pca, 2),
    }
    if has_tsne() and count <= LARGEST_TSNE:
        lay_out_tsne(embeddings, start)
        found["tsne_s"] = round(time.perf_counter() - after_strangers, 1)
    return found


def main() -> None:
    """Measure, print, and write JSON if requested."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flora_indexes", type=Path)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with closing(open_snapshot(chosen.flora_indexes)) as snapshot:
        _, species, finds, embeddings = gather(snapshot)
    untouched, _ = find_strangers(species, finds, embeddings)
    found = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load": [round(part, 1) for part in os.getloadavg()],
            "numpy": np.__version__,
        },
        "told_where_nothing_was_changed": int((untouched > 0).sum()),
        "exchanged": [exchange_names(species, finds, embeddings, seed) | {"seed": seed} for seed in SEEDS],
        "cost": [time_parts(count) for count in SIZES],
    }
    text = json.dumps(found, indent=1) + "\n"
    print(text, end="")
    if chosen.out:
        chosen.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
