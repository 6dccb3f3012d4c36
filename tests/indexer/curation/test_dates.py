from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.curation.dates import find_date, parse_date
from indexer.records import DroppedValue
from tests.indexer.archives.samples import TODAY

EARLIEST = date(1700, 1, 1)
FORMS = [
    "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y%m%d", "%Y%m%dT%H%M%S", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y",
    "%d %B %Y", "%d %b %Y",
    "%B %d, %Y", "%d-%b-%Y", "%Y-%b-%d", "%a, %d %b %Y %H:%M:%S GMT", "%a %b %d %Y",
    "%a %b %d %H:%M:%S CET %Y", "%Y-%j",
    "%G-W%V-%u", "%Y年%m月%d日", "%Y-%m-%d %I:%M %p", "%Y-%m-%dT%H:%M:%S.000+02:00",
]  # fmt: skip


def read(text: str) -> tuple[date | None, str]:
    found, doubt = parse_date(text, earliest=EARLIEST, today=TODAY)
    assert doubt is None or doubt.text
    return found, doubt.reason if doubt else ""


@settings(deadline=None)  # the first one reads tables
@given(st.dates(EARLIEST, TODAY), st.sampled_from(FORMS))
def test_every_usual_form_of_a_date_is_read(day: date, form: str) -> None:
    assert read(day.strftime(form).replace(str(day.year), f"{day.year:04d}")) == (day, "")


@pytest.mark.parametrize(
    "text",
    [
        "7.X.2018", "7/X/2018", "7-x-2018", "7 X 2018", "7. Oktober 2018", "7 octobre 2018", "7 de octubre de 2018",
        "7 ottobre 2018", "7 października 2018", "7 октября 2018", "7. října 2018", "7 lokakuuta 2018",
        "7 oktober 2018",
        "October 7th, 2018", "Oct. 7, 2018", "07-OCT-2018", "2018 October 7", "Sunday, 7 October 2018",
        "Sun Oct 07 2018",
        "7-9 October 2018", "7–9.X.2018", "7.-9.10.2018", "2018-10-07 to 2018-10-09", "2018-10-07/09", "2018-10-07/",
        "2018-10-07 - 2018-10-31", "2018-10-07T23:30:00-07:00", "2018-10-07 14h30", "7.10. 2018",
    ],
)  # fmt: skip
def test_dates_are_read_as_people_write_them(text: str) -> None:
    assert read(text) == (date(2018, 10, 7), "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("5.9.19", "date-not-read"),  # of which century?
        ("43713", "date-not-read"),
        ("autumn 2018", "date-not-read"),
        ("2018-10-32", "date-not-read"),
        ("31 June 2018", "date-not-read"),
        ("7 listopada 2018", "date-not-read"),  # October in Zagreb, November in Warsaw
        ("7/10/2018", "date-ambiguous"),
        ("07-10-2018", "date-ambiguous"),
        ("2018", "date-without-month"),
        ("2018-00-00", "date-without-month"),
        ("2018-10-30/2018-11-02", "date-over-months"),
        ("Oct 2018 - Nov 2018", "date-over-months"),
        ("2999-01-01", "date-in-future"),
        ("1650-01-01", "date-too-early"),
    ],
)
def test_what_is_not_beyond_doubt_is_dropped_with_its_reason(text: str, reason: str) -> None:
    assert read(text) == (None, reason)


@pytest.mark.parametrize("text", ["2018-10", "10/2018", "X.2018", "October 2018", "oct. 2018", "2018-10-00"])
def test_a_month_without_a_day_stands_for_its_season(text: str) -> None:
    assert read(text) == (date(2018, 10, 1), "date-without-day")


@pytest.mark.parametrize(
    ("text", "parts", "day", "reason"),
    [
        ("", ("2018", "10", "7"), date(2018, 10, 7), ""),
        ("", ("2018", "10", ""), date(2018, 10, 1), "date-without-day"),
        ("", ("2018", "10", "0"), date(2018, 10, 1), "date-without-day"),
        ("", ("2018", "", "7"), None, "date-without-month"),
        ("", ("2018", "", ""), None, "date-without-month"),
        ("", ("", "10", "7"), None, "date-not-read"),
        ("2018-01-01T00:00:00", ("2018", "", ""), None, "date-without-month"),
        ("2018-01-01", ("2018", "", ""), None, "date-without-month"),
        ("2018-01-01T00:00:00", ("2018", "1", "1"), date(2018, 1, 1), ""),
        ("2018-01-01T00:00:00", ("", "", ""), date(2018, 1, 1), ""),
        ("07/10/2018", ("2018", "10", "7"), date(2018, 10, 7), ""),
        ("2018", ("2018", "10", "7"), date(2018, 10, 7), ""),
        ("late in the year", ("2018", "10", "7"), date(2018, 10, 7), ""),
        ("", ("", "", ""), None, ""),
    ],
)
def test_columns_of_year_month_and_day_help_and_warn(
    text: str, parts: tuple[str, str, str], day: date | None, reason: str
) -> None:
    found, doubt = find_date(text, parts, earliest=EARLIEST, today=TODAY)

    assert (found, doubt.reason if doubt else "") == (day, reason)


@settings(deadline=None)  # the first one reads tables
@given(st.text(max_size=40))
def test_no_text_makes_the_reading_of_dates_fail(text: str) -> None:
    found, doubt = parse_date(text, earliest=EARLIEST, today=TODAY)

    assert found is None or EARLIEST <= found <= TODAY
    assert doubt is None or isinstance(doubt, DroppedValue)


@settings(deadline=None)  # the first one reads tables
@given(st.dates(EARLIEST, TODAY), st.integers(0, 40))
def test_an_interval_is_its_start_where_it_stays_within_a_month(start: date, days: int) -> None:
    end = start + timedelta(days=days)
    text = f"{start.isoformat()}/{end.isoformat()}"

    same_month = (start.year, start.month) == (end.year, end.month)
    assert read(text) == ((start, "") if same_month else (None, "date-over-months"))


@pytest.mark.parametrize("before", ["before", "after", "about", "until", "vor", "avant", "not", "w"])
def test_a_word_before_a_date_must_be_a_day_of_the_week(before: str) -> None:
    assert read(f"{before} 7 October 2018") == (None, "date-not-read")
    assert read(f"{before} October 7, 2018") == (None, "date-not-read")


@pytest.mark.parametrize("weekday", ["Sonntag,", "dimanche", "søndag,", "So.", "neděle", "domingo,"])
def test_a_day_of_the_week_says_nothing(weekday: str) -> None:
    assert read(f"{weekday} 7 October 2018") == (date(2018, 10, 7), "")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("2018-10-07", ("2017", "10", "7")),
        ("2018-10-07", ("2018", "9", "7")),
        ("2018-10-07", ("2018", "7", "10")),
        ("2018-10-07", ("2018", "10", "17")),
        ("2018-10-07", ("2018", "September", "")),
        ("2018-10-07", ("1918", "", "")),
        ("2018-10", ("2018", "11", "")),
        ("2018-10-07/2018-10-09", ("2018", "11", "8")),
        ("7/10/2018", ("2018", "8", "7")),
        ("2018", ("2017", "10", "7")),
        ("autumn 2018", ("2017", "10", "7")),
    ],
)
def test_a_day_that_the_columns_beside_it_contradict_is_dropped_and_counted(
    text: str, parts: tuple[str, str, str]
) -> None:
    found, doubt = find_date(text, parts, earliest=EARLIEST, today=TODAY)

    assert found is None
    assert doubt is not None
    assert (doubt.reason, doubt.text) == ("date-contradicted", text)
    assert parts[0] in doubt.detail


@pytest.mark.parametrize(
    ("text", "parts", "day"),
    [
        ("2018-10-07", ("2018", "10", "07"), 7),
        ("2018-10-07", ("2018", "X", "7"), 7),
        ("2018-10-07", ("2018.0", "10.0", "7.0"), 7),
        ("", ("2018.0", "10.0", "7.0"), 7),
        ("2018-10-07", ("2018", "", ""), 7),
        ("2018-10-07T23:30:00Z", ("2018", "10", "8"), 7),  # by the clock of another place
        ("2018-10-07/2018-10-09", ("2018", "10", "9"), 7),
        ("2018-10-07", ("n/a", "10", "7"), 7),
        ("7/10/2018", ("2018", "10", "7"), 7),
        ("autumn 2018", ("2018", "10", "7"), 7),
        ("43380", ("2018", "10", "7"), 7),
    ],
)
def test_columns_that_agree_with_the_text_change_nothing(text: str, parts: tuple[str, str, str], day: int) -> None:
    assert find_date(text, parts, earliest=EARLIEST, today=TODAY) == (date(2018, 10, day), None)
