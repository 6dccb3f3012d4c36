"""The validation scores, compared with a table calculated by hand."""

from __future__ import annotations

from math import asin, atan2, cos, degrees, radians, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from database.field.obscuring import Place, box_around, distance_km, obscure, obscure_flora
from database.field.validation import (
    Experience,
    LocalOccurrences,
    person_weight,
    score_of,
    stars_of,
    status_of,
    taxon_weight,
)


@pytest.mark.parametrize(
    ("occurrences", "weight"),
    [
        (LocalOccurrences(records=0), 100),  # never seen before
        (LocalOccurrences(records=9), 75),  # ten times as many, a quarter less
        (LocalOccurrences(records=99), 50),
        (LocalOccurrences(records=999), 25),
        (LocalOccurrences(records=9_999), 1),  # never nothing
        (LocalOccurrences(records=99, dated=20, in_month=0), 75),  # out of season
        (LocalOccurrences(records=99, dated=20, in_month=1), 50),
        (LocalOccurrences(records=99, dated=19, in_month=0), 50),  # too few to know the season
        (LocalOccurrences(records=99, dated=20, in_month=None), 50),  # on an unknown day
        (LocalOccurrences(records=99, located=99, nearest_km=0.99, has_place=True), 25),
        (LocalOccurrences(records=99, located=99, nearest_km=1.0, has_place=True), 50),
        (LocalOccurrences(records=99, dated=20, in_month=0, located=9, nearest_km=0.5, has_place=True), 37.5),
        (LocalOccurrences(records=999, located=501, nearest_km=None, has_place=True), 50),  # far from all
        (LocalOccurrences(records=999, located=500, nearest_km=None, has_place=True), 25),  # of too few
        (LocalOccurrences(records=999, located=501, nearest_km=None, has_place=False), 25),  # nobody knows where
        (LocalOccurrences(records=0, dated=0, in_month=0), 100),
        (LocalOccurrences(records=9, dated=20, in_month=0), 100),  # never more
    ],
)
def test_rarity_season_and_distance_weigh_against_a_species(occurrences: LocalOccurrences, weight: float) -> None:
    assert taxon_weight(occurrences) == pytest.approx(weight)


def test_a_higher_taxon_has_a_weight_of_its_own() -> None:
    assert taxon_weight(LocalOccurrences(records=0, dated=30, in_month=0), is_species=False) == 18.75


@pytest.mark.parametrize(
    ("records", "group_species", "certainty", "weight"),
    [
        (0, 0, "certain", 1),
        (1, 0, "certain", 6),
        (10, 0, "certain", 51),
        (0, 10, "certain", 21),
        (4, 5, "certain", 31),
        (4, 5, "probable", 15.5),
        (4, 5, "possible", 3.1),
        (20, 0, "certain", 100),  # never more
        (500, 90, "probable", 50),
    ],
)
def test_a_word_weighs_what_its_person_has_shown(
    records: int, group_species: int, certainty: str, weight: float
) -> None:
    assert person_weight(Experience(records, group_species, certainty)) == pytest.approx(weight)


@pytest.mark.parametrize(
    ("people", "taxon", "score"),
    [
        ([1], 100, 1),  # ceil(100 * 1 / 101)
        ([51], 25, 68),  # ceil(67.1)
        ([100], 25, 80),  # exactly
        ([100, 1], 25, 81),  # ceil(80.16): the word of a newcomer tips the scales
        ([100], 100, 50),
        ([50, 50], 25, 80),  # added, not averaged
        ([0.1], 100, 1),  # never 0
        ([100] * 50, 1, 100),  # never more than 100
    ],
)
def test_the_score_is_a_share_of_the_weights(people: list[float], taxon: float, score: int) -> None:
    assert score_of(people, taxon) == score


@pytest.mark.parametrize(
    ("score", "by_expert", "status", "stars"),
    [
        (81, False, "approved", 3),
        (80, False, "likely", 2),
        (50, False, "likely", 2),
        (49, False, "suggestion", 1),
        (1, True, "approved", 3),
        (None, True, "approved", 3),
        (None, False, "unidentified", 0),
    ],
)
def test_the_categories_are_those_of_the_atlas(score: int | None, by_expert: bool, status: str, stars: int) -> None:
    assert status_of(score, by_expert=by_expert) == status
    assert stars_of(status) == stars


weights = st.floats(0.1, 100)


@given(st.lists(weights, min_size=1, max_size=20), st.floats(1, 100), weights, st.randoms())
def test_order_never_matters_and_agreement_never_harms(people: list[float], taxon: float, more: float, rng) -> None:  # type: ignore[no-untyped-def]
    shuffled = rng.sample(people, len(people))

    assert score_of(shuffled, taxon) == score_of(people, taxon)
    assert 1 <= score_of(people, taxon) <= score_of([*people, more], taxon) <= 100


@pytest.mark.parametrize(
    ("place", "seen"),
    [
        ((55.6761, 12.5683), (55.7, 12.5)),
        ((55.60001, 12.40001), (55.7, 12.5)),
        ((-33.86, 151.21), (-33.9, 151.3)),
        ((90.0, 180.0), (89.9, -179.9)),
        ((-90.0, -180.0), (-89.9, -179.9)),
    ],
)
def test_a_cell_is_shown_in_place_of_the_spot(place: tuple[float, float], seen: tuple[float, float]) -> None:
    shown = obscure(Place(*place, uncertainty=5.0))

    assert (shown.latitude, shown.longitude) == pytest.approx(seen)


@given(st.floats(-90, 90), st.floats(-180, 179.9999))
def test_the_cell_holds_the_spot_and_says_how_wide_it_is(latitude: float, longitude: float) -> None:
    shown = obscure(Place(latitude, longitude))

    away = distance_km(latitude, longitude, shown.latitude, shown.longitude)
    assert shown.uncertainty is not None
    assert 1000 * away <= shown.uncertainty + 1
    assert obscure(shown) == shown  # every spot of a cell looks the same


@given(st.floats(-89, 89), st.floats(-180, 179.9), st.floats(0.1, 200), st.floats(0, 359))
def test_a_box_round_a_point_misses_nothing_within_its_distance(
    latitude: float, longitude: float, km: float, bearing: float
) -> None:
    here, turn, along = radians(latitude), radians(bearing), radians(0.999 * km / 111.195)
    north = asin(sin(here) * cos(along) + cos(here) * sin(along) * cos(turn))
    east = radians(longitude) + atan2(sin(turn) * sin(along) * cos(here), cos(along) - sin(here) * sin(north))
    there, across = degrees(north), (degrees(east) + 180) % 360 - 180

    box = box_around(latitude, longitude, km)

    assert box.south <= there <= box.north
    assert box.west <= across <= box.east if box.west <= box.east else (across >= box.west or across <= box.east)


def test_a_distance_is_that_of_the_globe() -> None:
    assert distance_km(55.6761, 12.5683, 48.8566, 2.3522) == pytest.approx(1027, abs=3)
    assert distance_km(0, 179.9, 0, -179.9) == pytest.approx(22.2, abs=0.1)


@pytest.mark.parametrize(
    ("flora", "shown"),
    [
        ("near:55.61,12.41", "near:55.7,12.5"),
        ("near: 55.79 , +12.59 and north", "near:55.7,12.5 and north"),
        ("north or near:-40.41,175.59", "north or near:-40.5,175.5"),
        ("taxon:Amanita", "taxon:Amanita"),
        ("world", "world"),
    ],
)
def test_a_flora_around_a_place_is_kept_by_the_places_cell(flora: str, shown: str) -> None:
    assert obscure_flora(flora) == shown
