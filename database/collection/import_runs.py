"""The log of import runs for administrators, with rejected records and dropped values by reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from database.collection.imports import Listed, RejectionEntry
from database.errors import UnknownRun
from database.models import Dataset, DroppedValue, ImportRun, RejectedRecord


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One import run; `finished` is None while it runs, or after an interruption, when it can be resumed."""

    id: int
    dataset: str
    title: str
    archive: str
    started: datetime  # UTC, without zone
    finished: datetime | None
    read: int
    accepted: int
    added: int
    rejected: int


def list_runs(session: Session, *, before: int | None = None, limit: int = 50) -> list[RunEntry]:
    """Return a page of import runs, latest first; `before` is the last id of the previous page."""
    query = select(ImportRun, Dataset.title).join(Dataset, Dataset.id == ImportRun.dataset_id)
    if before is not None:
        query = query.where(ImportRun.id < before)
    return [_entry(run, title) for run, title in session.execute(query.order_by(ImportRun.id.desc()).limit(limit))]


def import_run(session: Session, run: int) -> RunEntry:
    """Return one import run. Raises UnknownRun."""
    row = session.get(ImportRun, run)
    if row is None:
        raise UnknownRun(f"there is no import {run}")
    return _entry(row, session.get_one(Dataset, row.dataset_id).title)


def rejection_reasons(session: Session, run: int) -> list[tuple[str, int]]:
    """Count an import's rejected records by reason, most frequent first."""
    return _reasons(session, RejectedRecord, run)


def dropped_reasons(session: Session, run: int) -> list[tuple[str, int]]:
    """Count the values that an import dropped from records it kept by reason, most frequent first."""
    return _reasons(session, DroppedValue, run)


def rejection_page(
    session: Session, run: int, *, reason: str = "", after: int = 0, limit: int = 100
) -> Sequence[tuple[int, RejectionEntry]]:
    """Return a page of an import's rejected records with their ids, in the archive's order, after the id `after`."""
    return _page(session, RejectedRecord, run, reason, after, limit)


def dropped_page(
    session: Session, run: int, *, reason: str = "", after: int = 0, limit: int = 100
) -> Sequence[tuple[int, RejectionEntry]]:
    """Return a page of the values that an import dropped, as `rejection_page` does of records."""
    return _page(session, DroppedValue, run, reason, after, limit)


def _reasons(session: Session, table: Listed, run: int) -> list[tuple[str, int]]:
    number = func.count(table.id)
    query = select(table.reason, number).where(table.import_run_id == run)
    query = query.group_by(table.reason).order_by(number.desc(), table.reason)
    return [(reason, count) for reason, count in session.execute(query)]


def _page(
    session: Session, table: Listed, run: int, reason: str, after: int, limit: int
) -> Sequence[tuple[int, RejectionEntry]]:
    query: Select[Any] = select(table).where(table.import_run_id == run, table.id > after)
    if reason:
        query = query.where(table.reason == reason)
    return [
        (row.id, RejectionEntry(row.reason, row.detail, row.file, row.line, row.photo, row.term, row.text))
        for row in session.scalars(query.order_by(table.id).limit(limit))
    ]


def _entry(run: ImportRun, title: str) -> RunEntry:
    return RunEntry(
        run.id,
        run.dataset_id,
        title,
        run.archive,
        run.started,
        run.finished,
        run.read,
        run.accepted,
        run.added,
        run.rejected,
    )
