"""import, rejections, upgrade: archives into the catalogue, and what was left out."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from database.collection import imports as log
from database.collection.photos import OWN
from database.session import open_database
from database.session import upgrade as upgrade_tables
from indexer.archives import KINDS, detect_kind
from indexer.curation.curate import CurationPolicy
from indexer.curation.inspection import PhotoDesk
from indexer.importing import ImportReport, import_archive, write_rejections
from indexer.photos.finding import Fetcher, PhotoStore
from indexer.records import ArchiveSource
from retrieval.errors import BuildError
from retrieval.photos.addresses import Guard, parse_networks
from settings import Settings


def register(commands: Any) -> None:
    """Add the commands to the parser."""
    kinds = " ".join(f"{kind}: {does}" for kind, does in KINDS.items())
    importing = commands.add_parser(
        "import", help="import an archive of photos", description=f"Kinds of archive. {kinds}"
    )
    importing.add_argument("kind", choices=[*KINDS, "auto"], metavar="KIND", help=f"{', '.join(KINDS)}, or auto")
    importing.add_argument("path", type=Path, metavar="PATH", help="the archive: a file or folder")
    importing.add_argument("--dataset", required=True, metavar="ID", help="the dataset its observations belong to")
    importing.add_argument("--title", default="", help="the dataset's title")
    importing.add_argument(
        "--licences",
        choices=["open", "noncommercial", "any"],
        default="open",
        help="which licences are accepted; any: unknown and reserved ones too, for use in private (default: open)",
    )
    importing.add_argument("--photos", type=Path, metavar="FOLDER", help="folder that photo paths are relative to")
    importing.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="FIELD=HEADER",
        help="how a column is called in this archive; FIELD==TEXT gives TEXT where the archive says nothing",
    )
    importing.add_argument("--base-url", default="", metavar="URL", help="address that photo paths are relative to")
    importing.add_argument("--copy", action="store_true", help="keep a copy of local photos in the data folder")
    importing.add_argument("--offline", action="store_true", help="reject photos behind addresses instead of fetching")
    importing.set_defaults(func=import_photos)

    rejections = commands.add_parser("rejections", help="list what the imports of a dataset left out, and why")
    rejections.add_argument("dataset", metavar="DATASET")
    rejections.add_argument("--reason", default="", help="only those with this reason")
    rejections.set_defaults(func=list_rejections)

    upgrading = commands.add_parser("upgrade", help="make the database's tables, or bring them up to date")
    upgrading.set_defaults(func=upgrade)


def import_photos(options: argparse.Namespace, settings: Settings) -> int:
    """Import an archive; run again, it goes on where it was cut short and changes nothing that is there."""
    if options.dataset == OWN:
        raise BuildError(f"{OWN!r} is the dataset of this server's own approved observations; choose another id")
    upgrade_tables(settings.database_url)
    kind = detect_kind(options.path) if options.kind == "auto" else options.kind
    source = ArchiveSource(kind, options.path, photos=options.photos, columns=_columns(options.column))
    policy = CurationPolicy(today=datetime.now(UTC).date(), licences=options.licences)
    with (
        open_database(settings.database_url) as database,
        PhotoStore(settings.data / "photos") as store,
        Fetcher(store, guard=Guard(parse_networks(settings.fetch_allow))) as fetcher,
    ):
        given = None if options.offline else fetcher
        desk = PhotoDesk(source, store, given, copy=options.copy, base_url=options.base_url)
        with tqdm(desc=f"import {options.dataset}", unit=" records", file=sys.stderr) as bar:
            report = import_archive(
                database, desk, policy, dataset=options.dataset, title=options.title, progress=bar.update
            )
        table = settings.data / "reports" / f"{options.dataset}-rejections.csv"
        with database.reading() as session:
            write_rejections(log.run_rejections(session, report.run), table)
    _print_report(report, table)
    return 0


def list_rejections(options: argparse.Namespace, settings: Settings) -> int:
    """Print one line for each record that was left out."""
    with open_database(settings.database_url) as database, database.reading() as session:
        for entry in log.rejections(session, options.dataset, options.reason):
            place = f"{entry.file}, line {entry.line}" if entry.line else entry.file or entry.photo
            print(f"{entry.reason}\t{place}\t{entry.detail}")
    return 0


def upgrade(options: argparse.Namespace, settings: Settings) -> int:
    """Bring the tables up to date; there is nothing to do where they are."""
    upgrade_tables(settings.database_url)
    print("the tables are up to date")
    return 0


def _columns(given: list[str]) -> tuple[tuple[str, str], ...]:
    columns = []
    for text in given:
        field, equals, header = text.partition("=")
        if not (field and equals and header):
            raise BuildError(f"--column {text!r}: write FIELD=HEADER, such as --column scientific_name=Species")
        columns.append((field.strip(), header))
    return tuple(columns)


def _print_report(report: ImportReport, table: Path) -> None:
    print(f"dataset {report.dataset}: {report.read} read")
    print(f"  accepted {report.accepted} ({report.added} new, {report.known} already there)")
    print(f"  rejected {report.read - report.accepted}")
    for reason, count in report.rejected:
        print(f"    {reason} {count}")
    if report.rejected:
        print(f"  each with its reason in {table}")
