"""Measures a second machine's gain in bulk embedding: `python -m benchmarks.cluster.bulk_embedding --model HANDLE`.

The Ray cluster has two nodes with one core each: each node's processes are pinned to one core, and a worker
computes with one thread. The same synthetic photos are embedded alternately by one worker and by two, each time into
an empty store, and the stores are compared byte by byte. Times include everything: planning, opening the model,
decoding, inference and storing; the load of the machine is recorded too. The driver and the head node have no core of
their own: on a machine with two cores they compete with the workers.

`--model wait:MS` sleeps MS milliseconds for each photo without using the processor; it measures the overhead of the
engine, even on a busy machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.models.embedding import draw, machine
from cluster.connection import connect, disconnect, load_ray
from cluster.embedding import BulkRun, embed_on_cluster
from indexer.embedding.embed import BATCH, PhotoToEmbed
from indexer.embedding.embeddings import EmbeddingStore
from retrieval.models.descriptor import Descriptor
from retrieval.models.embedder import Embedder, Embeddings, View
from retrieval.models.handles import absolute_handle, open_model

OBJECTS = 100_000_000  # bytes of a node's object store


class Waiting(Descriptor):
    """The descriptor, with a delay for each photo."""

    def __init__(self, milliseconds: float) -> None:
        self._milliseconds = milliseconds

    def embed(self, views: Sequence[View]) -> Embeddings:
        time.sleep(len(views) * self._milliseconds / 1000)
        return super().embed(views)


def open_waiting(milliseconds: float, *, threads: int = 0) -> Waiting:
    """Open the delayed descriptor, with the signature of `open_model`."""
    return Waiting(milliseconds)


@contextmanager
def two_nodes() -> Iterator[str]:
    """Start a cluster of two workers with one core each and a head node without; yields its address."""
    load_ray()
    from ray.cluster_utils import Cluster

    cores = sorted(os.sched_getaffinity(0))
    options = {"object_store_memory": OBJECTS, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **options})
    try:
        for core in cores[:2]:
            os.sched_setaffinity(0, {core})  # inherited by the node's processes
            cluster.add_node(num_cpus=1, **options)
        os.sched_setaffinity(0, cores)
        yield str(cluster.address)
    finally:
        os.sched_setaffinity(0, cores)
        disconnect()
        cluster.shutdown()


def write_photos(folder: Path, count: int, width: int, height: int) -> list[PhotoToEmbed]:
    """Write distinct photo files: drawn photos in turn, with different bytes appended."""
    drawn = [draw(seed, width, height) for seed in range(BATCH)]
    photos = []
    for number in range(count):
        photo = drawn[number % BATCH] + str(number).encode()
        path = folder / hashlib.sha256(photo).hexdigest()
        path.write_bytes(photo)
        photos.append(PhotoToEmbed(path.name, path.read_bytes))
    return sorted(photos, key=lambda photo: photo.photo)


def time_run(
    photos: list[PhotoToEmbed], model: Embedder, opener: Any, folder: Path, workers: int
) -> tuple[float, bytes]:
    """Embed photos into a new store; return the total seconds and the store's bytes."""
    start = time.perf_counter()
    with EmbeddingStore(folder, model.model) as store:
        embed_on_cluster(photos, store, model, opener, BulkRun(str(folder / "parts"), workers))
        path = store.path
    return time.perf_counter() - start, path.read_bytes()


def main() -> None:
    """Measure and print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--card", type=Path)
    parser.add_argument("--size", default="1600x1200", help="of the photos (default: %(default)s)")
    parser.add_argument("--count", type=int, default=1024, help="photos a run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="append the result to this file, a line of JSON")
    options = parser.parse_args()
    width, height = (int(part) for part in options.size.split("x"))
    opener: Any = partial(open_model, absolute_handle(options.model), options.card and options.card.absolute())
    if options.model.startswith("wait:"):
        opener = partial(open_waiting, float(options.model.removeprefix("wait:")))
    model: Embedder = opener(threads=1)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    loads: list[float] = []
    written: set[bytes] = set()
    with tempfile.TemporaryDirectory() as temporary, two_nodes() as address:
        connect(address)
        (Path(temporary) / "photos").mkdir()
        photos = write_photos(Path(temporary) / "photos", options.count, width, height)
        for number in range(options.rounds + 1):  # the first warms up
            for workers in (1, 2) if number % 2 else (2, 1):
                folder = Path(temporary) / f"{number}-{workers}"
                taken, store = time_run(photos, model, opener, folder, workers)
                written.add(hashlib.sha256(store).digest())
                if number:
                    seconds[workers].append(taken)
                    loads.append(os.getloadavg()[0])
    result = {
        "model": options.model if options.model.startswith("wait:") else model.model,
        "size": options.size,
        **machine(),
        "ray": load_ray().__version__,
        "photos": options.count,
        "rounds": options.rounds,
        "load_per_run": [round(load, 1) for load in loads],
        "seconds": {str(workers): [round(taken, 2) for taken in values] for workers, values in seconds.items()},
        "two_over_one_of_rounds": [round(one / two, 3) for one, two in zip(seconds[1], seconds[2], strict=True)],
        "two_over_one": round(median(one / two for one, two in zip(seconds[1], seconds[2], strict=True)), 3),
        "stores_are_identical": len(written) == 1,
    }
    print(json.dumps(result, indent=1))
    if options.out:
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
