"""The metrics, compared with tables calculated by hand."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.measuring.metrics import Outcome, macro_f1, measure


def outcome(species: int, first: int, rank: int, *, genus_right: bool = False) -> Outcome:
    return Outcome(0, species, first, rank, genus_right, 1)


def test_top_k_counts_ranks_up_to_k_and_an_absent_truth_never() -> None:
    ranks = [1, 2, 3, 4, 5, 6, 0, 1]
    outcomes = [outcome(7, 7 if rank == 1 else 8, rank) for rank in ranks]

    measures = measure(outcomes, resamples=10)

    assert measures["top1"].value == 2 / 8
    assert measures["top3"].value == 4 / 8
    assert measures["top5"].value == 6 / 8
    assert measures["meanReciprocalRank"].value == pytest.approx(
        (1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5 + 1 / 6 + 0 + 1) / 8
    )


def test_macro_f1_gives_every_species_the_same_weight() -> None:
    truth = np.array([1, 1, 1, 1, 2, 2, 3])
    first = np.array([1, 1, 1, 2, 2, 1, 9])

    # species 1: TP 3, FN 1, FP 1 -> 6/8; species 2: TP 1, FN 1, FP 1 -> 2/4; species 3: never right -> 0
    assert macro_f1(truth, first) == pytest.approx((6 / 8 + 2 / 4 + 0) / 3)


def test_macro_f1_is_one_when_all_is_right_and_zero_when_nothing_is() -> None:
    truth = np.array([5, 6, 6, 7])

    assert macro_f1(truth, truth) == 1.0
    assert macro_f1(truth, np.array([6, 5, 5, 0])) == 0.0


def test_the_interval_holds_the_value_and_narrows_with_more_observations() -> None:
    few = [outcome(1, 1 if n % 3 else 2, 1 if n % 3 else 2) for n in range(30)]

    wide, narrow = measure(few)["top1"], measure(few * 30)["top1"]

    assert wide.low < wide.value < wide.high
    assert narrow.high - narrow.low < (wide.high - wide.low) / 3


def test_the_interval_is_that_of_the_binomial_for_top_1() -> None:
    outcomes = [outcome(1, 1 if n < 60 else 2, 1 if n < 60 else 2) for n in range(100)]

    found = measure(outcomes, resamples=4000)["top1"]

    assert found.low == pytest.approx(0.6 - 1.96 * (0.6 * 0.4 / 100) ** 0.5, abs=0.015)
    assert found.high == pytest.approx(0.6 + 1.96 * (0.6 * 0.4 / 100) ** 0.5, abs=0.015)


def test_the_same_seed_gives_the_same_interval() -> None:
    outcomes = [outcome(1, 1, 1 + n % 4) for n in range(40)]

    assert measure(outcomes, seed=3) == measure(outcomes, seed=3)
    assert measure(outcomes, seed=3) != measure(outcomes, seed=4)
