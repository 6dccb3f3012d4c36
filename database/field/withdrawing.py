"""Withdrawal of reference photos, its reversal, and removal of photos whose observation is gone."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.orm import Session

from database.errors import DatabaseError
from database.field.models import FieldPhoto
from database.models import Dataset, Observation, Photo


def mark_photos(
    session: Session,
    *,
    photos: Sequence[str] = (),
    dataset: str = "",
    observation: str = "",
    withdrawn: bool,
) -> list[str]:
    """Withdraw photos or restore them: by sha256, all of a dataset, or of an observation (`DATASET:KEY`).

    Returns the sha256 of all matching photos, already marked or not. No import restores withdrawn photos. Raises
    DatabaseError for an unknown dataset or observation.
    """
    meant: list[ColumnElement[bool]] = []
    for start in range(0, len(photos), 500):
        meant.append(Photo.sha256.in_(photos[start : start + 500]))
    if dataset:
        if session.get(Dataset, dataset) is None:
            known = ", ".join(session.scalars(select(Dataset.id).order_by(Dataset.id))) or "none yet"
            raise DatabaseError(f"there is no dataset {dataset!r}; there are: {known}")
        meant.append(Photo.dataset_id == dataset)
    if observation:
        of, _, key = observation.partition(":")
        found = session.scalar(
            select(Observation.id).where(Observation.dataset_id == of, Observation.observation_key == key)
        )
        if found is None:
            raise DatabaseError(f"there is no observation {observation!r}; write DATASET:KEY, as answers name them")
        meant.append(Photo.observation_id == found)
    if not meant:
        return []
    digests = list(session.scalars(select(Photo.sha256).where(or_(*meant)).order_by(Photo.sha256)))
    session.execute(
        update(Photo).where(or_(*meant)).values(withdrawn=withdrawn), execution_options={"synchronize_session": False}
    )
    return digests


def withdrawn_photos(session: Session) -> list[str]:
    """Return the sha256 of all withdrawn photos."""
    return list(session.scalars(select(Photo.sha256).where(Photo.withdrawn).distinct().order_by(Photo.sha256)))


def drop_unmet(session: Session, dataset: str, run: int) -> int:
    """Remove photos of the dataset of observations that a run did not accept; returns their number.

    Withdrawn photos stay marked while their observation has them, so that they do not return.
    """
    still_shown = select(FieldPhoto.id).where(FieldPhoto.sha256 == Photo.sha256).exists()
    gone = delete(Photo).where(
        Photo.dataset_id == dataset,
        Photo.import_run_id.is_distinct_from(run),
        or_(Photo.withdrawn.is_(False), ~still_shown),
    )
    removed = session.scalars(gone.returning(Photo.id), execution_options={"synchronize_session": False})
    return len(removed.all())
