"""Measures appending to a published collection and the size of hundreds of floras, for the flora search benchmark."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.collection import Collection
from benchmarks.search.engine import make_entry
from indexer.building.grow import append_references
from retrieval.domain import WORLD
from retrieval.search.recipes import Recipe
from retrieval.snapshots.flora import ReferenceShelf
from retrieval.snapshots.manifest import FloraCard
from retrieval.snapshots.publishing import publish_snapshot
from retrieval.snapshots.snapshot import open_snapshot


def many_floras(floras: int = 300, species: int = 20_000) -> dict[str, float]:
    """Measure the size of hundreds of open floras of a large world, in memory and on disk."""
    known = np.arange(2 * species, dtype=np.int64)

    class Listed:
        """A stand-in for a segment: a list of species."""

        species = known
        withdrawn = None

        def count_references(self) -> NDArray[np.int64]:
            return np.ones_like(known)

    shelf = ReferenceShelf(known, [Listed()])  # type: ignore[list-item] # only this part is used
    draw = np.random.default_rng(0)
    tracemalloc.start()
    held = []
    for number in range(floras):
        bits = np.zeros(2 * species, dtype=np.bool_)
        bits[draw.choice(2 * species, species, replace=False)] = True
        held.append(shelf.cut(bits, FloraCard(str(number), "", species, species, species), Recipe()))
    bytes_held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return {
        "floras": len(held),
        "species": species,
        "bytes_in_memory": bytes_held,
        "bytes_on_disk": floras * 2 * species / 8,
    }


def append(root: Path, collection: Collection) -> dict[str, Any]:
    """Append 1,000 references and publish; return seconds, and whether old files are unchanged."""
    draw = np.random.default_rng(5)
    species = np.sort(draw.integers(0, int(collection.species[-1]) + 1, 500))
    rows = collection.world.photograph(species, 2, draw)
    first, seen = len(collection.rows), int(collection.observations[-1]) + 1
    entries = [make_entry(first + n, int(species[n // 2]), seen + n // 2) for n in range(len(rows))]
    old = {path: path.stat().st_mtime_ns for path in (root / "segments").rglob("*") if path.is_file()}
    started = time.perf_counter()
    append_references(root, entries, rows)
    appended = time.perf_counter()
    publish_snapshot(root)
    published = time.perf_counter()
    snapshot = open_snapshot(root)
    found = snapshot.flora(WORLD).search(rows[:1], 1)
    searchable = snapshot.reference(int(found.rows[0, 0])).photo == entries[0].photo
    snapshot.close()
    return {
        "references": len(rows),
        "append_s": appended - started,
        "publish_s": published - appended,
        "old_files_untouched": all(path.stat().st_mtime_ns == time_ for path, time_ in old.items()),
        "searchable": searchable,
    }
