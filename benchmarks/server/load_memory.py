"""Checks that the server's memory stays constant over many identifications, with caches of the default size.

    python -m benchmarks.server.load_memory [--model onnx:PATH] [--requests 20000] [--cache-megabytes 64] [--json FILE]

The server runs with its default command. Its caches are filled first; then it gets requests with new photos only.
Target: memory after the last request is at most 1.05 times that after a twentieth of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.server.http_cost import draw_snapshot
from benchmarks.server.load import ask, describe, family, serving
from retrieval.models.embedder import DIM
from retrieval.models.handles import open_model
from settings import Settings
from tests.snapshots import COLOURS, draw_photo
from web.gunicorn import count_workers
from web.inference.serving import ENTRY_BYTES

PROMISE = 1.05


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 if the target is missed."""
    options = make_parser().parse_args(arguments)
    embedder = open_model(options.model, options.card)
    with tempfile.TemporaryDirectory() as folder:
        watched = watch_memory(options, draw_snapshot(Path(folder), embedder))
    kept = watched["last_to_first"] <= PROMISE
    report = describe(options, embedder.model) | watched | {"kept": kept}
    print(f"{report['machine']}, load {report['load_before'][0]}; model {report['model']}")
    after = watched["megabytes"]
    print(
        f"{'kept  ' if kept else 'BROKEN'}  memory over {options.requests:,} requests: {after[0]} to {after[-1]} MB, "
        f"{watched['last_to_first']:.3f} times, at most {PROMISE}"
    )
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0 if kept else 1


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.server.load_memory",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--model", default="default", help="model handle (default: %(default)s)")
    parser.add_argument("--card", type=Path, help="the model's card, if it is not beside it")
    parser.add_argument("--requests", type=int, default=20_000, help="that are watched (default: %(default)s)")
    parser.add_argument(
        "--cache-megabytes",
        type=int,
        default=Settings().cache_megabytes,
        help="of each worker (default: %(default)s, as it is for users)",
    )
    parser.add_argument("--apart", action="store_true", help="a session for each worker: see benchmarks.server.load")
    parser.add_argument("--port", type=int, default=8951, help="of the server (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file to write the report to as JSON")
    return parser


def watch_memory(options: argparse.Namespace, indexes: Path) -> dict[str, Any]:
    """Return megabytes of all server processes after each twentieth of the requests, with full caches.

    The embedding caches are filled first, by requests of eight photos, beyond what the later requests need.
    """
    small, after = draw_photo(next(iter(COLOURS)), 1000, side=96), []
    wanted = {"FUNGARIUM_DEADLINE": "60", "FUNGARIUM_CACHE_MEGABYTES": str(options.cache_megabytes)}
    with serving(indexes, options, options.port + 2, wanted) as server:
        empty = resident_megabytes(server[1])
        kept = options.cache_megabytes * 500_000 // (4 * DIM + ENTRY_BYTES)  # embeddings, half of a worker's cache
        fill = round(1.1 * kept * count_workers() / 8)  # requests are not distributed evenly over workers
        for number in range(10):
            seen = ask(server, small, 16, requests=fill // 10, photos=8)
            print(f"filling the caches, {number + 1} of 10: {resident_megabytes(server[1]):.1f} MB", file=sys.stderr)
        for number in range(20):
            seen = ask(server, small, 16, requests=options.requests // 20)
            after.append(round(resident_megabytes(server[1]), 1))
            print(f"memory after {(number + 1) * options.requests // 20} requests: {after[-1]} MB", file=sys.stderr)
            if set(seen.statuses) != {200} or seen.broken:
                raise SystemExit(f"while memory was watched: {seen.statuses}, {seen.broken} broken")
    return {
        "requests": options.requests,
        "requests_of_8_photos_before": fill,
        "cache_megabytes": options.cache_megabytes,
        "megabytes_when_started": round(empty, 1),
        "megabytes": after,
        "last_to_first": round(after[-1] / after[0], 4),
    }


def resident_megabytes(pid: int) -> float:
    """Return the proportional memory of a process and its children: shared pages count once."""
    total = 0
    for one in family(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text(encoding="utf-8").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


if __name__ == "__main__":
    sys.exit(main())
