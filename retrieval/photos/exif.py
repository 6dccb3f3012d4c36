"""Date and place from a photo's EXIF metadata. Read only on request; stored and served photos never have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from retrieval.errors import UnreadablePhoto
from retrieval.photos.views import PhotoLimits, open_photo

EXIF_IFD: Final = 0x8769
GPS_IFD: Final = 0x8825
TAKEN: Final = (0x9003, 0x9004)  # DateTimeOriginal, DateTimeDigitized
LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE, ERROR = 1, 2, 3, 4, 31


@dataclass(frozen=True, slots=True)
class PhotoMetadata:
    """Date and place of a photo; None where missing or implausible. Latitude and longitude in degrees."""

    event_date: date | None = None
    latitude: float | None = None
    longitude: float | None = None
    uncertainty: float | None = None  # metres


def read_metadata(photo: bytes, limits: PhotoLimits | None = None) -> PhotoMetadata:
    """Read date and place from a photo's EXIF; raises the errors of `open_photo`, UnreadablePhoto for damaged EXIF."""
    with open_photo(photo, limits or PhotoLimits()) as image:
        try:
            exif = image.getexif()
            taken, place = exif.get_ifd(EXIF_IFD), exif.get_ifd(GPS_IFD)
        except Exception as error:  # decoders raise arbitrary exceptions on damaged files
            raise UnreadablePhoto("the photo's metadata are damaged") from error
    latitude = _degrees(place, LATITUDE, LATITUDE_REF, "S", 90)
    longitude = _degrees(place, LONGITUDE, LONGITUDE_REF, "W", 180)
    if latitude is None or longitude is None or (latitude, longitude) == (0.0, 0.0):  # written by cameras without a fix
        return PhotoMetadata(_day(taken))
    uncertainty = _number(place.get(ERROR))
    return PhotoMetadata(_day(taken), latitude, longitude, uncertainty if uncertainty and uncertainty > 0 else None)


def _day(taken: Mapping[int, Any]) -> date | None:
    for tag in TAKEN:
        try:
            return datetime.strptime(str(taken[tag])[:10], "%Y:%m:%d").date()  # noqa: DTZ007 - the day where it was taken
        except (KeyError, ValueError):
            continue
    return None


def _degrees(place: Mapping[int, Any], tag: int, reference: int, negative: str, most: float) -> float | None:
    parts = place.get(tag)
    if not isinstance(parts, Sequence) or len(parts) != 3:
        return None
    numbers = [_number(part) for part in parts]
    if None in numbers:
        return None
    degrees, minutes, seconds = (float(number or 0) for number in numbers)
    value = degrees + minutes / 60 + seconds / 3600
    sign = -1 if str(place.get(reference, "")).strip("\0 ").upper() == negative else 1
    return round(sign * value, 7) if value <= most else None


def _number(part: Any) -> float | None:
    try:
        number = float(part)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if number == number and abs(number) != float("inf") else None
