"""The log of snapshots that this installation has built and published; the folders themselves are the truth."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from database.models import PublishedSnapshot


def log_built(session: Session, name: str, model: str, references: int, species: int) -> None:
    """Note that a snapshot has been built; built again, it keeps its first time."""
    if session.get(PublishedSnapshot, name) is None:
        session.add(
            PublishedSnapshot(
                name=name, built=_now(), published=None, model=model, references=references, species=species
            )
        )


def log_published(session: Session, name: str) -> None:
    """Note that a snapshot is published now; one that was built elsewhere is not in the log and stays out of it."""
    snapshot = session.get(PublishedSnapshot, name)
    if snapshot is not None:
        snapshot.published = _now()


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)  # without zone: SQLite keeps none
