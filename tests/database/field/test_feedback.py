"""Feedback on answers, counted by hand."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date

import pytest

from database.errors import InvalidVerdict
from database.field.feedback import BandFeedback, RankedAnswer, count_feedback, keep_feedback
from database.field.models import AnswerFeedback
from database.session import Database

DAY = date(2026, 5, 17)

#        id, score, verdict, rank
TABLE = [
    ("a", 0.95, "yes", 0),
    ("b", 0.91, "yes", 0),
    ("c", 1.0, "no", 0),  # the last band holds 1
    ("d", 0.99, "other", 2),
    ("e", 0.9, "other", 0),  # not suggested
    ("f", 0.05, "other", 6),
    ("g", 0.0, "unknown", 0),
    ("h", None, "yes", 0),  # not calibrated
]


def answer(name: str, score: float | None, snapshot: str = "one") -> RankedAnswer:
    return RankedAnswer(name, "north", "descriptor@1", snapshot, score, 10)


def test_feedback_is_counted_by_score_band_and_snapshot(database: Database) -> None:
    with database.writing() as session:
        for name, score, verdict, rank in TABLE:
            keep_feedback(session, answer(name, score), verdict, rank, DAY)
        keep_feedback(session, answer("z", 0.95, "another"), "yes", 0, DAY)
        counted = count_feedback(session, "one")

    assert counted == [
        BandFeedback(0, yes=0, no=0, other=1, unknown=1, among_five=0),
        BandFeedback(9, yes=2, no=1, other=2, unknown=0, among_five=1),
        BandFeedback(None, yes=1, no=0, other=0, unknown=0, among_five=0),
    ]


def test_an_answer_counts_once_and_as_it_was_said_last(database: Database) -> None:
    with database.writing() as session:
        for verdict in ("yes", "yes", "no"):
            keep_feedback(session, answer("a", 0.55), verdict, 0, DAY)
        counted = count_feedback(session, "one")

    assert [asdict(one) for one in counted] == [
        {"band": 5, "yes": 0, "no": 1, "other": 0, "unknown": 0, "among_five": 0}
    ]


def test_the_answer_s_id_is_not_stored_nor_a_person_address_photo_or_place(database: Database) -> None:
    with database.writing() as session:
        keep_feedback(session, answer("a secret id", 0.55), "other", 3, DAY)
        row = session.query(AnswerFeedback).one()
        stored = {column.name: getattr(row, column.name) for column in AnswerFeedback.__table__.columns}

    assert "a secret id" not in str(stored)
    assert {name: value for name, value in stored.items() if name != "digest"} == {
        "day": DAY,
        "flora": "north",
        "model": "descriptor@1",
        "snapshot": "one",
        "score_band": 5,
        "verdict": "other",
        "right_rank": 3,
    }


@pytest.mark.parametrize(("verdict", "rank"), [("maybe", 0), ("", 0), ("other", 1), ("other", 11), ("other", -1)])
def test_what_cannot_be_said_is_refused(database: Database, verdict: str, rank: int) -> None:
    with database.writing() as session:
        with pytest.raises(InvalidVerdict):
            keep_feedback(session, answer("a", 0.55), verdict, rank, DAY)
        assert count_feedback(session, "one") == []
