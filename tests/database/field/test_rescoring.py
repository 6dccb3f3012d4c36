"""Obscuring many observations: all places change at once, scores follow in short steps that survive a kill."""

from __future__ import annotations

from sqlalchemy import func, select

from database.accounts.people import change_person
from database.field.models import FieldObservation, ObscuredTaxon, PendingScore
from database.field.records import remove
from database.field.rescoring import (
    observations_named,
    observations_of,
    rescore_all,
    rescore_pending,
    rescore_some,
    update_public_places,
)
from database.field.verdicts import settle
from database.models import Taxon
from database.session import Database, Session
from tests.database.field.test_evidence import approved
from tests.database.field.test_evidence import record as recorded
from tests.database.field.test_queue import people, taxa

__all__ = ["people", "taxa"]  # fixtures


def due(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(PendingScore)) or 0


def shown(session: Session) -> list[tuple[float | None, float | None, float | None, bool]]:
    query = select(FieldObservation).order_by(FieldObservation.id)
    return [
        (one.public_latitude, one.public_longitude, one.public_uncertainty, one.is_obscured)
        for one in session.scalars(query)
    ]


def fill(database: Database, people: dict[str, int], taxa: dict[str, int]) -> None:
    """Five observations: three of Olga, of which one is approved, and two others near it."""
    with database.writing() as session:
        approved(session, 1, people, (55.61, 12.41), taxa["Boletus edulis"])
        recorded(session, 2, people["olga"], (55.63, 12.43), taxa["Boletus edulis"])
        recorded(session, 3, people["olga"], (12.0, 99.0), taxa["Amanita citrina"])
        recorded(session, 4, people["omar"], (55.611, 12.411), taxa["Boletus edulis"])
        recorded(session, 5, people["omar"], (-40.0, 12.0), taxa["Boletus edulis"])


def test_all_places_are_hidden_at_once_and_each_step_of_scores_is_short(
    database: Database, people: dict[str, int], taxa: dict[str, int]
) -> None:
    fill(database, people, taxa)

    with database.writing() as session:
        change_person(session, people["olga"], obscures=True)
        assert update_public_places(session, observations_of(people["olga"])) == 3
    with database.reading() as session:
        hidden, waiting = [row[3] for row in shown(session)], due(session)
    steps: list[tuple[int, int]] = []
    while not steps or steps[-1][1]:
        with database.writing() as session:
            steps.append((rescore_some(session, seconds=0), due(session)))

    assert hidden == [True, True, True, False, False]
    assert waiting == 3
    # The one near the approved one is due as well; each is settled once, in a transaction of its own.
    assert steps == [(0, 4), (0, 4), (0, 4), (1, 3), (1, 2), (1, 1), (1, 0)]


def test_what_a_killed_process_left_is_scored_by_the_next(
    database: Database, people: dict[str, int], taxa: dict[str, int]
) -> None:
    fill(database, people, taxa)
    with database.writing() as session:
        change_person(session, people["olga"], obscures=True)
        update_public_places(session, observations_of(people["olga"]))
    for _ in range(4):
        with database.writing() as session:
            rescore_some(session, seconds=0)  # the rest is left

    rescore_pending(database)

    with database.reading() as session:
        assert due(session) == 0
        told = {
            one.id: [(p.score, p.ingredients) for p in one.proposals]
            for one in session.scalars(select(FieldObservation))
        }
    with database.writing() as session:
        for one in session.scalars(select(FieldObservation)):
            settle(session, one)
            assert [(p.score, p.ingredients) for p in one.proposals] == told[one.id]
    assert rescore_all(database) == 5


def test_places_changed_at_once_are_those_that_settling_each_observation_gives(
    database: Database, people: dict[str, int], taxa: dict[str, int]
) -> None:
    fill(database, people, taxa)
    with database.writing() as session:
        genus = session.get_one(Taxon, taxa["Boletus edulis"]).parent_id
        session.add(ObscuredTaxon(taxon_id=genus or taxa["Boletus edulis"]))
        session.flush()
        update_public_places(session, observations_named(taxa["Boletus edulis"]))
        at_once = shown(session)
        for one in session.scalars(select(FieldObservation)):
            settle(session, one)

        assert at_once == shown(session)
    assert [row[3] for row in at_once] == [True, True, False, True, True]


def test_an_observation_that_is_removed_is_due_no_more(
    database: Database, people: dict[str, int], taxa: dict[str, int]
) -> None:
    fill(database, people, taxa)
    with database.writing() as session:
        update_public_places(session, observations_of(people["olga"]))
        remove(session, session.scalars(select(FieldObservation).order_by(FieldObservation.id)).first())  # type: ignore[arg-type]

    rescore_pending(database)

    with database.reading() as session:
        assert due(session) == 0
