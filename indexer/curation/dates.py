"""Parses dates in the formats of archives to a day, or explains why that is impossible."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache, lru_cache

from indexer.curation.cldr import fold_name, read_names
from indexer.records import DroppedValue

TIME = (
    r"(?:T\d{4}(?:\d{2})?Z?|[T\s,]+\d{1,2}(?:[:.h]\d{2})?(?::?\d{2}(?:[.,]\d+)?)?\s*(?:[AaPp]\.?[Mm]\.?)?\s*"
    r"(?:Z|UTC|GMT|[A-Z]{3,4}|[+-]\d{2}:?\d{0,2})?)?"
)
"""A time after a date, which is ignored."""
SEPARATOR = r"\s*[./\s,-]\s*"
ROMAN = dict(zip(["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"], range(1, 13), strict=True))
WORD = r"(?P<word>[^\W\d_]+)\.?"
WEEKDAY = r"(?P<weekday>[^\W\d_]+(?:-feira)?)"
DAY = r"(?P<day>\d{1,2})(?:\.|st|nd|rd|th|er|º|ª)?"
YEAR = r"(?P<year>\d{4})"
OF = r"(?:\s+(?:of|de|d'|del|du))?"

NUMBERS = tuple(
    re.compile(f"{pattern}{TIME}")
    for pattern in (
        r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})",
        r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})",
        r"(?P<year>\d{4})\s?[/.]\s?(?P<month>\d{1,2})\s?[/.]\s?(?P<day>\d{1,2})\.?",
        r"(?P<year>\d{4})\s(?P<month>\d{1,2})\s(?P<day>\d{1,2})",
        r"(?P<day>\d{1,2})\.\s?(?P<month>\d{1,2})\.\s?(?P<year>\d{4})",
        r"(?P<year>\d{4})\s?年\s?(?P<month>\d{1,2})\s?月\s?(?P<day>\d{1,2})\s?日",
        r"(?P<year>\d{4})\s?년\s?(?P<month>\d{1,2})\s?월\s?(?P<day>\d{1,2})\s?일",
    )
)
EITHER = re.compile(
    rf"(?P<first>\d{{1,2}})\s?(?P<mark>[/-])\s?(?P<second>\d{{1,2}})\s?(?P=mark)\s?(?P<year>\d{{4}}){TIME}"
)
"""Ambiguous order of day and month, as in 03/04/2024."""
WORDS = tuple(
    re.compile(f"{pattern}{TIME}")
    for pattern in (
        rf"(?:{WEEKDAY}\.?,?\s+)?{DAY}{OF}(?:{SEPARATOR})?{WORD}{OF}(?:{SEPARATOR})?{YEAR}",  # 5 Sep 2019, 12.IX.2019
        rf"(?:{WEEKDAY}\.?,?\s+)?{WORD}(?:{SEPARATOR})?{DAY}(?:{SEPARATOR})?{YEAR}(?:\s+[\d:]+.*)?",  # Sep 5, 2019
        rf"{YEAR}{SEPARATOR}{WORD}{SEPARATOR}{DAY}",
        rf"[^\W\d_]{{2,3}}\s{WORD}\s{DAY}\s[\d:]+\s\S+\s{YEAR}",  # Tue Apr 01 00:00:00 CET 1930, GBIF in 2013
    )
)
MONTHS_ALONE = (
    re.compile(r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})(?:-00)?"),
    re.compile(r"(?P<month>\d{1,2})[/.](?P<year>\d{4})"),
    re.compile(rf"{WORD}(?:{SEPARATOR}){YEAR}"),
    re.compile(rf"{YEAR}(?:{SEPARATOR}){WORD}"),
)
YEAR_ALONE = re.compile(r"\d{4}(?:-00-00|-{2,})?")
NO_DATE = re.compile(r"0{4}(?:[-/.]?0{1,2}){0,2}(?:[T\s].*)?")
ORDINAL = re.compile(r"(?P<year>\d{4})-?(?P<of_year>\d{3})")
WEEK = re.compile(r"\d{4}-?W\d{2}(?:-?\d)?")
BETWEEN = re.compile(r"\s*/\s*|\s+(?:to|bis|au|al|until|through|till)\s+|\s+[-–—]+\s+|\s*[–—]\s*|\s*\.\.+\s*|\s*&\s*")
DAYS = re.compile(
    r"(?P<first>\d{1,2})\.?\s*(?:[-–/&+]|to|bis|und|and)\s*\d{1,2}(?P<rest>(?:[.\s]\s*)(?:[^\W\d_]+|\d{1,2})[.,]?\s*\d{4})"
)
WHOLE = re.compile(r"(\d+)\.0+")  # integers as written by spreadsheets
UNREAD = frozenset({"date-not-read", "date-ambiguous", "date-without-month"})
MIDNIGHT_OF_NEW_YEAR = re.compile(r"\d{4}-?01-?01(?:[T\s]00:?00(?::?00(?:\.0+)?)?(?:Z|[+-]00:?00)?)?")


def find_date(
    text: str, parts: tuple[str, str, str], *, earliest: date, today: date
) -> tuple[date | None, DroppedValue | None]:
    """Return (day or None, doubt) from a record's date text and its columns of year, month and day.

    The columns are used if the text is unreadable, and reveal padding: `2019-01-01T00:00:00` in a row with a year but
    no month is not 1 January.
    """
    year, month, day = (WHOLE.sub(r"\1", part.strip()) for part in parts)
    month, day = ("" if part.strip("0") == "" else part for part in (month, day))
    apart = "-".join(part for part in (year, month, day) if part) if month else year
    if text and year and not month and MIDNIGHT_OF_NEW_YEAR.fullmatch(text) and text.startswith(year):
        return None, DroppedValue(
            "date-without-month", "eventDate", text, f"a year without a month is written as {text}"
        )
    found, doubt = parse_date(text or apart, earliest=earliest, today=today)
    if not text and day and not month and year:
        return None, DroppedValue("date-without-month", "day", f"{year}, day {day}", "there is a day and no month")
    if text and year and (found or (doubt and doubt.reason in UNREAD)):
        stated, _ = parse_date(apart, earliest=earliest, today=today) if month and day else (None, None)
        if _contradicts(found, text, (year, month, day), stated):
            columns = "-".join(part for part in (year, month, day) if part)
            detail = f"eventDate says {text}, and the columns of year, month and day say {columns}"
            return None, DroppedValue("date-contradicted", "eventDate", text, detail)
        if found is None and stated is not None:
            return stated, None
    return found, doubt


def _contradicts(found: date | None, text: str, parts: tuple[str, str, str], stated: date | None) -> bool:
    """Return whether the columns give another day than the text; a difference of one day is a time zone."""
    if found is None:
        either = EITHER.fullmatch(text)
        if either and stated:
            return {stated.day, stated.month} != {int(either["first"]), int(either["second"])}
        years = re.findall(r"(?<!\d)(?:1[6-9]|20)\d\d(?!\d)", text)
        return bool(years) and parts[0].isdigit() and parts[0] not in years
    if stated is not None and abs((stated - found).days) <= 1:
        return False
    year, month, _ = parts
    if year.isdigit() and int(year) != found.year:
        return True
    number = int(month) if month.isdigit() else find_month(month)
    if number and number != found.month:
        return True
    return stated is not None and _is_one_day(text)


def _is_one_day(text: str) -> bool:
    """Return whether a text is a single day, not an interval or a month."""
    found, doubt = _read(" ".join(unicodedata.normalize("NFKC", text).split()))
    return found is not None and not doubt


@lru_cache(maxsize=4096)
def parse_date(text: str, *, earliest: date, today: date) -> tuple[date | None, DroppedValue | None]:
    """Return (day or None, doubt): the day in a text, and what is missing or invalid.

    A month without a day becomes its first day, with a doubt, since the season is useful; an interval within a month
    becomes its start. Years alone and longer intervals give no season and are dropped.
    """
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    if not text or NO_DATE.fullmatch(text):
        return None, None
    if YEAR_ALONE.fullmatch(text):
        return None, _doubt("date-without-month", text, "a year alone says nothing of the season")
    found, reason = _read(text)
    if found is None and not reason:
        found, reason = _read_interval(text)
    if found is None:
        return None, _doubt(reason or "date-not-read", text, EXPLAINED.get(reason, "this is read as no date"))
    if found > today:
        return None, _doubt("date-in-future", text, f"{found.isoformat()} is after today, {today.isoformat()}")
    if found < earliest:
        return None, _doubt("date-too-early", text, f"{found.isoformat()} is before {earliest.isoformat()}")
    return found, _doubt(reason, text, EXPLAINED[reason]) if reason else None


EXPLAINED = {
    "date-ambiguous": "day or month may come first",
    "date-over-months": "the dates are of different months",
    "date-without-day": "there is no day: the first of the month is taken",
    "date-without-month": "a year alone says nothing of the season",
}


def _doubt(reason: str, text: str, detail: str) -> DroppedValue:
    return DroppedValue(reason, "eventDate", text, detail)


def _read(text: str) -> tuple[date | None, str]:
    """Parse one day; also returns a reason if something is missing or ambiguous."""
    for reader in (_read_numbers, _read_words, _read_either, _read_month):
        if (found := reader(text)) is not None:
            return found
    return None, ""


def _read_numbers(text: str) -> tuple[date | None, str] | None:
    if text.isascii() and WEEK.fullmatch(text):
        return _week_day(text)
    if found := ORDINAL.fullmatch(text):
        start = _day(found["year"], 1, 1)[0]
        day = start + timedelta(days=int(found["of_year"]) - 1) if start and int(found["of_year"]) else None
        return (day, "") if day and start and day.year == start.year else (None, "")
    for pattern in NUMBERS:
        if found := pattern.fullmatch(text):
            if int(found["day"]) == 0 and int(found["month"]):
                return _day(found["year"], int(found["month"]), 1, "date-without-day")
            return _day(found["year"], int(found["month"]), int(found["day"]))
    return None


def _read_words(text: str) -> tuple[date | None, str] | None:
    for pattern in WORDS:
        if (found := pattern.fullmatch(text)) and (month := find_month(found["word"])):
            before = found.groupdict().get("weekday")
            if before and fold_name(before) not in read_names().weekdays:
                continue  # `about 5 Sep 2019`, `before 5 Sep 2019`
            return _day(found["year"], month, int(found["day"]))
    return None


def _read_either(text: str) -> tuple[date | None, str] | None:
    if not (found := EITHER.fullmatch(text)):
        return None
    first, second = int(found["first"]), int(found["second"])
    if first <= 12 and second <= 12 and first != second:
        return None, "date-ambiguous"
    day, month = (first, second) if first > 12 else (second, first)
    return _day(found["year"], month, day)


def _read_month(text: str) -> tuple[date | None, str] | None:
    for pattern in MONTHS_ALONE:
        if found := pattern.fullmatch(text):
            named = "word" in pattern.groupindex
            month = find_month(found["word"]) if named else int(found["month"])
            if month:
                return _day(found["year"], month, 1, "date-without-day")
            if not named:
                return None, "date-without-month"  # 2019-00
    return None


def _read_interval(text: str) -> tuple[date | None, str]:
    if found := DAYS.fullmatch(text):
        return _read(found["first"] + found["rest"])
    for start_text, end_text in _split(text):
        start, doubt = _read(start_text)
        if start is None:
            continue
        if not end_text or re.match(r"^\d{1,2}(?:[T\s:]|$)", end_text):  # `2019-06-01/03`, `2019-06-01T10:00/11:00`
            return start, doubt
        end, _ = _read(end_text)
        if end is None and re.fullmatch(r"\d{1,2}-\d{1,2}", end_text):  # `2019-08-31/09-02`
            end, _ = _read(f"{start.year}-{end_text}")
        if end is not None:
            return (start, doubt) if (start.year, start.month) == (end.year, end.month) else (None, "date-over-months")
    return None, ""


def _split(text: str) -> Iterator[tuple[str, str]]:
    for found in BETWEEN.finditer(text):
        yield text[: found.start()].strip(), text[found.end() :].strip()


def _day(year: str, month: int, day: int, reason: str = "") -> tuple[date | None, str]:
    try:
        return date(int(year), month, day), reason
    except ValueError:
        return None, ""


def _week_day(text: str) -> tuple[date | None, str]:
    try:
        return date.fromisoformat(text), ""
    except ValueError:
        return None, ""


def find_month(word: str) -> int:
    """Return the number of a month from its Roman numeral or its name in many languages; 0 if it is none."""
    return ROMAN.get(word.upper(), 0) if word.upper() in ROMAN else _months().get(fold_name(word), 0)


@cache
def _months() -> dict[str, int]:
    """Return months by normalised name and abbreviation. English takes precedence; ambiguous names are omitted."""
    names = read_names()
    clear = {name: next(iter(numbers)) for name, numbers in names.months.items() if len(numbers) == 1}
    return clear | {name: next(iter(numbers)) for name, numbers in names.english_months.items()} | {"sept": 9}
