from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.event import listen

from database.collection.imports import finish_run, start_run
from database.collection.observations import FiledPhoto, RefusedPhoto, drop_photos
from database.collection.photos import (
    author_of,
    count_references,
    digests,
    placed_references,
    reference,
    references,
    species_with_photos,
)
from database.errors import DatabaseError
from database.keys import check_id, short_key
from database.models import Observation, Photo
from database.session import Database, Session
from database.tables import Base
from database.taxonomy.regions import observed_places
from retrieval.errors import UnknownPhoto
from tests.database.conftest import photo

NEW = FiledPhoto(added=True)
KNOWN = FiledPhoto(added=False)

Run = Callable[..., list[FiledPhoto | RefusedPhoto]]
Species = Callable[[str], int]


def shelf(database: Database) -> dict[str, tuple[str, int]]:
    """Record key of every photo with its observation and species."""
    with database.reading() as session:
        found = session.execute(select(Photo, Observation).join(Observation))
        return {row.record_key: (seen.observation_key, seen.taxon_id) for row, seen in found}


def reasons(outcomes: list[FiledPhoto | RefusedPhoto]) -> list[str]:
    return ["filed" if isinstance(outcome, FiledPhoto) else outcome.reason for outcome in outcomes]


def test_photos_of_one_observation_are_filed_together(database: Database, run: Run, species: Species) -> None:
    muscaria = species("Amanita muscaria")

    outcomes = run(photo("a.jpg", "1", muscaria), photo("b.jpg", "1", muscaria), photo("c.jpg", "2", muscaria))

    assert outcomes == [NEW, NEW, NEW]
    assert shelf(database) == {"a.jpg": ("1", muscaria), "b.jpg": ("1", muscaria), "c.jpg": ("2", muscaria)}


def test_a_second_run_adds_nothing_and_accepts_the_same(database: Database, run: Run, species: Species) -> None:
    muscaria = species("Amanita muscaria")
    entries = [photo("a.jpg", "1", muscaria), photo("b.jpg", "1", muscaria, content="a.jpg")]
    first = run(*entries)

    second = run(*entries)

    assert reasons(first) == reasons(second) == ["filed", "duplicate"]
    assert second[0] == KNOWN
    assert shelf(database) == {"a.jpg": ("1", muscaria)}


@pytest.mark.parametrize("observation", ["1", "2"])
def test_the_same_bytes_of_the_same_species_are_a_duplicate(run: Run, species: Species, observation: str) -> None:
    muscaria = species("Amanita muscaria")

    _, outcome = run(photo("a.jpg", "1", muscaria), photo("b.jpg", observation, muscaria, content="a.jpg"))

    assert outcome == RefusedPhoto("duplicate", "the same photo is there already: a.jpg in dataset walks")


def test_the_same_bytes_as_another_species_name_both(run: Run, species: Species) -> None:
    muscaria, phalloides = species("Amanita muscaria"), species("Amanita phalloides")

    _, outcome = run(photo("a.jpg", "1", muscaria), photo("b.jpg", "2", phalloides, content="a.jpg"))

    assert isinstance(outcome, RefusedPhoto)
    assert outcome.reason == "conflicting-duplicate"
    assert "Amanita phalloides and as Amanita muscaria: a.jpg in dataset walks" in outcome.detail


def test_a_photo_listed_twice_in_one_archive_is_a_duplicate(run: Run, species: Species) -> None:
    muscaria, phalloides = species("Amanita muscaria"), species("Amanita phalloides")

    outcomes = run(photo("a.jpg", "1", muscaria), photo("a.jpg", "1", muscaria), photo("a.jpg", "1", phalloides))

    assert reasons(outcomes) == ["filed", "duplicate", "conflicting-duplicate"]


def test_an_observation_of_two_species_keeps_the_first(database: Database, run: Run, species: Species) -> None:
    muscaria, phalloides = species("Amanita muscaria"), species("Amanita phalloides")

    outcomes = run(photo("a.jpg", "1", muscaria), photo("b.jpg", "1", phalloides), photo("c.jpg", "1", muscaria))

    assert reasons(outcomes) == ["filed", "conflicting-identification", "filed"]
    assert outcomes[1] == RefusedPhoto(
        "conflicting-identification", "observation 1 is both Amanita muscaria and Amanita phalloides"
    )
    assert shelf(database) == {"a.jpg": ("1", muscaria), "c.jpg": ("1", muscaria)}


def test_the_same_key_in_another_dataset_is_another_observation(database: Database, run: Run, species: Species) -> None:
    muscaria, phalloides = species("Amanita muscaria"), species("Amanita phalloides")
    run(photo("a.jpg", "1", muscaria), dataset="walks")

    outcomes = run(photo("a.jpg", "1", phalloides, content="other"), dataset="talks")

    assert outcomes == [NEW]
    with database.reading() as session:
        assert {row.observation for row in references(session)} == {"walks:1", "talks:1"}


def test_the_same_bytes_in_another_dataset_are_a_duplicate(run: Run, species: Species) -> None:
    muscaria = species("Amanita muscaria")
    run(photo("a.jpg", "1", muscaria), dataset="walks")

    outcomes = run(photo("b.jpg", "1", muscaria, content="a.jpg"), dataset="talks")

    assert reasons(outcomes) == ["duplicate"]


def test_a_corrected_identification_moves_the_whole_observation(database: Database, run: Run, species: Species) -> None:
    muscaria, phalloides = species("Amanita muscaria"), species("Amanita phalloides")
    run(photo("a.jpg", "1", muscaria), photo("b.jpg", "1", muscaria))

    outcomes = run(photo("a.jpg", "1", phalloides), photo("b.jpg", "1", phalloides))

    assert outcomes == [KNOWN, KNOWN]
    assert shelf(database) == {"a.jpg": ("1", phalloides), "b.jpg": ("1", phalloides)}


def test_a_corrected_licence_and_author_replace_the_old_ones(database: Database, run: Run, species: Species) -> None:
    muscaria = species("Amanita muscaria")
    run(photo("a.jpg", "1", muscaria, licence="CC-BY-4.0", creator="A. Adams"))

    run(photo("a.jpg", "1", muscaria, licence="CC0-1.0", creator="B. Brown"))

    with database.reading() as session:
        assert [(row.licence, row.author) for row in references(session)] == [("CC0-1.0", "B. Brown")]


def test_a_renamed_file_is_followed(database: Database, run: Run, species: Species) -> None:
    muscaria = species("Amanita muscaria")
    run(photo("old.jpg", "1", muscaria, content="bytes"))

    outcomes = run(photo("new.jpg", "1", muscaria, content="bytes"))

    assert outcomes == [KNOWN]
    with database.reading() as session:
        assert [row.location for row in references(session)] == ["/photos/new.jpg"]


def test_two_files_that_swap_their_names_are_followed(database: Database, run: Run, species: Species) -> None:
    muscaria, phalloides = species("Amanita muscaria"), species("Amanita phalloides")
    run(photo("a.jpg", "1", muscaria, content="red"), photo("b.jpg", "2", phalloides, content="green"))

    outcomes = run(photo("a.jpg", "1", phalloides, content="green"), photo("b.jpg", "2", muscaria, content="red"))

    assert reasons(outcomes) == ["filed", "filed"]
    with database.reading() as session:
        found = {row.location: row.species for row in references(session)}
    assert found == {"/photos/a.jpg": phalloides, "/photos/b.jpg": muscaria}


def test_a_file_that_takes_over_the_content_of_another_is_followed(
    database: Database, run: Run, species: Species
) -> None:
    muscaria = species("Amanita muscaria")
    run(photo("a.jpg", "1", muscaria, content="red"), photo("b.jpg", "2", muscaria, content="green"))

    outcomes = run(photo("b.jpg", "2", muscaria, content="blue"), photo("a.jpg", "1", muscaria, content="green"))

    assert outcomes == [KNOWN, KNOWN]
    with database.reading() as session:
        found = {row.location: row.sha256 for row in references(session)}
    assert found == {
        "/photos/a.jpg": photo("x", "1", 1, content="green").sha256,
        "/photos/b.jpg": photo("x", "1", 1, content="blue").sha256,
    }


def test_a_withdrawn_photo_does_not_come_back(database: Database, run: Run, species: Species) -> None:
    muscaria = species("Amanita muscaria")
    run(photo("a.jpg", "1", muscaria))
    with database.writing() as session:
        session.scalars(select(Photo)).one().withdrawn = True

    outcomes = run(photo("a.jpg", "1", muscaria), photo("b.jpg", "1", muscaria, content="a.jpg"))

    assert reasons(outcomes) == ["withdrawn", "withdrawn"]
    with database.reading() as session:
        assert list(references(session)) == []
        assert species_with_photos(session) == set()


def test_photos_that_a_later_run_refuses_are_removed_with_their_observation(
    database: Database, run: Run, species: Species
) -> None:
    muscaria = species("Amanita muscaria")
    run(photo("a.jpg", "1", muscaria), photo("b.jpg", "2", muscaria))

    with database.writing() as session:
        number = start_run(session, "walks", archive="archive")
        drop_photos(session, "walks", number, ["a.jpg"])
        finish_run(session, number)

    assert shelf(database) == {"b.jpg": ("2", muscaria)}
    with database.reading() as session:
        assert list(session.scalars(select(Observation.observation_key))) == ["2"]


def test_what_one_photo_leaves_out_of_its_observation_another_fills_in(
    database: Database, run: Run, species: Species
) -> None:
    muscaria = species("Amanita muscaria")
    day = date(2024, 9, 1)

    run(
        photo("a.jpg", "1", muscaria, habitat="birch wood"),
        photo("b.jpg", "1", muscaria, habitat="meadow", event_date=day, country_code="DK"),
    )

    with database.reading() as session:
        seen = session.scalars(select(Observation)).one()
        assert (seen.habitat, seen.event_date, seen.country_code) == ("birch wood", day, "DK")


def test_references_come_in_the_order_of_their_digests_with_all_they_need(
    database: Database, run: Run, species: Species
) -> None:
    muscaria = species("Amanita muscaria")
    said: dict[str, Any] = {"event_date": date(2024, 9, 1), "decimal_latitude": 55.5, "decimal_longitude": 12.5}
    said |= {"licence": "CC0-1.0", "aspect": "cap", "recorded_by": "C. Clark"}
    run(
        *(photo(f"{number}.jpg", "1", muscaria) for number in range(20)),
        photo("https://example.org/x.jpg", "1", muscaria, **said),
    )

    with database.reading() as session:
        found = list(references(session))
        last = reference(session, photo("https://example.org/x.jpg", "1", 1).sha256)

    digests = [row.sha256 for row in found]
    assert digests == sorted(digests)
    assert len(found) == 21
    assert last in found
    assert (last.observation, last.species, last.author) == ("walks:1", muscaria, "C. Clark")
    assert (last.licence, last.source, last.aspect) == ("CC0-1.0", "https://example.org/x.jpg", "cap")
    assert (last.event_date, last.decimal_latitude, last.decimal_longitude) == (date(2024, 9, 1), 55.5, 12.5)


def test_placed_references_come_by_species_and_observation_and_the_same_as_by_digest(
    database: Database, run: Run, species: Species
) -> None:
    names = [species(name) for name in ("Boletus edulis", "Amanita muscaria", "Amanita citrina")]
    run(*(photo(f"{number}.jpg", str(number * 7 % 12), names[number * 7 % 12 % 3]) for number in range(40)))
    with database.writing() as session:
        session.scalars(select(Photo).where(Photo.record_key == "5.jpg")).one().withdrawn = True

    with database.reading() as session:
        placed, by_digest = list(placed_references(session)), list(references(session))
        assert list(digests(session)) == [row.sha256 for row in by_digest]
        assert count_references(session) == len(by_digest) == 39

    assert [(row.species, row.observation_id, row.sha256) for row in placed] == sorted(
        (row.species, row.observation_id, row.sha256) for row in by_digest
    )
    assert sorted(placed, key=lambda row: row.sha256) == by_digest


def test_sqlite_asks_for_the_photos_of_an_observation_not_for_all_that_are_not_withdrawn() -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    asked: list[str] = []
    listen(engine, "before_cursor_execute", lambda _c, _k, statement, *_: asked.append(statement))
    with Session(engine) as session:
        for read in (observed_places, placed_references, digests):
            list(read(session))
        plans = [
            [row[-1] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", ()).all()]
            for statement in [one for one in asked if one.startswith("SELECT")]
        ]

    assert len(plans) == 3
    for plan in plans:
        assert not any("ix_photos_withdrawn" in step for step in plan), plan
    for plan in plans[:2]:  # what is read for each observation
        assert any("ix_photos_observation_id (observation_id=?)" in step for step in plan), plan
    for plan in plans[1:]:  # what comes in an index's order is not sorted beforehand
        assert not any("TEMP B-TREE" in step for step in plan), plan


def test_a_photo_that_is_not_there_is_unknown(database: Database) -> None:
    with database.reading() as session, pytest.raises(UnknownPhoto, match="no reference photo abc"):
        reference(session, "abc")


@pytest.mark.parametrize(
    ("creator", "holder", "recorder", "author"),
    [("A", "B", "C", "A"), ("", "B", "C", "B"), ("", "", "C", "C"), ("", "", "", "")],
)
def test_the_author_is_the_one_nearest_to_the_photo(creator: str, holder: str, recorder: str, author: str) -> None:
    assert author_of(creator, holder, recorder) == author


def test_keys_too_long_for_a_column_stay_apart(database: Database, run: Run, species: Species) -> None:
    muscaria = species("Amanita muscaria")
    long = "https://example.org/" + "x" * 2000

    outcomes = run(photo(long + "1", long + "1", muscaria), photo(long + "2", long + "2", muscaria))

    assert outcomes == [NEW, NEW]
    assert len({key for key, _ in shelf(database).values()}) == 2
    assert len(short_key(long, 255)) == 255
    assert short_key("short", 255) == "short"


@pytest.mark.parametrize("name", ["", "Upper", "../etc", "a/b", "a..b", "x" * 65, "-a", "a b"])
def test_an_id_that_could_not_be_a_file_name_is_refused(name: str) -> None:
    with pytest.raises(DatabaseError, match="cannot be the id of a dataset"):
        check_id("dataset", name)
