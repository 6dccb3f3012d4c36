"""Measures the speed-up of lower precisions: `python -m benchmarks.models.precision HANDLE=CARD ...`, f32 first.

Interleaved rounds over the same synthetic views; medians of wall-clock and processor times relative to the first model.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median

from benchmarks.models.embedding import cpu_seconds, draw, machine
from retrieval.models.handles import open_model
from retrieval.photos.views import decode_view


def main() -> None:
    """Measure and print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", metavar="HANDLE=CARD")
    parser.add_argument("--views", type=int, default=16, help="a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="write the result to this file")
    options = parser.parse_args()
    models = []
    for named in options.models:
        handle, _, card = named.partition("=")
        models.append(open_model(handle, Path(card) if card else None))
    views = [decode_view(draw(seed, 640, 480), models[0].short_side) for seed in range(options.views)]
    clock: list[list[float]] = [[] for _ in models]
    processor: list[list[float]] = [[] for _ in models]
    for turn in range(options.rounds + 1):  # the first warms up
        for place, model in enumerate(models):
            start, used = time.perf_counter(), cpu_seconds()
            model.embed(views)
            if turn:
                clock[place].append(1000 * (time.perf_counter() - start) / len(views))
                processor[place].append(1000 * (cpu_seconds() - used) / len(views))
    table = [
        {
            "model": model.model,
            "precision": model.card["precision"],
            "ms by the clock": round(median(clock[place]), 1),
            "ms of the processor": round(median(processor[place]), 1),
            "times as fast by the clock": ratio(clock[0], clock[place]),
            "times as fast by the processor": ratio(processor[0], processor[place]),
        }
        for place, model in enumerate(models)
    ]
    result = {**machine(), "views": options.views, "rounds": options.rounds, "table": table}
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def ratio(exact: list[float], lower: list[float]) -> float:
    """Return the median of the rounds' ratios."""
    return round(median(before / after for before, after in zip(exact, lower, strict=True)), 2)


if __name__ == "__main__":
    main()
