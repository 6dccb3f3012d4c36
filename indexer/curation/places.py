"""Dates and places as archives write them, brought to one form. What is not believable is dropped with its reason."""

from __future__ import annotations

import math
import re
from datetime import date
from functools import lru_cache
from typing import Any

import pycountry

ISO = re.compile(r"^(\d{4})-(\d{1,2})-(\d{1,2})(?:[T\s].*)?Z?$")
MONTH = re.compile(r"^(\d{4})-(\d{1,2})(?:-00)?$")
YEAR = re.compile(r"^\d{4}(?:-00-00|-{2,})?$")
COMPACT = re.compile(r"^(\d{4})(\d{2})(\d{2})$")
DOTTED = re.compile(r"^(\d{1,2})\.(\d{1,2})\.(\d{4})$")
SLASHED = re.compile(r"^(\d{1,2})/(\d{1,2})/(\d{4})(?:\s.*)?$")
BACKWARD = re.compile(r"^(\d{4})/(\d{1,2})/(\d{1,2})(?:\s.*)?$")
IN_WORDS = re.compile(
    r"^\w{3}\s(\w{3})\s(\d{1,2})\s[\d:]+\s\S+\s(\d{4})$"
)  # `Tue Apr 01 00:00:00 CET 1930`, GBIF in 2013
MONTHS = {
    "Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6, "Jul": 7,
    "Aug": 8, "Sep": 9, "Oct": 10, "Nov": 11, "Dec": 12,
}  # fmt: skip
OTHER_CODES = {"UK": "GB", "EL": "GR", "XK": "XK", "XKX": "XK"}  # in wide use, though not in ISO 3166-1
NOT_COUNTRIES = frozenset({"ZZ", "XZ", "XX", "-", "UNKNOWN", "ZZZ"})
EARTH = 20_037_500.0  # metres: half the way round; no uncertainty can be larger


def parse_date(text: str, *, earliest: date, today: date) -> tuple[date | None, str]:
    """Return (date or None, doubt or ""): the day of an observation, and what was wrong or missing.

    A month without a day becomes its first day, with a doubt, because the season is worth keeping; an interval within
    one month becomes its start. A year alone, and an interval over months, says nothing of the season and is dropped.
    """
    text = text.strip()
    if not text:
        return None, ""
    if "/" in text and not SLASHED.match(text) and not BACKWARD.match(text):
        return _parse_interval(text, earliest=earliest, today=today)
    if YEAR.match(text):
        return None, f"date {text} is a year only"
    day, doubt = _read_day(text)
    if day is None:
        return None, doubt or f"date {text!r} cannot be read"
    if day > today:
        return None, f"date {day.isoformat()} is in the future"
    if day < earliest:
        return None, f"date {day.isoformat()} is before {earliest.isoformat()}"
    return day, doubt


def _parse_interval(text: str, *, earliest: date, today: date) -> tuple[date | None, str]:
    start_text, _, end_text = (part.strip() for part in text.partition("/"))
    start, doubt = parse_date(start_text, earliest=earliest, today=today)
    if start is None:
        return None, doubt or f"date {text!r} cannot be read"
    if re.match(r"^\d{1,2}(?:[T\s:]|$)", end_text) or not end_text:  # `2019-06-01/03`, `2019-06-01T10:00/11:00`
        return start, doubt
    end, _ = _read_day(end_text)
    if end is None or (start.year, start.month) != (end.year, end.month):
        return None, f"dates {text} span more than a month"
    return start, doubt


def _read_day(text: str) -> tuple[date | None, str]:
    if found := MONTH.match(text):
        return _day(found[1], found[2], "1"), f"date {text} has no day"
    for pattern in (ISO, COMPACT, BACKWARD):
        if found := pattern.match(text):
            return _day(*found.groups()), ""
    if found := DOTTED.match(text):
        return _day(found[3], found[2], found[1]), ""
    if found := IN_WORDS.match(text):
        return _day(found[3], str(MONTHS.get(found[1], 0)), found[2]), ""
    if found := SLASHED.match(text):
        first, second = int(found[1]), int(found[2])
        if first <= 12 and second <= 12 and first != second:
            return None, f"date {text} may be day or month first"
        return (_day(found[3], found[2], found[1]) if first > 12 else _day(found[3], found[1], found[2])), ""
    return None, ""


def _day(year: str, month: str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def parse_coordinates(latitude: str, longitude: str) -> tuple[float | None, float | None, str]:
    """Return (latitude, longitude, doubt): decimal degrees, both or neither."""
    if not latitude.strip() and not longitude.strip():
        return None, None, ""
    north, east = _number(latitude), _number(longitude)
    if north is None or east is None:
        return None, None, f"coordinates {latitude!r}, {longitude!r} are not two numbers"
    if abs(north) > 90 or abs(east) > 180:
        return None, None, f"coordinates {north:g}, {east:g} are not on Earth"
    if north == 0 and east == 0:
        return None, None, "coordinates 0, 0 stand for none"
    return north, east, ""


def parse_uncertainty(text: str) -> tuple[float | None, str]:
    """Return (metres or None, doubt)."""
    if not text.strip():
        return None, ""
    metres = _number(text)
    if metres is None or not 0 < metres <= EARTH:
        return None, f"coordinate uncertainty {text!r} is no distance"
    return metres, ""


def parse_country(text: str) -> tuple[str, str]:
    """Return (ISO 3166-1 alpha-2 code or "", doubt) of a code of two or three letters, or a name."""
    text = " ".join(text.split())
    if not text or text.upper() in NOT_COUNTRIES:
        return "", ""
    code = _country(text)
    return (code, "") if code else ("", f"country {text!r} is not known")


@lru_cache(maxsize=1024)
def parse_language(text: str) -> str:
    """Return the BCP 47 tag of a language given by tag, ISO 639 code or English name; nothing where it is none."""
    text = text.strip()
    head, _, tail = text.partition("-")
    language = _language(head.lower())
    if language is None:
        return ""
    code = str(getattr(language, "alpha_2", None) or language.alpha_3)
    return f"{code}-{tail}" if re.fullmatch(r"[A-Za-z0-9]{2,8}", tail) else code


def _language(text: str) -> Any:
    """Look a language up by what its length makes it: looked up by anything, `en` is a language called En."""
    languages = pycountry.languages
    if len(text) == 2:
        return languages.get(alpha_2=text)
    if len(text) == 3:
        return languages.get(alpha_3=text) or languages.get(bibliographic=text)
    try:
        return languages.lookup(text) if text else None
    except LookupError:
        return None


@lru_cache(maxsize=4096)
def _country(text: str) -> str:
    if text.upper() in OTHER_CODES:
        return OTHER_CODES[text.upper()]
    try:
        return str(pycountry.countries.lookup(text).alpha_2)
    except LookupError:
        return ""


def _number(text: str) -> float | None:
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
