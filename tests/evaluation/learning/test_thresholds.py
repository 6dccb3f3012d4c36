"""Thresholds of specificity: the target holds at each rank, and is harder to reach with less data."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.learning.thresholds import FLOOR, fit_thresholds
from retrieval.ranking.calibration import NEVER
from retrieval.ranking.specificity import judge_depths


def make_answers(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated answers: a species is right as often as its probability, its genus more often, the wider always."""
    rng = np.random.default_rng(seed)
    species = rng.uniform(0.2, 1.0, count)
    genus = species + (1 - species) * rng.uniform(0.3, 0.9, count)
    right = np.ones((count, 7), dtype=bool)
    right[:, 6] = rng.random(count) < species
    right[:, 5] = right[:, 6] | (rng.random(count) < (genus - species) / (1 - species))
    sums = np.ones((count, 7))
    sums[:, 5], sums[:, 6] = genus, species
    return sums, right


@pytest.mark.parametrize("target", [0.8, 0.9, 0.95])
def test_every_rank_keeps_the_promise_by_itself(target: float) -> None:
    sums, right = make_answers(6_000)
    fitted, judged = slice(0, 3_000), slice(3_000, None)

    limits = fit_thresholds(sums[fitted], right[fitted], np.ones(3_000), target, 3_000)
    correct, depths = judge_depths(sums[judged], right[judged], limits)

    for depth in (6, 7):
        stopped = depths == depth
        assert stopped.sum() > 100
        assert correct[stopped].mean() == pytest.approx(target, abs=0.04)


def test_what_is_wide_and_right_does_not_pay_for_species_that_are_wrong() -> None:
    """Nine in ten answers are right at family, one is a species and wrong: 90 % in all, and no species is named."""
    sums, right = np.ones((100, 7)), np.ones((100, 7), dtype=bool)
    sums[:, 5:] = 0.1
    sums[:10, 6] = 0.9
    right[:10, 6] = False

    limits = fit_thresholds(sums, right, np.ones(100), 0.9, 100)

    assert limits[6] == NEVER
    assert limits[4] <= 1


def test_a_small_collection_promises_less() -> None:
    """With no mistake at all, n answers allow a promise of n / (n + 1): nine keep 90 %, eight do not."""
    for count, promised in ((8, False), (9, True)):
        sums, right = np.full((count, 7), 0.9), np.ones((count, 7), dtype=bool)

        limits = fit_thresholds(sums, right, np.ones(count), 0.9, count)

        assert bool(limits[6] < NEVER) is promised


def test_many_ways_of_asking_for_a_find_do_not_make_it_many_finds() -> None:
    sums, right = np.full((80, 7), 0.9), np.ones((80, 7), dtype=bool)

    assert fit_thresholds(sums, right, np.ones(80), 0.9, independent=8)[6] == NEVER
    assert fit_thresholds(sums, right, np.ones(80), 0.9, independent=80)[6] < NEVER


def test_no_answer_stops_at_what_is_as_probably_wrong() -> None:
    sums, right = np.full((100, 7), FLOOR - 0.01), np.ones((100, 7), dtype=bool)

    limits = fit_thresholds(sums, right, np.ones(100), 0.9, 100)

    assert (limits == NEVER).all()
    assert judge_depths(np.zeros((3, 7)), np.ones((3, 7), dtype=bool), np.zeros(7))[1].tolist() == [0, 0, 0]


def test_answers_of_one_probability_stop_together() -> None:
    """Two of three equals are wrong: the promise cannot be kept by answering the first one alone."""
    sums, right = np.full((30, 7), 0.8), np.zeros((30, 7), dtype=bool)
    right[::3] = True

    assert fit_thresholds(sums, right, np.ones(30), 0.9, 30)[6] == NEVER


def test_finds_count_as_often_as_they_are_asked_for() -> None:
    sums, right = np.full((100, 7), 0.9), np.ones((100, 7), dtype=bool)
    right[:50] = False
    seldom = np.where(np.arange(100) < 50, 0.01, 1.0)  # the wrong half is hardly ever asked for

    assert fit_thresholds(sums, right, np.ones(100), 0.9, 100)[6] == NEVER
    assert fit_thresholds(sums, right, seldom, 0.9, 100)[6] < NEVER


def test_the_promise_is_kept_in_each_mix_of_finds() -> None:
    """Wrong below .7, and there only in the second mix: the first alone would answer all."""
    sums, right = np.tile(np.linspace(0.99, 0.51, 200)[:, None], 7), np.ones((200, 7), dtype=bool)
    wrong = sums[:, 6] < 0.7
    right[wrong] = False
    mixes = np.stack([np.where(wrong, 0.01, 1.0), np.ones(200)])

    both = fit_thresholds(sums, right, mixes, 0.9, 200)
    single = [fit_thresholds(sums, right, mix, 0.9, 200) for mix in mixes]

    assert single[0][6] < 0.52
    assert both[6] == single[1][6] > 0.65
