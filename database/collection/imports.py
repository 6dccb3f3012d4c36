"""The log of imports: runs with counts, rejected records and dropped values, and inspected files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Select, delete, insert, select
from sqlalchemy.orm import Session

from database.collection.observations import drop_empty_observations
from database.errors import DatabaseError
from database.keys import check_id, short_key
from database.models import Dataset, DroppedValue, ImportRun, InspectedFile, RejectedRecord

LONGEST_TEXT = 1000  # characters kept of a cell: curators find it by its line


@dataclass(frozen=True, slots=True)
class RejectionEntry:
    """A rejected record, or a value dropped from an accepted one.

    `reason` is a short stable code, `detail` a sentence, `term` the Darwin Core term at fault, `text` its cell.
    """

    reason: str
    detail: str
    file: str = ""
    line: int = 0
    photo: str = ""
    term: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result of the latest inspection of a file or URL: a photo, or the reason why it is none."""

    address: str  # absolute path, `ARCHIVE!MEMBER`, or web address
    size: int | None  # bytes of the file or archive; None for a web address
    modified: float | None
    location: str = ""  # location of the photo: absolute path, or `store:SHA256`
    sha256: str = ""  # empty: no photo
    reason: str = ""
    detail: str = ""
    byte_count: int = 0
    width: int = 0
    height: int = 0
    media_format: str = ""


def start_run(session: Session, dataset: str, *, title: str = "", kind: str = "", archive: str = "") -> int:
    """Start a run of `archive` into `dataset`, which is created if it is new; returns the run's id.

    Rejections of earlier runs of the same archive are deleted, since this run reports them again. Raises DatabaseError.
    """
    known = session.get(Dataset, check_id("dataset", dataset))
    if known is None:
        session.add(Dataset(id=dataset, title=title or dataset, kind=kind))
        session.flush()
    elif title:
        known.title = title
    earlier = select(ImportRun.id).where(ImportRun.dataset_id == dataset, ImportRun.archive == archive)
    for table in (RejectedRecord, DroppedValue):
        session.execute(
            delete(table).where(table.import_run_id.in_(earlier)), execution_options={"synchronize_session": False}
        )
    run = ImportRun(dataset_id=dataset, archive=archive, started=_now())
    session.add(run)
    session.flush()
    return run.id


def dataset_kind(session: Session, dataset: str) -> str | None:
    """Return the kind of archive a dataset was made from; None for an unknown dataset."""
    known = session.get(Dataset, dataset)
    return known.kind if known is not None else None


def count_batch(
    session: Session,
    run: int,
    *,
    accepted: int,
    added: int,
    rejections: Sequence[RejectionEntry],
    dropped: Sequence[RejectionEntry] = (),
) -> None:
    """Add the counts of one batch to a run: accepted and rejected records, and values `dropped` from accepted ones."""
    row = session.get_one(ImportRun, run)
    for table, entries in ((RejectedRecord, rejections), (DroppedValue, dropped)):
        if entries:
            session.execute(insert(table), [_row(run, entry) for entry in entries])
    row.read += accepted + len(rejections)
    row.accepted += accepted
    row.added += added
    row.rejected += len(rejections)
    session.flush()


def finish_run(session: Session, run: int) -> None:
    """Finish a run, and remove observations that its corrections left without photos."""
    row = session.get_one(ImportRun, run)
    row.finished = _now()
    drop_empty_observations(session, row.dataset_id)


def run_rejections(session: Session, run: int) -> Iterator[RejectionEntry]:
    """Return the rejections of one run, in the order of the archive."""
    yield from _entries(session, RejectedRecord, RejectedRecord.import_run_id == run)


def run_dropped_values(session: Session, run: int) -> Iterator[RejectionEntry]:
    """Return the values that one run dropped from accepted records, in the order of the archive."""
    yield from _entries(session, DroppedValue, DroppedValue.import_run_id == run)


def rejections(session: Session, dataset: str, reason: str = "") -> Iterator[RejectionEntry]:
    """Return the rejections of the latest run of each archive of `dataset`, or of one reason. Raises DatabaseError."""
    yield from _entries_of_dataset(session, RejectedRecord, dataset, reason)


def dropped_values(session: Session, dataset: str, reason: str = "") -> Iterator[RejectionEntry]:
    """Return the values dropped by the latest run of each archive of `dataset`. Raises DatabaseError."""
    yield from _entries_of_dataset(session, DroppedValue, dataset, reason)


Listed: TypeAlias = type[RejectedRecord] | type[DroppedValue]


def _entries_of_dataset(session: Session, table: Listed, dataset: str, reason: str) -> Iterator[RejectionEntry]:
    if session.get(Dataset, dataset) is None:
        known = ", ".join(session.scalars(select(Dataset.id).order_by(Dataset.id))) or "none yet"
        raise DatabaseError(f"there is no dataset {dataset!r}; there are: {known}")
    runs = select(ImportRun.id).where(ImportRun.dataset_id == dataset)
    conditions = [table.import_run_id.in_(runs), *([table.reason == reason] if reason else [])]
    yield from _entries(session, table, *conditions)


def _entries(session: Session, table: Listed, *conditions: ColumnElement[bool]) -> Iterator[RejectionEntry]:
    found: Select[Any] = select(table).where(*conditions).order_by(table.id)
    for row in session.scalars(found.execution_options(yield_per=1000)):
        yield RejectionEntry(row.reason, row.detail, row.file, row.line, row.photo, row.term, row.text)


def _row(run: int, entry: RejectionEntry) -> dict[str, Any]:
    return {
        "import_run_id": run,
        "reason": entry.reason,
        "detail": _storable(entry.detail),
        "file": _storable(entry.file),
        "line": entry.line,
        "photo": _storable(entry.photo),
        "term": entry.term,
        "text": _storable(entry.text[:LONGEST_TEXT]),
    }


def inspections(session: Session, addresses: Sequence[str]) -> dict[str, Inspection]:
    """Return the stored inspections of these addresses, by address."""
    keys = {short_key(address, 1024): address for address in addresses}
    seen = InspectedFile
    columns = (
        seen.address, seen.size, seen.modified, seen.location, seen.sha256, seen.reason, seen.detail, seen.byte_count,
        seen.width, seen.height, seen.media_format,
    )  # fmt: skip
    found = session.execute(select(*columns).where(seen.address.in_(keys)))
    return {keys[address]: Inspection(keys[address], *rest) for address, *rest in found}


def remember(session: Session, seen: Sequence[Inspection]) -> None:
    """Store the inspection of each address, replacing earlier ones."""
    keys = {short_key(inspection.address, 1024): inspection for inspection in seen}
    found = session.scalars(select(InspectedFile).where(InspectedFile.address.in_(keys)))
    rows = {row.address: row for row in found}
    for key, inspection in keys.items():
        row = rows.get(key)
        if row is None:
            row = InspectedFile(address=key)
            session.add(row)
        row.size = inspection.size
        row.modified = inspection.modified
        row.location = inspection.location
        row.sha256 = inspection.sha256
        row.reason = inspection.reason
        row.detail = _storable(inspection.detail)
        row.byte_count = inspection.byte_count
        row.width = inspection.width
        row.height = inspection.height
        row.media_format = inspection.media_format
    session.flush()


def _storable(text: str) -> str:
    """Replace characters of rejected lines that no database stores: NUL and lone surrogates."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
