"""region, start: an area with its checklist from GBIF, and the index of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fungarium.fetch import take_options, with_fetching
from fungarium.terminal import PATH, Group, with_settings

if TYPE_CHECKING:
    from settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])


def with_area(command: Command) -> Command:
    """Add the options that name an area."""
    options = (
        click.option("--country", default="", metavar="ISO", help="A country, by code or name."),
        click.option("--gadm", default="", metavar="GID", help="A unit of GADM, such as DNK.2_1."),
        click.option("--wgsrpd", default="", metavar="UNIT", help="An imported unit of WGSRPD, by code or name."),
        click.option("--polygon", type=PATH, metavar="FILE", help="The polygons of a GeoJSON file, in WGS 84."),
        click.option("--point", default="", metavar="LAT,LON", help="A place, with --radius."),
        click.option("--radius", type=float, default=0.0, metavar="KM", help="Kilometres around --point."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def with_checklist(command: Command) -> Command:
    """Add the options that say what counts as present."""
    options = (
        click.option("--records", type=click.IntRange(1), default=1, show_default=True,
                     help="Fewest records of a species that is present."),
        click.option("--years", type=click.IntRange(1), default=1, show_default=True,
                     help="Fewest years of its records; above 1 a request for each species."),
        click.option("--datasets", type=click.IntRange(1), default=1, show_default=True,
                     help="Fewest datasets of its records; above 1 a request for each species."),
        click.option("--slime-moulds/--no-slime-moulds", default=True, show_default=True, help="With Myxomycetes."),
        click.option("--lichens/--no-lichens", default=True, show_default=True, help="With lichens."),
        click.option("--language", "languages", multiple=True, metavar="TAG", default=("en", "da", "de"),
                     show_default=True, help="Language of vernacular names; several can be given."),
        click.option("--checklist", "checklists", multiple=True, metavar="ID",
                     help="An imported checklist whose species are present too."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.group(cls=Group)
def region() -> None:
    """Make checklists and indexes of regions from GBIF."""


@region.command()
@click.argument("name")
@click.option("--title", default="", help="The region's title.")
@with_area
@with_checklist
@with_settings
def create(settings: Settings, name: str, title: str, **options: Any) -> None:
    """Create a region: its checklist, counts and names from GBIF.

    Run again, it resumes an interrupted run, or renews the checklist.
    """
    from fungarium.jobs.regions import create_region

    create_region(settings, name, title, *take_choices(options))


@region.command()
@click.argument("name")
@with_settings
def ready(settings: Settings, name: str) -> None:
    """Build the index, publish it, and say what it can name."""
    from fungarium.jobs.starting import make_ready

    make_ready(settings, name)


def take_choices(options: dict[str, Any]) -> tuple[Any, Any]:
    """Take the area and the checklist's choices from a command's options."""
    from fungarium.jobs.regions import AreaChoice, ChecklistChoice

    area = AreaChoice(*(options.pop(name) for name in ("country", "gadm", "wgsrpd", "polygon", "point", "radius")))
    return area, ChecklistChoice(**options)


@click.command()
@click.argument("name", default="", metavar="[NAME]")
@with_area
@with_checklist
@with_fetching
@with_settings
def start(settings: Settings, name: str, **options: Any) -> None:
    """Make the index of a region from GBIF, in one command.

    Run again, it resumes an interrupted run. NAME is by default that of the country.
    """
    from fungarium.jobs.starting import start_region
    from indexer.photos.pacing import Budget

    budget = Budget(options.pop("most_requests"), options.pop("most_bytes"))
    fetching = take_options(options)
    start_region(settings, name, *take_choices(options), fetching, budget=budget)
