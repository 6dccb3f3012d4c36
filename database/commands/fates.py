"""fates: what became of the engine's suggestions."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from database.field.fates import LEAST, FateCount, FateReport, report_fates
from database.session import Database

COLUMNS = ("records", "approved", "by expert", "1st", "2nd", "3rd-5th", "later", "wider", "other")


def register(commands: Any) -> None:
    """Add the command to the parser."""
    does = "report how many suggestions were approved: by rank, person, group and snapshot"
    command = commands.add_parser("fates", help=does, description=does)
    command.add_argument("--since", type=date.fromisoformat, metavar="DAY", help="observations recorded since a day")
    command.add_argument(
        "--least",
        type=int,
        default=LEAST,
        metavar="N",
        help="least records of a person or group (default: %(default)s)",
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of tables")
    command.set_defaults(func=show)


def show(options: argparse.Namespace, database: Database) -> int:
    """Print the report."""
    with database.reading() as session:
        report = report_fates(session, since=options.since, least=options.least)
    if options.json:
        print(json.dumps(report.described(), indent=2, ensure_ascii=False))
    else:
        print("\n".join(lines_of(report)))
    return 0


def lines_of(report: FateReport) -> Iterator[str]:
    """The report for people: what the paper's section says in words, then a table for each way of counting."""
    whole = report.whole
    if not whole.records:
        yield "no observation has been recorded with a suggestion yet"
        return
    refused = whole.records - whole.approved
    share = f"{refused / whole.records:.0%}"
    yield f"{whole.records} observations came with suggestions; {refused} ({share}) are not approved."
    if whole.approved:
        shares = [
            f"{count / whole.approved:.0%} {words}"
            for count, words in (
                (whole.first, "bear the name suggested first"),
                (whole.second, "the second"),
                (whole.third_to_fifth, "the third to fifth"),
                (whole.later, "a later one"),
                (whole.wider, "a genus or wider"),
                (whole.other, "a name that was not suggested"),
            )
        ]
        yield f"Of the approved, {', '.join(shares)}."
    for title, part in (
        (f"by person, {report.least} records or more", report.people),
        (f"by group, {report.least} records or more", report.groups),
        ("by snapshot", report.snapshots),
    ):
        if part:
            yield ""
            yield from table(title, part)


def table(title: str, tallies: Sequence[FateCount]) -> Iterator[str]:
    """A table with a line for each tally."""
    wide = max(len(title), *(len(one.of) for one in tallies))
    yield "  ".join([f"{title:{wide}}", *(f"{name:>9}" for name in COLUMNS)])
    for one in tallies:
        counts = [one.records, one.approved, one.by_expert, one.first, one.second, one.third_to_fifth]
        counts += [one.later, one.wider, one.other]
        yield "  ".join([f"{one.of:{wide}}", *(f"{count:9}" for count in counts)])
