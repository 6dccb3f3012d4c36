"""Outcomes of suggestions, compared with a hand-made table."""

from __future__ import annotations

from datetime import date, datetime
from uuid import uuid4

import pytest

from database.accounts.people import add_person
from database.field.fates import report_fates
from database.field.models import FieldObservation, MorphologicalGroup, Suggestion
from database.models import Taxon
from database.session import Database
from database.taxonomy.taxa import TaxonEntry, TaxonRegister
from fungarium.cli import main
from fungarium.jobs.fates import format_report

NAMES = [f"Russula species{letter}" for letter in "abcdefghij"] + ["Amanita muscaria"]

#        who     approved as          by expert  (suggested are NAMES[0] to NAMES[9], in this order)
TABLE = [
    ("olga", "Russula speciesa", False),  # first
    ("olga", "Russula speciesa", True),  # first
    ("olga", "Russula speciesb", False),  # second
    ("olga", "Russula speciese", False),  # fifth
    ("omar", "Russula speciesf", True),  # sixth
    ("omar", "Amanita muscaria", True),  # was not suggested
    ("omar", "Russula", False),  # to a genus only
    ("omar", "", False),  # nobody approved it
]


@pytest.fixture
def told(database: Database) -> Database:
    """The observations of the table, the first of them recorded in 2025."""
    with database.writing() as session:
        register = TaxonRegister()
        ids = {name: register.file(session, TaxonEntry(name)) for name in NAMES}
        ids["Russula"] = session.get_one(Taxon, ids[NAMES[0]]).parent_id or 0
        people = {login: add_person(session, login, login.title(), "observer").id for login in ("olga", "omar")}
        session.add(MorphologicalGroup(taxon_id=ids["Russula"], name="brittle gills"))
        candidates = [{"taxonID": ids[name], "scientificName": name, "score": 0.1} for name in NAMES[:10]]
        for number, (who, name, expert) in enumerate(TABLE):
            created = datetime(2025 if number == 0 else 2026, 5, 1)  # noqa: DTZ001 - as the tables keep times
            session.add(
                FieldObservation(
                    key=str(uuid4()),
                    person_id=people[who],
                    taxon_id=ids.get(name),
                    status="approved" if name else "unidentified",
                    by_expert=expert,
                    created=created,
                    modified=created,
                    suggestion=Suggestion(
                        snapshot="5" * 16,
                        model="made@1",
                        flora="world",
                        calibrated=False,
                        candidates=candidates,
                        created=created,
                    ),
                )
            )
        session.add(  # without a suggestion: not counted
            FieldObservation(
                key=str(uuid4()), person_id=people["olga"], status="suggestion", created=created, modified=created
            )
        )
    return database


def test_suggestions_are_counted_by_rank_person_group_and_snapshot(told: Database) -> None:
    with told.reading() as session:
        said = report_fates(session, least=1).described()

    assert said["whole"] == {
        "of": "all", "records": 8, "approved": 7, "byExpert": 3, "first": 2, "second": 1, "thirdToFifth": 1,
        "later": 1, "wider": 1, "other": 1, "shareApproved": 0.875, "shareFirst": 0.2857, "shareSuggested": 0.7143,
    }  # fmt: skip
    assert [(one["of"], one["records"], one["approved"], one["first"]) for one in said["people"]] == [
        ("Olga", 4, 4, 2),
        ("Omar", 4, 3, 0),
    ]
    assert [(one["of"], one["records"], one["approved"]) for one in said["groups"]] == [
        ("brittle gills", 7, 6),  # what nobody named is counted where the engine put it
        ("Amanita", 1, 1),
    ]
    assert [one["of"] for one in said["snapshots"]] == ["5" * 16]


def test_few_records_and_other_times_are_left_out(told: Database) -> None:
    with told.reading() as session:
        few = report_fates(session, least=5)
        late = report_fates(session, since=date(2026, 1, 1), least=1)

    assert [one.of for one in few.groups] == ["brittle gills"]
    assert few.people == ()
    assert (few.whole.records, late.whole.records) == (8, 7)


def test_the_report_says_in_words_what_the_paper_says(told: Database) -> None:
    with told.reading() as session:
        said = "\n".join(format_report(report_fates(session, least=1)))

    assert "8 observations came with suggestions; 1 (12%) are not approved." in said
    assert "Of the approved, 29% bear the name suggested first, 14% the second" in said
    assert "Olga" in said


def test_the_command_speaks_where_there_is_nothing_to_report(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FUNGARIUM_DATA", str(tmp_path))

    assert main(["observations", "fates"]) == 0
    assert main(["observations", "fates", "--json"]) == 0

    said = capsys.readouterr().out
    assert said.startswith("no observation has been recorded with a suggestion yet\n{")
    assert '"shareApproved": null' in said
