"""Priors boost and never exclude; season and place are counted and smoothed; the specificity decision stops in time."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from retrieval.errors import PlaceUnavailable
from retrieval.ranking.priors import apply_prior, combine_lifts, lift_to, month_records, nearby_lift, uniform_lift
from retrieval.ranking.specificity import choose_node, depth_curve, fit_threshold, judge_depths, sum_nodes
from retrieval.snapshots.cells import cell_of, cells_around
from retrieval.snapshots.occurrences import Occurrence, count_occurrences, read_occurrences, write_occurrences

LINEAGES = np.array([[1, -1, 2, 10], [1, -1, 2, 11], [1, -1, 3, 12]])  # four ranks, one of them not known
SCORES = np.array([0.45, 0.25, 0.2])


def test_the_danish_rule_by_hand() -> None:
    gallery = np.array([90.0, 9.0, 1.0])
    scores = np.array([0.6, 0.3, 0.1])

    even = apply_prior(scores, np.log(uniform_lift(gallery)))

    expected = scores / gallery
    assert even == pytest.approx(expected / expected.sum())
    assert apply_prior(scores, np.log(lift_to(gallery, gallery))) == pytest.approx(scores)
    assert apply_prior(scores * 0.5, np.log(uniform_lift(gallery))).sum() == pytest.approx(0.5)


def test_records_near_by_lift_and_their_absence_never_excludes() -> None:
    lift = nearby_lift(np.array([8.0, 2.0, 0.0]), np.array([10.0, 80.0, 10.0]), smoothing=5.0)

    rate = 10 / 100
    assert lift == pytest.approx([(8 + 0.5) / (15 * rate), (2 + 0.5) / (85 * rate), 0.5 / (15 * rate)])
    assert (lift > 0).all()
    assert nearby_lift(np.zeros(3), np.ones(3), smoothing=1.0).tolist() == [1, 1, 1]


def test_december_is_next_to_january() -> None:
    months = np.zeros((1, 12))
    months[0, [0, 1, 11]] = 4, 2, 6

    assert month_records(months, 1).tolist() == [4 + 0.5 * (6 + 2)]
    assert month_records(months, 12).tolist() == [6 + 0.5 * 4]
    with pytest.raises(ValueError, match="13"):
        month_records(months, 13)


def test_lifts_are_multiplied_by_their_strengths() -> None:
    lifts = {"season": np.array([2.0, 1.0]), "place": np.array([1.0, 4.0])}

    assert np.exp(combine_lifts(lifts, {"season": 0.5, "place": 0.0}, 2)) == pytest.approx([2**0.5, 1])


def test_occurrences_are_counted_by_month_and_cell_and_survive_the_disk(tmp_path: object) -> None:
    records = [Occurrence(5, 9, 77), Occurrence(5, 9, 77), Occurrence(7, 10, 78), Occurrence(7), Occurrence(999, 1, 1)]

    found = count_occurrences(np.array([5, 6, 7]), records)
    write_occurrences(tmp_path / "o.npz", found)  # type: ignore[operator]
    read = read_occurrences(tmp_path / "o.npz", 3)  # type: ignore[operator]

    assert read is not None
    assert read.dated.tolist() == [2, 0, 1]
    assert read.placed.tolist() == [2, 0, 1]
    assert read.around([[77], [78], [79]]).tolist() == [2, 0, 0.5]
    assert read.of(np.array([2, 0])).around([[77], [78]]).tolist() == [0.5, 2]
    assert read_occurrences(tmp_path / "none.npz", 3) is None  # type: ignore[operator]


def test_a_place_is_a_cell_and_two_rings() -> None:
    pytest.importorskip("h3", reason="places need the package h3, which is not installed here")

    rings = cells_around(55.68, 12.57)

    assert rings[0] == [cell_of(55.68, 12.57)]
    assert [len(ring) for ring in rings] == [1, 6, 12]
    assert len({cell for ring in rings for cell in ring}) == 19


def test_what_is_no_place_on_earth_is_refused() -> None:
    with pytest.raises(PlaceUnavailable, match="latitude comes first"):
        cell_of(112.57, 55.68)


def test_the_deepest_node_that_is_probable_enough_is_the_answer() -> None:
    assert choose_node(SCORES, LINEAGES, 0.45).taxon == 10  # "at least", not "more than"
    assert choose_node(SCORES, LINEAGES, 0.46).taxon == 2
    assert choose_node(SCORES, LINEAGES, 0.46).probability == pytest.approx(0.7)
    assert choose_node(SCORES, LINEAGES, 0.8).taxon == 1
    assert choose_node(SCORES, LINEAGES, 0.8).depth == 1
    assert choose_node(SCORES, LINEAGES, 0.95).taxon is None
    assert choose_node(np.array([0.3, 0.3, 0.3]), LINEAGES, 0.3).taxon == 10  # equally probable: the lower id


def test_the_search_starts_at_what_a_person_knows() -> None:
    assert choose_node(SCORES, LINEAGES, 0.99, within=[3]).taxon == 3
    assert choose_node(SCORES, LINEAGES, 0.15, within=[3]).taxon == 12
    assert choose_node(SCORES, LINEAGES, 0.99, within=[2, 3]).taxon == 2
    assert choose_node(SCORES, LINEAGES, 0.5, within=[99]).taxon is None


def test_the_decision_over_many_species_takes_memory_for_the_species_not_for_their_square() -> None:
    count = 4_000
    number = np.arange(count)
    lineages = np.stack([number // 10**wide + 10_000 * wide for wide in range(6, -1, -1)], axis=1)
    scores = np.random.default_rng(3).random(count)
    tracemalloc.start()

    found = choose_node(scores / scores.sum(), lineages, 0.2)

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.depth == 4  # a thousand species under each of four nodes
    assert found.probability == pytest.approx(max(scores.reshape(4, 1000).sum(axis=1)) / scores.sum())
    assert most < 2_000_000  # the square of the species is 128 MB


def test_scores_are_summed_by_node_for_one_or_for_many_rows() -> None:
    nodes = np.array([7, -1, 3, 7, 3])
    rows = np.array([[0.1, 0.2, 0.3, 0.25, 0.15], [1.0, 0, 0, 0, 0]])

    taxa, sums = sum_nodes(rows, nodes)

    assert taxa.tolist() == [3, 7]
    assert sums == pytest.approx(np.array([[0.45, 0.35], [0, 1]]))
    assert sum_nodes(rows[0], nodes)[1] == pytest.approx([0.45, 0.35])
    assert sum_nodes(rows, np.full(5, -1))[1].shape == (2, 0)


def test_hill_climbing_finds_the_threshold_of_a_search_through_all() -> None:
    rng = np.random.default_rng(4)
    top = rng.uniform(0.05, 1, 3000)
    sums = np.stack([np.ones(3000), np.sqrt(top), top], axis=1)
    right = rng.uniform(0, 1, sums.shape) < sums

    threshold = fit_threshold(sums, right, 0.9)

    every = np.linspace(0, 1, 2001)
    accuracies = np.array([accuracy for _, accuracy, _ in depth_curve(sums, right, every.tolist())])
    assert threshold == pytest.approx(every[accuracies >= 0.9].min(), abs=0.02)
    correct, depths = judge_depths(sums, right, threshold)
    assert correct.mean() == pytest.approx(0.9, abs=0.01)
    assert 1 <= depths.mean() <= 3


def test_a_species_that_was_never_recorded_is_made_rare_and_not_impossible() -> None:
    gallery = np.array([5.0, 5.0, 0.0])

    lift = lift_to(np.array([0.0, 9.0, 3.0]), gallery)

    assert lift == pytest.approx([0.1 / 0.5, 0.9 / 0.5, 1.0])  # counted as once; without a photo nothing is corrected


def test_scores_are_tempered_before_they_are_lifted() -> None:
    scores, log_lift = np.array([0.64, 0.16]), np.log([1.0, 4.0])

    assert apply_prior(scores, log_lift, temper=0.5) == pytest.approx(np.array([0.8, 1.6]) / 3)  # 0.8 in all, as before
    assert apply_prior(scores, log_lift) == pytest.approx([0.4, 0.4])
