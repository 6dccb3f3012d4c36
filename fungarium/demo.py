"""demo: a collection to try the program with, without any photo of one's own."""

from __future__ import annotations

from pathlib import Path

import click

from fungarium.terminal import PATH, Bars, Group


@click.group(cls=Group)
def demo() -> None:
    """Draw a collection of fungi that do not exist, to try with."""


@demo.command()
@click.argument("folder", type=PATH)
@click.option("--species", type=int, default=60, show_default=True, help="How many species.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed invents another collection.")
@click.option("--processes", type=int, help="How many to draw with.  [default: all processors]")
def draw(folder: Path, species: int, seed: int, processes: int | None) -> None:
    """Draw photos of fungi that do not exist, and checklists.

    With an archive for `collection import`. Safe to run again.
    """
    from evaluation.specimens.collection import draw_collection

    with Bars("photo") as bars:
        collection = draw_collection(folder, seed=seed, species=species, processes=processes, progress=bars)
    print(
        f"{collection.folder}: {collection.photos} drawings of {collection.observations} finds "
        f"of {collection.species} species that do not exist ({collection.drawn} drawn now)"
    )
