"""Measures the memory of a worker's full caches against the limit of the setting.

    python -m benchmarks.server.full_caches [--json FILE]

The caches of a server with default settings are filled, without HTTP and photos, with answers to random
embeddings and with embeddings, until they are full; then everything is replaced once. Targets: the process grows by at
most 1.25 times `FUNGARIUM_CACHE_MEGABYTES`, and by at most a twentieth of it during the replacement.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.server.http_cost import draw_snapshot
from benchmarks.server.load import describe
from benchmarks.server.load_memory import resident_megabytes
from retrieval.answers.identify import identify_embeddings
from retrieval.domain import WORLD
from retrieval.models.descriptor import Descriptor
from retrieval.models.embedder import DIM, unit_rows
from settings import Settings
from web.inference.caching import BoundedCache, make_key
from web.inference.serving import Serving
from web.services import make_services

GROWS, CHANGES = 1.25, 0.05


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 if the target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server.full_caches", description=__doc__)
    parser.add_argument("--json", type=Path, help="file to write the report to as JSON")
    options = parser.parse_args(arguments)
    embedder = Descriptor()
    with tempfile.TemporaryDirectory() as folder:
        weighed = fill(draw_snapshot(Path(folder), embedder))
    wanted, grown = weighed["cache_megabytes"], weighed["full_megabytes"] - weighed["empty_megabytes"]
    changed = weighed["replaced_megabytes"] - weighed["full_megabytes"]
    report = describe(options, embedder.model) | weighed
    report["kept"] = grown <= GROWS * wanted and changed <= CHANGES * wanted
    print(f"{weighed['answers']:,} answers and {weighed['embeddings']:,} embeddings fill caches of {wanted} MB")
    print(f"the process grew by {grown:.1f} MB, and by {changed:.1f} MB while all were replaced")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0 if report["kept"] else 1


def fill(indexes: Path) -> dict[str, Any]:
    """Fill the caches of a server on the snapshots, then replace their content."""
    settings = Settings(flora_indexes=indexes, data=indexes)
    serving = Serving(make_services(settings))
    published, random = make_services(settings).published, np.random.default_rng(1)

    def put(number: int) -> None:
        rows = unit_rows(random.normal(size=(1, DIM)))
        with published.lease() as snapshot:
            answer = identify_embeddings(rows, snapshot, flora=WORLD, voting=snapshot.voting, candidates=10)
        serving.answers.put(make_key("answer", number), answer)

    def keep(number: int) -> None:
        serving.embeddings.put(make_key("embedding", number), random.normal(size=DIM).astype(np.float32))

    put(0)
    empty = resident_megabytes(os.getpid())
    answers, embeddings = until_full(put, serving.answers), until_full(keep, serving.embeddings)
    full = resident_megabytes(os.getpid())
    for number in range(answers):
        put(2 * answers + number)
    for number in range(embeddings):
        keep(2 * embeddings + number)
    return {
        "cache_megabytes": settings.cache_megabytes,
        "answers": answers,
        "embeddings": embeddings,
        "empty_megabytes": round(empty, 1),
        "full_megabytes": round(full, 1),
        "replaced_megabytes": round(resident_megabytes(os.getpid()), 1),
    }


def until_full(put: Callable[[int], None], cache: BoundedCache[Any]) -> int:
    """Put values until one is evicted; returns how many the cache holds."""
    held = -1
    while len(cache) > held:
        held = len(cache)
        put(1 + held)
    return held


if __name__ == "__main__":
    sys.exit(main())
