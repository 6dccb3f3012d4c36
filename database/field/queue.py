"""The validation queue: observations that are not approved yet, least certain first."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from database.field.models import FieldObservation, Proposal, Verdict
from database.field.verdicts import OPINIONS
from database.taxonomy.lineages import below

MOST = 500  # largest number of observations in a queue, more than a session of work


@dataclass(frozen=True, slots=True)
class QueuePage:
    """Keys of queued observations, and the total number."""

    keys: list[str]
    total: int


def doubtful(session: Session, person_id: int, *, taxon_id: int | None = None, most: int = MOST) -> QueuePage:
    """Return the observations that a person could identify, least certain first.

    Sorted by score, unidentified first; equal scores by number of proposed taxa, most first, then by age, oldest
    first. The person's own observations, and those they have identified already, are excluded.
    """
    said = select(Verdict.observation_id).where(
        Verdict.person_id == person_id, Verdict.superseded.is_(None), Verdict.kind.in_((*OPINIONS, "approve"))
    )
    waits = [
        FieldObservation.status != "approved",
        FieldObservation.person_id != person_id,
        FieldObservation.id.not_in(said),
    ]
    if taxon_id is not None:
        waits.append(FieldObservation.taxon_id.in_(below(taxon_id)))
    of_this = Proposal.observation_id == FieldObservation.id
    names = select(func.count(Proposal.id)).where(of_this).correlate(FieldObservation).scalar_subquery()
    order = (func.coalesce(FieldObservation.score, 0), names.desc(), FieldObservation.id)
    keys = session.scalars(select(FieldObservation.key).where(*waits).order_by(*order).limit(most)).all()
    total = session.scalar(select(func.count(FieldObservation.id)).where(*waits)) or 0
    return QueuePage(list(keys), total)
