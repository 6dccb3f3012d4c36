"""export: approved observations as a Darwin Core Archive."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from database.field.photo_files import PhotoFiles
from database.session import open_database
from indexer.exporting.archive import export_archive
from indexer.exporting.descriptors import DatasetCard
from indexer.exporting.rows import LICENCES, OF_GBIF
from settings import Settings


def register(commands: Any) -> None:
    """Add the command to the parser."""
    does = "write approved observations as a Darwin Core Archive, for GBIF; run it every week"
    command = commands.add_parser("export", help=does, description=does)
    command.add_argument(
        "path", type=Path, metavar="PATH", help="the archive, a zip; PATH.json beside it says what changed"
    )
    command.add_argument("--title", default="Observations of fungi", help="the dataset's title (default: %(default)s)")
    command.add_argument("--organisation", required=True, metavar="NAME", help="who publishes it")
    command.add_argument("--email", default="", help="where to ask")
    command.add_argument("--description", default="", help="what it is, in a sentence or two")
    command.add_argument(
        "--licences",
        choices=("gbif", "any"),
        default="gbif",
        help="gbif: CC0, CC BY and CC BY-NC, which GBIF publishes; any: CC BY-SA too (default: %(default)s)",
    )
    command.add_argument("--pack-photos", action="store_true", help="the photos themselves in place of addresses")
    command.set_defaults(func=export)


def export(options: argparse.Namespace, settings: Settings) -> int:
    """Write the archive; what has not changed keeps its bytes, and says so."""
    card = DatasetCard(options.title, options.organisation, options.email, options.description, settings.public_url)
    files = PhotoFiles(settings.photos_at)
    with open_database(settings.database_url) as database, database.reading() as session:
        report = export_archive(
            session,
            options.path,
            card,
            today=datetime.now(UTC).date(),
            accepted=OF_GBIF if options.licences == "gbif" else tuple(LICENCES),
            photo=files.get if options.pack_photos else None,
        )
    state = "written" if report.rewritten else "unchanged"
    print(f"{options.path} {state}: {report.records} observations, {report.photos} photos")
    print(f"  {report.added} new, {report.changed} changed, {len(report.removed)} gone")
    for one in report.removed:
        print(f"  gone: {one}")
    for reason, count in report.left_out:
        print(f"  left out, {reason}: {count}")
    return 0
