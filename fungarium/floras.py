"""checklist, region, flora: the taxa known from a region, and the lists that can be searched."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fungarium.terminal import PATH, Group, as_json, print_json, print_rows, with_settings

if TYPE_CHECKING:
    from database.session import Session
    from database.taxonomy.floras import FloraEntry
    from settings import Settings


@click.group(cls=Group)
def checklist() -> None:
    """Import and list checklists."""


@checklist.command("import")
@click.argument("path", type=PATH)
@click.option("--id", "checklist_id", required=True, metavar="ID", help="Lower-case letters, digits, '-', '_' and '.'")
@click.option("--title", default="", help="The checklist's title.")
@click.option("--region", default="", metavar="ID", help="Region of lines without a country.")
@click.option("--encoding", default="", help="Encoding of the list, such as cp1250; detected by default.")
@with_settings
def import_list(settings: Settings, path: Path, checklist_id: str, title: str, region: str, encoding: str) -> None:
    """Import a checklist; it replaces an earlier one with the same id.

    PATH is a Darwin Core or ColDP archive or folder, a workbook, CSV, or a list of names.
    """
    from database.collection.imports import RejectionEntry
    from database.session import create_tables, open_database
    from indexer.curation.listing import count_reasons, import_checklist
    from indexer.curation.reasons import DROPPED
    from indexer.importing import write_rejections

    create_tables(settings.database_url)
    with open_database(settings.database_url) as database:
        report = import_checklist(database, path, checklist=checklist_id, title=title, region=region, encoding=encoding)
    print(f"checklist {report.checklist}: {report.read} read")
    print(f"  accepted {report.accepted}: {report.present} species present, {report.added} lines new")
    for status, count in report.statuses:
        print(f"    {status} {count}: kept, not counted as present")
    print(f"  rejected {len(report.rejections)}")
    for reason, count in count_reasons(report.rejections):
        print(f"    {reason} {count}")
    dropped = [remark for remark in report.remarks if remark.reason in DROPPED]
    if dropped:
        print(f"  values dropped {len(dropped)}; their lines are kept")
    for reason, count in count_reasons(dropped):
        print(f"    {reason} {count}")
    for reason, count in count_reasons(remark for remark in report.remarks if remark.reason not in DROPPED):
        print(f"  {reason} {count}")
    table = settings.data / "reports" / f"{report.checklist}-checklist-rejections.csv"
    rejections, remarks = (
        [RejectionEntry(one.reason, one.detail, one.file, one.line, "", one.field, one.text) for one in found]
        for found in (report.rejections, report.remarks)
    )
    if write_rejections(rejections, table, dropped=remarks):
        print(f"  each with line, text and what to do in {table}")


@checklist.command("list")
@as_json
@with_settings
def list_checklists(settings: Settings, as_json: bool) -> None:
    """List the checklists."""
    from dataclasses import asdict

    from database.session import open_database
    from database.taxonomy.checklists import checklists

    with open_database(settings.database_url) as database, database.reading() as session:
        found = list(checklists(session))
    if as_json:
        print_json([asdict(checklist) for checklist in found])
        return
    for entry in found:
        where = f", region {entry.region}" if entry.region else ""
        print(f"{entry.id}\t{entry.species} species present, {entry.lines} lines{where}\t{entry.title}")


@click.group(cls=Group)
def region() -> None:
    """Import, add and list regions."""


@region.command("import")
@click.argument("scheme", type=click.Choice(["wgsrpd"]))
@click.argument("folder", type=PATH)
@with_settings
def import_units(settings: Settings, scheme: str, folder: Path) -> None:
    """Import the level-2 units from a copy of tdwg/wgsrpd.

    FOLDER contains tblLevel2-4.txt and level2.geojson. Run again, it replaces the units by the same ones.
    """
    from database.session import create_tables, open_database
    from database.taxonomy.regions import put_region
    from indexer.curation.regions import read_wgsrpd

    units = read_wgsrpd(folder)
    create_tables(settings.database_url)
    with open_database(settings.database_url) as database, database.writing() as session:
        added = sum(put_region(session, unit) for unit in units)
    print(f"{scheme}: {len(units)} level-2 units, {added} of them new")


@region.command("add")
@click.argument("region_id", default="", metavar="[ID]")
@click.option("--title", default="", help="The region's title.")
@click.option("--geojson", type=PATH, metavar="FILE", help="Its area, in WGS 84.")
@click.option(
    "--country",
    "countries",
    multiple=True,
    metavar="ISO",
    help="With ID: a country whose records without coordinates count too; without: the country to add.",
)
@with_settings
def add_region(
    settings: Settings, region_id: str, title: str, geojson: Path | None, countries: tuple[str, ...]
) -> None:
    """Add a country, or a region of your own from GeoJSON."""
    from database.session import create_tables, open_database
    from database.taxonomy.regions import put_region
    from indexer.curation.regions import country_region, own_region

    if region_id and geojson:
        entries = [own_region(region_id, title, geojson, countries)]
    elif countries and not region_id and not geojson:
        entries = [country_region(country) for country in countries]
    else:
        raise click.UsageError("give ID and --geojson FILE for a region of your own, or --country alone")
    create_tables(settings.database_url)
    with open_database(settings.database_url) as database, database.writing() as session:
        for entry in entries:
            state = "added" if put_region(session, entry) else "replaced"
            print(f"region {entry.id} {state}: {entry.title}")


@region.command("list")
@click.option("--kind", type=click.Choice(["iso", "wgsrpd", "own"]), help="Only regions of this kind.")
@as_json
@with_settings
def list_regions(settings: Settings, kind: str | None, as_json: bool) -> None:
    """List the regions."""
    from database.session import open_database
    from database.taxonomy.regions import regions

    with open_database(settings.database_url) as database, database.reading() as session:
        print_rows(
            (
                {
                    "id": entry.id,
                    "title": entry.title,
                    "area": "with geometry" if entry.geometry is not None else "countries only",
                    "countries": entry.country_codes,
                }
                for entry in regions(session, kind or "")
            ),
            as_json=as_json,
        )


@click.group(cls=Group)
def flora() -> None:
    """Add, list, show and remove floras; report coverage."""


@flora.command("add")
@click.argument("flora_id", metavar="ID")
@click.option("--title", default="", help="The flora's title.")
@click.option(
    "--checklist", "checklists", multiple=True, metavar="ID", help="Species that a checklist lists as present."
)
@click.option(
    "--country", "countries", multiple=True, metavar="ISO", help="Species listed for or photographed in a country."
)
@click.option(
    "--wgsrpd", "units", multiple=True, metavar="UNIT", help="The same for a level-2 unit of WGSRPD, by code or name."
)
@click.option("--region", "regions", multiple=True, metavar="ID", help="The same for a region of your own.")
@click.option(
    "--names", "lists", multiple=True, type=PATH, metavar="FILE", help="A list of species, genera or families."
)
@with_settings
def add_flora(settings: Settings, flora_id: str, title: str, **parts: Any) -> None:
    """Add a flora: the union of all options. Names that match no taxon are reported."""
    from database.session import create_tables, open_database
    from indexer.building.floras import define_flora

    create_tables(settings.database_url)
    with open_database(settings.database_url) as database, database.writing() as session:
        made = define_flora(session, flora_id, title=title, **parts)
    for name in made.unmatched:
        print(name, file=sys.stderr)
    state = "added" if made.added else "is there already"
    print(f"flora {flora_id} {state}: {made.species} species")
    if made.unmatched:
        print(f"  {len(made.unmatched)} names matched no taxon and are left out")


@flora.command("list")
@as_json
@with_settings
def list_floras(settings: Settings, as_json: bool) -> None:
    """List the floras, `world` first."""
    from database.session import open_database
    from database.taxonomy.floras import floras

    with open_database(settings.database_url) as database, database.reading() as session:
        rows = [summarise(session, entry) for entry in floras(session)]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print(f"{row['id']}\t{row['species']} species\t{row['title']}\t{row['made_of']}")


@flora.command("show")
@click.argument("flora_id", metavar="ID")
@as_json
@with_settings
def show_flora(settings: Settings, flora_id: str, as_json: bool) -> None:
    """Show the definition of a flora, and its species."""
    from database.session import open_database
    from database.taxonomy.floras import flora as find_flora
    from database.taxonomy.taxa import taxa
    from indexer.building.floras import resolve_flora

    with open_database(settings.database_url) as database, database.reading() as session:
        entry = find_flora(session, flora_id)
        summary = summarise(session, entry)
        held = resolve_flora(session, entry)
        names = sorted(taxon.name for taxon in taxa(session) if taxon.id in held)
    if as_json:
        print_json({**summary, "names": names})
        return
    print(f"{summary['id']}: {summary['title']}, {summary['species']} species, {summary['made_of']}")
    for name in names:
        print(f"  {name}")


@flora.command("remove")
@click.argument("flora_id", metavar="ID")
@with_settings
def remove_flora(settings: Settings, flora_id: str) -> None:
    """Remove a flora; published snapshots keep it."""
    from database.session import open_database
    from database.taxonomy.floras import remove_flora as forget

    with open_database(settings.database_url) as database, database.writing() as session:
        forget(session, flora_id)
    print(f"flora {flora_id} removed")


@flora.command("coverage")
@click.argument("flora_id", metavar="ID")
@as_json
@with_settings
def cover_flora(settings: Settings, flora_id: str, as_json: bool) -> None:
    """List the species of a flora without photos."""
    from dataclasses import asdict

    from database.session import open_database
    from database.taxonomy.floras import flora as find_flora
    from indexer.building.floras import coverage

    with open_database(settings.database_url) as database, database.reading() as session:
        found = coverage(session, find_flora(session, flora_id))
    if as_json:
        print_json(asdict(found))
        return
    print(
        f"flora {found.flora}: {found.pictured} of {found.species} species have photos, {len(found.missing)} have none"
    )
    for taxon in found.missing:
        print(f"  {taxon.name}")


def summarise(session: Session, entry: FloraEntry) -> dict[str, str | int]:
    """Summarise a flora as JSON values."""
    from indexer.building.floras import resolve_flora

    parts = [f"checklist {checklist}" for checklist in entry.checklists]
    parts += [f"region {region}" for region in entry.regions]
    parts += [f"{len(entry.names)} names"] if entry.names else []
    made_of = ", ".join(parts) or "every species with photos"
    species = len(resolve_flora(session, entry))
    return {"id": entry.id, "title": entry.title, "kind": entry.kind, "species": species, "made_of": made_of}
