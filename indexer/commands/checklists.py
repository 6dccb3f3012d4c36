"""checklist import, checklist list: which taxa are known from where."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import astuple
from pathlib import Path
from typing import Any

from database.collection.imports import RejectionEntry
from database.session import open_database, upgrade
from database.taxonomy.checklists import checklists
from indexer.curation.listing import import_checklist
from indexer.importing import write_rejections
from settings import Settings


def register(commands: Any) -> None:
    """Add the commands to the parser."""
    checklist = commands.add_parser("checklist", help="import and list checklists")
    verbs = checklist.add_subparsers(dest="verb", required=True, metavar="VERB")
    importing = verbs.add_parser("import", help="import a checklist; it replaces what was known under its id")
    importing.add_argument(
        "path", type=Path, metavar="PATH", help="Darwin Core archive or folder, CSV, or list of names"
    )
    importing.add_argument("--id", required=True, metavar="ID", help="lower-case letters, digits, '-', '_' and '.'")
    importing.add_argument("--title", default="", help="the checklist's title")
    importing.add_argument("--region", default="", metavar="ID", help="region that lines without a country speak of")
    importing.set_defaults(func=import_list)
    listing = verbs.add_parser("list", help="list the checklists")
    listing.set_defaults(func=list_all)


def import_list(options: argparse.Namespace, settings: Settings) -> int:
    """Import a checklist and print what became of its lines."""
    upgrade(settings.database_url)
    with open_database(settings.database_url) as database:
        report = import_checklist(
            database, options.path, checklist=options.id, title=options.title, region=options.region
        )
    print(f"checklist {report.checklist}: {report.read} read")
    print(f"  accepted {report.accepted}: {report.present} species present, {report.added} lines new")
    for status, count in report.statuses:
        print(f"    {status} {count}: kept, not counted as present")
    print(f"  rejected {len(report.rejections)}")
    for reason, count in Counter(rejection.reason for rejection in report.rejections).most_common():
        print(f"    {reason} {count}")
    table = settings.data / "reports" / f"{report.checklist}-checklist-rejections.csv"
    write_rejections((RejectionEntry(*astuple(rejection)) for rejection in report.rejections), table)
    if report.rejections:
        print(f"  each with its reason in {table}")
    return 0


def list_all(options: argparse.Namespace, settings: Settings) -> int:
    """Print one line for each checklist."""
    with open_database(settings.database_url) as database, database.reading() as session:
        for checklist in checklists(session):
            region = f", region {checklist.region}" if checklist.region else ""
            size = f"{checklist.species} species present, {checklist.lines} lines"
            print(f"{checklist.id}\t{size}{region}\t{checklist.title}")
    return 0
