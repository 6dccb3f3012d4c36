"""demo: a drawn collection, to try the program without photos of your own."""

from __future__ import annotations

from pathlib import Path

import click

from fungarium.terminal import PATH, Group, ProgressBars


@click.group(cls=Group)
def demo() -> None:
    """Draw a collection of fungi that do not exist."""


@demo.command()
@click.argument("folder", type=PATH)
@click.option("--species", type=int, default=60, show_default=True, help="Number of species.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed invents another collection.")
@click.option("--processes", type=int, help="Number of processes.  [default: all processors]")
def draw(folder: Path, species: int, seed: int, processes: int | None) -> None:
    """Draw photos and checklists of fungi that do not exist.

    Includes an archive for `collection import`. Safe to run again.
    """
    from evaluation.specimens.collection import draw_collection

    with ProgressBars("photo") as bars:
        collection = draw_collection(folder, seed=seed, species=species, processes=processes, progress=bars)
    print(
        f"{collection.folder}: {collection.photos} drawings of {collection.observations} "
        f"observations of {collection.species} species that do not exist ({collection.drawn} drawn now)"
    )
