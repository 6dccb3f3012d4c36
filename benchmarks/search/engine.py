"""Builds, publishes and opens the synthetic collection with the project's own indexer, for the benchmarks."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.collection import Collection
from indexer.building.build import Catalogue, FloraPlan
from retrieval.domain import Taxon
from retrieval.models.embedder import Embeddings
from retrieval.segments.segment import ReferenceEntry

FIRST = 1_000  # taxon id of species 0
CARD = {"model": "synthetic@1", "runtime": "numpy", "precision": "f32"}
LICENCES = ("CC-BY-4.0", "CC-BY-NC-4.0", "CC0-1.0")


class Rows:
    """Embeddings in memory, in place of the embedding store."""

    def __init__(self, rows: NDArray[np.float16]) -> None:
        self._rows = rows

    def read(self, photos: list[str]) -> NDArray[np.float16]:
        """Return the embeddings of photos, whose names begin with their row in hexadecimal."""
        return self._rows[[int(photo[:8], 16) for photo in photos]]


def make_entry(row: int, species: int, observation: int) -> ReferenceEntry:
    """Make a reference whose photo name begins with its row, so that segments keep the order of rows."""
    photo = f"{row:08x}" + hashlib.sha256(str(row).encode()).hexdigest()[:56]
    return ReferenceEntry(
        photo, observation, f"synthetic:{observation}", FIRST + species, "Nobody", LICENCES[row % 3], "synthetic"
    )


def make_catalogue(collection: Collection) -> Catalogue:
    """Convert a collection to the catalogue that a build reads."""
    columns = zip(collection.species.tolist(), collection.observations.tolist(), strict=True)
    genera = sorted(set(collection.world.genus.tolist()))
    taxa = [(Taxon(1 + genus, f"Genus{genus}", "genus"), "") for genus in genera]
    taxa += [
        (Taxon(FIRST + number, f"Genus{genus} species{number}", "species", 1 + genus), "")
        for number, genus in enumerate(collection.world.genus.tolist())
    ]
    floras = [
        FloraPlan(flora, flora, frozenset((FIRST + species).tolist())) for flora, species in collection.floras.items()
    ]
    entries = [make_entry(row, *column) for row, column in enumerate(columns)]
    return Catalogue(entries, taxa, [], [], floras)


OPENING = """
import json, sys, time
from pathlib import Path
import numpy as np
from retrieval.snapshots.snapshot import open_snapshot

def private():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024

query = np.eye(2, 256, dtype=np.float32)
before = private()
started = time.perf_counter()
snapshot = open_snapshot(Path(sys.argv[1]))
opened = time.perf_counter()
held = private()
snapshot.flora("world").search(query, 50)
answered = time.perf_counter()
print(json.dumps([1e3 * (opened - started), 1e3 * (answered - opened), held - before, private() - before]))
"""


def measure_opening(root: Path, times: int = 5) -> dict[str, float]:
    """Open the published snapshot in new processes; return medians of milliseconds and private bytes."""
    command = [sys.executable, "-c", OPENING, str(root)]
    runs = [
        json.loads(subprocess.run(command, capture_output=True, check=True).stdout)  # noqa: S603 - ours
        for _ in range(times)
    ]
    names = ("open_ms", "first_answer_ms", "private_bytes_open", "private_bytes_after_world")
    return dict(zip(names, np.median(runs, axis=0).tolist(), strict=True))


def brute_force(rows: NDArray[np.float16], queries: Embeddings, k: int) -> NDArray[np.float32]:
    """Return the `k` highest similarities of each query in descending order, (queries, k), by brute force."""
    best = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for start in range(0, len(rows), 100_000):
        found = queries @ rows[start : start + 100_000].astype(np.float32).T
        both = np.concatenate([best, found], axis=1)
        best = -np.partition(-both, k - 1, axis=1)[:, :k]
    return -np.sort(-best, axis=1)
