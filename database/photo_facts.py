"""What the pages show of reference photos beside what a snapshot says: their shape, and the month of the find."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.models import Observation, Photo

AT_ONCE = 500  # values in one question


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """A photo's size in pixels, as it was taken, and the month of the find; 0 where nobody says."""

    width: int
    height: int
    month: int


def photo_facts(session: Session, photos: Collection[str]) -> Mapping[str, PhotoFacts]:
    """The facts of photos by their SHA-256; those that are not in the catalogue are left out."""
    found = {}
    left = iter(photos)
    while some := list(islice(left, AT_ONCE)):
        asked = select(Photo.sha256, Photo.width, Photo.height, Observation.event_date).join(
            Observation, Observation.id == Photo.observation_id
        )
        for sha256, width, height, day in session.execute(asked.where(Photo.sha256.in_(some))):
            found[sha256] = PhotoFacts(width, height, day.month if day else 0)
    return found
