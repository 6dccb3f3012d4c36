"""The review queue of each person and its order, compared with hand-made tables."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from database.accounts.people import add_person, utc_now
from database.field.models import FieldObservation, MorphologicalGroup, Proposal, Verdict
from database.field.queue import doubtful
from database.field.track_record import GroupRecord, track_record
from database.session import Database
from database.taxonomy.taxa import TaxonEntry, TaxonRegister
from tests.web.people import PASSWORD, QUICK


@pytest.fixture
def people(database: Database) -> dict[str, int]:
    with database.writing() as session:
        roles = {"olga": "observer", "omar": "observer", "erna": "expert"}
        return {
            login: add_person(session, login, login, role, PASSWORD, hasher=QUICK).id for login, role in roles.items()
        }


@pytest.fixture
def taxa(database: Database) -> dict[str, int]:
    with database.writing() as session:
        register = TaxonRegister()
        listed = {
            name: register.file(session, TaxonEntry(name))
            for name in ("Russula emetica", "Russula xerampelina", "Amanita citrina", "Boletus edulis")
        }
        for genus in ("Russula", "Amanita"):
            listed[genus] = register.file(session, TaxonEntry(genus, rank="genus"))
        return listed


def observe(session: Session, number: int, person: int, **stated: object) -> FieldObservation:
    """An observation as it lies in the table, without the rules that lead there."""
    now = utc_now()
    about = {"status": "suggestion", "score": 40, "created": now, "modified": now} | stated
    observation = FieldObservation(key=key(number), person_id=person, **about)
    session.add(observation)
    session.flush()
    return observation


def key(number: int) -> str:
    return str(UUID(int=number))


def propose(session: Session, observation: FieldObservation, *taxa: int, expert: int | None = None) -> None:
    for taxon in taxa:
        session.add(Proposal(observation_id=observation.id, taxon_id=taxon, score=40, expert_id=expert, ingredients={}))
    session.flush()


def say(session: Session, observation: FieldObservation, person: int, taxon: int, **stated: object) -> None:
    now = utc_now()
    about = {"kind": "propose", "certainty": "certain", "created": now} | stated
    session.add(Verdict(observation_id=observation.id, person_id=person, taxon_id=taxon, **about))
    session.flush()


def test_the_most_doubtful_comes_first(database: Database, people: dict[str, int], taxa: dict[str, int]) -> None:
    emetica, xerampelina = taxa["Russula emetica"], taxa["Russula xerampelina"]
    with database.writing() as session:
        propose(session, observe(session, 1, people["olga"], score=70), emetica)
        propose(session, observe(session, 2, people["olga"], score=40), emetica)
        propose(session, observe(session, 3, people["olga"], score=40), emetica)
        propose(session, observe(session, 4, people["olga"], score=40), emetica, xerampelina)
        observe(session, 5, people["olga"], status="unidentified", score=None)

        waiting = doubtful(session, people["omar"])

    # no name at all; then the least score, and among equals what people disagree on, then the oldest
    assert waiting.keys == [key(5), key(4), key(2), key(3), key(1)]
    assert waiting.total == 5


def test_what_needs_no_word_of_this_person_does_not_wait(
    database: Database, people: dict[str, int], taxa: dict[str, int]
) -> None:
    emetica, past = taxa["Russula emetica"], utc_now()
    with database.writing() as session:
        observe(session, 1, people["omar"])  # their own
        observe(session, 2, people["olga"], status="approved", score=90)
        say(session, observe(session, 3, people["olga"]), people["omar"], emetica)
        say(session, observe(session, 4, people["olga"]), people["omar"], emetica, kind="approve")
        said_again = observe(session, 5, people["olga"])
        say(session, said_again, people["omar"], emetica, superseded=past)  # taken back
        say(session, said_again, people["omar"], emetica, kind="withdraw")
        say(session, observe(session, 6, people["olga"]), people["erna"], emetica)  # somebody else's word

        waiting = doubtful(session, people["omar"])

    assert sorted(waiting.keys) == [key(5), key(6)]


def test_a_queue_is_narrowed_to_a_taxon_and_to_what_can_be_gone_through(
    database: Database, people: dict[str, int], taxa: dict[str, int]
) -> None:
    with database.writing() as session:
        observe(session, 1, people["olga"], taxon_id=taxa["Russula emetica"])
        observe(session, 2, people["olga"], taxon_id=taxa["Amanita citrina"])
        observe(session, 3, people["olga"], taxon_id=taxa["Russula"])

        russulas = doubtful(session, people["omar"], taxon_id=taxa["Russula"])
        one = doubtful(session, people["omar"], most=1)

    assert russulas.keys == [key(1), key(3)]
    assert (len(one.keys), one.total) == (1, 3)


def test_a_track_record_counts_what_was_settled_by_others(
    database: Database, people: dict[str, int], taxa: dict[str, int]
) -> None:
    emetica, xerampelina, russula = taxa["Russula emetica"], taxa["Russula xerampelina"], taxa["Russula"]
    citrina = taxa["Amanita citrina"]
    me, past = people["erna"], utc_now()
    with database.writing() as session:

        def one(number: int, said: int, settled: int | None, *, own: bool = False, **stated: object) -> None:
            status = "approved" if settled else "likely"
            observation = observe(session, number, people["olga"], status=status, taxon_id=settled)
            if settled:
                propose(session, observation, settled, expert=me if own else people["omar"])
            say(session, observation, me, said, **stated)

        one(1, emetica, emetica)  # right
        one(2, russula, emetica)  # right: the genus of what it is
        one(3, emetica, russula)  # more than is known: not right
        one(4, xerampelina, emetica)  # wrong
        one(5, emetica, None)  # nobody has settled it
        one(6, emetica, emetica, own=True)  # by their own mark
        one(7, emetica, emetica, superseded=past)  # taken back
        one(8, emetica, emetica, kind="approve")  # an expert's mark is no word that can be wrong
        one(9, citrina, citrina)

        record = track_record(session, me)

    assert record == [GroupRecord("Russula", 6, 4, 2), GroupRecord("Amanita", 1, 1, 1)]


def test_a_track_record_is_told_by_the_nearest_morphological_group(
    database: Database, people: dict[str, int], taxa: dict[str, int]
) -> None:
    with database.writing() as session:
        session.add(MorphologicalGroup(taxon_id=taxa["Russula"], name="brittle gills"))
        session.add(MorphologicalGroup(taxon_id=taxa["Russula xerampelina"], name="crab brittlegills"))
        for number, name in enumerate(("Russula emetica", "Russula xerampelina", "Boletus edulis"), 1):
            say(session, observe(session, number, people["olga"]), people["omar"], taxa[name])

        record = track_record(session, people["omar"])

    assert [(one.group, one.said, one.settled) for one in record] == [
        ("Boletus", 1, 0),
        ("brittle gills", 1, 0),
        ("crab brittlegills", 1, 0),
    ]


def test_somebody_who_said_nothing_has_no_record(database: Database, people: dict[str, int]) -> None:
    with database.reading() as session:
        assert track_record(session, people["omar"]) == []
