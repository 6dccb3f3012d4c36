"""Measures the cost of shard calls and of merging replies: `python -m benchmarks.cluster.call_cost --out FILE`.

Ray actors on this machine immediately return the neighbours of two views. One, two, four and more of them are called
concurrently, in interleaved rounds. The first call measures a round trip; each further one adds the work of router and
actor on the same machine. Merging is timed separately.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.models.embedding import machine
from cluster.connection import connected

ASKED = (1, 2, 4, 8, 16)
VIEWS, NEIGHBOURS = 2, 50


class Echo:
    """A shard that returns prepared neighbours."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._rows = rng.integers(0, 1_000_000, (VIEWS, NEIGHBOURS))
        self._similarities = rng.random((VIEWS, NEIGHBOURS)).astype(np.float32)

    def ask(self, query: Any) -> tuple[Any, Any]:
        """Return the prepared rows and similarities."""
        return self._rows, self._similarities


def merge(answers: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Merge the nearest rows of all shards, for each view."""
    rows = np.concatenate([answer[0] for answer in answers], axis=1)
    similarities = np.concatenate([answer[1] for answer in answers], axis=1)
    best = np.argsort(-similarities, axis=1, kind="stable")[:, :NEIGHBOURS]
    return np.take_along_axis(rows, best, axis=1), np.take_along_axis(similarities, best, axis=1)


def main() -> None:
    """Measure and print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="write the result to this file")
    options = parser.parse_args()
    query = np.random.default_rng(1).random((VIEWS, 256)).astype(np.float32)
    calls: dict[int, list[float]] = {count: [] for count in ASKED}
    merges: dict[int, list[float]] = {count: [] for count in ASKED}
    with connected("local", cores=2) as ray:
        shards = [ray.remote(Echo).options(num_cpus=0).remote() for _ in range(max(ASKED))]
        ray.get([shard.ask.remote(query) for shard in shards])
        for _ in range(options.rounds):
            for count in ASKED:
                start = time.perf_counter()
                answers = ray.get([shard.ask.remote(query) for shard in shards[:count]])
                came = time.perf_counter()
                merge(answers)
                calls[count].append(1000 * (came - start))
                merges[count].append(1000 * (time.perf_counter() - came))
        version = ray.__version__
    asked = np.array(ASKED, dtype=np.float64)
    slope, first = np.polyfit(asked - 1, [median(calls[count]) for count in ASKED], 1)
    result = {
        **machine(),
        "ray": version,
        "rounds": options.rounds,
        "call_ms": {str(count): round(median(values), 3) for count, values in calls.items()},
        "merge_ms": {str(count): round(median(values), 4) for count, values in merges.items()},
        "first_call_ms": round(float(first), 3),
        "further_call_ms": round(float(slope), 3),
        "merge_ms_a_shard": round(float(np.polyfit(asked, [median(merges[count]) for count in ASKED], 1)[0]), 4),
    }
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
