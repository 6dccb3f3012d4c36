"""Imports an archive of photos and prints the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from database.collection.imports import run_dropped_values, run_rejections
from database.collection.photos import OWN
from database.session import create_tables, open_database
from fungarium.terminal import ProgressBars
from indexer.archives import detect_kind
from indexer.curation.curate import CurationPolicy
from indexer.curation.inspection import PhotoDesk
from indexer.importing import ImportReport, Reasons, import_archive, write_rejections
from indexer.photos.finding import Fetcher, PhotoStore
from indexer.records import ArchiveSource
from retrieval.errors import BuildError
from retrieval.photos.addresses import Guard, parse_networks
from settings import Settings


def import_photos(settings: Settings, options: Mapping[str, Any]) -> None:
    """Import an archive; `options` are those of the command. Raises BuildError for a reserved dataset or bad column."""
    dataset: str = options["dataset"]
    if dataset == OWN:
        raise BuildError(f"{OWN!r} is the dataset of this server's own approved observations; choose another id")
    create_tables(settings.database_url)
    encoding: str = options["encoding"]
    kind = detect_kind(options["path"], encoding) if options["kind"] == "auto" else options["kind"]
    columns = read_columns(options["columns"])
    source = ArchiveSource(kind, options["path"], photos=options["photos"], columns=columns, encoding=encoding)
    today = datetime.now(UTC).date()
    policy = CurationPolicy(today=today, licences=options["licences"], uncertain=options["uncertain"])
    with (
        open_database(settings.database_url) as database,
        PhotoStore(settings.data / "photos") as store,
        Fetcher(store, guard=Guard(parse_networks(settings.fetch_allow))) as fetcher,
    ):
        given = None if options["offline"] else fetcher
        desk = PhotoDesk(source, store, given, copy=options["copy"], base_url=options["base_url"])
        with ProgressBars(" records") as bars:
            report = import_archive(database, desk, policy, dataset=dataset, title=options["title"], progress=bars)
        table = settings.data / "reports" / f"{dataset}-rejections.csv"
        with database.reading() as session:
            dropped = run_dropped_values(session, report.run)
            write_rejections(run_rejections(session, report.run), table, dropped=dropped)
    print_report(report, table)


def read_columns(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Parse FIELD=HEADER options; raises BuildError for anything else."""
    columns = []
    for text in given:
        field, equals, header = text.partition("=")
        if not (field and equals and header):
            raise BuildError(f"--column {text!r}: write FIELD=HEADER, such as --column scientific_name=Species")
        columns.append((field.strip(), header))
    return tuple(columns)


def print_report(report: ImportReport, table: Path) -> None:
    """Print the counts of accepted and rejected records."""
    print(f"dataset {report.dataset}: {report.read} read")
    print(f"  accepted {report.accepted} ({report.added} new, {report.known} already there)")
    print(f"  rejected {report.read - report.accepted}")
    print_reasons(report.rejected)
    if report.dropped:
        print(f"  values dropped {sum(count for _, count in report.dropped)}; their photos are kept")
        print_reasons(report.dropped)
    if report.assumed:
        print("  assumed")
        print_reasons(report.assumed)
    if report.rejected or report.dropped:
        print(f"  each with line, text and what to do in {table}")


def print_reasons(reasons: Reasons) -> None:
    """Print one line for each reason, with its count."""
    for reason, count in reasons:
        print(f"    {reason} {count}")
