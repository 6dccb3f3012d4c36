"""Observations that are held out together: duplicates, and those of one person, day and place, transitively."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evaluation.galleries.gallery import Gallery, hold_out_queries, search
from evaluation.galleries.outings import number_outings
from evaluation.learning.estimators import deal_folds
from retrieval.models.embedder import DIM, unit_rows
from retrieval.ranking.groups import group_observations, near_identical


def make_rows(count: int, seed: int = 1) -> np.ndarray:
    return unit_rows(np.random.default_rng(seed).normal(size=(count, DIM)))


def make_gallery(columns: list[int], observations: list[int], rows: np.ndarray) -> Gallery:
    """Species 0 and 1 of a genus of their own, the others of one genus."""
    width = max(columns) + 1
    lineages = np.tile(np.arange(1, 8), (width, 1))
    lineages[:, 6] = 100 + np.arange(width)
    lineages[:2, 5] = 50 + np.arange(2)[: min(2, width)]
    gallery = Gallery(rows, np.array(columns), np.array(observations), lineages[:, 6], lineages)
    return replace(gallery, joined=group_observations(gallery.observations, rows))


def test_near_identical_photos_are_the_pairs_of_a_plain_comparison() -> None:
    rows = make_rows(9)
    rows[4] = unit_rows(rows[[1]] + 0.002 * make_rows(1, 5))[0]
    rows[8] = rows[0]

    expected = [(i, j) for i in range(9) for j in range(i + 1, 9) if rows[i] @ rows[j] >= 0.98]

    assert [tuple(pair) for pair in near_identical(rows).tolist()] == expected == [(0, 8), (1, 4)]


def test_copies_and_outings_are_joined_in_chains() -> None:
    rows = make_rows(6)
    rows[2] = rows[0]  # observation 30 is a copy of 10
    outings = np.array([0, 7, 7, 0, 9, 9])  # 30 was made on an outing with 20, 50 with 60

    groups = group_observations(np.array([10, 20, 30, 40, 50, 60]), rows, outings)

    assert groups.tolist() == [10, 10, 10, 40, 50, 50]


def test_what_no_outing_is_known_of_is_not_one_outing() -> None:
    assert group_observations(np.array([1, 2, 3]), make_rows(3), np.zeros(3, np.int64)).tolist() == [1, 2, 3]


def test_a_copy_may_not_answer_for_the_find_that_it_is_a_copy_of() -> None:
    rows = make_rows(6)
    rows[1] = rows[0]
    gallery = make_gallery([0, 0, 0, 1, 1, 2], [1, 2, 3, 4, 5, 6], rows)

    queries = hold_out_queries(gallery, np.array([1]))
    found = search(gallery, queries, 6)

    assert found.rows[0, :4].tolist() != []
    assert not {0, 1} & set(found.rows[0].tolist())
    assert gallery.evaluable.tolist() == [1, 2, 3, 4, 5]


def test_a_species_that_was_only_filed_twice_cannot_be_asked_for() -> None:
    rows = make_rows(4)
    rows[1] = rows[0]
    gallery = make_gallery([0, 0, 1, 1], [1, 2, 3, 4], rows)

    assert gallery.evaluable.tolist() == [3, 4]


def test_what_taught_the_model_is_not_asked_for_but_answers() -> None:
    gallery = make_gallery([0, 0, 1, 1], [1, 2, 3, 4], make_rows(4))
    trained_on = replace(gallery, trained_on=np.array([True, False, False, False]))

    assert trained_on.evaluable.tolist() == [2, 3, 4]
    assert 0 in search(trained_on, hold_out_queries(trained_on, np.array([2])), 4).rows[0]


def test_no_reference_of_a_hidden_species_or_genus_answers() -> None:
    gallery = make_gallery([0, 0, 1, 1, 2, 2, 3, 3], list(range(8)), make_rows(8))
    queries = hold_out_queries(gallery, np.array([4]))  # of species 2, whose genus has species 3 too

    by_species, by_genus = (search(gallery, queries, 8, hide=hide).rows[0] for hide in ("species", "genus"))

    assert set(by_species[by_species >= 0].tolist()) == {0, 1, 2, 3, 6, 7}
    assert set(by_genus[by_genus >= 0].tolist()) == {0, 1, 2, 3}


def test_folds_keep_groups_whole_and_hold_some_of_every_species() -> None:
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 60, 300)
    species = groups % 4

    dealt = deal_folds(groups, species, 5, seed=1)

    assert all(len(set(dealt[groups == group].tolist())) == 1 for group in set(groups.tolist()))
    assert all(len(set(species[dealt == fold].tolist())) == 4 for fold in range(5))
    assert deal_folds(groups, species, 5, seed=1).tolist() == dealt.tolist()


def test_finds_of_one_species_by_one_person_in_one_month_and_cell_are_one_outing() -> None:
    gallery = make_gallery([0, 0, 0, 0, 1, 1], [1, 2, 3, 4, 5, 6], make_rows(6))
    gallery = replace(gallery, months=np.array([9, 9, 9, 0, 9, 8]), cells=np.array([7, 7, 7, 7, 7, 7]))

    outings = number_outings(gallery.columns, gallery.months, gallery.cells, ["A", "A", "B", "A", "A", ""])

    assert outings[0] == outings[1] > 0
    assert len({*outings[[0, 2, 4]].tolist()}) == 3  # another person, another species
    assert outings[[3, 5]].tolist() == [0, 0]  # no month; no person
    assert number_outings(gallery.columns, gallery.months, None, ["A"] * 6).tolist() == [0] * 6


def test_a_find_that_two_archives_have_under_one_person_s_names_is_held_out_together() -> None:
    gallery = make_gallery([0, 0, 0, 0, 0], [1, 2, 3, 4, 5], make_rows(5))
    gallery = replace(gallery, months=np.full(5, 9), cells=np.full(5, 7))

    outings = number_outings(
        gallery.columns, gallery.months, gallery.cells, ["M. Holm", "Jan Berg", "Holm, Mette", "Mette Holm", "Jan Holm"]
    )
    unclear = number_outings(gallery.columns, gallery.months, gallery.cells, ["Mette Holm", "Jan Holm", "", "Holm", ""])

    assert outings[0] == outings[2] == outings[3]
    assert len({*outings[[0, 1, 4]].tolist()}) == 3
    assert unclear[0] == unclear[1] == unclear[3]  # by way of a name that may be either
