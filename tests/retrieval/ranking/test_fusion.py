"""Several photos: the fusion rules, near-identical photos, aspects, and the most decisive photo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from retrieval.ranking.calibration import normalise
from retrieval.ranking.fusion import (
    ALIKE,
    APART,
    FUSIONS,
    deciding_photo,
    fuse_scores,
    photo_voices,
    same_photos,
    weigh_photos,
)

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


def turned(*degrees: float) -> np.ndarray:
    """Rows of length 1 in a plane."""
    return np.array([[np.cos(np.radians(one)), np.sin(np.radians(one))] for one in degrees])


def test_near_identical_photos_share_one_voice() -> None:
    rows = turned(0, 1, 90)

    assert photo_voices(rows) == pytest.approx([0.5, 0.5, 1.0])
    assert weigh_photos(photo_voices(rows), ("cap", "cap", "hymenium"), {"hymenium": 3.0}) == pytest.approx(
        [0.25, 0.25, 1.5]
    )
    assert same_photos(rows) == [[0, 1]]


def test_what_photos_show_weighs_against_other_photos_and_makes_them_no_more() -> None:
    weights = {"stipe": 1.7, "cap": 0.4, "section": 0.0}

    for shown in (("stipe",) * 3, ("cap",) * 3, ("section",) * 3, ("stipe", "stipe", "cap")):
        assert weigh_photos(photo_voices(turned(0, 1, 90)), shown, weights).sum() == pytest.approx(2)


@pytest.mark.parametrize("copies", [1, 2, 4, 8])
def test_copies_of_a_photo_are_one_photo(copies: int) -> None:
    assert photo_voices(np.repeat(turned(30), copies, axis=0)).sum() == pytest.approx(1)
    assert photo_voices(np.vstack([np.repeat(turned(30), copies, axis=0), turned(120)])).sum() == pytest.approx(2)


def test_a_copy_takes_its_voice_from_its_original_alone() -> None:
    halfway = np.degrees(np.arccos((ALIKE + APART) / 2))
    alone = photo_voices(turned(0, halfway))

    for copies in (2, 5):
        voices = photo_voices(np.vstack([np.repeat(turned(0), copies, axis=0), turned(halfway)]))

        assert voices[-1] == pytest.approx(alone[1])
        assert voices[:-1] == pytest.approx([alone[0] / copies] * copies)


def test_what_is_neither_alike_nor_apart_counts_in_part() -> None:
    halfway = np.degrees(np.arccos((ALIKE + APART) / 2))
    apart = np.degrees(np.arccos(APART - 0.01))

    assert photo_voices(turned(0, halfway)) == pytest.approx([1 / 1.5] * 2)
    assert photo_voices(turned(0, apart)) == pytest.approx([1, 1])
    assert same_photos(turned(0, halfway)) == []


@given(seed=st.integers(0, 10_000), rng=st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_photos_changes_no_voice(seed: int, rng: object) -> None:
    rows = turned(*np.random.default_rng(seed).uniform(0, 120, 5))
    order = rng.sample(range(5), 5)  # type: ignore[attr-defined]

    assert photo_voices(rows[order]).tolist() == pytest.approx(photo_voices(rows)[order].tolist(), abs=1e-15)


def test_the_deciding_photo_is_the_one_without_which_the_first_species_loses_most() -> None:
    scores = np.array([[0.2, 0.5, 0.3], [0.9, 0.05, 0.05], [0.4, 0.3, 0.3]])

    assert deciding_photo(scores, np.ones(3)) == 1
    assert deciding_photo(scores[:1], np.ones(1)) == 0


@given(seed=st.integers(0, 10_000), photos=st.integers(2, 5))
@settings(max_examples=200, deadline=None)
def test_the_deciding_photo_of_a_mean_is_that_of_fusing_the_others_again(seed: int, photos: int) -> None:
    draw = np.random.default_rng(seed)
    scores = draw.dirichlet(np.full(6, 0.4), photos) * (draw.random((photos, 1)) < 0.8)  # some have no votes
    weights, sharpening = draw.uniform(0.05, 2.0, photos), float(draw.choice([0.0, 0.6]))
    assume(scores.any())
    first = int(fuse_scores(scores, weights).argmax())

    found = deciding_photo(scores, weights, sharpening=sharpening)

    left = [
        fuse_scores(np.delete(scores, photo, 0), np.delete(weights, photo), sharpening=sharpening)[first]
        for photo in range(photos)
    ]
    assert found == int(np.argmin(np.round(left, 12)))


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="median"):
        fuse_scores(TWO, EVEN, rule="median")


def test_a_photo_like_two_that_are_less_alike_makes_one_of_all_three() -> None:
    rows = turned(0, 25, 50, 75, 180)

    assert np.cos(np.radians(50)) < ALIKE < np.cos(np.radians(25))
    assert photo_voices(rows) == pytest.approx([1 / 4] * 4 + [1])
    assert same_photos(rows) == [[0, 1, 2, 3]]
