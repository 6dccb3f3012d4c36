"""The report on what became of suggestions, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from database.field.fates import FateCount, FateReport

COLUMNS = ("records", "approved", "by expert", "1st", "2nd", "3rd-5th", "later", "wider", "other")


def format_report(report: FateReport) -> Iterator[str]:
    """Format the report: a summary in words, then a table for each way of counting."""
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
    """Format a table with a line for each count."""
    wide = max(len(title), *(len(one.of) for one in tallies))
    yield "  ".join([f"{title:{wide}}", *(f"{name:>9}" for name in COLUMNS)])
    for one in tallies:
        counts = [one.records, one.approved, one.by_expert, one.first, one.second, one.third_to_fifth]
        counts += [one.later, one.wider, one.other]
        yield "  ".join([f"{one.of:{wide}}", *(f"{count:9}" for count in counts)])
