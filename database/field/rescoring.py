"""Obscuring of many places at once, and the scores that depend on them.

Public places change in one short transaction. Scores follow in short transactions of their own, in which other writers
take turns; what is left to do is stored, so that a killed process loses nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, delete, false, func, insert, literal, or_, select, update
from sqlalchemy.orm import Session

from database.accounts.models import Person
from database.accounts.people import utc_now
from database.field.evidence import within
from database.field.models import FieldObservation, ObscuredTaxon, PendingScore, Proposal, Verdict
from database.field.obscuring import CELL_KM, box_around
from database.field.validation import FAR_KM
from database.field.verdicts import public_place, settle
from database.models import Taxon
from database.session import Database
from database.taxonomy.lineages import below
from retrieval.progress import Progress, silent

AT_ONCE: Final = 500  # observations looked at in a transaction
STEP: Final = 0.1  # seconds of a transaction
PAUSE: Final = 0.12  # seconds between two: processes that wait for SQLite look once in 0.1 s


def observations_of(person_id: int) -> Select[int]:
    """Return a select of the ids of a person's observations."""
    return select(FieldObservation.id).where(FieldObservation.person_id == person_id)


def observations_named(taxon_id: int) -> Select[int]:
    """Return a select of the ids of observations with an active verdict for a taxon or a descendant."""
    named = Verdict.taxon_id.in_(below(taxon_id))
    return select(Verdict.observation_id).where(Verdict.superseded.is_(None), named)


def update_public_places(session: Session, wanted: Select[int]) -> int:
    """Update the public places of observations (a select of ids); returns their number.

    Called after a person or a taxon started or stopped being obscured. `rescore_pending` then computes the scores of
    these observations and of those nearby.
    """
    named = select(Verdict.observation_id).where(Verdict.superseded.is_(None), Verdict.taxon_id.in_(_obscured_taxa()))
    is_obscured = or_(FieldObservation.obscured, Person.obscures, FieldObservation.id.in_(named))
    exact = (
        FieldObservation.decimal_latitude,
        FieldObservation.decimal_longitude,
        FieldObservation.coordinate_uncertainty,
    )
    found = select(FieldObservation.id, is_obscured, *exact).join(Person, Person.id == FieldObservation.person_id)
    now = utc_now()
    rows: list[dict[str, Any]] = []
    for number, hidden, latitude, longitude, uncertainty in session.execute(
        found.where(FieldObservation.id.in_(wanted))
    ):
        shown = public_place(latitude, longitude, uncertainty, is_obscured=hidden)
        rows.append({"id": number, "is_obscured": hidden, "modified": now, **shown})
    if rows:
        session.execute(update(FieldObservation), rows)
    _mark(session, wanted, spreads=True)
    session.expire_all()
    return len(rows)


def rescore_all(database: Database, progress: Progress = silent) -> int:
    """Recompute the scores of all observations; returns their number. A killed run is continued by the next."""
    with database.writing() as session:
        _mark(session, select(FieldObservation.id), spreads=False)
    return rescore_pending(database, progress=progress)


def rescore_pending(database: Database, *, stop: threading.Event | None = None, progress: Progress = silent) -> int:
    """Compute the scores that are due, until `stop`; returns how many observations were settled."""
    settled = 0
    ending = stop or threading.Event()
    while not ending.is_set():
        with database.reading() as session:
            due = session.scalar(select(func.count()).select_from(PendingScore)) or 0
        if not due:
            break
        with database.writing() as session:
            done = rescore_some(session)
        settled += done
        progress("rescore", done, settled + due - done)
        ending.wait(PAUSE)
    return settled


def rescore_some(session: Session, seconds: float = STEP) -> int:
    """Work on what is due for about `seconds`; returns how many observations were settled.

    Those that depend on a changed place are noted before any is settled, so that each is settled once.
    """
    until, settled = time.monotonic() + seconds, 0
    query = select(PendingScore).order_by(PendingScore.spreads.desc(), PendingScore.observation_id).limit(AT_ONCE)
    for due in session.scalars(query).all():
        observation = session.get_one(FieldObservation, due.observation_id)
        if due.spreads:
            _mark(session, _scored_by(observation), spreads=False)
            due.spreads = False
        else:
            settle(session, observation)
            session.delete(due)
            settled += 1
        if time.monotonic() >= until:
            break
    session.flush()
    return settled


def _mark(session: Session, wanted: Select[int], *, spreads: bool) -> None:
    """Note that the scores of observations are due."""
    if spreads:
        session.execute(delete(PendingScore).where(PendingScore.observation_id.in_(wanted)))
    new = select(FieldObservation.id, literal(spreads)).where(
        FieldObservation.id.in_(wanted), FieldObservation.id.not_in(select(PendingScore.observation_id))
    )
    session.execute(insert(PendingScore).from_select(["observation_id", "spreads"], new))


def _obscured_taxa() -> Select[int]:
    """Return a select of the ids of the obscured taxa and their descendants."""
    tree = select(ObscuredTaxon.taxon_id.label("id")).cte("obscured", recursive=True)
    return select(tree.union(select(Taxon.id).where(Taxon.parent_id == tree.c.id)).c.id)


def _scored_by(observation: FieldObservation) -> Select[int]:
    """Return a select of the ids of others near an approved observation with a proposal of the same taxon."""
    latitude, longitude = observation.decimal_latitude, observation.decimal_longitude
    near: Sequence[ColumnElement[bool]]
    if observation.status != "approved" or latitude is None or longitude is None:
        near = [false()]
    else:  # public places may be the centres of cells
        box = box_around(latitude, longitude, FAR_KM + 2 * CELL_KM)
        near = within(box, FieldObservation.public_latitude, FieldObservation.public_longitude)
    return (
        select(FieldObservation.id)
        .join(Proposal, Proposal.observation_id == FieldObservation.id)
        .where(Proposal.taxon_id == observation.taxon_id, FieldObservation.id != observation.id, *near)
    )
