"""evaluate: measure the accuracy of the published snapshot, and calibrate its scores on its own observations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fungarium.terminal import PATH, Group, ProgressBars, with_settings

if TYPE_CHECKING:
    from settings import Settings

snapshot_argument = click.argument("snapshot", required=False)
indexes_choice = click.option(
    "--indexes", type=PATH, help="Folder of the snapshots.  [default: FUNGARIUM_FLORA_INDEXES]"
)
flora_choice = click.option("--flora", default="world", show_default=True, help="Flora to search.")
seed_choice = click.option("--seed", type=int, default=1, show_default=True, help="Random seed.")
not_fungi_choice = click.option("--not-fungi", type=PATH, help="Folder of photos that show no fungus.")
model_choice = click.option("--model", help="Model handle for embedding them.")
card_choice = click.option("--card", type=PATH, help="The model's card.")


@click.group(cls=Group)
def evaluate() -> None:
    """Measure and calibrate a snapshot on its own observations."""


@evaluate.command()
@snapshot_argument
@indexes_choice
@flora_choice
@click.option("--photos", type=int, help="Use only the first so many photos of each observation.")
@click.option("--temperature", type=float, help="Temperature of the votes' kernel.  [default: the snapshot's]")
@click.option("--seed", type=int, default=1, show_default=True, help="Random seed of the bootstrap.")
@click.option("--json", "file", metavar="FILE", help="Write the result as JSON too; - for stdout instead of text.")
@with_settings
def measure(settings: Settings, snapshot: str | None, indexes: Path | None, **options: Any) -> None:
    """Measure the accuracy of a snapshot by leave-one-out.

    Each observation is left out in turn and identified. SNAPSHOT is the published one by default.
    """
    from fungarium.jobs.evaluating import measure_snapshot

    with ProgressBars("observation") as bars:
        measure_snapshot(indexes or settings.flora_indexes, snapshot, options, bars)


@evaluate.command()
@snapshot_argument
@indexes_choice
@seed_choice
@with_settings
def calibrate(settings: Settings, snapshot: str | None, indexes: Path | None, seed: int) -> None:
    """Calibrate scores on the snapshot's own observations.

    Writes a new snapshot and prints its name, for `fungarium index publish`.
    """
    from evaluation.learning.calibrate import calibrate_snapshot
    from retrieval.snapshots.snapshot import open_snapshot

    root = indexes or settings.flora_indexes
    with ProgressBars() as bars:
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
    """Write a page with the full accuracy report of a snapshot."""
    from fungarium.jobs.evaluating import write_report

    with ProgressBars("step") as bars:
        write_report(indexes or settings.flora_indexes, snapshot, options, settings.database_url, bars)


@evaluate.command()
@click.option("--model", help="Model handle.  [default: FUNGARIUM_MODEL]")
@card_choice
@click.option("--most", type=click.IntRange(min=2), default=2000, show_default=True, help="Photos, of whole species.")
@seed_choice
@click.option("--json", "file", metavar="FILE", help="Write the result as JSON too.")
@with_settings
def views(settings: Settings, model: str | None, card: Path | None, **options: Any) -> None:
    """Measure what several views of a photo gain and cost.

    Judges test-time augmentation on the catalogue's photos, each observation held
    out in turn: mean of embeddings, sum of scores, mode of first places. It embeds
    14 crops of each photo, and can be interrupted.
    """
    from fungarium.jobs.views import measure_augmentations

    with ProgressBars("photo") as bars:
        measure_augmentations(settings, model, card, progress=bars, **options)


@evaluate.command()
@click.option("--names", type=PATH, help="COCO file with names of species and genera.  [default: invented]")
@click.option("--photos", type=PATH, help="Folder of a published snapshot of real photos.")
@click.option("--drawings", type=PATH, help="Folder of a published snapshot of the demo collection.")
@click.option("--no-simulation", is_flag=True, help="Keep the stored results of the simulated collection.")
@click.option("--docs", type=PATH, default=Path("docs"), show_default=True, help="Folder to write to.")
@click.option("--table-only", is_flag=True, help="Only write the table from the stored results.")
@not_fungi_choice
@model_choice
@card_choice
@seed_choice
def accuracy(**options: Any) -> None:
    """Measure the figures of docs/accuracy.md again, and write it."""
    from fungarium.jobs.evaluating import write_accuracy

    with ProgressBars("step") as bars:
        write_accuracy(options, bars)
