"""region import, region add, region list: areas that floras are made for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from database.session import open_database, upgrade
from database.taxonomy.regions import ISO, OWN, WGSRPD, put_region, regions
from indexer.curation.regions import country_region, own_region, read_wgsrpd
from settings import Settings


def register(commands: Any) -> None:
    """Add the commands to the parser."""
    region = commands.add_parser("region", help="import, add and list regions")
    verbs = region.add_subparsers(dest="verb", required=True, metavar="VERB")
    importing = verbs.add_parser("import", help="import the level-2 units of a copy of tdwg/wgsrpd")
    importing.add_argument("scheme", choices=[WGSRPD])
    importing.add_argument("folder", type=Path, metavar="FOLDER", help="holds tblLevel2-4.txt and level2.geojson")
    importing.set_defaults(func=import_units)
    adding = verbs.add_parser("add", help="add a country, or a region of your own from GeoJSON")
    adding.add_argument("id", nargs="?", default="", metavar="ID", help="id of a region of your own")
    adding.add_argument("--title", default="")
    adding.add_argument("--geojson", type=Path, metavar="FILE", help="its area, in WGS 84")
    adding.add_argument(
        "--country",
        action="append",
        default=[],
        metavar="ISO",
        help="with ID: a country whose records without coordinates count too; alone: the country to add",
    )
    adding.set_defaults(func=add, parser=adding)
    listing = verbs.add_parser("list", help="list the regions")
    listing.add_argument("--kind", choices=[ISO, WGSRPD, OWN], default="")
    listing.set_defaults(func=list_all)


def import_units(options: argparse.Namespace, settings: Settings) -> int:
    """Import the units; run again, it replaces them by the same."""
    units = read_wgsrpd(options.folder)
    upgrade(settings.database_url)
    with open_database(settings.database_url) as database, database.writing() as session:
        added = sum(put_region(session, unit) for unit in units)
    print(f"wgsrpd: {len(units)} level-2 units, {added} of them new")
    return 0


def add(options: argparse.Namespace, settings: Settings) -> int:
    """Add a region of a person's own, or countries."""
    if bool(options.id) != bool(options.geojson) or not (options.id or options.country):
        options.parser.error("give ID and --geojson FILE for a region of your own, or --country alone")
    if options.id:
        entries = [own_region(options.id, options.title, options.geojson, options.country)]
    else:
        entries = [country_region(country) for country in options.country]
    upgrade(settings.database_url)
    with open_database(settings.database_url) as database, database.writing() as session:
        for entry in entries:
            state = "added" if put_region(session, entry) else "replaced"
            print(f"region {entry.id} {state}: {entry.title}")
    return 0


def list_all(options: argparse.Namespace, settings: Settings) -> int:
    """Print one line for each region."""
    with open_database(settings.database_url) as database, database.reading() as session:
        for entry in regions(session, options.kind):
            area = "with geometry" if entry.geometry is not None else "countries only"
            print(f"{entry.id}\t{entry.title}\t{area}\t{' '.join(entry.country_codes)}")
    return 0
