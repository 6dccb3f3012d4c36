"""identify, similar: an observation's photos in, ranked species or reference photos out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from fungarium.terminal import PATH, Day, OneOf, as_json, with_settings

if TYPE_CHECKING:
    from settings import Settings


def question(command: Callable[..., Any]) -> Callable[..., Any]:
    """What both commands are told: the photos, and where to look."""
    for add in reversed(
        (
            click.argument("photos", nargs=-1, required=True, type=PATH, metavar="PHOTO..."),
            click.option("--flora", default="world", show_default=True, help="Flora to search."),
            click.option("--count", type=click.IntRange(1), default=10, show_default=True, help="How many to list."),
            as_json,
            click.option("--indexes", type=PATH, help="Folder of the snapshots.  [default: FUNGARIUM_FLORA_INDEXES]"),
            click.option("--snapshot", help="A snapshot by name instead of the published one."),
            click.option("--model", help="Model handle.  [default: FUNGARIUM_MODEL]"),
            click.option("--card", type=PATH, help="The model's card."),
        )
    ):
        command = add(command)
    return command


@click.command()
@question
@click.option("--place", help="Latitude,longitude of the find in degrees, such as -33.87,151.21.")
@click.option("--date", "day", type=Day(), help="Day of the find, YYYY-MM-DD.")
@click.option("--habitat", type=OneOf("retrieval.domain:HABITATS"), help="What grows around the find.")
@click.option("--substrate", type=OneOf("retrieval.domain:SUBSTRATES"), help="What it grows on.")
@click.option(
    "--prior",
    "priors",
    multiple=True,
    type=OneOf("retrieval.ranking.priors:PRIORS"),
    help="Apply this prior; repeat for several.",
)
@click.option("--no-priors", is_flag=True, help="Apply none, whatever place and date are given.")
@click.option("--within", multiple=True, metavar="NAME", help="A taxon you are sure of.")
@click.option(
    "--aspect", "aspects", multiple=True, type=OneOf("retrieval.domain:ASPECTS"), help="What each photo shows."
)
@click.option("--target", type=float, help="Share of answers to be right.  [default: 0.9]")
@click.option(
    "--fusion",
    type=OneOf("retrieval.ranking.fusion:FUSIONS", "learned"),
    default="learned",
    help="How photos are fused.  [default: as calibrated]",
)
@click.option(
    "--views",
    type=OneOf("retrieval.photos.crops:AUGMENTATIONS"),
    default="none",
    show_default=True,
    help="Crops that each photo is averaged of.",
)
@click.option(
    "--box",
    "boxes",
    multiple=True,
    metavar="L,T,W,H",
    help="Where the fungus is on each photo: left,top,width,height in shares of its sides; '' for the whole.",
)
@click.option("--partial", is_flag=True, help="On a cluster: answer also where a part gives no answer, and say which.")
@click.option("--no-reject", is_flag=True, help="Rank even what is probably none of these.")
@with_settings
def identify(settings: Settings, **options: Any) -> None:
    """Rank the species of a flora for the photos of ONE find."""
    from fungarium.jobs.answering import print_identification

    print_identification(settings, options)


@click.command()
@question
@with_settings
def similar(settings: Settings, **options: Any) -> None:
    """List the reference photos that look most like the photos."""
    from fungarium.jobs.answering import print_similar

    print_similar(settings, options)
