"""fetch: the photos of a region from GBIF or iNaturalist."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fungarium.terminal import Group, with_settings

if TYPE_CHECKING:
    from settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])


def with_fetching(command: Command) -> Command:
    """Add the options of fetching."""
    options = (
        click.option("--per-species", type=click.IntRange(1), default=60, show_default=True,
                     help="Most finds of a species."),
        click.option("--photos-per-find", type=click.IntRange(1), default=6, show_default=True,
                     help="Most photos of a find."),
        click.option("--licences", type=click.Choice(["open", "noncommercial"]), default="open", show_default=True,
                     help="Licences of photos to accept."),
        click.option("--most-requests", type=click.IntRange(0), metavar="N", help="Send no more requests in this run."),
        click.option("--most-bytes", type=click.IntRange(0), metavar="N", help="Receive no more bytes in this run."),
        click.option("--yes", is_flag=True, help="Do not ask before fetching."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def with_updating(command: Command) -> Command:
    """Add the options of a fetch on its own."""
    options = (
        click.option("--dry-run", is_flag=True, help="Print what it would cost, and fetch nothing."),
        click.option("--update", is_flag=True, help="Take what changed since, into the published snapshot too."),
        click.option("--retry", is_flag=True, help="Ask again for photos that were refused before."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(cls=Group)
def fetch() -> None:
    """Fetch the photos of a region's species."""


@fetch.command()
@click.argument("name")
@click.option("--by-download", is_flag=True, help="Choose from a download of GBIF, by your account at gbif.org.")
@with_fetching
@with_updating
@with_settings
def gbif(settings: Settings, name: str, **options: Any) -> None:
    """Fetch photos of a region's species from GBIF.

    Run again, it resumes an interrupted run.
    """
    from fungarium.jobs.fetching import fetch_photos
    from indexer.photos.pacing import Budget

    budget = Budget(options.pop("most_requests"), options.pop("most_bytes"))
    fetch_photos(settings, name, "gbif", take_options(options), budget=budget)


@fetch.command()
@click.argument("name")
@click.option("--place", default="", metavar="ID", help="iNaturalist's number of the area.  [default: found by name]")
@with_fetching
@with_updating
@with_settings
def inaturalist(settings: Settings, name: str, place: str, **options: Any) -> None:
    """Fetch from iNaturalist what GBIF lacks.

    Run again, it resumes an interrupted run.
    """
    from fungarium.jobs.fetching import fetch_photos
    from indexer.photos.pacing import Budget

    budget = Budget(options.pop("most_requests"), options.pop("most_bytes"))
    fetch_photos(settings, name, "inaturalist", take_options(options), place=place, budget=budget)


def take_options(options: dict[str, Any]) -> Any:
    """Take the options of fetching from a command's options."""
    from fungarium.jobs.fetching import FetchOptions
    from indexer.harvesting.rounds import ChoiceOptions

    choice = ChoiceOptions(*(options.pop(name) for name in ("per_species", "photos_per_find", "licences")))
    others = {name: options.pop(name, False) for name in ("dry_run", "update", "retry", "by_download")}
    return FetchOptions(choice, is_agreed=options.pop("yes"), **others)
