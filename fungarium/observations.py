"""observations: turn approved ones into references, export them, report on suggestions, and obscure places."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fungarium.terminal import PATH, Day, Group, ProgressBars, as_json, print_json, with_database, with_settings

if TYPE_CHECKING:
    from database.session import Database
    from settings import Settings


@click.group(cls=Group)
def observations() -> None:
    """Adopt, export and maintain people's observations."""


@observations.command()
@with_settings
def adopt(settings: Settings) -> None:
    """Add approved observations to the references, and publish.

    Those no longer approved are removed. Run it every day; a second run changes nothing.
    """
    from fungarium.jobs.indexing import adopt

    with ProgressBars("photo") as bars:
        adopt(settings, bars)


@observations.command()
@click.argument("path", type=PATH)
@click.option("--organisation", required=True, metavar="NAME", help="Publisher of the dataset.")
@click.option("--title", default="Observations of fungi", show_default=True, help="The dataset's title.")
@click.option("--email", default="", help="Contact address.")
@click.option("--description", default="", help="Description of the dataset.")
@click.option(
    "--licences",
    type=click.Choice(["gbif", "any"]),
    default="gbif",
    show_default=True,
    help="gbif: CC0, CC BY and CC BY-NC, which GBIF publishes; any: CC BY-SA too.",
)
@click.option("--pack-photos", is_flag=True, help="Include the photos instead of their URLs.")
@with_settings
def export(settings: Settings, path: Path, licences: str, pack_photos: bool, **about: str) -> None:
    """Export approved observations as a Darwin Core Archive for GBIF. Run it every week.

    PATH is the archive, a zip; PATH.json beside it lists the changes.
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
    print(f"  {report.added} new, {report.changed} changed, {len(report.removed)} removed")
    for one in report.removed:
        print(f"  removed: {one}")
    for reason, count in report.left_out:
        print(f"  left out, {reason}: {count}")


@observations.command()
@click.option("--since", type=Day(), help="Only observations recorded since this day.")
@click.option("--least", type=int, metavar="N", help="Minimum records of a person or group.")
@as_json
@with_database
def fates(database: Database, since: date | None, least: int | None, as_json: bool) -> None:
    """Report how many suggestions were approved.

    By rank of the suggestion, person, group and snapshot.
    """
    from database.field.fates import LEAST, report_fates
    from fungarium.jobs.fates import format_report

    with database.reading() as session:
        report = report_fates(session, since=since, least=LEAST if least is None else least)
    if as_json:
        print_json(report.described())
    else:
        print("\n".join(format_report(report)))


@observations.command()
@with_database
def rescore(database: Database) -> None:
    """Recompute all scores from current data."""
    from database.field.administration import rescore_observations

    with ProgressBars("observation") as bars:
        count = rescore_observations(database, bars)
    print(f"{count} observations scored again")


@observations.group()
def obscure() -> None:
    """Obscure the exact places of some taxa by a grid cell."""


@obscure.command("add")
@click.argument("name")
@with_database
def add_obscured(database: Database, name: str) -> None:
    """Obscure the places of a taxon and all below it.

    Existing observations are obscured too.
    """
    from database.field.administration import obscure_taxon

    with database.writing() as session:
        count = obscure_taxon(session, name)
    print(f"{name}\tobscured, {count} observations checked")


@obscure.command("remove")
@click.argument("name")
@with_database
def remove_obscured(database: Database, name: str) -> None:
    """Show the places of a taxon again.

    Other obscured taxa above or below it stay obscured.
    """
    from database.field.administration import reveal_taxon

    with database.writing() as session:
        count = reveal_taxon(session, name)
    print(f"{name}\tno longer obscured, {count} observations checked")


@obscure.command("list")
@with_database
def list_obscured(database: Database) -> None:
    """List the obscured taxa."""
    from database.field.administration import obscured_taxa

    with database.reading() as session:
        for name in obscured_taxa(session):
            print(name)


@observations.group()
def group() -> None:
    """Group taxa by form, for counting people's experience."""


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
    """Maintain the photos of observations."""


@photos.command()
@with_settings
def sweep(settings: Settings) -> None:
    """Remove files left by interrupted requests. Run it every day.

    Files less than an hour old are kept.
    """
    from database.field.photo_files import PhotoFiles
    from database.field.records import sweep
    from database.session import create_tables, open_database

    create_tables(settings.database_url)
    with open_database(settings.database_url) as database:
        removed = sweep(database, PhotoFiles(settings.photos_at))
    print(f"{len(removed)} files removed")


@photos.command("check")
@with_settings
def check_photos(settings: Settings) -> int:
    """List photos of observations that are missing from the store.

    Ends with 1 if there are any.
    """
    from database.field.photo_files import PhotoFiles
    from database.field.records import missing
    from database.session import create_tables, open_database

    create_tables(settings.database_url)
    with open_database(settings.database_url) as database:
        gone = missing(database, PhotoFiles(settings.photos_at))
    for key, sha256 in gone:
        print(f"{key}\t{sha256}")
    return 1 if gone else 0
