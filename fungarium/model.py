"""model: list and check embedding models, and adapt or train your own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fungarium.terminal import PATH, Group, OneOf, ProgressBars, as_json, print_json, with_settings
from fungarium.training import TRAINING

if TYPE_CHECKING:
    from retrieval.models.catalogue import KnownModel
    from settings import Settings

card_choice = click.option("--card", type=PATH, help="File with the model's preprocessing, if not beside the model.")
out_choice = click.option("--out", type=PATH, required=True, metavar="NAME", help="Output path without a suffix.")


@click.group(cls=Group)
def model() -> None:
    """List, check, adapt and train embedding models."""


@model.command("list")
@as_json
@with_settings
def list_models(settings: Settings, as_json: bool) -> None:
    """List the kinds of model handles."""
    from retrieval.models.handles import HANDLES

    if as_json:
        print_json({"handles": dict(HANDLES), "chosen": settings.model})
        return
    for handle, does in HANDLES.items():
        print(f"{handle:18} {does}")
    print(f"\nchosen by FUNGARIUM_MODEL: {settings.model}")


@model.command()
@click.argument("name", required=False)
@click.option(
    "--licence",
    default="any",
    show_default=True,
    help="open: any use is allowed; or the beginning of a licence's name, such as apache.",
)
@click.option("--megabytes", type=click.FloatRange(min=0, min_open=True), help="Largest download.")
@as_json
def catalogue(name: str | None, licence: str, megabytes: float | None, as_json: bool) -> None:
    """List known networks: licence, size, training, how to get them.

    With NAME, everything that is known of one. Nothing is downloaded.
    """
    from retrieval.models.catalogue import find_known, known_models, select_models

    found = [find_known(name)] if name else select_models(known_models(), licence=licence, megabytes=megabytes)
    if as_json:
        print_json([one.as_json() for one in found])
    else:
        print_known(found, whole=name is not None)


def print_known(models: Sequence[KnownModel], *, whole: bool) -> None:
    """Print known networks: a table, or with `whole` all that is known of each."""
    if whole:
        for model in models:
            for title, value in describe_known(model).items():
                print(f"{title:12} {value}")
        return
    print(f"{'name':28} {'width':>5} {'MB':>5} {'licence':13} trained on")
    for model in models:
        size = f"{model.megabytes:.0f}" if model.megabytes else "?"
        print(f"{model.name:28} {model.width:5} {size:>5} {model.licence:13} {model.trained_on.partition(':')[0]}")
    print(f"\n{len(models)} networks; `fungarium model catalogue NAME` says how to get one, and what to expect")


def describe_known(model: KnownModel) -> dict[str, str]:
    """Describe a known network in words, by title."""
    parts = [f"{model.parameters:g} million parameters"] if model.parameters else []
    parts += [f"{model.megabytes:g} MB to download"] if model.megabytes else []
    head = "" if not model.needs_head else " (an index holds 256: fit a head with `fungarium model fit-head`)"
    use = "any use" if model.open else "no commercial use; read its terms"
    known = {
        "name": model.name,
        "handle": model.handle,
        "width": f"{model.width} numbers a view{head}",
        "size": ", ".join([*parts, f"{model.side} x {model.side} pixels"]),
        "licence": f"{model.licence}: {use}",
        "trained on": model.trained_on,
        "get it": model.get,
        "measured": model.measured or "not with this program: measure it on your own collection",
        "published": model.published,
        "source": model.source,
    }
    return {title: value for title, value in known.items() if value}


@model.command()
@click.argument("handle")
@card_choice
@with_settings
def describe(settings: Settings, handle: str, card: Path | None) -> None:
    """Print a model's card as JSON."""
    from fungarium.jobs.indexing import model_card
    from retrieval.models.handles import open_model
    from retrieval.models.provenance import hide_digests

    print_json(hide_digests(open_model(handle, card or model_card(settings)).card))


@model.command()
@click.argument("handle")
@click.argument("photo", type=PATH)
@card_choice
@with_settings
def check(settings: Settings, handle: str, photo: Path, card: Path | None) -> None:
    """Embed a photo several times: length, determinism, time. A model that breaks a requirement is an error."""
    from fungarium.jobs.models import check_model

    check_model(settings, handle, card, photo)


@model.command("fit-head")
@click.option("--model", "handle", help="Model handle.  [default: FUNGARIUM_MODEL]")
@click.option(
    "--kind",
    type=OneOf("indexer.embedding.fit_head:KINDS", "best"),
    default="best",
    show_default=True,
    help="Method of fitting.",
)
@click.option(
    "--held-out",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.25,
    show_default=True,
    help="Share of the observations held out of fitting, for evaluating the head.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Random seed.")
@click.option("--build", is_flag=True, help="Embed with it from stored features, build a snapshot and calibrate it.")
@card_choice
@click.option("--out", type=PATH, metavar="NAME", help="Output path without a suffix.  [default: in the data folder]")
@with_settings
def fit_head(
    settings: Settings, handle: str | None, card: Path | None, out: Path | None, build: bool, **options: Any
) -> None:
    """Fit a head that maps a network's features to 256 numbers.

    Photos whose features are stored are not decoded again.
    """
    from fungarium.jobs.heads import HeadOptions, fit_head

    with ProgressBars() as bars:
        fit_head(settings, handle or settings.model, card, out, HeadOptions(**options), build=build, progress=bars)


@model.command()
@click.argument("handle")
@click.option("--precision", type=click.Choice(["bf16", "int8"]), required=True)
@card_choice
@out_choice
@with_settings
def lower(settings: Settings, handle: str, precision: str, card: Path | None, out: Path) -> None:
    """Convert a network to bf16 or int8, if recall allows it."""
    from fungarium.jobs.models import lower_precision

    with ProgressBars("photo") as bars:
        lower_precision(settings, handle, card, out, precision=precision, progress=bars)


@model.command()
@click.argument("out", type=PATH, metavar="FILE")
@with_settings
def table(settings: Settings, out: Path) -> None:
    """Write a table of the photos, as input of `gather`."""
    from fungarium.jobs.models import write_table

    write_table(settings, out)


for command in TRAINING:
    model.add_command(command)
