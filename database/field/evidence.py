"""The evidence for the score of an identification: other records of the taxon, and a person's experience.

Approved records are the observations of archives, curated elsewhere, and this server's approved ones. The observation
itself is excluded, so that nothing confirms itself. Only public places are used, for the observation too: scores are
public, and scores from exact places would reveal nearby places to a person who records and moves an observation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import ColumnElement, case, extract, func, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import InstrumentedAttribute

from database.collection.photos import OWN
from database.field.models import FieldObservation, MorphologicalGroup, ObscuredTaxon, Verdict
from database.field.obscuring import CELL_KM, Box, Place, box_around, distance_km, obscure
from database.field.validation import FAR_KM, Experience, LocalOccurrences
from database.models import Observation, Taxon
from database.taxonomy.lineages import ancestors

Float = InstrumentedAttribute[float | None]


def occurrences_of(session: Session, observation: FieldObservation, taxon_id: int) -> LocalOccurrences:
    """Return the other approved records of a taxon, relative to this observation's time and public place."""
    archive = [Observation.taxon_id == taxon_id, Observation.dataset_id != OWN]  # ours count once, as our own
    own = [
        FieldObservation.taxon_id == taxon_id,
        FieldObservation.status == "approved",
        FieldObservation.id != observation.id,
    ]
    months: Counter[tuple[int, int]] = Counter()  # of a month in a hemisphere: 1 north, -1 south, 0 unknown
    records = located = 0
    for table, conditions in ((Observation, archive), (FieldObservation, own)):
        month = extract("month", table.event_date)
        latitude, longitude = _public_place(table)
        side = case((latitude < 0, -1), (latitude >= 0, 1), else_=0)
        months.update({(int(m), int(s)): n for m, s, n in session.execute(_by_month(month, side, conditions)) if m})
        records += session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0
        placed = [*conditions, latitude.is_not(None), longitude.is_not(None)]
        located += session.scalar(select(func.count()).select_from(table).where(*placed)) or 0
    day = observation.event_date
    has_place = observation.public_latitude is not None and observation.public_longitude is not None
    return LocalOccurrences(
        records=records,
        dated=months.total(),
        in_month=None if day is None else _in_season(months, day.month, observation.public_latitude),
        located=located,
        nearest_km=_nearest(session, observation, taxon_id, archive, own),
        has_place=has_place,
    )


def experience_of(
    session: Session, observation: FieldObservation, person_id: int, certainty: str, lineage: Sequence[Taxon]
) -> Experience:
    """Return a person's experience with a taxon and its morphological group; `lineage` begins with the taxon."""
    known = _known_to(session, observation, person_id)
    records = known.get(lineage[0].id, 0)
    if lineage[0].taxon_rank != "species":
        below = ancestors(session, known)
        records = sum(known[taxon] for taxon, path in below.items() if lineage[0].id in {node.id for node in path})
    return Experience(records, _group_species(session, known, lineage), certainty)


def within(box: Box, latitude: Float, longitude: Float) -> list[ColumnElement[bool]]:
    """Return conditions that a point lies in a box, which may cross the antimeridian."""
    across: ColumnElement[bool]
    if box.west <= box.east:
        across = longitude.between(box.west, box.east)
    else:
        across = or_(longitude >= box.west, longitude <= box.east)
    return [latitude.between(box.south, box.north), across]


def _by_month(month: ColumnElement[int], side: ColumnElement[int], conditions: Sequence[ColumnElement[bool]]):  # type: ignore[no-untyped-def] # a select of many types
    return select(month, side, func.count()).where(*conditions).group_by(month, side)


def _in_season(months: Mapping[tuple[int, int], int], month: int, latitude: float | None) -> int:
    """Return the number of records in the season of a month, shifted by half a year in the other hemisphere.

    If either hemisphere is unknown, records of both months count, so that unknown places do not lower a score.
    """
    opposite = (month + 5) % 12 + 1
    here = 0 if latitude is None else -1 if latitude < 0 else 1

    def fits(recorded: int, side: int) -> bool:
        if 0 in (side, here):
            return recorded in (month, opposite)
        return recorded == (month if side == here else opposite)

    return sum(count for (recorded, side), count in months.items() if fits(recorded, side))


def _public_place(table: type[Observation | FieldObservation]) -> tuple[Float, Float]:
    """Return the columns of a record's public latitude and longitude."""
    if table is FieldObservation:
        return FieldObservation.public_latitude, FieldObservation.public_longitude
    return Observation.decimal_latitude, Observation.decimal_longitude


def _nearest(
    session: Session,
    observation: FieldObservation,
    taxon_id: int,
    archive: Sequence[ColumnElement[bool]],
    own: Sequence[ColumnElement[bool]],
) -> float | None:
    """Return the distance in km to the nearest other record, by public places; None if none is within FAR_KM.

    Archive records of a taxon that is obscured here count at the centres of their grid cells.
    """
    here = observation.public_latitude, observation.public_longitude
    if here[0] is None or here[1] is None:
        return None
    is_obscured = is_obscured_taxon(session, ancestors(session, [taxon_id]).values())
    nearest = None
    for table, conditions in ((Observation, archive), (FieldObservation, own)):
        to_centres = is_obscured and table is Observation
        box = box_around(here[0], here[1], FAR_KM + (CELL_KM if to_centres else 0.0))
        latitude, longitude = _public_place(table)
        points = select(latitude, longitude).where(*conditions, *within(box, latitude, longitude)).distinct()
        for there in session.execute(points):
            if there[0] is None or there[1] is None:
                continue
            place = Place(there[0], there[1])
            shown = obscure(place) if to_centres else place
            away = distance_km(here[0], here[1], shown.latitude, shown.longitude)
            nearest = away if nearest is None else min(nearest, away)
    return nearest if nearest is not None and nearest <= FAR_KM else None


def is_obscured_taxon(session: Session, lineages: Iterable[Sequence[Taxon]]) -> bool:
    """Return whether any taxon of these lineages is obscured."""
    nodes = {taxon.id for lineage in lineages for taxon in lineage}
    found = select(ObscuredTaxon.taxon_id).where(ObscuredTaxon.taxon_id.in_(sorted(nodes))).limit(1)
    return session.scalar(found) is not None


def _known_to(session: Session, observation: FieldObservation, person_id: int) -> dict[int, int]:
    """Return the number of other approved observations of each taxon that a person identified correctly."""
    named = (
        select(FieldObservation.taxon_id, func.count(FieldObservation.id.distinct()))
        .join(Verdict, Verdict.observation_id == FieldObservation.id)
        .where(
            Verdict.person_id == person_id,
            Verdict.superseded.is_(None),
            Verdict.kind.in_(("propose", "agree")),
            Verdict.taxon_id == FieldObservation.taxon_id,
            FieldObservation.status == "approved",
            FieldObservation.id != observation.id,
        )
        .group_by(FieldObservation.taxon_id)
    )
    return {taxon: count for taxon, count in session.execute(named) if taxon is not None}


def _group_species(session: Session, known: dict[int, int], lineage: Sequence[Taxon]) -> int:
    """Return the number of known species of the lineage's morphological group, without the taxon itself."""
    lineages = ancestors(session, known)
    nodes = {node.id for path in [*lineages.values(), lineage] for node in path}
    groups = session.scalars(select(MorphologicalGroup).where(MorphologicalGroup.taxon_id.in_(sorted(nodes))))
    names = {group.taxon_id: group.name for group in groups}
    group = nearest_group(lineage, names)
    return sum(
        group != ""
        and path[0].taxon_rank == "species"
        and taxon != lineage[0].id
        and nearest_group(path, names) == group
        for taxon, path in lineages.items()
    )


def nearest_group(lineage: Sequence[Taxon], names: dict[int, str]) -> str:
    """Return the group of the nearest ancestor with one, else the genus, since species of a genus mostly look alike."""
    for taxon in lineage:
        if taxon.id in names:
            return names[taxon.id]
    return next((f"genus {taxon.id}" for taxon in lineage if taxon.taxon_rank == "genus"), "")
