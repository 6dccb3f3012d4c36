"""Votes on arrays, prototypes, calibrated scores and top-score recalibration, compared with plain sums and tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.errors import SnapshotMismatch
from retrieval.ranking.calibration import (
    Calibration,
    normalise,
    prepare_terms,
    read_calibration,
    score_views,
    score_voted,
)
from retrieval.ranking.lookalikes import confusions, lookalikes_of
from retrieval.ranking.prototypes import compare_rows, make_prototypes, project, sum_observations, whiten_within
from retrieval.ranking.recalibration import raise_to_top, recalibrate_top_score
from retrieval.ranking.rejection import decide_rejection, none_probability, observe
from retrieval.ranking.votes import vote_shares, voted_shares


def test_an_observation_weighs_the_same_however_many_photos_it_has() -> None:
    rows = np.array([[1.0, 0], [0, 1], [0, 1], [0, 1]])

    sums, counts = sum_observations(rows, np.array([0, 0, 0, 0]), np.array([7, 8, 8, 8]), 2)

    assert sums.tolist() == [[1, 1], [0, 0]]
    assert counts.tolist() == [2, 0]


def test_a_prototype_leans_on_its_genus_the_more_the_fewer_observations_it_has() -> None:
    sums = np.array([[2.0, 0, 0], [0, 1, 0], [0, 0, 9], [0, 0, 0]])
    counts, genera = np.array([2, 1, 9, 0]), np.array([0, 0, -1, 0])

    rows = make_prototypes(sums, counts, genera, shrinkage=2.0, centre=np.zeros(3), metric=None)

    genus = np.array([0.5, 0.5, 0])  # the mean of the two species' means
    expected = [np.array([3.0, 1.0, 0]), np.array([1.0, 2.0, 0]), np.array([0, 0, 9]), genus]
    assert rows == pytest.approx(np.stack([row / np.linalg.norm(row) for row in expected]))


def test_in_the_metric_species_are_round() -> None:
    rng = np.random.default_rng(3)
    apart = rng.normal(size=(4000, 3)) * [3.0, 1.0, 0.2]

    metric = whiten_within(apart.T @ apart / len(apart), 0.0)

    white = apart @ metric
    assert np.cov(white.T) == pytest.approx(np.eye(3) * np.cov(white.T)[0, 0], abs=0.05 * np.cov(white.T)[0, 0])
    assert whiten_within(np.diag([9.0, 1.0]), 1.0) == pytest.approx(np.eye(2))
    assert np.linalg.norm(project(apart, np.zeros(3), metric), axis=1) == pytest.approx(1.0)


def test_the_score_is_the_formula() -> None:
    learned = Calibration(votes=0.5, prototypes=3.0, counts=0.7, floor=0.01, fitted={"observations": 1})
    shares, similarities, counts = np.array([[0.8, 0.2, 0.0]]), np.array([[0.1, 0.5, 0.2]]), np.array([4.0, 1.0, 9.0])

    scores = score_views(shares, similarities, counts, learned)

    raised = [
        (share + 0.01) ** 0.5 * math.exp(3 * near) * n**0.7
        for share, near, n in zip(shares[0], similarities[0], counts, strict=True)
    ]
    assert scores[0] == pytest.approx(np.array(raised) / sum(raised))


def test_without_calibration_the_score_is_the_share() -> None:
    shares = np.array([[0.8, 0.2, 0.0], [0.0, 0.0, 0.0]])

    assert score_views(shares, None, np.ones(3), Calibration()) == pytest.approx(shares)


def test_a_species_of_the_list_without_references_is_never_zero_and_never_leads() -> None:
    learned = Calibration(votes=1.0, prototypes=9.0, floor=0.01)

    scores = score_views(np.array([[0.9, 0.1, 0.0]]), np.array([[0.1, 0.1, 1.0]]), np.array([3.0, 2.0, 0.0]), learned)

    assert 0 < scores[0, 2] <= scores[0, :2].min()


def test_a_calibration_survives_the_manifest_and_strangers_are_refused() -> None:
    limits = {"one": {"0.90": [0.3] * 7}, "several": {"0.90": [0.4] * 7}, "oneListed": {"0.90": [0.5] * 7}}
    learned = Calibration(votes=0.4, thresholds=limits, lookalikes=((1, 2, 0.5),), fitted={"seed": 1})

    assert read_calibration(learned.as_json()) == learned
    assert [learned.thresholds_of(photos, listed=True)[0.9][6] for photos in (1.0, 3.0)] == [0.5, 0.4]
    before = read_calibration({"thresholds": {"0.90": 0.3}})  # from before each rank had a threshold of its own
    assert before.thresholds_of(1.0)[0.9].tolist() == before.thresholds_of(3.0)[0.9].tolist() == [0.3] * 7
    assert not read_calibration({}).calibrated
    with pytest.raises(SnapshotMismatch, match="tuning"):
        read_calibration({"tuning": 1})


@given(seed=st.integers(0, 10_000), wanted=st.floats(0.3, 0.99))
@settings(max_examples=40, deadline=None)
def test_confidence_changes_the_top_score_and_never_the_order(seed: int, wanted: float) -> None:
    scores = normalise(np.random.default_rng(seed).normal(size=(1, 6)) * 3)
    second, first = np.log(np.sort(scores[0])[-2:])
    assume(first - second > 0.2)  # a near tie cannot be told apart by any power within bounds

    raised = raise_to_top(scores, np.array([wanted]))

    assert raised.sum() == pytest.approx(1)
    assert np.argsort(raised[0]).tolist() == np.argsort(scores[0]).tolist()
    assert raised.max() == pytest.approx(wanted, abs=1e-6)


def test_a_confidence_that_says_the_same_changes_nothing() -> None:
    scores = np.array([[0.6, 0.3, 0.1]])

    same = recalibrate_top_score(scores, np.array([2.0]), {"constant": 0.0, "logit": 1.0, "photos": 0.0})

    assert same == pytest.approx(scores)
    assert recalibrate_top_score(scores, np.array([2.0]), {}) is scores


def test_none_of_these_by_hand() -> None:
    weights = {"constant": -2.0, "similarity": -1.0, "entropy": 3.0, "strange": 0.2}
    similarity, entropy = observe(np.array([0.4, 0.6]), np.array([0.5, 0.5, 0.0]))

    chance = none_probability(similarity, entropy, weights)

    assert (similarity, entropy) == pytest.approx((0.5, math.log(2)))
    assert chance == pytest.approx(1 / (1 + math.exp(2 + 0.5 - 3 * math.log(2))))
    assert none_probability(similarity, entropy, {}) == 0
    assert not decide_rejection(0.5, 0.4, weights).rejected
    assert decide_rejection(0.5, 0.6, weights).rejected
    assert "may be no fungus" in decide_rejection(0.1, 0.0, weights).reason
    overridden = decide_rejection(0.1, 0.9, weights, no_reject=True)
    assert not overridden.rejected
    assert overridden.reason


def test_lookalikes_are_named_from_both_sides_and_one_slip_is_none() -> None:
    pairs = [(1, 2)] * 3 + [(1, 1)] * 7 + [(2, 2)] * 4 + [(3, 1)] + [(4, 1)] * 2

    known = confusions(pairs)

    assert known == ((4, 1, 1.0), (1, 2, 0.3))
    assert lookalikes_of(1, known) == [(4, 1.0), (2, 0.3)]
    assert lookalikes_of(2, known) == [(1, 0.3)]
    assert lookalikes_of(3, known) == []


def sum_plainly(
    embeddings: NDArray[np.floating], columns: NDArray[np.int64], observations: NDArray[np.int64], width: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """`sum_observations` in a few lines of NumPy that sort everything."""
    sums, counts = np.zeros((width, embeddings.shape[1])), np.zeros(width, dtype=np.int64)
    order = np.argsort(observations, kind="stable")
    _, firsts, photos = np.unique(observations[order], return_index=True, return_counts=True)
    means = np.add.reduceat(embeddings[order].astype(np.float64), firsts, axis=0) / photos[:, None]
    column = columns[order[firsts]]
    order = np.argsort(column, kind="stable")
    listed, firsts, seen = np.unique(column[order], return_index=True, return_counts=True)
    sums[listed], counts[listed] = np.add.reduceat(means[order], firsts, axis=0), seen
    return sums, counts


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(("rows", "width", "photos"), [(1, 1, 1), (40, 60, 1), (300, 7, 2), (300, 40, 30), (90, 2, 1)])
def test_observations_add_up_to_the_very_bits_of_numpys_own_sums(
    rows: int, width: int, photos: int, *, ordered: bool, kind: type[np.floating]
) -> None:
    draw = np.random.default_rng([rows, width, photos])
    columns, observations = draw.integers(0, width, rows), draw.integers(0, max(1, rows // photos), rows)
    if ordered:
        columns, observations = np.sort(columns), np.sort(observations)
    embeddings = draw.normal(size=(rows, 16)).astype(kind)

    sums, counts = sum_observations(embeddings, columns, observations, width)

    expected, seen = sum_plainly(embeddings, columns, observations, width)
    assert np.array_equal(sums, expected)
    assert np.array_equal(counts, seen)


@pytest.mark.parametrize("species", [0, 1, 511, 512, 513, 1_300])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_prototypes_compared_in_blocks_are_compared_all(species: int, kind: type[np.floating]) -> None:
    draw = np.random.default_rng(species)
    prototypes, views = draw.normal(size=(species, 32)).astype(kind), draw.normal(size=(3, 32)).astype(kind)

    found = compare_rows(prototypes, views)

    assert found.shape == (3, species)
    assert found.dtype == kind
    assert np.allclose(found, np.einsum("sd,vd->vs", prototypes, views), rtol=1e-4, atol=1e-4)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_scores_of_a_few_voted_species_are_those_of_all(seed: int) -> None:
    draw = np.random.default_rng(seed)
    learned = Calibration(
        votes=draw.choice([0.0, 0.6]),
        prototypes=draw.choice([0.0, 9.0]),
        counts=draw.choice([0.0, 0.4]),
        floor=draw.choice([0.0, 1e-3]),
        fitted={"observations": 1},
    )
    similarities, counts = draw.normal(0, 0.3, (3, 12)), draw.integers(1, 9, 12).astype(float)
    near, seen = np.sort(draw.random((3, 7)))[:, ::-1], draw.integers(1, 5, (3, 7))
    columns = np.where(draw.random((3, 7)) < 0.2, -1, draw.integers(0, 12, (3, 7)))

    found = score_voted(prepare_terms(similarities, counts, learned), *voted_shares(near, seen, columns, 12, 0.05))

    assert found == pytest.approx(
        score_views(vote_shares(near, seen, columns, 12, 0.05), similarities, counts, learned), rel=1e-10, abs=1e-300
    )
