"""The log of snapshots built and published by this installation. The snapshot folders are authoritative."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from database.models import PublishedSnapshot


def log_built(session: Session, name: str, model: str, references: int, species: int) -> None:
    """Log that a snapshot was built; a repeated build keeps the first time."""
    if session.get(PublishedSnapshot, name) is None:
        session.add(
            PublishedSnapshot(
                name=name, built=_now(), published=None, model=model, references=references, species=species
            )
        )


def log_published(session: Session, name: str) -> None:
    """Log that a snapshot was published; snapshots built elsewhere are not logged."""
    snapshot = session.get(PublishedSnapshot, name)
    if snapshot is not None:
        snapshot.published = _now()


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)  # naive UTC: SQLite stores no time zone
