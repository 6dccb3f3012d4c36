from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.curation.places import (
    parse_coordinates,
    parse_country,
    parse_language,
    parse_uncertainty,
    split_coordinates,
)


@pytest.mark.parametrize(
    ("latitude", "longitude", "north", "east"),
    [
        ("51.5", "-0.125", 51.5, -0.125),
        ("51,5", "-0,125", 51.5, -0.125),
        ("51.5°", "0.125°", 51.5, 0.125),
        ("51°30'N", "0°7'30\"W", 51.5, -0.125),
        ("51º30’", "0º07’30”", 51.5, 0.125),
        ("51° 30.0'", "0° 7.5' E", 51.5, 0.125),
        ("33 30 00 S", "151 15 00 E", -33.5, 151.25),
        ("33 30 00 s", "151 15 00 e", -33.5, 151.25),
        ("33d30m00s", "151d15m00s", 33.5, 151.25),
        ("33:30:00", "151:15:00", 33.5, 151.25),
        ("S33.5", "W 151.25", -33.5, -151.25),
        ("151.25E", "33.5S", -33.5, 151.25),
        ("-33.5 S", "151.25", -33.5, 151.25),
        ("5.15E1", "1.25e-1", 51.5, 0.125),
        ("51.5 N", "-0.0", 51.5, 0.0),
    ],
)
def test_degrees_are_read_as_maps_and_devices_write_them(
    latitude: str, longitude: str, north: float, east: float
) -> None:
    y, x, doubt = parse_coordinates(latitude, longitude)

    assert doubt is None
    assert y == pytest.approx(north)
    assert x == pytest.approx(east)


@pytest.mark.parametrize(
    ("latitude", "longitude", "reason"),
    [
        ("51_5", "1_0", "coordinates-not-read"),
        ("51°70'N", "1°E", "coordinates-not-read"),
        ("51.5°30'", "1", "coordinates-not-read"),
        ("-51.5N", "1", "coordinates-not-read"),
        ("51.5N", "7.5O", "coordinates-not-read"),  # Ost or Ouest
        ("51.5E", "7.5", "coordinates-not-read"),
        ("51.5", "", "coordinates-not-read"),
        ("nan", "1", "coordinates-not-read"),
        ("600000", "200000", "coordinates-not-on-earth"),
        ("91", "1", "coordinates-not-on-earth"),
        ("0°", "0.0 E", "coordinates-zero"),
    ],
)
def test_coordinates_that_cannot_be_read_are_dropped_with_their_text(
    latitude: str, longitude: str, reason: str
) -> None:
    north, east, doubt = parse_coordinates(latitude, longitude)

    assert (north, east) == (None, None)
    assert doubt is not None
    assert doubt.reason == reason
    assert latitude in doubt.text


@pytest.mark.parametrize(
    "text",
    [
        "51.5, 0.125", "51.5 0.125", "51,5; 0,125", "51.5N 0.125E", "N51.5 E0.125", "51°30'00\"N 0°07'30\"E",
        "51.5|0.125", "(51.5, 0.125)", "51 30 N 0 7.5 E",
    ],
)  # fmt: skip
def test_one_cell_may_hold_both(text: str) -> None:
    y, x, _ = parse_coordinates(*split_coordinates(text))

    assert y == pytest.approx(51.5)
    assert x == pytest.approx(0.125)


@pytest.mark.parametrize("text", ["", "51.5", "46,95", "7,44", "-33,8", "somewhere", "51.5, 0.1, 200"])
def test_a_cell_that_does_not_hold_two_is_not_split(text: str) -> None:
    assert split_coordinates(text) == ("", "")


@settings(deadline=None)  # the first one reads tables
@given(st.text(max_size=25), st.text(max_size=25))
def test_no_text_makes_the_reading_of_places_fail(one: str, other: str) -> None:
    north, east, doubt = parse_coordinates(one, other)

    assert (north is None) == (east is None)
    assert north is None or (abs(north) <= 90 and doubt is None)


@settings(deadline=None)  # the first one reads tables
@given(st.floats(-90, 90), st.floats(-180, 180))
def test_degrees_minutes_and_seconds_say_the_same_as_decimal_degrees(north: float, east: float) -> None:
    def sexagesimal(value: float, letters: str) -> str:
        seconds = round(abs(value) * 3600)
        return f"{seconds // 3600}°{seconds // 60 % 60}'{seconds % 60}\"{letters[value < 0]}"

    y, x, doubt = parse_coordinates(sexagesimal(north, "NS"), sexagesimal(east, "EW"))

    if doubt is None:
        assert y == pytest.approx(north, abs=1.5e-4)
        assert x == pytest.approx(east, abs=1.5e-4)
    else:
        assert doubt.reason == "coordinates-zero"


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("25", 25.0), ("25 m", 25.0), ("25m", 25.0), ("±25", 25.0), ("0.5 km", 500.0), ("2,5", 2.5),
        ("1,000", 1000.0),
        ("100 ft", 30.48), ("1 mile", 1609.344), ("<50 m", 50.0), ("ca. 50", 50.0), ("1e3", 1000.0),
        ("12 metres", 12.0),
    ],
)  # fmt: skip
def test_an_uncertainty_is_read_in_several_units(text: str, metres: float) -> None:
    read, doubt = parse_uncertainty(text)

    assert doubt is None
    assert read == pytest.approx(metres)


@pytest.mark.parametrize("text", ["0", "-5", "10-20", "high", "1_0", "99999999", "10 min"])
def test_what_is_no_distance_is_dropped(text: str) -> None:
    metres, doubt = parse_uncertainty(text)

    assert metres is None
    assert doubt is not None
    assert (doubt.reason, doubt.text) == ("uncertainty-not-read", text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("fr", "FR"), ("FRA", "FR"), ("Francia", "FR"), ("Frankreich", "FR"), ("South Africa", "ZA"),
        ("Südafrika", "ZA"),
        ("U.K.", "GB"), ("Wales", "GB"), ("Northern Ireland", "GB"), ("Turkey", "TR"), ("TÜRKEI", "TR"),
        ("Ελλάδα", "GR"),
        ("Czech Republic", "CZ"), ("Tschechien", "CZ"), ("The Gambia", "GM"), ("Bolivia", "BO"),
        ("Venezuela, Bolivarian Republic of", "VE"), ("Syria", "SY"), ("Republic of Korea", "KR"),
        ("North Korea", "KP"),
        ("UNITED_STATES", "US"), ("Hawaii", "US"), ("Bayern", "DE"), ("Norge", "NO"), ("Noreg", "NO"), ("日本", "JP"),
        ("Россия", "RU"), ("Kosovo", "XK"), ("XK", "XK"), ("Holland", "NL"), ("Austria (AT)", "AT"),
        ("Ivory Coast", "CI"),
        ("Zaire", "CD"), ("Réunion", "RE"), ("Bosnia & Herzegovina", "BA"),
    ],
)  # fmt: skip
def test_countries_are_known_by_the_names_that_people_write(text: str, code: str) -> None:
    assert parse_country(text) == (code, None)


@pytest.mark.parametrize("text", ["Atlantis", "Europe", "Yugoslavia", "Korea", "Congo", "Kongo", "near Paris", "Q"])
def test_what_is_no_country_or_several_is_dropped(text: str) -> None:
    code, doubt = parse_country(text)

    assert code == ""
    assert doubt is not None
    assert (doubt.reason, doubt.text) == ("country-not-known", text)


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("en", "en"), ("en_US", "en-US"), ("pt-br", "pt-BR"), ("nb_NO", "nb-NO"), ("zh-hant-tw", "zh-Hant-TW"),
        ("sr_Latn", "sr-Latn"), ("es-419", "es-419"), ("deu", "de"), ("ger", "de"), ("German", "de"),
        ("Deutsch", "de"),
        ("français", "fr"), ("русский", "ru"), ("日本語", "ja"), ("中文", "zh"), ("Norsk", "no"),
        ("cy", "cy"), ("", ""),
        ("klingonese", ""), ("und", ""), ("xx", ""), ("?", ""),
    ],
)  # fmt: skip
def test_a_language_keeps_script_and_region(text: str, tag: str) -> None:
    assert parse_language(text) == tag


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("English (US)", "en-US"),
        ("French (Canada)", "fr-CA"),
        ("Deutsch (Österreich)", "de-AT"),
        ("German (north)", "de"),
    ],
)
def test_a_language_may_say_where_it_is_spoken(text: str, tag: str) -> None:
    assert parse_language(text) == tag


@pytest.mark.parametrize(
    "text",
    ["Botswana?", "?Botswana", "Botswana (?)", "BW ?", "Botswana [?]", "Botswana (probably)", "Botswana (or Zambia)",
     "Botswana (Zambia)", "Botswana (nicht sicher, vermutlich)", "Botswana (not confirmed)"],
)  # fmt: skip
def test_a_country_in_doubt_is_dropped_and_counted(text: str) -> None:
    code, doubt = parse_country(text)

    assert code == ""
    assert doubt is not None
    assert (doubt.reason, doubt.text) == ("country-uncertain", text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[Botswana]", "BW"), ("Botswana (BW)", "BW"), ("Botswana [BW]", "BW"), ("Iran (Islamic Republic of)", "IR"),
        ("Virgin Islands (U.S.)", "VI"), ("Saint Martin (French part)", "MF"), ("Austria (Tyrol)", "AT"),
        ("United Kingdom (Scotland)", "GB"),
    ],
)  # fmt: skip
def test_what_stands_in_brackets_is_no_doubt_by_itself(text: str, code: str) -> None:
    assert parse_country(text) == (code, None)


@pytest.mark.parametrize("text", ["north", "South", "the North", "Littoral", "Central Region"])
def test_a_direction_is_no_country_though_some_country_has_such_a_province(text: str) -> None:
    assert parse_country(text)[0] == ""
