"""Observations that are probably in two datasets."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from database.collection.duplicates import count_duplicates, find_duplicates
from database.collection.imports import start_run
from database.collection.observations import ObservationEntry, PhotoEntry, file_photos
from database.session import Database
from database.taxonomy.taxa import TaxonEntry, TaxonRegister
from tests.database.conftest import photo

DAY = date(2019, 9, 5)


def file(database: Database, dataset: str, *finds: ObservationEntry, creator: str = "") -> int:
    """Import observations of one photo each; returns the run."""
    entries: list[PhotoEntry] = []
    for find in finds:
        entry = photo(f"{dataset}-{find.key}.jpg", find.key, find.species)
        entries.append(replace(entry, observation=find, creator=creator))
    with database.writing() as session:
        run = start_run(session, dataset, archive=dataset)
        file_photos(session, dataset, run, entries)
    return run


@pytest.fixture
def find(database: Database) -> ObservationEntry:
    """A find with day, place and person."""
    with database.writing() as session:
        species = TaxonRegister().file(session, TaxonEntry("Amanita muscaria"))
    return ObservationEntry(
        key="1",
        species=species,
        event_date=DAY,
        decimal_latitude=55.6761,
        decimal_longitude=12.5683,
        recorded_by="Mette Holm",
    )


def pairs(database: Database, run: int | None = None) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    with database.reading() as session:
        return [(one.datasets, one.keys) for one in find_duplicates(session, run=run)]


SAME: list[dict[str, Any]] = [
    {},
    {"recorded_by": "Holm, M."},
    {"decimal_latitude": 55.68, "decimal_longitude": 12.57},  # as another archive rounds it
    {"decimal_latitude": 55.7, "decimal_longitude": 12.6},
    {"decimal_latitude": 55.6765},  # 45 m
]
ANOTHER: list[dict[str, Any]] = [
    {"event_date": date(2019, 9, 6)},
    {"event_date": None},
    {"decimal_latitude": 55.6791},  # 330 m, written as finely
    {"decimal_latitude": 55.7, "decimal_longitude": 12.8},
    {"decimal_latitude": None, "decimal_longitude": None},
    {"recorded_by": "Jan Holm"},
    {"recorded_by": ""},
]


@pytest.mark.parametrize("changes", SAME)
def test_the_same_find_in_another_dataset_is_a_probable_duplicate(
    database: Database, find: ObservationEntry, changes: dict[str, Any]
) -> None:
    file(database, "walks", find)
    file(database, "portal", replace(find, key="A7", **changes))

    assert pairs(database) == [(("walks", "portal"), ("1", "A7"))]


@pytest.mark.parametrize("changes", ANOTHER)
def test_another_day_place_or_person_is_another_find(
    database: Database, find: ObservationEntry, changes: dict[str, Any]
) -> None:
    file(database, "walks", find)
    file(database, "portal", replace(find, key="A7", **changes))

    assert pairs(database) == []


def test_finds_of_one_dataset_and_of_another_species_are_none(database: Database, find: ObservationEntry) -> None:
    with database.writing() as session:
        other = TaxonRegister().file(session, TaxonEntry("Amanita citrina"))
    file(database, "walks", find, replace(find, key="2"))
    file(database, "portal", replace(find, key="A7", species=other))

    assert pairs(database) == []


def test_finds_of_one_dataset_are_none_beside_one_of_another(database: Database, find: ObservationEntry) -> None:
    file(database, "walks", find, replace(find, key="2"))
    file(database, "portal", replace(find, key="A7"))

    assert [keys for _, keys in pairs(database)] == [("1", "A7"), ("2", "A7")]


def test_places_on_both_sides_of_the_date_line_are_near(database: Database, find: ObservationEntry) -> None:
    file(database, "walks", replace(find, decimal_longitude=179.9999))
    file(database, "portal", replace(find, decimal_longitude=-179.9999))

    assert len(pairs(database)) == 1


def test_the_photo_s_author_counts_where_nobody_is_named_as_recorder(
    database: Database, find: ObservationEntry
) -> None:
    file(database, "walks", find)
    file(database, "portal", replace(find, recorded_by=""), creator="M. Holm")

    assert len(pairs(database)) == 1


def test_an_import_counts_its_own_and_the_catalogue_counts_all(database: Database, find: ObservationEntry) -> None:
    file(database, "walks", find, replace(find, key="2", event_date=date(2020, 9, 5)))
    portal = file(database, "portal", replace(find, key="A7"))
    museum = file(database, "museum", replace(find, key="M", event_date=date(2020, 9, 5)))

    assert pairs(database, portal) == [(("walks", "portal"), ("1", "A7"))]
    assert pairs(database, museum) == [(("walks", "museum"), ("2", "M"))]
    with database.reading() as session:
        assert count_duplicates(session) == {("museum", "walks"): 1, ("portal", "walks"): 1}
        assert count_duplicates(session, run=museum) == {("museum", "walks"): 1}
