"""Regions: named areas with country codes, a geometry, or both; and the places of observations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.collection.photos import active_photos
from database.errors import DatabaseError
from database.keys import check_id
from database.models import Observation, Photo, Region

ISO = "iso"
WGSRPD = "wgsrpd"
OWN = "own"


@dataclass(frozen=True, slots=True)
class RegionEntry:
    """A named area. `geometry` is GeoJSON in WGS 84, or None where only countries are known."""

    id: str
    title: str
    kind: str  # iso, wgsrpd or own
    country_codes: tuple[str, ...] = ()  # ISO 3166-1 alpha-2, sorted: those whose records count for the area
    geometry: dict[str, Any] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ObservedPlace:
    """A place where a species was photographed."""

    species: int  # taxon id
    country_code: str  # may be empty
    latitude: float | None
    longitude: float | None


def put_region(session: Session, entry: RegionEntry) -> bool:
    """Insert or replace a region; returns whether it is new. Raises DatabaseError if its id has another kind."""
    row = session.get(Region, check_id("region", entry.id))
    if row is not None and row.kind != entry.kind:
        raise DatabaseError(f"there is a region {entry.id!r} already, of another kind ({row.kind}): {row.title}")
    added = row is None
    if row is None:
        row = Region(id=entry.id)
        session.add(row)
    row.title = entry.title
    row.kind = entry.kind
    row.country_codes = list(entry.country_codes)
    row.geometry = entry.geometry
    session.flush()
    return added


def region(session: Session, region_id: str) -> RegionEntry:
    """Return one region. Raises DatabaseError for an unknown id."""
    row = session.get(Region, region_id)
    if row is None:
        raise DatabaseError(f"there is no region {region_id!r}; `fungarium collection region list` names them")
    return _entry(row)


def regions(session: Session, kind: str = "") -> Iterator[RegionEntry]:
    """Yield every region, or those of one kind, ordered by id."""
    found = select(Region).order_by(Region.id)
    for row in session.scalars(found.where(Region.kind == kind) if kind else found):
        yield _entry(row)


def observed_places(session: Session) -> Iterator[ObservedPlace]:
    """Yield the distinct places where species were photographed; read in batches."""
    columns = (
        Observation.taxon_id,
        Observation.country_code,
        Observation.decimal_latitude,
        Observation.decimal_longitude,
    )
    shown = select(Photo.id).where(Photo.observation_id == Observation.id, active_photos()).exists()
    for row in session.execute(select(*columns).where(shown).distinct().execution_options(yield_per=5000)):
        yield ObservedPlace(*row)


def _entry(row: Region) -> RegionEntry:
    return RegionEntry(row.id, row.title, row.kind, tuple(row.country_codes), row.geometry)
