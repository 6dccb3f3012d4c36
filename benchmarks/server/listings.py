"""Measures lists, names and floras over HTTP in a collection of very many species.

python -m benchmarks.server.listings --indexes FOLDER [--rounds 15] [--json FILE]

FOLDER has a published collection of `benchmarks.search.answer_cost` (its `now/300000`). One client requests each URL in
turn from a server with default settings; the first response of each is reported separately, since it may fill caches.
Times are the client's, `processor_ms` those of the server.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.server.load import processor_seconds, serving

AT_MOST = 50.0  # milliseconds
ADDRESSES = {
    "species, first page": "/api/v1/floras/world/species",
    "species of a flora": "/api/v1/floras/part-30/species",
    "species without photos": "/api/v1/floras/part-30/species?covered=false",
    "species by beginning": "/api/v1/floras/world/species?prefix=Genus12",
    "completion, one letter": "/api/v1/taxa?q=G",
    "completion, a genus": "/api/v1/taxa?q=Genus12",
    "completion, a common name": "/api/v1/taxa?q=common%20name%2012",
    "completion, a word within": "/api/v1/taxa?q=name%2012",
    "completion, nothing": "/api/v1/taxa?q=Xerocomus",
    "floras": "/api/v1/floras",
    "projects": "/v2/projects",
    "species of a project": "/v2/projects/all/species?page=1&pageSize=100",
    "species of a project, last page": "/v2/projects/part-30/species?page=900&pageSize=100",
    "species of a project by beginning": "/v2/projects/all/species?page=1&pageSize=20&prefix=genus12",
    "all species, a page": "/v2/species?page=2&pageSize=100",
    "a name aligned": "/v2/projects/all/species/align?name=Genus12%20species100",
    "page of all floras": "/floras",
    "page of a flora": "/floras/world",
    "page of a flora, further on": "/floras/world?from=150000",
    "page of a flora, missing species": "/floras/world?show=missing",
    "page of a flora, words": "/floras/world?q=species1234",
    "page of a species": "/species/1000012",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 if a URL exceeds its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--indexes", type=Path, required=True, help="folder of the published collection")
    parser.add_argument("--model", default="default", help="model handle of the collection (default: %(default)s)")
    parser.add_argument("--card", type=Path, help="the model's card, if it is not beside it")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--port", type=int, default=8951)
    parser.add_argument("--json", type=Path, help="file to write the report to as JSON")
    options = parser.parse_args(arguments, argparse.Namespace(apart=False))
    with serving(options.indexes, options, options.port, {"FUNGARIUM_WORKERS": "1"}) as server:
        get(server, "/api/v1/floras")  # opens the snapshot
        measured = {name: measure(server, address, options.rounds) for name, address in ADDRESSES.items()}
    for name, line in measured.items():
        print(
            f"{name:34} {line['ms']:9.1f} ms  {line['processor_ms']:8.1f} of a processor, first {line['first_ms']:9.1f}"
            f"  {line['bytes']:10,} bytes"
        )
    if options.json:
        report = {"machine": describe_machine(), "rounds": options.rounds, "addresses": measured}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(any(line["ms"] > AT_MOST for line in measured.values()))


def measure(server: tuple[int, int], address: str, rounds: int) -> dict[str, Any]:
    """Return median milliseconds, processor milliseconds of the server, and milliseconds of the first response."""
    first, size = get(server, address)
    spent = processor_seconds(server[1])
    times = [get(server, address)[0] for _ in range(rounds)]
    return {
        "ms": round(statistics.median(times), 2),
        "first_ms": round(first, 2),
        "processor_ms": round(1000 * (processor_seconds(server[1]) - spent) / rounds, 2),
        "bytes": size,
    }


def get(server: tuple[int, int], address: str) -> tuple[float, int]:
    """Return milliseconds and bytes of a response; raises SystemExit for an error."""
    connection = http.client.HTTPConnection("127.0.0.1", server[0], timeout=120)
    started = time.perf_counter()
    connection.request("GET", address)
    answer = connection.getresponse()
    body = answer.read()
    taken = 1000 * (time.perf_counter() - started)
    connection.close()
    if answer.status not in (200, 404):
        raise SystemExit(f"{address}: {answer.status} {body[:300].decode(errors='replace')}")
    return taken, len(body)


if __name__ == "__main__":
    sys.exit(main())
