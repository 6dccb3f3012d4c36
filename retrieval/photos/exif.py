"""Date and place from a photo's EXIF metadata. Read only on request; stored and served photos never have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from retrieval.photos.views import PhotoLimits, open_photo

EXIF_IFD: Final = 0x8769
GPS_IFD: Final = 0x8825
TAKEN: Final = (0x9003, 0x9004)  # DateTimeOriginal, DateTimeDigitized
EARLIEST: Final = date(1900, 1, 1)  # scans of slides may have their own date; the years 1 and 1601 are placeholders
CLOCKS: Final = frozenset({date(1904, 1, 1), date(1970, 1, 1), date(1980, 1, 1)})  # where unset clocks start
LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE, ERROR = 1, 2, 3, 4, 31


@dataclass(frozen=True, slots=True)
class PhotoMetadata:
    """Date and place of a photo; None where missing or implausible. Latitude and longitude in degrees."""

    event_date: date | None = None
    latitude: float | None = None
    longitude: float | None = None
    uncertainty: float | None = None  # metres


def read_metadata(photo: bytes, limits: PhotoLimits | None = None) -> PhotoMetadata:
    """Read date and place from a photo's EXIF where valid; raises the errors of `open_photo`."""
    with open_photo(photo, limits or PhotoLimits()) as image:
        taken, place = _read_block(image, EXIF_IFD), _read_block(image, GPS_IFD)
    latitude = _degrees(place, LATITUDE, LATITUDE_REF, "NS", 90)
    longitude = _degrees(place, LONGITUDE, LONGITUDE_REF, "EW", 180)
    if latitude is None or longitude is None or (latitude, longitude) == (0.0, 0.0):  # written by cameras without a fix
        return PhotoMetadata(_day(taken))
    uncertainty = _number(place.get(ERROR))
    return PhotoMetadata(_day(taken), latitude, longitude, uncertainty if uncertainty and uncertainty > 0 else None)


def latest_day() -> date:
    """Return the latest date currently valid anywhere on Earth."""
    return (datetime.now(UTC) + timedelta(hours=14)).date()


def _read_block(image: Any, tag: int) -> Mapping[int, Any]:
    """Return a block of an open image's EXIF; empty if missing or damaged."""
    try:
        return dict(image.getexif().get_ifd(tag))
    except Exception:  # decoders raise arbitrary exceptions on damaged files
        return {}


def _day(taken: Mapping[int, Any]) -> date | None:
    """Return the first plausible date: not in the future, long past, or of an unset clock."""
    for tag in TAKEN:
        try:
            day = datetime.strptime(str(taken[tag]).strip()[:10], "%Y:%m:%d").date()  # noqa: DTZ007 - the local date
        except (KeyError, ValueError):
            continue
        if EARLIEST <= day <= latest_day() and day not in CLOCKS:
            return day
    return None


def _degrees(place: Mapping[int, Any], tag: int, reference: int, signs: str, most: float) -> float | None:
    """Convert degrees, minutes and seconds to signed degrees; None without a hemisphere.

    `signs` are the letters of the positive and negative hemisphere.
    """
    parts = place.get(tag)
    if not isinstance(parts, Sequence) or isinstance(parts, str | bytes) or len(parts) != 3:
        return None
    numbers = [_number(part) for part in parts]
    letter = _letter(place.get(reference))
    if letter not in tuple(signs) or None in numbers:
        return None
    degrees, minutes, seconds = (float(number or 0) for number in numbers)
    value = degrees + minutes / 60 + seconds / 3600
    if min(degrees, minutes, seconds) < 0 or max(minutes, seconds) > 60 or value > most:
        return None
    return round(value if letter == signs[0] else -value, 7)


def _letter(reference: Any) -> str:
    text = reference.decode("ascii", "replace") if isinstance(reference, bytes) else str(reference or "")
    return text.strip("\0 ").upper()


def _number(part: Any) -> float | None:
    try:
        number = float(part)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if number == number and abs(number) != float("inf") else None
