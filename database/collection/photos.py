"""Reference photos as the builder and the pages read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, false, func, select
from sqlalchemy.orm import Session

from database.models import Observation, Photo
from retrieval.errors import UnknownPhoto

OWN = "observations"  # the dataset of this server's own approved observations
PORTION = 2_000  # rows fetched from the database at once
STORED = "store:"  # before the sha256 of a photo in the data folder
OBSERVED = "observation:"  # before the sha256 of a photo in the store of observations


@dataclass(frozen=True, slots=True)
class CataloguePhoto:
    """A photo that can become a reference, with everything that the index and the pages need."""

    sha256: str
    location: str  # absolute path, `store:SHA256`, or `observation:SHA256`
    species: int  # taxon id
    observation_id: int  # groups the photos of one observation
    observation: str  # dataset and observation key, joined by a colon
    author: str
    licence: str
    source: str  # URL of its page or file, else the name of the dataset
    aspect: str  # one of retrieval.domain.ASPECTS or empty
    event_date: date | None
    decimal_latitude: float | None
    decimal_longitude: float | None
    country_code: str
    media_format: str
    habitat: str = ""  # verbatim
    substrate: str = ""


def stored_path(store: Path, sha256: str) -> Path:
    """Return a photo's path in the store for `store:SHA256`; two characters per folder keep folders small."""
    return store / sha256[:2] / sha256


def references(session: Session, dataset: str = "") -> Iterator[CataloguePhoto]:
    """Yield all active photos, or those of a dataset, by sha256; fetched in portions for constant memory."""
    asked = _references().where(Photo.dataset_id == dataset) if dataset else _references()
    for row in session.execute(asked.order_by(Photo.sha256).execution_options(yield_per=PORTION)):
        yield _reference(row)


def placed_references(session: Session) -> Iterator[CataloguePhoto]:
    """Yield all active photos by species, observation and sha256, the order of segments."""
    asked = _references().order_by(Observation.taxon_id, Observation.id)
    rows = session.execute(asked.execution_options(yield_per=PORTION))
    for _, photos in groupby(rows, key=lambda row: row.observation_id):
        yield from sorted(map(_reference, photos), key=lambda photo: photo.sha256)  # whatever the server's alphabet


def count_references(session: Session) -> int:
    """Return the number of active photos."""
    return int(session.scalar(select(func.count()).select_from(Photo).where(Photo.withdrawn.is_(False))) or 0)


def digests(session: Session) -> Iterator[str]:
    """Yield the sha256 of all active photos, ascending."""
    asked = select(Photo.sha256).where(active_photos()).order_by(Photo.sha256)
    yield from session.scalars(asked.execution_options(yield_per=PORTION))


def reference(session: Session, sha256: str) -> CataloguePhoto:
    """Return an active photo. Raises UnknownPhoto."""
    found = session.execute(_references().where(Photo.sha256 == sha256)).one_or_none()
    if found is None:
        raise UnknownPhoto(f"there is no reference photo {sha256}")
    return _reference(found)


def event_dates(session: Session, photos: Sequence[str]) -> dict[str, date]:
    """Return the event dates of photos by sha256; photos without a known date are omitted."""
    asked = select(Photo.sha256, Observation.event_date).join(Observation, Observation.id == Photo.observation_id)
    found = session.execute(asked.where(Photo.sha256.in_(photos), Photo.withdrawn.is_(False)))
    return {sha256: day for sha256, day in found if day is not None}


def photo_shapes(session: Session, photos: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return the original width and height of photos in pixels, by sha256; unknown ones are omitted."""
    asked = select(Photo.sha256, Photo.width, Photo.height).where(Photo.sha256.in_(photos))
    return {sha256: (width, height) for sha256, width, height in session.execute(asked) if width and height}


def species_with_photos(session: Session) -> set[int]:
    """Return the ids of all species with an active photo, which are the flora `world`."""
    pictured = select(Observation.taxon_id).join(Photo).where(Photo.withdrawn.is_(False)).distinct()
    return set(session.scalars(pictured))


def author_of(creator: str, rights_holder: str, recorded_by: str) -> str:
    """Return the credit of a photo: its creator, else the rights holder, else the recorder of the observation."""
    return creator or rights_holder or recorded_by


def active_photos() -> ColumnElement[bool]:
    """Return the condition that a photo is active, written so that SQLite does not use the index of withdrawn photos.

    Nearly all rows match in that index, so that a check of each observation would read them all every time.
    """
    return func.coalesce(Photo.withdrawn, false()).is_(False)


def _references() -> Select[*tuple[Any, ...]]:
    """Return the columns read by `_reference`; loading ORM objects instead takes ten times as long."""
    columns = (
        Photo.sha256,
        Photo.location,
        Observation.taxon_id,
        Observation.id.label("observation_id"),
        Observation.dataset_id,
        Observation.observation_key,
        Photo.creator,
        Photo.rights_holder,
        Observation.recorded_by,
        Photo.licence,
        Photo.references.label("page"),
        Photo.record_key,
        Photo.dataset_id.label("photo_dataset_id"),
        Photo.aspect,
        Observation.event_date,
        Observation.decimal_latitude,
        Observation.decimal_longitude,
        Observation.country_code,
        Observation.habitat,
        Observation.substrate,
        Photo.media_format,
    )
    return select(*columns).join(Observation, Observation.id == Photo.observation_id).where(active_photos())


def _reference(row: Row[Any]) -> CataloguePhoto:
    address = row.record_key if row.record_key.startswith(("http://", "https://")) else ""
    return CataloguePhoto(
        sha256=row.sha256,
        location=row.location,
        species=row.taxon_id,
        observation_id=row.observation_id,
        observation=f"{row.dataset_id}:{row.observation_key}",
        author=author_of(row.creator, row.rights_holder, row.recorded_by),
        licence=row.licence,
        source=row.page or address or row.photo_dataset_id,
        aspect=row.aspect,
        event_date=row.event_date,
        decimal_latitude=row.decimal_latitude,
        decimal_longitude=row.decimal_longitude,
        country_code=row.country_code,
        media_format=row.media_format,
        habitat=row.habitat,
        substrate=row.substrate,
    )
