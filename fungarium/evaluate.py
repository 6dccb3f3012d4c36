"""evaluate: how often the published snapshot is right, and learning from its own observations what scores mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fungarium.terminal import PATH, Bars, Group, with_settings

if TYPE_CHECKING:
    from settings import Settings

snapshot_argument = click.argument("snapshot", required=False)
indexes_choice = click.option(
    "--indexes", type=PATH, help="Folder of the snapshots.  [default: FUNGARIUM_FLORA_INDEXES]"
)
flora_choice = click.option("--flora", default="world", show_default=True, help="Flora to search.")
seed_choice = click.option("--seed", type=int, default=1, show_default=True, help="Of every random choice.")
not_fungi_choice = click.option("--not-fungi", type=PATH, help="Folder of photos that show no fungus.")
model_choice = click.option("--model", help="Model handle, to embed them.")
card_choice = click.option("--card", type=PATH, help="The model's card.")


@click.group(cls=Group)
def evaluate() -> None:
    """Measure and calibrate a snapshot on its own observations."""


@evaluate.command()
@snapshot_argument
@indexes_choice
@flora_choice
@click.option("--photos", type=int, help="Use the first so many photos of each observation only.")
@click.option("--temperature", type=float, help="Of the votes' kernel.  [default: the snapshot's]")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the bootstrap.")
@click.option("--json", "file", metavar="FILE", help="Write the result as JSON too; - for stdout instead of text.")
@with_settings
def measure(settings: Settings, snapshot: str | None, indexes: Path | None, **options: Any) -> None:
    """Print how often a snapshot is right.

    Each observation is left out in turn and asked for. SNAPSHOT is the published one by default.
    """
    from fungarium.jobs.evaluating import measure_snapshot

    with Bars("observation") as bars:
        measure_snapshot(indexes or settings.flora_indexes, snapshot, options, bars)


@evaluate.command()
@snapshot_argument
@indexes_choice
@seed_choice
@with_settings
def calibrate(settings: Settings, snapshot: str | None, indexes: Path | None, seed: int) -> None:
    """Learn from the snapshot's own observations what scores mean.

    Writes a new snapshot and prints its name, which `fungarium index publish` takes.
    """
    from evaluation.learning.calibrate import calibrate_snapshot
    from retrieval.snapshots.snapshot import open_snapshot

    root = indexes or settings.flora_indexes
    with Bars() as bars:
        name = calibrate_snapshot(root, open_snapshot(root, snapshot), seed=seed, progress=bars)
    open_snapshot(root, name).close()
    print(name)


@evaluate.command()
@snapshot_argument
@indexes_choice
@flora_choice
@click.option(
    "--out", type=PATH, default=Path("report.html"), show_default=True, help="Page, or a folder; JSON beside it."
)
@click.option("--no-ablations", is_flag=True, help="Leave out the ablation table, the longest part.")
@not_fungi_choice
@model_choice
@card_choice
@seed_choice
@with_settings
def report(settings: Settings, snapshot: str | None, indexes: Path | None, **options: Any) -> None:
    """Write a page on all that is known of a snapshot's accuracy."""
    from fungarium.jobs.evaluating import write_report

    with Bars("step") as bars:
        write_report(indexes or settings.flora_indexes, snapshot, options, bars)


@evaluate.command()
@click.option("--names", type=PATH, help="COCO file with names of species and genera.  [default: invented]")
@click.option("--photos", type=PATH, help="Folder of a published snapshot of real photos.")
@click.option("--drawings", type=PATH, help="Folder of a published snapshot of the demo collection.")
@click.option("--no-simulation", is_flag=True, help="Keep what was measured of the simulated collection.")
@click.option("--docs", type=PATH, default=Path("docs"), show_default=True, help="Where to write.")
@click.option("--table-only", is_flag=True, help="Write the table from the kept measurements.")
@not_fungi_choice
@model_choice
@card_choice
@seed_choice
def accuracy(**options: Any) -> None:
    """Measure anew what docs/accuracy.md says, and write it."""
    from fungarium.jobs.evaluating import write_accuracy

    with Bars("step") as bars:
        write_accuracy(options, bars)
