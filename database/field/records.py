"""Recording, changing and removing observations with their photos, each in one transaction.

Photos are stored before the observation that refers to them, and deleted after the last reference to them is gone. A
crash in between leaves an unreferenced photo, which `sweep` deletes, never an observation without its photo. Only the
single writer looks for and deletes files, so that no photo is deleted while another request refers to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from database.accounts.people import utc_now
from database.errors import InvalidObservation, UnknownFieldPhoto, UnknownObservation
from database.field.models import FieldObservation, FieldPhoto, Suggestion
from database.field.photo_files import PhotoFiles
from database.field.verdicts import settle
from database.session import Database

EDITABLE = (
    "event_date",
    "decimal_latitude",
    "decimal_longitude",
    "coordinate_uncertainty",
    "obscured",
    "locality",
    "habitat",
    "substrate",
    "remarks",
    "licence",
)
GRACE = timedelta(hours=1)  # a photo younger than this may belong to an observation that is being recorded


@dataclass(frozen=True, slots=True)
class KeptPhoto:
    """A photo that is already in the store."""

    sha256: str
    byte_count: int
    width: int
    height: int
    aspect: str = ""
    original_sha256: str = ""


@dataclass(frozen=True, slots=True)
class EngineAnswer:
    """The engine's answer: candidates, best first, each with taxonID, scientificName and score."""

    snapshot: str
    model: str
    flora: str
    calibrated: bool
    candidates: Sequence[Mapping[str, Any]]


def record(
    session: Session,
    key: str,
    person_id: int,
    fields: Mapping[str, Any],
    photos: Sequence[KeptPhoto],
    suggestion: EngineAnswer | None = None,
) -> FieldObservation:
    """Record an observation with its photos and the engine's answer. Raises InvalidObservation.

    The caller adds identifications and then calls `settle`.
    """
    now = utc_now()
    observation = FieldObservation(key=key, person_id=person_id, status="unidentified", created=now, modified=now)
    for name in EDITABLE:
        if name in fields:
            setattr(observation, name, fields[name])
    check(observation)
    session.add(observation)
    session.flush()
    add_photos(session, observation, photos)
    if suggestion is not None:
        observation.suggestion = Suggestion(
            snapshot=suggestion.snapshot,
            model=suggestion.model,
            flora=suggestion.flora,
            calibrated=suggestion.calibrated,
            candidates=[dict(candidate) for candidate in suggestion.candidates],
            created=now,
        )
    session.flush()
    return observation


def edit(session: Session, observation: FieldObservation, changes: Mapping[str, Any]) -> None:
    """Change the given fields, and recompute what depends on time and place. Raises InvalidObservation.

    Removing the place also removes its accuracy.
    """
    if changes.get("decimal_latitude", 0) is None and changes.get("decimal_longitude", 0) is None:
        changes = {"coordinate_uncertainty": None, **changes}
    for name in EDITABLE:
        if name in changes:
            setattr(observation, name, changes[name])
    check(observation)
    settle(session, observation)


def check(observation: FieldObservation) -> None:
    """Raise InvalidObservation for an incomplete place, an uncertainty without a place, or a date in the future."""
    if (observation.decimal_latitude is None) != (observation.decimal_longitude is None):
        raise InvalidObservation("give both latitude and longitude, or neither")
    if observation.coordinate_uncertainty is not None and observation.decimal_latitude is None:
        raise InvalidObservation("an accuracy can only be given with a location")
    if observation.event_date is not None and observation.event_date > latest_day():
        raise InvalidObservation(f"{observation.event_date.isoformat()} is in the future")


def latest_day() -> date:
    """Return the latest date currently valid anywhere on Earth."""
    return (datetime.now(UTC) + timedelta(hours=14)).date()


def add_photos(session: Session, observation: FieldObservation, photos: Sequence[KeptPhoto]) -> None:
    """Add photos to an observation; those it has already are ignored."""
    shown = {photo.sha256 for photo in observation.photos}
    position = max((photo.position for photo in observation.photos), default=-1)
    for photo in photos:
        if photo.sha256 in shown:
            continue
        shown.add(photo.sha256)
        position += 1
        observation.photos.append(
            FieldPhoto(
                sha256=photo.sha256,
                original_sha256=photo.original_sha256,
                byte_count=photo.byte_count,
                width=photo.width,
                height=photo.height,
                aspect=photo.aspect,
                position=position,
            )
        )
    observation.modified = utc_now()
    session.flush()


def describe_photos(session: Session, observation: FieldObservation, aspects: Mapping[str, str]) -> None:
    """Set the aspects of photos by SHA-256, "" for unknown. Raises UnknownFieldPhoto."""
    for sha256, aspect in aspects.items():
        photo_of(observation, sha256).aspect = aspect
    observation.modified = utc_now()
    session.flush()


def drop_photo(session: Session, observation: FieldObservation, sha256: str) -> None:
    """Remove a photo from an observation. Raises UnknownFieldPhoto, InvalidObservation for the last one."""
    photo = photo_of(observation, sha256)
    if len(observation.photos) == 1:
        raise InvalidObservation("this is the only photo; delete the observation instead")
    observation.photos.remove(photo)
    observation.modified = utc_now()
    session.flush()


def remove(session: Session, observation: FieldObservation) -> None:
    """Remove an observation with all its verdicts. The caller deletes its photos by `discard` afterwards."""
    session.delete(observation)
    session.flush()


def observation_by_key(session: Session, key: str) -> FieldObservation:
    """Return an observation by its public id. Raises UnknownObservation."""
    is_key = len(key) == 36 and key.isascii() and key.replace("-", "").isalnum()
    found = session.scalar(select(FieldObservation).where(FieldObservation.key == key.lower())) if is_key else None
    if found is None:
        raise UnknownObservation("there is no such observation; it may have been deleted")
    return found


def last_licence(session: Session, person_id: int) -> str:
    """Return the licence of a person's latest observation; empty without one."""
    query = select(FieldObservation.licence).where(FieldObservation.person_id == person_id)
    return session.scalar(query.order_by(FieldObservation.id.desc()).limit(1)) or ""


def photo_of(observation: FieldObservation, sha256: str) -> FieldPhoto:
    """Return a photo of an observation. Raises UnknownFieldPhoto."""
    for photo in observation.photos:
        if photo.sha256 == sha256:
            return photo
    raise UnknownFieldPhoto("the observation has no such photo")


def digests(photos: Sequence[FieldPhoto]) -> list[str]:
    """Return the digests of all stored files of these photos."""
    return [sha256 for photo in photos for sha256 in (photo.sha256, photo.original_sha256) if sha256]


def shown(session: Session, sha256: str) -> bool:
    """Return whether any observation refers to a file, as a photo or as its original."""
    holds = or_(FieldPhoto.sha256 == sha256, FieldPhoto.original_sha256 == sha256)
    return session.scalar(select(FieldPhoto.id).where(holds).limit(1)) is not None


def discard(database: Database, files: PhotoFiles, sha256s: Sequence[str]) -> int:
    """Delete photos without observations; returns their number. Raises DatabaseError, StoreUnavailable."""
    gone = 0
    with database.writing() as session:
        for sha256 in dict.fromkeys(sha256s):
            if not shown(session, sha256):
                files.remove(sha256)
                gone += 1
    return gone


def sweep(database: Database, files: PhotoFiles, *, now: datetime | None = None) -> list[str]:
    """Delete files left in the store by killed or refused requests; returns their names."""
    before = (now or datetime.now(UTC)) - GRACE
    old = [name for name, written in files.everything() if written < before]
    removed = []
    for name in old:
        with database.writing() as session:
            if "/" in name:
                files.remove_leftover(name)
            elif shown(session, name):
                continue
            else:
                files.remove(name)
            removed.append(name)
    return removed


def missing(database: Database, files: PhotoFiles) -> list[tuple[str, str]]:
    """Return observation and photo for photos missing from the store, such as after an incomplete restore."""
    with database.reading() as session:
        pairs = session.execute(
            select(FieldObservation.key, FieldPhoto.sha256).join(FieldPhoto).order_by(FieldObservation.id)
        ).all()
    return [(key, sha256) for key, sha256 in pairs if not files.has(sha256)]
