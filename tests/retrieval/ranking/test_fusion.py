"""Several photos: the three ways to fuse, twins, aspects, and the photo that decided."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.ranking.calibration import normalise
from retrieval.ranking.fusion import FUSIONS, TWINS, deciding_photo, fuse_scores, weigh_photos

TWO = np.array([[0.8, 0.2, 0.0], [0.4, 0.5, 0.1]])
EVEN = np.ones(2)


def test_the_three_rules_by_hand() -> None:
    assert fuse_scores(TWO, EVEN) == pytest.approx([0.6, 0.35, 0.05])
    product = np.array([0.32**0.5, 0.1**0.5, 0])
    assert fuse_scores(TWO, EVEN, rule="product") == pytest.approx(product / product.sum())
    assert fuse_scores(TWO, EVEN, rule="max") == pytest.approx(np.array([0.8, 0.5, 0.1]) / 1.4)
    independent = np.array([0.32, 0.1, 0]) / 0.42
    assert fuse_scores(TWO, EVEN, rule="product", sharpening=1.0) == pytest.approx(independent)


def test_a_photo_without_votes_does_not_speak_and_no_photo_says_nothing() -> None:
    silent = np.zeros((1, 3))

    assert fuse_scores(np.vstack([TWO[:1], silent]), EVEN) == pytest.approx(TWO[0])
    assert fuse_scores(silent, np.ones(1)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("rule", FUSIONS)
@given(seed=st.integers(0, 10_000), rng=st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_photos_shows_in_no_digit(rule: str, seed: int, rng: object) -> None:
    noise = np.random.default_rng(seed)
    scores, weights = normalise(noise.normal(size=(4, 5))), noise.uniform(0.2, 2, 4)
    order = rng.sample(range(4), 4)  # type: ignore[attr-defined]

    one = fuse_scores(scores, weights, rule=rule, sharpening=0.5)
    other = fuse_scores(scores[order], weights[order], rule=rule, sharpening=0.5)

    assert one.tolist() == other.tolist()
    assert one.sum() == pytest.approx(1)


def test_near_identical_photos_count_once() -> None:
    rows = np.array([[1.0, 0], [0.9999, 0.0141], [0, 1]])

    assert weigh_photos(rows) == pytest.approx([0.5, 0.5, 1.0])
    assert weigh_photos(rows, ("cap", "cap", "hymenium"), {"hymenium": 3.0}) == pytest.approx([0.5, 0.5, 3.0])


def test_the_deciding_photo_is_the_one_without_which_the_first_species_loses_most() -> None:
    scores = np.array([[0.2, 0.5, 0.3], [0.9, 0.05, 0.05], [0.4, 0.3, 0.3]])

    assert deciding_photo(scores, np.ones(3)) == 1
    assert deciding_photo(scores[:1], np.ones(1)) == 0


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="median"):
        fuse_scores(TWO, EVEN, rule="median")


def test_a_photo_like_two_that_are_less_alike_makes_one_of_all_three() -> None:
    turn = np.arccos(0.985)
    row = [[np.cos(number * turn), np.sin(number * turn)] for number in range(4)] + [[0.0, -1.0]]

    weights = weigh_photos(np.array(row))

    assert np.cos(2 * turn) < TWINS < np.cos(turn)
    assert weights == pytest.approx([1 / 4] * 4 + [1])
