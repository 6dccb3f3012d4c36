"""Priors never exclude a species; season and place are counted and smoothed; specificity stops where it should."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.domain import HABITATS, SUBSTRATES
from retrieval.errors import DamagedSnapshot, PlaceUnavailable
from retrieval.ranking.nodes import classify
from retrieval.ranking.priors import (
    apply_prior,
    combine_lifts,
    lift_to,
    month_records,
    nearby_lift,
    turn_month,
    turn_months,
    uniform_lift,
)
from retrieval.ranking.specificity import (
    SpecificityDecision,
    choose_node,
    depth_curve,
    judge_depths,
    sum_nodes,
)
from retrieval.snapshots.cells import cell_of, cells_around
from retrieval.snapshots.occurrences import Occurrence, count_occurrences, read_occurrences, write_occurrences

GENERA = np.array([[2], [2], [3]])
LINEAGES = np.hstack([np.full((3, 1), 1), np.full((3, 4), -1), GENERA, [[10], [11], [12]]])  # kingdom, genus, species
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


PLACES = ("deciduous-forest", "coniferous-forest", "mixed-forest", "garden")
COPENHAGEN, HOBART = cell_of(55.68, 12.57), cell_of(-42.88, 147.33)


def test_seasons_turn_by_half_a_year_across_the_equator(tmp_path: Path) -> None:
    """October in Denmark is April in Tasmania; a record without a place is where most of the others are."""
    records = [Occurrence(5, 10, COPENHAGEN)] * 3 + [Occurrence(5, 10)] + [Occurrence(7, 4, HOBART)] * 2
    found = count_occurrences(np.array([5, 7]), records)
    write_occurrences(tmp_path / "o.npz", found)
    read = read_occurrences(tmp_path / "o.npz", 2)
    assert read is not None

    for counts in (found, read, read.of(np.array([0, 1]))):
        assert counts.about(10, southern=False).tolist() == counts.about(4, southern=True).tolist() == [4, 2]
        assert counts.about(4, southern=False).tolist() == counts.about(10, southern=True).tolist() == [0, 0]
        assert counts.about(11, southern=False).tolist() == counts.about(5, southern=True).tolist() == [2, 1]
        assert (counts.about(10).tolist(), counts.about(4).tolist()) == ([4, 0], [0, 2])  # of an unknown place


@pytest.mark.parametrize(("cells", "right"), [([COPENHAGEN] * 3, False), ([HOBART, HOBART, COPENHAGEN], True)])
def test_months_of_older_snapshots_are_of_the_side_where_most_records_are(
    tmp_path: Path, cells: list[int], right: bool
) -> None:
    found = count_occurrences(np.array([5]), [Occurrence(5, 4, cell) for cell in cells])
    np.savez(tmp_path / "o.npz", months=found.months, cells=found.cells, columns=found.columns, counts=found.counts)

    read = read_occurrences(tmp_path / "o.npz", 1)

    assert read is not None
    assert read.about(4, southern=right).tolist() == [3]
    assert read.about(4, southern=not right).tolist() == [0]


@pytest.mark.parametrize("month", range(1, 13))
def test_turning_twice_is_turning_round(month: int) -> None:
    turned = turn_month(month, southern=True)

    assert abs(turned - month) == 6
    assert turn_month(turned, southern=True) == month == turn_month(month, southern=False)
    both = turn_months(np.array([month, 0, month]), np.array([True, True, False]))
    assert both.tolist() == [turned, 0, month]


def test_habitats_are_counted_and_those_that_may_be_the_same_count_half(tmp_path: Path) -> None:
    deciduous, coniferous, mixed, garden = (1 + HABITATS.index(name) for name in PLACES)
    records = [Occurrence(5, habitat=deciduous)] * 3 + [Occurrence(5, habitat=mixed)] * 2
    records += [
        Occurrence(7, habitat=coniferous),
        Occurrence(7, habitat=garden),
        Occurrence(7),
        Occurrence(9, habitat=1),
    ]

    found = count_occurrences(np.array([5, 7]), records)
    write_occurrences(tmp_path / "o.npz", found)
    read = read_occurrences(tmp_path / "o.npz", 2)

    assert read is not None
    for counts in (found, read, read.of(np.array([0, 1]))):
        assert [counts.of_class("habitat", name).tolist() for name in PLACES] == [[4, 0], [1, 1], [3.5, 0.5], [0, 1]]
        assert counts.classes("habitat").sum(axis=1).tolist() == [5, 2]
    assert read.of(np.array([1])).of_class("habitat", "garden").tolist() == [1]
    assert not found.classes("substrate").any()


def test_wood_of_an_unknown_tree_may_be_of_either_kind() -> None:
    records = [Occurrence(5, substrate=1 + SUBSTRATES.index(name)) for name in ("wood", "deciduous-wood", "soil")]
    found = count_occurrences(np.array([5]), records)

    asked = ("wood", "deciduous-wood", "coniferous-wood", "soil", "dung")
    assert [found.of_class("substrate", name).tolist() for name in asked] == [[1.5], [1.5], [0.5], [1], [0]]


def test_snapshots_that_know_fewer_classes_or_none_are_read(tmp_path: Path) -> None:
    found = count_occurrences(np.array([5]), [Occurrence(5, 9, COPENHAGEN, 1, 1)])
    kept = {name: getattr(found, name) for name in ("months", "northern", "cells", "columns", "counts")}

    np.savez(tmp_path / "older.npz", **kept)
    np.savez(tmp_path / "fewer.npz", **kept, habitats=found.habitats[:, :3], substrates=found.substrates)
    np.savez(tmp_path / "more.npz", **kept, habitats=np.ones((1, len(HABITATS) + 1)), substrates=found.substrates)

    older, fewer = (read_occurrences(tmp_path / name, 1) for name in ("older.npz", "fewer.npz"))
    assert older is not None
    assert older.habitats.shape == found.habitats.shape
    assert not older.habitats.any()
    assert fewer is not None
    assert fewer.of_class("habitat", "deciduous-forest").tolist() == [1]
    with pytest.raises(DamagedSnapshot):
        read_occurrences(tmp_path / "more.npz", 1)


def test_a_place_is_a_cell_and_two_rings() -> None:
    pytest.importorskip("h3", reason="places need the package h3, which is not installed here")

    rings = cells_around(55.68, 12.57)

    assert rings[0] == [cell_of(55.68, 12.57)]
    assert [len(ring) for ring in rings] == [1, 6, 12]
    assert len({cell for ring in rings for cell in ring}) == 19


def test_what_is_no_place_on_earth_is_refused() -> None:
    with pytest.raises(PlaceUnavailable, match="latitude must be between -90 and 90"):
        cell_of(112.57, 55.68)


def stop_at(scores: np.ndarray, threshold: float, within: Sequence[int] = ()) -> SpecificityDecision:
    """The decision over the small tree at one threshold for all ranks."""
    return choose_node(scores, classify(LINEAGES), np.full(7, threshold), within=within)


def test_the_deepest_node_that_is_probable_enough_is_the_answer() -> None:
    assert stop_at(SCORES, 0.45).taxon == 10  # "at least", not "more than"
    assert stop_at(SCORES, 0.46).taxon == 2
    assert stop_at(SCORES, 0.46).probability == pytest.approx(0.7)
    assert stop_at(SCORES, 0.8).taxon == 1
    assert stop_at(SCORES, 0.8).depth == 1
    assert stop_at(SCORES, 0.95).taxon is None
    assert stop_at(np.array([0.3, 0.3, 0.3]), 0.3).taxon == 10  # equally probable: the lower id


def test_each_rank_has_a_threshold_of_its_own() -> None:
    thresholds = np.array([0.5, 0.5, 0.5, 0.5, 0.5, 2.0, 0.45])

    assert choose_node(SCORES, classify(LINEAGES), thresholds).taxon == 10
    thresholds[6] = 2.0  # never a species, never a genus
    assert choose_node(SCORES, classify(LINEAGES), thresholds).depth < 6


def test_nothing_that_nothing_speaks_for_is_ever_named() -> None:
    nothing = np.zeros(len(SCORES))

    for within in ((), [3], [2, 3]):
        found = stop_at(nothing, 0.0, within)
        assert (found.taxon, found.depth, found.probability) == (None, 0, 0.0)


def test_only_a_species_of_the_list_is_named_but_wider_taxa_are_sums_over_all() -> None:
    tree, on_list = classify(LINEAGES), np.array([False, True, True])

    found = choose_node(SCORES, tree, np.full(7, 0.4), on_list=on_list)

    assert found.taxon == 2  # the best species is off the list; its genus holds it all the same
    assert found.probability == pytest.approx(0.7)
    assert choose_node(SCORES, tree, np.full(7, 0.2), on_list=on_list).taxon in tree.species[on_list]
    assert choose_node(SCORES, tree, np.full(7, 0.1), on_list=np.zeros(3, dtype=bool)).depth == 6


def test_the_search_starts_at_what_a_person_knows() -> None:
    assert stop_at(SCORES, 0.99, [3]).taxon == 3
    assert stop_at(SCORES, 0.15, [3]).taxon == 12
    assert stop_at(SCORES, 0.99, [2, 3]).taxon == 2
    assert stop_at(SCORES, 0.5, [99]).taxon is None


def test_the_decision_over_many_species_takes_memory_for_the_species_not_for_their_square() -> None:
    count = 4_000
    number = np.arange(count)
    lineages = np.stack([number // 10**wide + 10_000 * wide for wide in range(6, -1, -1)], axis=1)
    scores = np.random.default_rng(3).random(count)
    tree = classify(lineages)
    tracemalloc.start()

    found = choose_node(scores / scores.sum(), tree, np.full(7, 0.2))

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.depth == 4  # a thousand species under each of four nodes
    assert found.probability == pytest.approx(max(scores.reshape(4, 1000).sum(axis=1)) / scores.sum())
    assert most < 2_000_000  # the square of the species is 128 MB


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_sums_by_units_are_the_sums_over_the_species(seed: int) -> None:
    draw = np.random.default_rng(seed)
    above = draw.integers(-1, 4, (30, 6))
    lineages = np.column_stack([np.where(above < 0, -1, above + 10 * np.arange(6)), 100 + np.arange(30)])
    tree, scores = classify(lineages), draw.random(30)

    units = tree.sum_units(scores)

    for rank in range(6):
        taxa, sums = tree.sum_rank(units, rank)
        assert taxa.tolist() == sorted(set(lineages[lineages[:, rank] >= 0, rank].tolist()))
        for place, (taxon, sum_) in enumerate(zip(taxa.tolist(), sums.tolist(), strict=True)):
            assert sum_ == pytest.approx(scores[lineages[:, rank] == taxon].sum())
            assert sorted(tree.below(rank, place)) == np.flatnonzero(lineages[:, rank] == taxon).tolist()
            assert tree.under([taxon]).tolist() == (lineages[:, rank] == taxon).tolist()
    assert tree.lineages.tolist() == lineages.tolist()


def test_scores_are_summed_by_node_for_one_or_for_many_rows() -> None:
    nodes = np.array([7, -1, 3, 7, 3])
    rows = np.array([[0.1, 0.2, 0.3, 0.25, 0.15], [1.0, 0, 0, 0, 0]])

    taxa, sums = sum_nodes(rows, nodes)

    assert taxa.tolist() == [3, 7]
    assert sums == pytest.approx(np.array([[0.45, 0.35], [0, 1]]))
    assert sum_nodes(rows[0], nodes)[1] == pytest.approx([0.45, 0.35])
    assert sum_nodes(rows, np.full(5, -1))[1].shape == (2, 0)


def test_higher_thresholds_are_right_more_often_and_less_deep() -> None:
    rng = np.random.default_rng(4)
    top = rng.uniform(0.05, 1, 3000)
    sums = np.stack([np.ones(3000), np.sqrt(top), top], axis=1)
    right = rng.uniform(0, 1, sums.shape) < sums

    curve = np.array(depth_curve(sums, right, [0.3, 0.6, 0.9]))

    assert (np.diff(curve[:, 1]) > 0).all()
    assert (np.diff(curve[:, 2]) < 0).all()
    correct, depths = judge_depths(sums, right, 0.6)
    assert (correct.mean(), depths.mean()) == pytest.approx(tuple(curve[1, 1:]))


def test_a_species_that_was_never_recorded_is_made_rare_and_not_impossible() -> None:
    gallery = np.array([5.0, 5.0, 0.0])

    lift = lift_to(np.array([0.0, 9.0, 3.0]), gallery)

    assert lift == pytest.approx([0.1 / 0.5, 0.9 / 0.5, 1.0])  # counted as once; without a photo nothing is corrected


def test_scores_are_tempered_before_they_are_lifted() -> None:
    scores, log_lift = np.array([0.64, 0.16]), np.log([1.0, 4.0])

    assert apply_prior(scores, log_lift, temper=0.5) == pytest.approx(np.array([0.8, 1.6]) / 3)  # 0.8 in all, as before
    assert apply_prior(scores, log_lift) == pytest.approx([0.4, 0.4])
