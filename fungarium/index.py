"""index: from the catalogue's photos to a published snapshot, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fungarium.terminal import PATH, Group, OneOf, ProgressBars, as_json, print_json, with_settings

if TYPE_CHECKING:
    from settings import Settings

atlas_choice = click.option(
    "--atlas/--no-atlas",
    "wanted",
    default=None,
    help="Lay the references out for /atlas afterwards.  [default: if there are few enough for that to be quick]",
)
model_choice = click.option("--model", help="Model handle; `model list` lists them.  [default: FUNGARIUM_MODEL]")
card_choice = click.option("--card", type=PATH, help="File with the model's preprocessing, if not beside the model.")
views_choice = click.option(
    "--views",
    type=OneOf("retrieval.photos.crops:AUGMENTATIONS"),
    default="none",
    show_default=True,
    help="Crops averaged for each photo.",
)


consent = click.option("--yes", "is_agreed", is_flag=True, help="Do not ask before the model is changed.")


@click.group(cls=Group)
def index() -> None:
    """Embed photos, build snapshots of them, and publish them."""


@index.command()
@model_choice
@card_choice
@views_choice
@click.option("--retry", is_flag=True, help="Retry photos that failed before.")
@with_settings
def embed(settings: Settings, model: str | None, card: Path | None, views: str, retry: bool) -> None:
    """Embed all photos not yet embedded with the model."""
    from fungarium.jobs.indexing import embed_catalogue

    with ProgressBars("photo") as bars:
        embed_catalogue(settings, model, card, views=views, retry=retry, progress=bars)


@index.command()
@model_choice
@card_choice
@views_choice
@with_settings
def build(settings: Settings, model: str | None, card: Path | None, views: str) -> None:
    """Build a snapshot of the embedded photos, without publishing it."""
    from fungarium.jobs.heads import advise_on_head
    from fungarium.jobs.indexing import build_from_catalogue

    with ProgressBars() as bars:
        build_from_catalogue(settings, model, card, views=views, progress=bars)
        if views == "none":
            advise_on_head(settings, model, card, progress=bars)


@index.command()
@click.argument("snapshot", required=False)
@click.option(
    "--recall-bar",
    type=float,
    help="Least recall@10 against exact search, measured when it was built, of any flora.  [default: 0.99]",
)
@click.option(
    "--as-it-is",
    is_flag=True,
    help="Omit references published since it was made; by default they are carried over, or it is refused.",
)
@click.option("--line", default="stable", show_default=True, help="Publish it as this line, beside the stable one.")
@consent
@atlas_choice
@with_settings
def publish(
    settings: Settings,
    snapshot: str | None,
    recall_bar: float | None,
    as_it_is: bool,
    line: str,
    is_agreed: bool,
    wanted: bool | None,
) -> None:
    """Verify a snapshot and switch readers to it.

    SNAPSHOT is its name, by default the one built last. A request names a further --line to be answered by it.
    """
    from fungarium.jobs.publishing import agree_to_model, announce, lay_out_published
    from retrieval.search.recipes import RECALL_BAR
    from retrieval.snapshots.manifest import STABLE
    from retrieval.snapshots.publishing import newest_built, publish_snapshot

    bar = RECALL_BAR if recall_bar is None else recall_bar
    chosen = snapshot or newest_built(settings.flora_indexes)
    if line == STABLE:
        agree_to_model(settings, chosen, is_agreed=is_agreed)
    with ProgressBars("B") as bars:
        name = publish_snapshot(
            settings.flora_indexes, chosen, line=line, recall_bar=bar, as_it_is=as_it_is, progress=bars
        )
    announce(name, settings, line)
    if name != chosen:
        print(f"it combines the calibration of {chosen} with the references published since")
    if line == STABLE:
        lay_out_published(settings, wanted=wanted)


@index.command()
@consent
@with_settings
def rollback(settings: Settings, is_agreed: bool) -> None:
    """Return to the snapshot published before; twice goes back two."""
    from functools import partial

    from fungarium.jobs.publishing import agree_to_model, announce
    from retrieval.snapshots.publishing import roll_back

    agree = partial(agree_to_model, settings, is_agreed=is_agreed)
    announce(roll_back(settings.flora_indexes, agree=agree), settings)


@index.command()
@as_json
@with_settings
def lines(settings: Settings, as_json: bool) -> None:
    """List the published lines: the stable one, and those beside it.

    `publish --line NAME` makes one, `promote` makes it the stable one, `retire`
    removes it.
    """
    from dataclasses import asdict

    from retrieval.snapshots.lines import list_lines

    rows = list_lines(settings.flora_indexes)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    print(f"{'line':16}  {'snapshot':16}  {'published':25}  {'references':>10}  model")
    for row in rows:
        state = row.model if row.state == "whole" else row.state
        print(f"{row.line:16}  {row.snapshot:16}  {row.published:25}  {row.references:10}  {state}")


@index.command()
@click.argument("line")
@click.option("--as-it-is", is_flag=True, help="Omit references published since it was made; by default it is refused.")
@atlas_choice
@with_settings
def promote(settings: Settings, line: str, as_it_is: bool, wanted: bool | None) -> None:
    """Make LINE the stable one: what answers everybody.

    It stays a line until it is retired; `rollback` returns to what was stable.
    """
    from fungarium.jobs.publishing import announce, lay_out_published, require_served
    from retrieval.snapshots.lines import promote_line
    from retrieval.snapshots.manifest import read_current

    require_served(settings, read_current(settings.flora_indexes, line))
    with ProgressBars("B") as bars:
        name = promote_line(settings.flora_indexes, line, as_it_is=as_it_is, progress=bars)
    announce(name, settings)
    lay_out_published(settings, wanted=wanted)


@index.command()
@click.argument("line")
@with_settings
def retire(settings: Settings, line: str) -> None:
    """Remove LINE: requests that name it are refused.

    Its snapshot stays on disk.
    """
    from retrieval.snapshots.lines import retire_line

    print(f"retired {line}, which was {retire_line(settings.flora_indexes, line)}")


@index.command()
@click.argument("snapshot", required=False)
@with_settings
def verify(settings: Settings, snapshot: str | None) -> None:
    """Check every byte of a snapshot, and its indexes.

    Indexes are compared with exact search. SNAPSHOT is its name or a line's, by default
    the published one. The first fault found is the error.
    """
    from retrieval.snapshots.manifest import find_snapshot
    from retrieval.snapshots.publishing import verify_snapshot

    name = find_snapshot(settings.flora_indexes, snapshot)
    verify_snapshot(settings.flora_indexes, name)
    print(f"snapshot {name} is intact, and its indexes agree with exact search")


@index.command("list")
@as_json
@with_settings
def list_built(settings: Settings, as_json: bool) -> None:
    """List the snapshots, newest first.

    Reads only manifests; `verify` reads the rest.
    """
    from dataclasses import asdict

    from retrieval.errors import BuildError
    from retrieval.snapshots.publishing import list_snapshots
    from retrieval.snapshots.withdrawals import read_withdrawals

    rows = list_snapshots(settings.flora_indexes)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    if not rows:
        raise BuildError(f"nothing has been built under {settings.flora_indexes}: run `fungarium index build`")
    print(f"  {'snapshot':16}  {'built':25}  {'published':25}  {'references':>10}  {'species':>7}  model")
    for row in rows:
        star = "*" if row.current else " "
        state = row.model if row.state == "whole" else row.state
        print(
            f"{star} {row.name:16}  {row.built:25}  {row.published:25}  {row.references:10}  {row.species:7}  {state}"
        )
    if withdrawn := len(read_withdrawals(settings.flora_indexes)):
        print(f"{withdrawn} photos are withdrawn and excluded from all snapshots")


@index.command()
@atlas_choice
@with_settings
def compact(settings: Settings, wanted: bool | None) -> None:
    """Rewrite all references without withdrawn ones, and publish.

    Answers stay the same.
    """
    from fungarium.jobs.publishing import announce, lay_out_published
    from indexer.building.grow import compact_snapshot
    from retrieval.snapshots.publishing import publish_snapshot

    with ProgressBars() as bars:
        name = compact_snapshot(settings.flora_indexes, progress=bars)
        publish_snapshot(settings.flora_indexes, name, progress=bars)
    announce(name, settings)
    lay_out_published(settings, wanted=wanted)


@index.command()
@click.argument("photos", nargs=-1)
@click.option("--dataset", default="", metavar="ID", help="All photos of a dataset.")
@click.option("--observation", default="", metavar="DATASET:KEY", help="All photos of an observation.")
@click.option("--undo", is_flag=True, help="Readmit them.")
@with_settings
def withdraw(settings: Settings, photos: tuple[str, ...], dataset: str, observation: str, undo: bool) -> None:
    """Withdraw reference photos from all snapshots at once.

    PHOTOS are named by their SHA-256. No import, build or rollback restores them until --undo.
    """
    from fungarium.jobs import publishing

    act = publishing.readmit if undo else publishing.withdraw
    act(settings, photos, dataset=dataset, observation=observation)


@index.command()
@click.option(
    "--method",
    type=click.Choice(["pca", "tsne"]),
    help="Method.  [default: tsne if requirements-atlas.txt is installed]",
)
@with_settings
def atlas(settings: Settings, method: str | None) -> None:
    """Lay the references out on a plane, and find doubtful ones.

    This is for the page /atlas; `publish` does it if it is quick.
    """
    from fungarium.jobs.publishing import lay_out

    lay_out(settings, method or "")
