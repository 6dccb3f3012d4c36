"""flora add, list, show, remove, coverage: what can be searched, and what the photos lack."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from database.session import Session, open_database, upgrade
from database.taxonomy.floras import FloraEntry, flora, floras, remove_flora
from database.taxonomy.taxa import taxa
from indexer.building.floras import coverage, define_flora, resolve_flora
from settings import Settings


def register(commands: Any) -> None:
    """Add the commands to the parser."""
    parser = commands.add_parser("flora", help="add, list, show and remove floras, and see what the photos lack")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    adding = verbs.add_parser("add", help="add a flora: the union of all that is given")
    adding.add_argument("id", metavar="ID", help="lower-case letters, digits, '-', '_' and '.'")
    adding.add_argument("--title", default="")
    for option, metavar, does in (
        ("--checklist", "ID", "species that an imported checklist lists as present"),
        ("--country", "ISO", "species listed for or photographed in a country"),
        ("--wgsrpd", "UNIT", "the same for a level-2 unit of WGSRPD, by code or name"),
        ("--region", "ID", "the same for a region of your own"),
    ):
        adding.add_argument(option, action="append", default=[], metavar=metavar, help=does)
    adding.add_argument(
        "--names", action="append", default=[], type=Path, metavar="FILE", help="a list of species, genera or families"
    )
    adding.set_defaults(func=add)
    listing = verbs.add_parser("list", help="list the floras")
    listing.set_defaults(func=list_all)
    showing = verbs.add_parser("show", help="show what a flora is made of, and its species")
    removing = verbs.add_parser("remove", help="forget a flora; published snapshots keep it")
    covering = verbs.add_parser("coverage", help="list the species of a flora that no photo shows")
    for command, function in ((showing, show), (removing, remove), (covering, cover)):
        command.add_argument("id", metavar="ID")
        command.set_defaults(func=function)
    for command in (listing, showing, covering):
        command.add_argument("--json", action="store_true", help="print JSON instead of text")


def add(options: argparse.Namespace, settings: Settings) -> int:
    """Add a flora; names that match nothing are reported one by one."""
    upgrade(settings.database_url)
    with open_database(settings.database_url) as database, database.writing() as session:
        made = define_flora(
            session,
            options.id,
            title=options.title,
            checklists=options.checklist,
            countries=options.country,
            units=options.wgsrpd,
            regions=options.region,
            lists=options.names,
        )
    for name in made.unmatched:
        print(name, file=sys.stderr)
    state = "added" if made.added else "is there already"
    print(f"flora {options.id} {state}: {made.species} species")
    if made.unmatched:
        print(f"  {len(made.unmatched)} names matched no taxon and are left out")
    return 0


def list_all(options: argparse.Namespace, settings: Settings) -> int:
    """Print one line for each flora, `world` first."""
    with open_database(settings.database_url) as database, database.reading() as session:
        rows = [_summary(session, entry) for entry in floras(session)]
    if options.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return 0
    for row in rows:
        print(f"{row['id']}\t{row['species']} species\t{row['title']}\t{row['made_of']}")
    return 0


def show(options: argparse.Namespace, settings: Settings) -> int:
    """Print what a flora is made of, and its species by name."""
    with open_database(settings.database_url) as database, database.reading() as session:
        entry = flora(session, options.id)
        summary = _summary(session, entry)
        held = resolve_flora(session, entry)
        names = sorted(taxon.name for taxon in taxa(session) if taxon.id in held)
    if options.json:
        print(json.dumps({**summary, "names": names}, indent=2, ensure_ascii=False))
        return 0
    print(f"{summary['id']}: {summary['title']}, {summary['species']} species, {summary['made_of']}")
    for name in names:
        print(f"  {name}")
    return 0


def remove(options: argparse.Namespace, settings: Settings) -> int:
    """Forget a flora."""
    with open_database(settings.database_url) as database, database.writing() as session:
        remove_flora(session, options.id)
    print(f"flora {options.id} removed")
    return 0


def cover(options: argparse.Namespace, settings: Settings) -> int:
    """Print how many species have photos, and name those that have none."""
    with open_database(settings.database_url) as database, database.reading() as session:
        found = coverage(session, flora(session, options.id))
    if options.json:
        print(json.dumps(asdict(found), indent=2, ensure_ascii=False))
        return 0
    print(
        f"flora {found.flora}: {found.pictured} of {found.species} species have photos, {len(found.missing)} have none"
    )
    for taxon in found.missing:
        print(f"  {taxon.name}")
    return 0


def _summary(session: Session, entry: FloraEntry) -> dict[str, str | int]:
    parts = [f"checklist {checklist}" for checklist in entry.checklists]
    parts += [f"region {region}" for region in entry.regions]
    parts += [f"{len(entry.names)} names"] if entry.names else []
    made_of = ", ".join(parts) or "every species with photos"
    species = len(resolve_flora(session, entry))
    return {"id": entry.id, "title": entry.title, "kind": entry.kind, "species": species, "made_of": made_of}
