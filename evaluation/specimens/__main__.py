"""`python -m evaluation.specimens FOLDER`: draw the demo collection."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from evaluation.specimens.collection import draw_collection
from retrieval.command import run_guarded


def main(arguments: list[str] | None = None) -> int:
    """Draw the collection that the arguments ask for; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.specimens",
        description="Draw the demo collection: photos of fungi that do not exist, with archive and checklists.",
    )
    parser.add_argument("folder", type=Path, help="where to draw it; safe to run again")
    parser.add_argument("--species", type=int, default=60, help="how many species (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="another seed invents another collection (default: 1)")
    parser.add_argument("--processes", type=int, help="how many to draw with (default: all processors)")
    chosen = parser.parse_args(arguments)

    def run() -> int:
        collection = draw_collection(
            chosen.folder, seed=chosen.seed, species=chosen.species, processes=chosen.processes, progress=True
        )
        print(
            f"{collection.folder}: {collection.photos} drawings of {collection.observations} finds "
            f"of {collection.species} species that do not exist ({collection.drawn} drawn now)"
        )
        return 0

    return run_guarded(run)


if __name__ == "__main__":
    sys.exit(main())
