"""identify, similar: rank species, or find reference photos, for the photos of one observation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from fungarium.terminal import PATH, Day, OneOf, as_json, with_settings

if TYPE_CHECKING:
    from settings import Settings


def identification_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments and options of both commands: the photos, and what to search."""
    for add in reversed(
        (
            click.argument("photos", nargs=-1, required=True, type=PATH, metavar="PHOTO..."),
            click.option("--flora", default="world", show_default=True, help="Flora to search."),
            click.option("--count", type=click.IntRange(1), default=10, show_default=True, help="Number of results."),
            as_json,
            click.option("--indexes", type=PATH, help="Folder of the snapshots.  [default: FUNGARIUM_FLORA_INDEXES]"),
            click.option("--snapshot", help="A snapshot or published line by name instead of the stable line."),
            click.option("--model", help="Model handle.  [default: FUNGARIUM_MODEL]"),
            click.option("--card", type=PATH, help="The model's card."),
        )
    ):
        command = add(command)
    return command


@click.command()
@identification_options
@click.option("--place", help="Latitude,longitude of the observation in degrees, such as -33.87,151.21.")
@click.option("--date", "day", type=Day(), help="Date of the observation, YYYY-MM-DD.")
@click.option("--habitat", type=OneOf("retrieval.domain:HABITATS"), help="Habitat of the observation.")
@click.option("--substrate", type=OneOf("retrieval.domain:SUBSTRATES"), help="Substrate it grows on.")
@click.option(
    "--prior",
    "priors",
    multiple=True,
    type=OneOf("retrieval.ranking.priors:PRIORS"),
    help="Apply this prior; repeat for several.",
)
@click.option("--no-priors", is_flag=True, help="Apply no priors, even with place and date.")
@click.option("--within", multiple=True, metavar="NAME", help="Limit to this taxon.")
@click.option(
    "--aspect", "aspects", multiple=True, type=OneOf("retrieval.domain:ASPECTS"), help="Part shown by each photo."
)
@click.option("--target", type=float, help="Target share of right answers.  [default: 0.9]")
@click.option(
    "--fusion",
    type=OneOf("retrieval.ranking.fusion:FUSIONS", "learned"),
    default="learned",
    help="Rule for fusing photos.  [default: as calibrated]",
)
@click.option(
    "--views",
    type=OneOf("retrieval.photos.crops:AUGMENTATIONS"),
    default="none",
    show_default=True,
    help="Crops averaged for each photo.",
)
@click.option(
    "--box",
    "boxes",
    multiple=True,
    metavar="L,T,W,H",
    help="Crop of each photo: left,top,width,height as shares of its sides; '' for the whole photo.",
)
@click.option("--partial", is_flag=True, help="On a cluster: answer even if a shard does not reply, and report it.")
@click.option("--no-reject", is_flag=True, help="Rank species even if none of them is likely.")
@with_settings
def identify(settings: Settings, **options: Any) -> None:
    """Rank species for the photos of ONE observation."""
    from fungarium.jobs.answering import print_identification

    print_identification(settings, options)


@click.command()
@identification_options
@with_settings
def similar(settings: Settings, **options: Any) -> None:
    """List the reference photos most similar to the photos."""
    from fungarium.jobs.answering import print_similar

    print_similar(settings, options)
