"""Search of observations by taxon, flora, area, date, status, person or distance, with keyset pagination.

Only public places are searched, for every user: an obscured observation is found by its grid cell.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from sqlalchemy import BindParameter, ColumnElement, bindparam, select
from sqlalchemy.orm import Session, joinedload, selectinload

from database.field.evidence import within
from database.field.models import FieldObservation, Proposal, Verdict
from database.field.obscuring import Box, box_around, distance_km
from database.taxonomy.lineages import below

MOST_NEAR = 20_000  # observations considered by a search near a point


@dataclass(frozen=True, slots=True)
class ObservationFilter:
    """Criteria of a search; None or empty means no restriction."""

    taxon_id: int | None = None  # with its descendants
    species: Collection[int] | None = None  # of a flora
    box: Box | None = None
    first_day: date | None = None
    last_day: date | None = None
    statuses: tuple[str, ...] = ()
    person_id: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of observations; `after` is the cursor of the next page, None on the last page."""

    observations: list[FieldObservation]
    after: tuple[float, ...] | None


def search(session: Session, wanted: ObservationFilter, *, after: tuple[float, ...] | None, limit: int) -> Page:
    """Return a page of observations, latest first; `after` is the cursor, stable when observations are added."""
    query = select(FieldObservation.id).where(*_conditions(wanted))
    if after is not None:
        query = query.where(FieldObservation.id < int(after[0]))
    ids = session.scalars(query.order_by(FieldObservation.id.desc()).limit(limit + 1)).all()
    shown = list(ids[:limit])
    return Page(_whole(session, shown), (float(shown[-1]),) if len(ids) > limit else None)


def search_near(
    session: Session,
    wanted: ObservationFilter,
    latitude: float,
    longitude: float,
    km: float,
    *,
    after: tuple[float, ...] | None,
    limit: int,
) -> Page:
    """Return a page of observations within `km` of a point, nearest first."""
    inside = within(
        box_around(latitude, longitude, km), FieldObservation.public_latitude, FieldObservation.public_longitude
    )
    points = select(FieldObservation.id, FieldObservation.public_latitude, FieldObservation.public_longitude)
    points = points.where(*_conditions(wanted), *inside).order_by(FieldObservation.id.desc()).limit(MOST_NEAR)
    ranked = sorted(
        (away, -number)
        for number, there, across in session.execute(points)
        if there is not None
        and across is not None
        and (away := round(distance_km(latitude, longitude, there, across), 6)) <= km
    )
    ahead = [one for one in ranked if after is None or one > (after[0], after[1])]
    shown = ahead[:limit]
    following = (shown[-1][0], float(shown[-1][1])) if len(ahead) > limit else None
    return Page(_whole(session, [-number for _, number in shown]), following)


def _conditions(wanted: ObservationFilter) -> list[ColumnElement[bool]]:
    asked: list[ColumnElement[bool]] = []
    if wanted.taxon_id is not None:
        asked.append(FieldObservation.taxon_id.in_(below(wanted.taxon_id)))
    if wanted.species is not None:
        # As literals: a flora may have more species than a statement may have parameters.
        listed: BindParameter[list[int]] = bindparam(
            "species", sorted(wanted.species), expanding=True, literal_execute=True
        )
        asked.append(FieldObservation.taxon_id.in_(listed))
    if wanted.box is not None:
        asked += within(wanted.box, FieldObservation.public_latitude, FieldObservation.public_longitude)
    if wanted.first_day is not None:
        asked.append(FieldObservation.event_date >= wanted.first_day)
    if wanted.last_day is not None:
        asked.append(FieldObservation.event_date <= wanted.last_day)
    if wanted.statuses:
        asked.append(FieldObservation.status.in_(wanted.statuses))
    if wanted.person_id is not None:
        asked.append(FieldObservation.person_id == wanted.person_id)
    return asked


def _whole(session: Session, ids: list[int]) -> list[FieldObservation]:
    """Load observations with their related rows, in the order of the ids."""
    query = select(FieldObservation).where(FieldObservation.id.in_(ids))
    query = query.options(
        joinedload(FieldObservation.person),
        joinedload(FieldObservation.taxon),
        selectinload(FieldObservation.photos),
        selectinload(FieldObservation.proposals).options(joinedload(Proposal.taxon), joinedload(Proposal.expert)),
        selectinload(FieldObservation.verdicts).options(joinedload(Verdict.person), joinedload(Verdict.taxon)),
        selectinload(FieldObservation.suggestion),
    )
    found = {observation.id: observation for observation in session.scalars(query)}
    return [found[number] for number in ids if number in found]
