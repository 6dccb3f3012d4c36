"""Photos of observations: re-encoded upright and without metadata before they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from database.field.photo_files import PhotoFiles
from database.field.records import KeptPhoto
from retrieval.domain import Identification
from retrieval.errors import FungariumError, InvalidOption, UnreadablePhoto
from retrieval.photos.exif import PhotoMetadata
from retrieval.photos.views import PhotoLimits
from web.photos.decoding import draw, draw_sized, read_metadata

QUALITY: Final = 90
LARGEST: Final = 65_500  # pixels of a side that a JPEG can have


@dataclass(frozen=True, slots=True)
class DrawnPhoto:
    """A re-encoded photo; `original` is the same at full size, or empty."""

    photo: bytes
    width: int
    height: int
    aspect: str
    original: bytes


def draw_photos(
    photos: Sequence[bytes], aspects: Sequence[str], limits: PhotoLimits, *, side: int, originals: bool
) -> list[DrawnPhoto]:
    """Re-encode the photos of one observation; raises the error of the first invalid photo, with its number.

    Only pixels are kept: no place, date or camera, and no embedded thumbnail of a part that was cropped away.
    """
    if aspects and len(aspects) != len(photos):
        raise InvalidOption(f"{len(aspects)} aspects were given for {len(photos)} photos: send one for each, or none")
    drawn = []
    for number, photo in enumerate(photos):
        try:
            small, (width, height) = draw_sized(photo, side, limits, quality=QUALITY)
            whole = draw(photo, LARGEST, limits, quality=QUALITY) if originals else b""
        except FungariumError as error:
            raise type(error)(f"photo {number + 1} of {len(photos)}: {error}") from error
        aspect = aspects[number] if aspects else ""
        drawn.append(DrawnPhoto(small, width, height, aspect, whole if whole != small else b""))
    return drawn


def keep_photos(files: PhotoFiles, photos: Sequence[DrawnPhoto]) -> list[KeptPhoto]:
    """Store the photos, unless they are stored already. Raises StoreFull, StoreUnavailable."""
    return [
        KeptPhoto(
            sha256=files.put(photo.photo),
            byte_count=len(photo.photo),
            width=photo.width,
            height=photo.height,
            aspect=photo.aspect,
            original_sha256=files.put(photo.original) if photo.original else "",
        )
        for photo in photos
    ]


def photos_say(photos: Sequence[bytes], limits: PhotoLimits) -> PhotoMetadata:
    """Return the date of the first photo that has one, and the place of the first that has one."""
    says = []
    for photo in photos:
        try:
            says.append(read_metadata(photo, limits))
        except UnreadablePhoto:
            continue  # ignore damaged metadata
    day = next((one.event_date for one in says if one.event_date is not None), None)
    place = next((one for one in says if one.latitude is not None), PhotoMetadata())
    return PhotoMetadata(day, place.latitude, place.longitude, place.uncertainty)


def fill_in(form: dict[str, Any], says: PhotoMetadata) -> None:
    """Fill in date and place from the metadata unless the person gave them; latitude and longitude go together."""
    if form.get("event_date") is None and says.event_date is not None:
        form["event_date"] = says.event_date
    if form.get("decimal_latitude") is None and form.get("decimal_longitude") is None and says.latitude is not None:
        form["decimal_latitude"], form["decimal_longitude"] = says.latitude, says.longitude
        form["coordinate_uncertainty"] = form.get("coordinate_uncertainty") or says.uncertainty


def candidates_of(answer: Identification) -> list[Mapping[str, Any]]:
    """Return the ranked species of an answer, as they are stored with an observation."""
    return [
        {
            "taxonID": candidate.taxon.id,
            "scientificName": candidate.taxon.name,
            "score": round(candidate.score or candidate.share, 6),
        }
        for candidate in answer.species
    ]
