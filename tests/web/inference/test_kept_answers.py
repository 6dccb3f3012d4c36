"""Answers with a share link: stored completely, for a limited time, at unguessable URLs."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from database.errors import StoreFull, StoreUnavailable
from retrieval.errors import InvalidOption
from web.http.refusals import UnknownAnswer
from web.inference.kept_answers import DAY, NAME, KeptAnswers

ANSWER = {"species": [{"name": "Russula emetica — skarp"}], "photos": 2}


@pytest.fixture
def answers(tmp_path: Path) -> KeptAnswers:
    return KeptAnswers(tmp_path / "answers", days=3)


def grow_old(folder: Path, days: float) -> None:
    """Let a folder be as old as if days had passed."""
    then = folder.stat().st_mtime - days * DAY
    os.utime(folder, (then, then))


def test_an_answer_comes_back_as_it_was_kept(answers: KeptAnswers) -> None:
    name = answers.keep(ANSWER, [b"first", b"second"])

    assert answers.read(name) == ANSWER
    assert [answers.photo(name, number) for number in (0, 1)] == [b"first", b"second"]
    with pytest.raises(UnknownAnswer):
        answers.photo(name, 2)


def test_every_answer_has_a_name_of_its_own_that_nobody_guesses(answers: KeptAnswers) -> None:
    names = {answers.keep(ANSWER, []) for _ in range(20)}

    assert len(names) == 20
    assert all(NAME.fullmatch(name) for name in names)


@pytest.mark.parametrize("name", ["", "x", "..", "../answers", "A" * 24, "A" * 23 + "/", "A" * 25])
def test_no_other_name_leads_anywhere(answers: KeptAnswers, name: str) -> None:
    answers.keep(ANSWER, [b"photo"])

    with pytest.raises(UnknownAnswer, match="3 days"):
        answers.read(name)
    with pytest.raises(UnknownAnswer):
        answers.photo(name, 0)


def test_an_answer_is_gone_when_its_time_is_over(answers: KeptAnswers, tmp_path: Path) -> None:
    old, young = answers.keep(ANSWER, [b"photo"]), answers.keep(ANSWER, [])
    grow_old(tmp_path / "answers" / old, 3.01)
    grow_old(tmp_path / "answers" / young, 2.99)

    with pytest.raises(UnknownAnswer):
        answers.read(old)
    with pytest.raises(UnknownAnswer):
        answers.photo(old, 0)
    assert answers.read(young) == ANSWER
    assert (tmp_path / "answers" / old).exists()  # until somebody keeps another
    answers.keep(ANSWER, [])
    assert not (tmp_path / "answers" / old).exists()


def test_what_a_killed_keeper_left_is_never_shown_and_is_cleared_away(answers: KeptAnswers, tmp_path: Path) -> None:
    name = answers.keep(ANSWER, [])
    half = tmp_path / "answers" / f".{'B' * 24}"
    (tmp_path / "answers" / name).rename(half)
    with pytest.raises(UnknownAnswer):
        answers.read(half.name)
    grow_old(half, 3.01)

    answers.clear()

    assert not half.exists()


def test_without_a_folder_nothing_is_kept() -> None:
    answers = KeptAnswers(None, days=3)

    with pytest.raises(InvalidOption):
        answers.keep(ANSWER, [])
    with pytest.raises(UnknownAnswer):
        answers.read("A" * 24)


def test_the_oldest_go_first_when_there_are_too_many(tmp_path: Path) -> None:
    answers = KeptAnswers(tmp_path / "answers", days=3, most=3)
    names = []
    for age in (1, 2, 0):  # the second is the oldest
        names.append(answers.keep(ANSWER, [b"photo"]))
        grow_old(tmp_path / "answers" / names[-1], age)

    names.append(answers.keep(ANSWER, [b"photo"]))

    assert {folder.name for folder in (tmp_path / "answers").iterdir()} == {names[0], names[2], names[3]}


@pytest.mark.parametrize(("size", "error"), [(4_000, StoreFull), (0, StoreUnavailable)], ids=["full", "no folder"])
def test_an_answer_that_has_no_room_is_refused_and_leaves_nothing(
    tmp_path: Path, size: int, error: type[Exception]
) -> None:
    if not size:
        (tmp_path / "answers").write_bytes(b"a file in its place")
    answers = KeptAnswers(tmp_path / "answers", days=3)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, before[1]))
    signal_before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(error):
            answers.keep(ANSWER, [b"x" * 3_000, b"x" * 5_000])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, signal_before)

    assert not (tmp_path / "answers").is_dir() or list((tmp_path / "answers").iterdir()) == []
