"""Evidence of other records about a taxon at an observation's time and place, from public places only."""

from __future__ import annotations

from datetime import date

import pytest

from database.accounts.people import change_person
from database.field.administration import obscure_taxon
from database.field.evidence import occurrences_of
from database.field.models import FieldObservation
from database.field.rescoring import observations_of, rescore_some, update_public_places
from database.field.verdicts import approve, give_opinion, settle
from database.models import Dataset, Observation, Taxon
from database.session import Database, Session
from tests.database.field.test_queue import observe, people, taxa

__all__ = ["people", "taxa"]  # fixtures

NORTH, SOUTH = 55.7, -42.9


@pytest.mark.parametrize(
    ("recorded", "month", "seen", "in_month"),
    [
        (NORTH, 10, NORTH, 4),
        (NORTH, 4, NORTH, 0),
        (NORTH, 4, SOUTH, 4),  # April is autumn there
        (NORTH, 10, SOUTH, 0),
        (SOUTH, 10, SOUTH, 4),
        (SOUTH, 4, NORTH, 4),
        (NORTH, 11, NORTH, 0),  # the month itself, and no other
        (None, 10, SOUTH, 4),  # nobody knows where: neither month speaks against it
        (None, 4, SOUTH, 4),
        (NORTH, 4, None, 4),
        (None, 11, None, 0),
    ],
)
def test_a_season_is_half_a_year_later_on_the_other_side_of_the_equator(
    database: Database,
    people: dict[str, int],
    taxa: dict[str, int],
    recorded: float | None,
    month: int,
    seen: float | None,
    in_month: int,
) -> None:
    def place(latitude: float | None) -> dict[str, object]:
        return {} if latitude is None else {"public_latitude": latitude, "public_longitude": 12.5}

    with database.writing() as session:
        for number in range(4):
            observe(
                session,
                number,
                people["olga"],
                status="approved",
                taxon_id=taxa["Boletus edulis"],
                event_date=date(2020 + number, 10, 3),
                **place(recorded),
            )
        observation = observe(session, 9, people["omar"], event_date=date(2026, month, 20), **place(seen))

        found = occurrences_of(session, observation, taxa["Boletus edulis"])

    assert (found.records, found.dated, found.in_month) == (4, 4, in_month)


EXACT = [(55.7, 12.5), (55.61, 12.41), (55.79, 12.59), (55.6001, 12.5999)]  # all in one cell of the grid
AROUND = [
    (55.7, 12.5),
    (55.705, 12.5),
    (55.6, 12.41),
    (55.93, 12.5),
    (55.95, 12.2),
    (55.4, 12.9),
]


def record(session: Session, number: int, person: int, place: tuple[float, float], taxon: int) -> FieldObservation:
    """An observation with its name, settled by the rules."""
    made = observe(
        session, number, person, decimal_latitude=place[0], decimal_longitude=place[1], event_date=date(2026, 10, 3)
    )
    give_opinion(session, made, person, session.get_one(Taxon, taxon), "certain")
    settle(session, made)
    return made


def approved(
    session: Session, number: int, people: dict[str, int], place: tuple[float, float], taxon: int
) -> FieldObservation:
    made = record(session, number, people["olga"], place, taxon)
    approve(session, made, people["erna"], session.get_one(Taxon, taxon))
    settle(session, made)
    return made


def archived(session: Session, place: tuple[float, float], taxon: int) -> None:
    session.merge(Dataset(id="archive", title="An archive"))
    session.flush()
    session.add(
        Observation(
            dataset_id="archive",
            observation_key="1",
            taxon_id=taxon,
            decimal_latitude=place[0],
            decimal_longitude=place[1],
        )
    )
    session.flush()


def told(observation: FieldObservation) -> tuple[object, ...]:
    """What a score says of places."""
    (proposal,) = observation.proposals
    return proposal.ingredients["nearRecord"], proposal.ingredients["taxonWeight"], proposal.score


def move(session: Session, observation: FieldObservation, place: tuple[float, float]) -> object:
    observation.decimal_latitude, observation.decimal_longitude = place
    settle(session, observation)
    return told(observation)


@pytest.mark.parametrize("why", ["person", "taxon", "taxon in an archive"])
def test_moving_an_observation_about_tells_nothing_of_where_in_its_cell_a_hidden_one_is(
    database: Database, people: dict[str, int], taxa: dict[str, int], why: str
) -> None:
    edulis, seen = taxa["Boletus edulis"], []
    for number, exact in enumerate(EXACT):
        with database.writing() as session:
            if why == "person":
                change_person(session, people["olga"], obscures=True)
            else:
                obscure_taxon(session, "Boletus edulis")
            if why == "taxon in an archive":
                archived(session, exact, edulis)
            else:
                approved(session, 100 + number, people, exact, edulis)
            mover = record(session, 200 + number, people["omar"], AROUND[0], edulis)
            seen.append([move(session, mover, place) for place in AROUND])
            session.rollback()

    assert seen == [seen[0]] * len(EXACT)
    assert len(set(seen[0])) > 1, "the place does not matter at all"


def test_a_hidden_observation_does_not_tell_its_place_by_its_own_score(
    database: Database, people: dict[str, int], taxa: dict[str, int]
) -> None:
    edulis, seen = taxa["Boletus edulis"], []
    for number, exact in enumerate(EXACT):
        with database.writing() as session:
            change_person(session, people["olga"], obscures=True)
            hidden = record(session, 100 + number, people["olga"], exact, edulis)
            for other, place in enumerate(AROUND):
                approved(session, 200 + 10 * number + other, people | {"olga": people["omar"]}, place, edulis)
            settle(session, hidden)
            seen.append(told(hidden))
            session.rollback()

    assert seen == [seen[0]] * len(EXACT)


@pytest.mark.parametrize("why", ["person", "taxon"])
def test_hiding_computes_the_scores_of_others_anew(
    database: Database, people: dict[str, int], taxa: dict[str, int], why: str
) -> None:
    edulis = taxa["Boletus edulis"]
    with database.writing() as session:
        approved(session, 1, people, (55.61, 12.41), edulis)
        other = record(session, 2, people["omar"], (55.611, 12.411), edulis)
        assert told(other)[0]
        near = told(other)

        if why == "person":
            change_person(session, people["olga"], obscures=True)
            update_public_places(session, observations_of(people["olga"]))
        else:
            obscure_taxon(session, "Boletus edulis")
        rescore_some(session, seconds=60)
        rescore_some(session, seconds=60)

        assert (told(other) != near) == (why == "person")  # both at the centre of a cell: as near as before
