"""Selections of species: compared with all species, which small collections can hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.galleries.gallery import ROWS, Gallery, hold_out_queries, search
from evaluation.galleries.kept import LIKELY, SAMPLED, Kept, draw_species
from evaluation.learning.evidence import Evidence, gather_evidence, measure_typical
from evaluation.learning.fit import fit_logit
from evaluation.learning.query_mix import judge_nodes, score_conditions
from evaluation.learning.scoring import Method, compare_kept, keep_species, prototype_similarities
from evaluation.learning.thresholds import FLOOR
from evaluation.measuring.ablate import nearest_ranks
from retrieval.models.embedder import unit_rows
from retrieval.ranking.calibration import Calibration, normalise
from retrieval.ranking.fusion import FUSIONS, fuse_scores
from retrieval.ranking.groups import BLOCK, near_identical
from retrieval.ranking.posterior import weigh_evidence
from retrieval.ranking.prototypes import project
from retrieval.ranking.recalibration import raise_to_top
from retrieval.ranking.unknown import observe_unknown
from retrieval.ranking.votes import Voting

SPECIES, PHOTOS = 2_600, 3
METHOD = Method(
    Voting(), Calibration(0.5, 12.0, 0.2, 1e-3, fitted={"seed": 1}, confidence={"constant": 0.3, "logit": 0.9})
)


@pytest.fixture(scope="module")
def gallery() -> Gallery:
    """Species in genera of four and families of forty, with one observation a photo; more than are kept."""
    draw = np.random.default_rng(4)
    columns = np.repeat(np.arange(SPECIES), PHOTOS)
    centres = np.repeat(draw.normal(size=(SPECIES // 4, 32)), 4, axis=0) + 0.8 * draw.normal(size=(SPECIES, 32))
    rows = unit_rows((centres[columns] + 0.9 * draw.normal(size=(len(columns), 32))).astype(np.float32))
    species = np.arange(SPECIES)
    ranks = [
        np.full(SPECIES, 1),
        np.full(SPECIES, 2),
        species // 800,
        species // 200,
        species // 40,
        species // 4,
        species,
    ]
    lineages = np.column_stack([10_000 * rank + nodes for rank, nodes in enumerate(ranks)])
    return Gallery(rows, columns, np.arange(len(columns)), lineages[:, -1], lineages)


@pytest.fixture(scope="module")
def conditions(gallery: Gallery) -> list[tuple[Evidence, Evidence]]:
    """What observations show with all species and with a selection: present and hidden, in the world and in a list."""
    queries = hold_out_queries(gallery, np.arange(0, len(gallery.columns), 131))
    lists, typical = [np.arange(SPECIES) % 3 > 0], measure_typical(gallery)
    searched = {hide: search(gallery, queries, 20, hide=hide, lists=lists) for hide in ("own", "species", "genus")}
    chosen = keep_species(gallery, queries, list(searched.values()), METHOD, seed=1)
    assert chosen.kept is not None
    assert chosen.kept.columns.shape[1] < SPECIES
    pairs: list[tuple[Evidence, Evidence]] = []
    for hide, found in searched.items():
        every, some = (
            gather_evidence(gallery, one, METHOD, hide=hide, lists=lists, typical=typical, found=found, alone=False)
            for one in (queries, chosen)
        )
        pairs += zip(every, some, strict=True)
    return pairs


def test_certain_and_likely_species_stand_for_themselves_and_a_sample_for_the_others() -> None:
    draw = np.random.default_rng(1)
    logits, certain = draw.normal(0, 2, 5_000).astype(np.float32), np.array([3, 4_999])
    width = 2 + LIKELY + SAMPLED
    likely = np.argsort(-logits)[:LIKELY]
    sums = []

    for seed in range(40):
        columns, multiplicity = draw_species(logits, certain, width, np.random.default_rng(seed))
        sure = np.isin(columns, np.union1d(certain, likely))
        sums.append([multiplicity.sum(), (multiplicity * np.exp(logits[columns])).sum()])
        assert len(columns) == width == len(set(columns.tolist()))
        assert (np.diff(columns) > 0).all()
        assert np.isin(np.union1d(certain, likely), columns).all()
        assert (multiplicity[sure] == 1).all()
        assert (multiplicity >= 1).all()

    assert np.mean(sums, axis=0) == pytest.approx([5_000, np.exp(logits).sum()], rel=0.02)


def test_places_are_found_in_each_row_alone() -> None:
    kept = Kept(np.array([[1, 5, 9], [0, 5, 7]]), np.ones((2, 3)))

    assert kept.places(np.array([9, 9])).tolist() == [2, -1]
    assert kept.places(np.array([[5, -1, 0], [0, 7, 100]])).tolist() == [[1, -1, -1], [0, 2, -1]]


@pytest.mark.parametrize("hide", ["own", "species", "genus"])
def test_prototypes_of_a_selection_are_those_of_all(gallery: Gallery, hide: str) -> None:
    queries = hold_out_queries(gallery, np.arange(0, len(gallery.columns), 997))
    draw = np.random.default_rng(2)
    columns = np.sort(np.stack([draw.permutation(SPECIES)[:300] for _ in range(queries.count)]), axis=1)
    columns[:, 0] = queries.truth  # hidden or lessened
    columns.sort(axis=1)
    chosen = replace(queries, kept=Kept(columns, np.ones(columns.shape)))

    every, some = (prototype_similarities(gallery, one, METHOD, hide) for one in (queries, chosen))

    for all_species, kept in zip(every, some, strict=True):
        assert kept == pytest.approx(np.take_along_axis(all_species, columns, axis=1), abs=1e-5)
    views = project(chosen.embeddings, gallery.centre, None)
    assert compare_kept(gallery, chosen, views, METHOD).shape == columns.shape


def test_a_selection_scores_as_all_species_do(conditions: list[tuple[Evidence, Evidence]]) -> None:
    for every, some in conditions:
        assert some.multiplicity is not None
        rows = np.arange(len(every.truth))
        both = every.fused[rows, every.truth], some.fused[rows, some.places]
        assert (some.fused * some.multiplicity).sum(axis=1) == pytest.approx(1.0)
        if every.known:  # a hidden species has next to no score
            assert both[1] == pytest.approx(both[0], rel=0.05)
            assert np.log(both[1]).mean() == pytest.approx(np.log(both[0]).mean(), abs=5e-3)
        assert some.features == pytest.approx(every.features, abs=0.05)
        assert some.species(some.fused.argmax(axis=1)).tolist() == every.fused.argmax(axis=1).tolist()


def test_a_selection_is_settled_and_summed_as_all_species_are(
    gallery: Gallery, conditions: list[tuple[Evidence, Evidence]]
) -> None:
    lists = [np.arange(SPECIES) % 3 > 0]
    for pair in conditions:
        every, some = score_conditions(pair, gallery, lists, METHOD)

        assert some.on_list.tolist() == every.on_list.tolist()
        assert some.weights == pytest.approx(every.weights)
        assert some.shown.max(axis=1) == pytest.approx(every.shown.max(axis=1), abs=5e-3)
        sums, right = zip(*(judge_nodes(one, gallery.lineages) for one in (every, some)), strict=True)
        clear = sums[0] > FLOOR
        assert sums[1][clear] == pytest.approx(sums[0][clear], abs=0.05)
        assert (right[1] == right[0])[clear].all()


def repeat(values: NDArray[np.float64], times: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.repeat(values, times, axis=-1)


@pytest.mark.parametrize(
    "rule",
    [
        lambda logits, m: normalise(logits, m),
        lambda logits, m: weigh_evidence(np.exp(logits), log_lift=0.3 * logits, temper=0.7, multiplicity=m),
        lambda logits, m: raise_to_top(np.exp(logits), np.array([0.2, 0.6, 0.9]), m),
        *(
            lambda logits, m, rule=rule: fuse_scores(
                np.exp(logits),
                np.array([1.0, 0.5, 0.8]),
                rule=rule,
                sharpening=0.6,
                voices=np.ones(3),
                multiplicity=m[0],
            )
            for rule in FUSIONS
        ),
    ],
    ids=["softmax", "prior", "top", *FUSIONS],
)
def test_a_species_that_stands_for_several_counts_as_so_many_alike(
    rule: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
) -> None:
    draw = np.random.default_rng(6)
    logits, times = draw.normal(-2, 1, (3, 8)), np.array([1, 1, 3, 1, 2, 5, 1, 4])

    once = rule(logits, np.broadcast_to(times.astype(np.float64), (3, 8)))
    each = rule(repeat(logits, times), np.ones((3, times.sum())))

    assert repeat(once, times) == pytest.approx(each, rel=1e-9)


def test_features_and_weights_count_such_species_as_so_many_alike() -> None:
    draw = np.random.default_rng(7)
    times, truth = np.array([1, 1, 3, 1, 2, 5]), np.array([0, 1, 3, 0, 1, 3, 1, 0])
    terms = draw.normal(0, 1, (8, 6, 2))
    scores = normalise(draw.normal(0, 1, (2, 6)), np.broadcast_to(times.astype(np.float64), (2, 6)))
    near, columns = np.sort(draw.random((2, 4)))[:, ::-1], np.array([[0, 1, 0, 3], [1, 3, 0, 0]])
    starts = np.cumsum(times) - times

    def observe(fused: NDArray[np.float64], of: NDArray[np.int64], m: NDArray[np.float64]) -> NDArray[np.float64]:
        width = fused.shape[1]
        return observe_unknown(near, of, fused, fused[0], np.ones(2), np.full(width, 0.6), np.ones(width), 0.5, m)

    weights = fit_logit(terms, truth, start=[0.0, 0.0], multiplicity=np.tile(times.astype(np.float64), (8, 1)))[0]

    each = np.repeat(terms, times, axis=1)
    assert weights == pytest.approx(fit_logit(each, starts[truth], start=[0.0, 0.0])[0], rel=1e-6)
    assert observe(scores, columns, times.astype(np.float64)) == pytest.approx(
        observe(repeat(scores, times), starts[columns], np.ones(times.sum()))
    )


def test_the_rank_among_neighbours_is_that_of_a_table_of_all_species(gallery: Gallery) -> None:
    queries = hold_out_queries(gallery, np.arange(0, len(gallery.columns), 311))
    found = search(gallery, queries, 6)
    best = np.full((queries.count, SPECIES), -np.inf)
    for view, number in enumerate(queries.observations.tolist()):
        for similarity, row in zip(found.similarities[view], found.rows[view], strict=True):
            best[number, gallery.columns[row]] = max(best[number, gallery.columns[row]], similarity)

    of_truth = best[np.arange(queries.count), queries.truth]
    expected = np.where(np.isfinite(of_truth), 1 + (best > of_truth[:, None]).sum(axis=1), 0)
    assert nearest_ranks(gallery, queries, found).tolist() == expected.tolist()


def test_near_identical_photos_of_many_are_the_pairs_of_a_plain_comparison() -> None:
    draw = np.random.default_rng(8)
    rows = draw.normal(size=(BLOCK + 300, 64)).astype(np.float32) * np.linspace(1, 0.1, 64, dtype=np.float32)
    rows[BLOCK:] = rows[:300] + 0.3 * draw.random((300, 1), dtype=np.float32) * draw.normal(size=(300, 64))
    rows = unit_rows(rows)

    one, other = np.nonzero(np.triu(rows @ rows.T >= 0.98, 1))
    found = near_identical(rows)

    assert 20 < len(found) < 300
    assert sorted(map(tuple, found.tolist())) == list(zip(one.tolist(), other.tolist(), strict=True))


def test_sums_of_very_many_species_are_those_of_all_together() -> None:
    draw = np.random.default_rng(9)
    columns = np.sort(draw.integers(0, ROWS + 500, 2 * ROWS))
    rows, lineages = draw.normal(size=(len(columns), 3)), np.zeros((ROWS + 500, 7), np.int64)
    gallery = Gallery(rows.astype(np.float32), columns, np.arange(len(columns)), np.arange(ROWS + 500), lineages)

    sums, counts = gallery.sums

    assert counts.tolist() == np.bincount(columns, minlength=ROWS + 500).tolist()
    assert sums.sum(axis=0) == pytest.approx(gallery.embeddings.sum(axis=0, dtype=np.float64))
    last = columns == ROWS + 499
    assert sums[-1] == pytest.approx(gallery.embeddings[last].sum(axis=0, dtype=np.float64))
