"""start: everything from a country to answers, in one command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fungarium.fetch import take_options, with_fetching
from fungarium.region import take_choices, with_area, with_checklist
from fungarium.terminal import with_settings

if TYPE_CHECKING:
    from settings import Settings


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
