"""Measures the time and memory of `fungarium evaluate report` on a snapshot the size of a national atlas.

    python -m benchmarks.building.report_cost [--references 100000] [--out benchmarks/results/report_cost.json]

The snapshot is built by the project's own indexer from the simulated collection (`evaluation/galleries/simulate.py`),
with months, H3 cells and aspects; then the command is run in a separate process. On a busy machine,
`processorSeconds` is more meaningful than `seconds`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search.engine import CARD, Rows
from evaluation.galleries.simulate import GRID, Assumptions, Simulation, simulate
from indexer.building.build import Catalogue, FloraPlan, build_snapshot
from retrieval.domain import ASPECTS, RANKS, Taxon
from retrieval.segments.segment import ReferenceEntry
from retrieval.snapshots.cells import cell_of
from retrieval.snapshots.observation_context import ObservationContext
from retrieval.snapshots.occurrences import Occurrence
from retrieval.snapshots.publishing import publish_snapshot

SOUTH, WEST, STEP_NORTH, STEP_EAST = 46.0, 4.0, 0.36, 0.52  # degrees; a step is about the width of a cell
PACKAGES = ("numpy", "faiss-cpu", "h3")


def main() -> int:
    """Build, run the report, and print the measurements."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.building.report_cost", description=__doc__)
    parser.add_argument("--references", type=int, default=100_000, help="references (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the collection and the report (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of NumPy (default: all cores)")
    parser.add_argument("--out", type=Path, help="write the figures as JSON too")
    parser.add_argument("--keep", type=Path, help="where to keep the snapshot and the report (default: nowhere)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = options.keep or Path(folder)
        root = place / "indexes"
        if not (root / "CURRENT").exists():
            build(root, simulate(Assumptions(references=options.references), queries=10, seed=options.seed))
        figures = measure(root, place, options)
    print(json.dumps(figures, indent=1))
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def build(root: Path, drawn: Simulation) -> None:
    """Build and publish the simulated gallery with the indexer."""
    found = drawn.gallery
    numbers = drawn.lineages + np.arange(1, len(RANKS) + 1) * 1_000_000
    taxa = {}
    for line in numbers.tolist():
        for rank, (taxon, parent) in enumerate(zip(line, [None, *line], strict=False)):
            name = f"{RANKS[rank]}{taxon}"
            toxicity = "said to be toxic in this simulation" if taxon % 50 == 0 else ""
            taxa[taxon] = (Taxon(taxon, name, RANKS[rank], parent), toxicity)
    species = numbers[found.species, -1].tolist()
    entries = [
        ReferenceEntry(
            f"{row:064x}", seen, f"simulated:{seen}", taxon, "Nobody", "CC0-1.0", "simulated", ASPECTS[row % 5]
        )
        for row, (taxon, seen) in enumerate(zip(species, found.observation.tolist(), strict=True))
    ]
    first = np.flatnonzero(np.diff(found.observation, prepend=-1))
    cells = [cell_of(SOUTH + STEP_NORTH * (at // GRID), WEST + STEP_EAST * (at % GRID)) for at in range(GRID * GRID)]
    contexts = [
        ObservationContext(int(found.observation[row]), int(found.month[row]) + 1, cells[int(found.cell[row])])
        for row in first.tolist()
    ]
    region = frozenset(numbers[drawn.region, -1].tolist())
    catalogue = Catalogue(
        entries,
        list(taxa.values()),
        [],
        [],
        [FloraPlan("region", "The region", region)],
        [Occurrence(species[row], one.month, one.cell) for row, one in zip(first.tolist(), contexts, strict=True)],
        contexts,
    )
    build_snapshot(root, catalogue, WideRows(found.embeddings.astype(np.float16)), CARD)  # type: ignore[arg-type]
    publish_snapshot(root)


class WideRows(Rows):
    """Rows by photo name, which is the row number in hexadecimal."""

    def read(self, photos: list[str]) -> Any:
        """The embeddings of photos whose names are their rows."""
        return self._rows[[int(photo, 16) for photo in photos]]


def measure(root: Path, place: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run the command in a separate process; return seconds, peak memory and key figures of the report."""
    command = [
        sys.executable,
        "-m",
        "fungarium",
        "evaluate",
        "report",
        "--indexes",
        str(root),
        "--out",
        str(place / "report.html"),
    ]
    threads = {"OPENBLAS_NUM_THREADS": str(options.threads), "OMP_NUM_THREADS": str(options.threads)}
    started = time.perf_counter()
    subprocess.run([*command, "--seed", str(options.seed)], check=True, env={**os.environ, **threads})  # noqa: S603
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = json.loads((place / "report.json").read_text(encoding="utf-8"))
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "threads": options.threads,
        "seed": options.seed,
        "references": found["references"],
        "species": found["species"],
        "judged": found["observations"],
        "seconds": round(seconds, 1),
        "processorSeconds": round(used.ru_utime + used.ru_stime, 1),
        "mostMemoryMB": round(used.ru_maxrss / 1024),
        "load": [round(one, 2) for one in os.getloadavg()],
        "top1": found["measures"]["top1"],
        "calibrationError": found["calibrationError"],
        "priors": found["priors"],
    }


if __name__ == "__main__":
    sys.exit(main())
