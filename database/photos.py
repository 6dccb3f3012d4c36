"""Reference photos as the builder and the pages read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from database.models import Observation, Photo
from retrieval.errors import UnknownPhoto

OWN = "observations"  # the dataset of this server's own approved observations
OBSERVED = "observation:"  # before the sha256 of a photo that lies in the store of observations


@dataclass(frozen=True, slots=True)
class ReferencePhoto:
    """A photo that may become a reference, with all that the index and the pages need to know of it."""

    sha256: str
    location: str  # absolute path, `store:SHA256`, or `observation:SHA256`
    species: int  # taxon id
    observation_id: int  # groups the photos of one observation
    observation: str  # dataset and observation key, joined by a colon
    author: str
    licence: str
    source: str  # address of the page or photo it comes from, else the name of the dataset
    aspect: str  # one of retrieval.domain.ASPECTS or empty
    event_date: date | None
    decimal_latitude: float | None
    decimal_longitude: float | None
    country_code: str
    media_format: str


def stored_path(store: Path, sha256: str) -> Path:
    """Where a photo lies in the store that `store:SHA256` speaks of; two letters a folder keep the folders small."""
    return store / sha256[:2] / sha256


def references(session: Session, dataset: str = "") -> Iterator[ReferencePhoto]:
    """Every photo, or every one of a dataset, that is not withdrawn, ordered by sha256; in portions: millions fit."""
    asked = _references().where(Photo.dataset_id == dataset) if dataset else _references()
    for photo, observation in session.execute(asked.execution_options(yield_per=1000)):
        yield _reference(photo, observation)


def reference(session: Session, sha256: str) -> ReferencePhoto:
    """Return one photo that is not withdrawn. Raises UnknownPhoto."""
    found = session.execute(_references().where(Photo.sha256 == sha256)).one_or_none()
    if found is None:
        raise UnknownPhoto(f"there is no reference photo {sha256}")
    return _reference(*found)


def event_dates(session: Session, photos: Sequence[str]) -> dict[str, date]:
    """When the observations of some photos were made, by the photos' sha256; left out where nobody knows."""
    asked = select(Photo.sha256, Observation.event_date).join(Observation, Observation.id == Photo.observation_id)
    found = session.execute(asked.where(Photo.sha256.in_(photos), Photo.withdrawn.is_(False)))
    return {sha256: day for sha256, day in found if day is not None}


def photo_shapes(session: Session, photos: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Width and height of some photos in pixels, as they were taken, by their sha256; left out where nobody knows."""
    asked = select(Photo.sha256, Photo.width, Photo.height).where(Photo.sha256.in_(photos))
    return {sha256: (width, height) for sha256, width, height in session.execute(asked) if width and height}


def species_with_photos(session: Session) -> set[int]:
    """The ids of all species that have a photo which is not withdrawn: the flora `world`."""
    pictured = select(Observation.taxon_id).join(Photo).where(Photo.withdrawn.is_(False)).distinct()
    return set(session.scalars(pictured))


def author_of(creator: str, rights_holder: str, recorded_by: str) -> str:
    """Say whom to name beside a photo: who made it, else who holds the rights, else who made the observation."""
    return creator or rights_holder or recorded_by


def _references() -> Select[Photo, Observation]:
    joined = select(Photo, Observation).join(Observation, Observation.id == Photo.observation_id)
    return joined.where(Photo.withdrawn.is_(False)).order_by(Photo.sha256)


def _reference(photo: Photo, observation: Observation) -> ReferencePhoto:
    address = photo.record_key if photo.record_key.startswith(("http://", "https://")) else ""
    return ReferencePhoto(
        sha256=photo.sha256,
        location=photo.location,
        species=observation.taxon_id,
        observation_id=observation.id,
        observation=f"{observation.dataset_id}:{observation.observation_key}",
        author=author_of(photo.creator, photo.rights_holder, observation.recorded_by),
        licence=photo.licence,
        source=photo.references or address or photo.dataset_id,
        aspect=photo.aspect,
        event_date=observation.event_date,
        decimal_latitude=observation.decimal_latitude,
        decimal_longitude=observation.decimal_longitude,
        country_code=observation.country_code,
        media_format=photo.media_format,
    )
