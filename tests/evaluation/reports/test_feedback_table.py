"""Feedback of visitors in the report: shares by hand, with their counts and the warning."""

from __future__ import annotations

import pytest

from evaluation.reports.feedback_table import SELF_SELECTED, describe_feedback, feedback_section

NINTH = {"band": 8, "yes": 3, "no": 1, "other": 4, "unknown": 5, "among_five": 2}
SILENT = {"band": 2, "yes": 0, "no": 0, "other": 0, "unknown": 1, "among_five": 0}
VOTES = {"band": None, "yes": 1, "no": 0, "other": 0, "unknown": 0, "among_five": 0}


def test_the_share_confirmed_is_of_those_who_knew() -> None:
    found = describe_feedback([SILENT, NINTH, VOTES])

    silent, ninth, votes = found["bands"]
    assert found["answers"] == 15
    assert (silent["right"], silent["observations"], silent["unknown"]) == (None, 0, 1)
    assert (ninth["right"], ninth["observations"], ninth["unknown"], ninth["inPlaces2To5"]) == (3 / 8, 8, 5, 2)
    assert (ninth["promisedLow"], ninth["promisedHigh"]) == (0.8, 0.9)
    assert (ninth["low"], ninth["high"]) == pytest.approx((0.1368, 0.6943), abs=1e-4)  # Wilson's, by hand
    assert (votes["promisedLow"], votes["right"]) == (None, 1.0)


def test_the_page_shows_counts_beside_the_promise_and_warns() -> None:
    page = "".join(feedback_section(describe_feedback([SILENT, NINTH, VOTES])))

    assert SELF_SELECTED in page
    for words in ("0.8 to 0.9", "0.375 (0.137 to 0.694)", "not calibrated", "15 answers"):
        assert words in page


def test_a_report_without_feedback_says_so_and_one_without_a_database_says_nothing() -> None:
    assert "Nobody has said yet" in "".join(feedback_section(describe_feedback([])))
    assert feedback_section(None) == []
