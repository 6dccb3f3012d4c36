"""The log of imports, as administrators read it."""

from __future__ import annotations

import pytest

from database.collection.import_runs import (
    dropped_page,
    dropped_reasons,
    import_run,
    list_runs,
    rejection_page,
    rejection_reasons,
)
from database.collection.imports import RejectionEntry, count_batch, finish_run, start_run
from database.errors import UnknownRun
from database.session import Database
from database.taxonomy.areas import flora_countries
from database.taxonomy.checklists import ListedTaxon, replace_checklist
from database.taxonomy.floras import FloraEntry, add_flora
from database.taxonomy.regions import RegionEntry, put_region
from database.taxonomy.taxa import TaxonEntry, TaxonRegister

REJECTED = [
    RejectionEntry("no-licence", "nobody said", "photos.csv", 3),
    RejectionEntry("no-photo", "gone", "photos.csv", 5),
    RejectionEntry("no-licence", "nobody said", "photos.csv", 9),
    RejectionEntry("a-late-one", "too late", "photos.csv", 11),
]


def log_runs(database: Database) -> list[int]:
    """Three imports, the second of them broken off."""
    with database.writing() as session:
        first = start_run(session, "walks", title="Walks", archive="one.zip")
        count_batch(session, first, accepted=7, added=6, rejections=REJECTED[:3])
        count_batch(session, first, accepted=2, added=0, rejections=REJECTED[3:])
        finish_run(session, first)
        second = start_run(session, "walks", archive="two.zip")
        third = start_run(session, "hikes", title="Hikes", archive="three.zip")
        finish_run(session, third)
    return [first, second, third]


def test_runs_are_listed_latest_first_in_pages(database: Database) -> None:
    first, second, third = log_runs(database)

    with database.reading() as session:
        page = list_runs(session, limit=2)
        rest = list_runs(session, before=page[-1].id, limit=2)

    assert [run.id for run in page] == [third, second]
    assert [run.id for run in rest] == [first]
    assert [run.title for run in [*page, *rest]] == ["Hikes", "Walks", "Walks"]


def test_a_run_says_what_it_took_and_left_out_and_whether_it_ended(database: Database) -> None:
    first, second, _ = log_runs(database)

    with database.reading() as session:
        done, broken = import_run(session, first), import_run(session, second)

    assert (done.read, done.accepted, done.added, done.rejected) == (13, 9, 6, 4)
    assert done.finished is not None
    assert broken.finished is None


def test_what_was_left_out_is_counted_by_reason_and_paged(database: Database) -> None:
    first, second, _ = log_runs(database)

    with database.reading() as session:
        reasons = rejection_reasons(session, first)
        page = rejection_page(session, first, limit=3)
        rest = rejection_page(session, first, after=page[-1][0], limit=3)
        unlicensed = rejection_page(session, first, reason="no-licence")
        others = rejection_page(session, second)

    assert reasons == [("no-licence", 2), ("a-late-one", 1), ("no-photo", 1)]  # the commonest first, then by name
    assert [entry for _, entry in [*page, *rest]] == REJECTED
    assert [entry.line for _, entry in unlicensed] == [3, 9]
    assert others == []


def test_values_that_were_dropped_are_counted_by_reason_and_paged_beside_the_rejections(database: Database) -> None:
    first, second, _ = log_runs(database)
    dropped = [
        RejectionEntry("date-not-read", "no date", "photos.csv", 2, "a.jpg", "eventDate", "autumn"),
        RejectionEntry("country-not-known", "no country", "photos.csv", 3, "b.jpg", "countryCode", "Atlantis"),
        RejectionEntry("date-not-read", "no date", "photos.csv", 5, "c.jpg", "eventDate", "soon"),
    ]
    with database.writing() as session:
        count_batch(session, first, accepted=3, added=3, rejections=[], dropped=dropped)

    with database.reading() as session:
        reasons = dropped_reasons(session, first)
        page = dropped_page(session, first, limit=2)
        rest = dropped_page(session, first, after=page[-1][0])
        undated = dropped_page(session, first, reason="date-not-read")
        others = dropped_page(session, second)

    assert reasons == [("date-not-read", 2), ("country-not-known", 1)]
    assert [entry for _, entry in [*page, *rest]] == dropped
    assert [entry.text for _, entry in undated] == ["autumn", "soon"]
    assert others == []


def test_an_import_that_there_is_not_is_told_as_such(database: Database) -> None:
    with database.reading() as session, pytest.raises(UnknownRun, match="77"):
        import_run(session, 77)


def test_the_countries_of_a_flora_are_those_of_its_regions_and_of_its_checklists(database: Database) -> None:
    with database.writing() as session:
        taxon = TaxonRegister().file(session, TaxonEntry("Boletus edulis"))
        for region, countries in (("benelux", ("NL", "BE", "LU")), ("nordic", ("SE", "DK"))):
            put_region(session, RegionEntry(region, region.title(), "own", tuple(countries)))
        lines = {(taxon, code): ListedTaxon(taxon, country_code=code) for code in ("DE", "")}
        replace_checklist(session, "walked", lines, title="", region="nordic", source="")
        replace_checklist(session, "nowhere", {(taxon, ""): ListedTaxon(taxon)}, title="", region="", source="")
        add_flora(session, FloraEntry("both", "Both", checklists=("walked",), regions=("benelux",)))
        add_flora(session, FloraEntry("listed", "Listed", checklists=("walked",)))
        add_flora(session, FloraEntry("placeless", "Placeless", checklists=("nowhere",)))
        add_flora(session, FloraEntry("gone", "Gone", checklists=("lost",), regions=("atlantis",)))

        found = flora_countries(session)

    assert found == {
        "both": ("BE", "DE", "DK", "LU", "NL", "SE"),
        "listed": ("DE", "DK", "SE"),
        "placeless": (),
        "gone": (),
    }
