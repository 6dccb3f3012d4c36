"""Alternatives to the score: each does what it says, and none can tell which species was left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluation.galleries.gallery import Gallery, hold_out_queries
from evaluation.learning.scoring import Method
from evaluation.measuring import alternatives
from evaluation.measuring.alternatives import (
    ALTERNATIVES,
    Compared,
    compare,
    expand_queries,
    judge_alternatives,
    measure_crowding,
    rank_alternatives,
    reranked_terms,
)
from evaluation.measuring.nested import NestedResult, Trial, cross_validate
from retrieval.models.embedder import DIM, unit_rows
from retrieval.ranking.calibration import Calibration
from retrieval.ranking.votes import Voting

FOLDS = 3


def make_gallery(counts: list[int], spread: float, seed: int = 2) -> Gallery:
    """Species of one genus for each three, with so many observations of one photo each."""
    rng = np.random.default_rng(seed)
    columns = np.repeat(np.arange(len(counts)), counts)
    centres = rng.normal(size=(len(counts), DIM))
    rows = unit_rows(centres[columns] + spread * rng.normal(size=(len(columns), DIM)))
    lineages = np.tile(np.arange(1, 8), (len(counts), 1))
    lineages[:, 5], lineages[:, 6] = 50 + np.arange(len(counts)) // 3, 1000 + np.arange(len(counts))
    return Gallery(rows, columns, np.arange(len(columns)), lineages[:, 6], lineages)


@pytest.fixture(scope="module")
def clear() -> tuple[Gallery, NestedResult]:
    gallery = make_gallery([4] * 12, 1.6)
    return gallery, cross_validate(gallery, Trial(ranking_only=True), folds=FOLDS)


def compare_all(gallery: Gallery) -> Compared:
    queries = hold_out_queries(gallery)
    method = Method(Voting(), Calibration(floor=1e-3))
    return compare(gallery, queries, method, [None], np.zeros(len(queries.columns), dtype=np.int64))


def test_votes_and_prototypes_are_the_score_as_served(clear: tuple[Gallery, NestedResult]) -> None:
    gallery, judged = clear

    ranks = rank_alternatives(gallery, judged, folds=FOLDS, seed=1)
    table = judge_alternatives(gallery, judged, folds=FOLDS, seed=1)

    assert list(ranks) == list(table) == list(ALTERNATIVES)
    assert (ranks["votes and prototypes"] == judged.rank).mean() > 0.95  # a tie or two apart: weights are fitted anew
    assert table["votes and prototypes"]["change"] == pytest.approx(0.0, abs=3.0)
    assert all(one["top1"] > 0.5 and one["low"] <= one["change"] <= one["high"] for one in table.values())


def test_no_alternative_sees_which_species_was_left_out() -> None:
    gallery = make_gallery([1] * 12 + [2] * 12, 30.0)  # photos say nothing of the species
    judged = cross_validate(gallery, Trial(ranking_only=True), folds=FOLDS)

    ranks = rank_alternatives(gallery, judged, folds=FOLDS, seed=1)

    assert len(judged.truth) == 24
    assert all((rank == 1).mean() <= 0.25 for rank in ranks.values()), ranks


def test_too_many_references_are_not_compared(
    clear: tuple[Gallery, NestedResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alternatives, "MOST_ROWS", 10)

    assert judge_alternatives(*clear, folds=FOLDS, seed=1) == {}


def test_crowding_is_the_mean_of_the_nearest_references_of_other_groups() -> None:
    gallery = make_gallery([5, 4, 6], 1.0)
    gallery = replace(gallery, joined=np.where(gallery.observations < 2, 0, gallery.observations))
    rows = gallery.embeddings

    expected = []
    for row in range(len(rows)):
        others = [float(rows[row] @ rows[o]) for o in range(len(rows)) if gallery.groups[o] != gallery.groups[row]]
        expected.append(np.mean(sorted(others)[-10:]))

    assert measure_crowding(gallery) == pytest.approx(expected, abs=1e-6)


def test_a_query_is_expanded_by_its_nearest_references_but_not_by_its_own_group() -> None:
    gallery = make_gallery([5, 4, 6], 1.0)
    compared = compare_all(gallery)
    rows = gallery.embeddings.astype(np.float64)

    found = expand_queries(gallery, compared.queries, compared.similarities)

    for number, row in enumerate(compared.queries.excluded.tolist()):
        near = sorted((o for o in range(len(rows)) if o != row), key=lambda o: -rows[row] @ rows[o])[:5]
        wide = rows[row] + sum((rows[row] @ rows[o]) ** 3 * rows[o] for o in near)
        assert found[number] == pytest.approx(wide / np.linalg.norm(wide), abs=1e-5)


def test_the_re_ranker_sees_each_species_closest_photo_and_the_votes_for_its_genus() -> None:
    gallery = make_gallery([3, 4, 2, 3], 1.0)
    compared = compare_all(gallery)

    terms = reranked_terms(compared)

    for number, row in enumerate(compared.queries.excluded.tolist()):
        for column in range(gallery.width):
            near = [
                float(gallery.embeddings[row] @ gallery.embeddings[o])
                for o in np.flatnonzero(gallery.columns == column)
                if o != row
            ]
            assert terms[number, column, 3] == pytest.approx(max(near), abs=1e-5)
        shares = np.exp(terms[number, :, 0]) - 1e-3
        assert np.exp(terms[number, :3, 4]) == pytest.approx(shares[:3].sum() + 1e-3)  # three species of one genus
        assert np.exp(terms[number, 3, 4]) == pytest.approx(shares[3] + 1e-3)
