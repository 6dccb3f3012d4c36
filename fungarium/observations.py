"""observations: approved finds become references and go out to others; what became of suggestions; places to hide."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fungarium.terminal import PATH, Bars, Day, Group, as_json, print_json, with_database, with_settings

if TYPE_CHECKING:
    from database.session import Database
    from settings import Settings


@click.group(cls=Group)
def observations() -> None:
    """Adopt, export and look after people's observations."""


@observations.command()
@with_settings
def adopt(settings: Settings) -> None:
    """Make approved observations references, and publish.

    What is approved no more is taken out. Run it every day; run twice, it changes nothing.
    """
    from fungarium.jobs.indexing import adopt

    with Bars("photo") as bars:
        adopt(settings, bars)


@observations.command()
@click.argument("path", type=PATH)
@click.option("--organisation", required=True, metavar="NAME", help="Who publishes it.")
@click.option("--title", default="Observations of fungi", show_default=True, help="The dataset's title.")
@click.option("--email", default="", help="Where to ask.")
@click.option("--description", default="", help="What it is, in a sentence or two.")
@click.option(
    "--licences",
    type=click.Choice(["gbif", "any"]),
    default="gbif",
    show_default=True,
    help="gbif: CC0, CC BY and CC BY-NC, which GBIF publishes; any: CC BY-SA too.",
)
@click.option("--pack-photos", is_flag=True, help="The photos themselves in place of addresses.")
@with_settings
def export(settings: Settings, path: Path, licences: str, pack_photos: bool, **about: str) -> None:
    """Write approved observations as a Darwin Core Archive, for GBIF. Run it every week.

    PATH is the archive, a zip; PATH.json beside it says what changed.
    """
    from datetime import UTC, datetime

    from database.field.photo_files import PhotoFiles
    from database.session import open_database
    from indexer.exporting.archive import export_archive
    from indexer.exporting.descriptors import DatasetCard
    from indexer.exporting.rows import LICENCES, OF_GBIF

    files = PhotoFiles(settings.photos_at)
    with open_database(settings.database_url) as database, database.reading() as session:
        report = export_archive(
            session,
            path,
            DatasetCard(
                about["title"], about["organisation"], about["email"], about["description"], settings.public_url
            ),
            today=datetime.now(UTC).date(),
            accepted=OF_GBIF if licences == "gbif" else tuple(LICENCES),
            photo=files.get if pack_photos else None,
        )
    state = "written" if report.rewritten else "unchanged"
    print(f"{path} {state}: {report.records} observations, {report.photos} photos")
    print(f"  {report.added} new, {report.changed} changed, {len(report.removed)} gone")
    for one in report.removed:
        print(f"  gone: {one}")
    for reason, count in report.left_out:
        print(f"  left out, {reason}: {count}")


@observations.command()
@click.option("--since", type=Day(), help="Observations recorded since a day.")
@click.option("--least", type=int, metavar="N", help="Least records of a person or group.")
@as_json
@with_database
def fates(database: Database, since: date | None, least: int | None, as_json: bool) -> None:
    """Report how many of the engine's suggestions were approved.

    By rank of the suggestion, person, group and snapshot.
    """
    from database.field.fates import LEAST, report_fates
    from fungarium.jobs.fates import lines_of

    with database.reading() as session:
        report = report_fates(session, since=since, least=LEAST if least is None else least)
    if as_json:
        print_json(report.described())
    else:
        print("\n".join(lines_of(report)))


@observations.command()
@with_database
def rescore(database: Database) -> None:
    """Work every score out anew from what is known today."""
    from database.field.administration import rescore_observations

    with Bars("observation") as bars:
        count = rescore_observations(database, bars)
    print(f"{count} observations scored anew")


@observations.group()
def obscure() -> None:
    """Hide the exact places of some taxa behind a grid cell."""


@obscure.command("add")
@click.argument("name")
@with_database
def add_obscured(database: Database, name: str) -> None:
    """Hide the places of a taxon and all below it, old ones too."""
    from database.field.administration import obscure_taxon

    with database.writing() as session:
        count = obscure_taxon(session, name)
    print(f"{name}\tobscured, {count} observations looked at")


@obscure.command("remove")
@click.argument("name")
@with_database
def remove_obscured(database: Database, name: str) -> None:
    """Show the places of a taxon again, where nothing else hides them."""
    from database.field.administration import reveal_taxon

    with database.writing() as session:
        count = reveal_taxon(session, name)
    print(f"{name}\tno longer obscured, {count} observations looked at")


@obscure.command("list")
@with_database
def list_obscured(database: Database) -> None:
    """List the taxa."""
    from database.field.administration import obscured_taxa

    with database.reading() as session:
        for name in obscured_taxa(session):
            print(name)


@observations.group()
def group() -> None:
    """Group taxa by form, to count people's experience by."""


@group.command("import")
@click.argument("path", type=PATH)
@with_database
def import_groups(database: Database, path: Path) -> None:
    """Replace all groups by those of a CSV table.

    Its columns are scientificName and group; a genus stands for its species.
    """
    import csv

    from database.field.administration import replace_groups

    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    with database.writing() as session:
        replace_groups(session, rows)
    print(f"{len(rows)} taxa in {len({row.get('group') for row in rows})} groups")


@observations.group()
def photos() -> None:
    """Look after the photos of observations."""


@photos.command()
@with_settings
def sweep(settings: Settings) -> None:
    """Remove what killed requests left behind. Run it every day.

    Nothing is removed within an hour of its writing.
    """
    from database.field.photo_files import PhotoFiles
    from database.field.records import sweep
    from database.session import open_database, upgrade

    upgrade(settings.database_url)
    with open_database(settings.database_url) as database:
        removed = sweep(database, PhotoFiles(settings.photos_at))
    print(f"{len(removed)} files removed")


@photos.command("check")
@with_settings
def check_photos(settings: Settings) -> int:
    """List photos that observations show and the store lacks.

    Ends with 1 where there are any.
    """
    from database.field.photo_files import PhotoFiles
    from database.field.records import missing
    from database.session import open_database, upgrade

    upgrade(settings.database_url)
    with open_database(settings.database_url) as database:
        gone = missing(database, PhotoFiles(settings.photos_at))
    for key, sha256 in gone:
        print(f"{key}\t{sha256}")
    return 1 if gone else 0
