"""Approved observations with their public data only, for references and exports.

The exact place of an obscured observation is never included, so that no reference and no export can contain it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload, selectinload

from database.accounts.models import Person
from database.field.models import FieldObservation, Proposal, Verdict
from database.models import Taxon
from database.taxonomy.lineages import ancestors

PORTION = 250  # observations loaded at once, with their related rows


@dataclass(frozen=True, slots=True)
class Name:
    """A taxon with its lineage, from the widest rank to the taxon itself."""

    id: int
    scientific_name: str
    authorship: str
    rank: str
    lineage: tuple[tuple[str, str], ...]  # (rank, name)
    gbif_key: int | None = None


@dataclass(frozen=True, slots=True)
class ShownPhoto:
    """A photo in the store of observations."""

    sha256: str
    byte_count: int
    width: int
    height: int
    aspect: str
    position: int


@dataclass(frozen=True, slots=True)
class StatedIdentification:
    """A person's identification or approval of an observation, and when it was superseded."""

    id: int
    person: str
    kind: str  # propose, agree, withdraw, approve or unapprove
    name: Name
    certainty: str
    remarks: str
    created: datetime
    superseded: datetime | None


@dataclass(frozen=True, slots=True)
class ApprovedObservation:
    """An approved observation. Coordinates are the public ones: of a grid cell where `is_obscured`."""

    key: str
    name: Name
    observer: str  # the person's display name
    expert: str  # display name of the approving expert; empty where the community approved it
    score: int | None
    licence: str
    event_date: date | None
    decimal_latitude: float | None
    decimal_longitude: float | None
    coordinate_uncertainty: float | None
    is_obscured: bool
    locality: str  # empty where the place is obscured
    habitat: str
    substrate: str
    remarks: str
    approved: datetime | None
    modified: datetime
    photos: tuple[ShownPhoto, ...]
    history: tuple[StatedIdentification, ...]


def approved_ids(session: Session) -> list[int]:
    """Return the row ids of all approved observations, in the order they were recorded."""
    query = select(FieldObservation.id).where(FieldObservation.status == "approved")
    return list(session.scalars(query.order_by(FieldObservation.id)))


def approved_changes(session: Session) -> dict[str, tuple[int, datetime]]:
    """Return row id and time of the last change of all approved observations, by key."""
    query = select(FieldObservation.key, FieldObservation.id, FieldObservation.modified)
    found = session.execute(query.where(FieldObservation.status == "approved"))
    return {key: (number, modified) for key, number, modified in found}


def public_names(session: Session) -> frozenset[str]:
    """Return the names that people go by."""
    return frozenset(session.scalars(select(Person.name)))


def approved_state(session: Session) -> tuple[object, ...]:
    """Return a value that changes whenever what approved observations show may have changed, without reading them."""
    query = select(func.count(), func.max(FieldObservation.modified)).where(FieldObservation.status == "approved")
    return (*session.execute(query).one(), public_names(session))


def approved_observations(session: Session, ids: Sequence[int] | None = None) -> Iterator[ApprovedObservation]:
    """Yield approved observations in the order they were recorded: those of `ids` that are still approved, or all."""
    numbers = approved_ids(session) if ids is None else ids
    for start in range(0, len(numbers), PORTION):
        query = select(FieldObservation).where(
            FieldObservation.id.in_(numbers[start : start + PORTION]), FieldObservation.status == "approved"
        )
        query = query.options(
            joinedload(FieldObservation.person),
            selectinload(FieldObservation.photos),
            selectinload(FieldObservation.proposals).joinedload(Proposal.expert),
            selectinload(FieldObservation.verdicts).joinedload(Verdict.person),
        )
        found = session.scalars(query.order_by(FieldObservation.id)).all()
        named = {verdict.taxon_id for one in found for verdict in one.verdicts}
        named |= {one.taxon_id for one in found if one.taxon_id is not None}
        names = {taxon: _name(lineage) for taxon, lineage in ancestors(session, named).items()}
        for one in found:
            if one.taxon_id is not None:
                yield _approved(one, names)
        session.expunge_all()  # keeps memory constant in a long export


def _approved(one: FieldObservation, names: dict[int, Name]) -> ApprovedObservation:
    leading = next((proposal for proposal in one.proposals if proposal.taxon_id == one.taxon_id), None)
    expert = leading.expert if leading is not None else None
    return ApprovedObservation(
        key=one.key,
        name=names[one.taxon_id or 0],
        observer=one.person.name,
        expert=expert.name if expert is not None else "",
        score=one.score,
        licence=one.licence,
        event_date=one.event_date,
        decimal_latitude=one.public_latitude,
        decimal_longitude=one.public_longitude,
        coordinate_uncertainty=one.public_uncertainty,
        is_obscured=one.is_obscured,
        locality="" if one.is_obscured else one.locality,
        habitat=one.habitat,
        substrate=one.substrate,
        remarks=one.remarks,
        approved=one.approved,
        modified=one.modified,
        photos=tuple(
            ShownPhoto(photo.sha256, photo.byte_count, photo.width, photo.height, photo.aspect, photo.position)
            for photo in one.photos
        ),
        history=tuple(
            StatedIdentification(
                verdict.id,
                verdict.person.name,
                verdict.kind,
                names[verdict.taxon_id],
                verdict.certainty,
                verdict.remarks,
                verdict.created,
                verdict.superseded,
            )
            for verdict in one.verdicts
        ),
    )


def _name(lineage: Sequence[Taxon]) -> Name:
    """Make the name of a lineage's first taxon; `lineage` is ordered from narrow to wide."""
    taxon = lineage[0]
    path = tuple((one.taxon_rank, one.scientific_name) for one in reversed(lineage))
    return Name(
        taxon.id, taxon.scientific_name, taxon.scientific_name_authorship, taxon.taxon_rank, path, taxon.gbif_key
    )


def observation_page(page: str, key: str) -> str:
    """Return the public URL of an observation; empty if the server has none."""
    return f"{page.rstrip('/')}/api/v1/observations/{key}" if page else ""
