"""The log of imports as administrators read it: runs, the latest first, and what each left out by reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from database.collection.imports import RejectionEntry
from database.errors import UnknownRun
from database.models import Dataset, ImportRun, RejectedRecord


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One import; `finished` is None while it runs, or where it was broken off and can be taken up again."""

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
    """Imports, the latest first; `before` is the id where the page before ended."""
    query = select(ImportRun, Dataset.title).join(Dataset, Dataset.id == ImportRun.dataset_id)
    if before is not None:
        query = query.where(ImportRun.id < before)
    return [_entry(run, title) for run, title in session.execute(query.order_by(ImportRun.id.desc()).limit(limit))]


def import_run(session: Session, run: int) -> RunEntry:
    """One import. Raises UnknownRun."""
    row = session.get(ImportRun, run)
    if row is None:
        raise UnknownRun(f"there is no import {run}")
    return _entry(row, session.get_one(Dataset, row.dataset_id).title)


def rejection_reasons(session: Session, run: int) -> list[tuple[str, int]]:
    """Why records were left out of an import, and how many, the commonest reason first."""
    number = func.count(RejectedRecord.id)
    query = select(RejectedRecord.reason, number).where(RejectedRecord.import_run_id == run)
    query = query.group_by(RejectedRecord.reason).order_by(number.desc(), RejectedRecord.reason)
    return [(reason, count) for reason, count in session.execute(query)]


def rejection_page(
    session: Session, run: int, *, reason: str = "", after: int = 0, limit: int = 100
) -> Sequence[tuple[int, RejectionEntry]]:
    """Some of what an import left out, in the order of the archive, each with its id."""
    query = select(RejectedRecord).where(RejectedRecord.import_run_id == run, RejectedRecord.id > after)
    if reason:
        query = query.where(RejectedRecord.reason == reason)
    return [
        (row.id, RejectionEntry(row.reason, row.detail, row.file, row.line, row.photo))
        for row in session.scalars(query.order_by(RejectedRecord.id).limit(limit))
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
