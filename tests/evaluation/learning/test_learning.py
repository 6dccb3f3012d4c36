"""Calibration on small collections, and that the evaluation uses the same pipeline as answers."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.galleries.gallery import (
    Gallery,
    HeldOutQueries,
    convert_simulation,
    hold_out_queries,
    read_gallery,
    search,
)
from evaluation.galleries.simulate import Assumptions, simulate
from evaluation.learning.aspects import fit_classifier
from evaluation.learning.estimators import auroc
from evaluation.learning.evidence import gather_evidence, measure_typical
from evaluation.learning.fit import fit_logit, fit_strength
from evaluation.learning.learn import learn, numbers_of, uniform_log_lifts
from evaluation.learning.query_mix import calibration_error, score_conditions
from evaluation.learning.scoring import Method, neutral_counts, prototype_similarities, score_all
from evaluation.measuring.nested import Trial, cross_validate
from evaluation.reports.operating_point import nearest_recall
from evaluation.reports.report import chance_error
from fungarium.cli import main
from indexer.building.build import FloraPlan
from retrieval.answers.identify import identify_embeddings
from retrieval.answers.present import identification_json
from retrieval.domain import WORLD, Identification
from retrieval.errors import BuildError
from retrieval.models.embedder import unit_rows
from retrieval.ranking.calibration import normalise
from retrieval.ranking.options import IdentifyOptions
from retrieval.ranking.prototypes import make_prototypes, project
from retrieval.snapshots.publishing import publish_snapshot
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from tests.catalogues import SPECIES, build, make_references


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A published snapshot of ten species, calibrated by the command."""
    folder = tmp_path_factory.mktemp("calibrated")
    build(folder / "a", folder / "e", make_references(observations=6), [FloraPlan("n", "N", frozenset(SPECIES[:6]))])
    publish_snapshot(folder / "a")
    plain = open_snapshot(folder / "a").name
    assert main(["evaluate", "calibrate", "--indexes", str(folder / "a")]) == 0
    (name,) = {path.name for path in (folder / "a" / "snapshots").iterdir()} - {plain}
    return open_snapshot(folder / "a", name)


def make_queries(gallery: Gallery, count: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    rows = gallery.embeddings[rng.integers(0, len(gallery.columns), count)]
    return unit_rows(rows + 0.08 * rng.normal(size=rows.shape))


def test_the_evaluation_scores_as_the_answer_line_does(calibrated: Snapshot) -> None:
    gallery = read_gallery(calibrated, calibrated.flora(WORLD))
    rows = make_queries(gallery, 6)
    nobody = np.full(6, -1)
    queries = HeldOutQueries(rows, nobody, np.array([0, 0, 1, 2, 2, 2]), nobody)
    method = Method(calibrated.voting, calibrated.calibration, calibrated.metric)

    scores, _ = score_all(gallery, queries, search(gallery, queries), method)
    (told,) = gather_evidence(gallery, queries, method, typical=measure_typical(gallery), alone=False)
    (final,) = (one.scores for one in score_conditions([told], gallery, (), method))

    for number, views in enumerate(([0, 1], [2], [3, 4, 5])):
        answer = identify_embeddings(rows[views], calibrated, flora=WORLD, voting=calibrated.voting, candidates=100)
        given = {candidate.taxon.id: candidate for candidate in answer.species}
        for column, taxon in enumerate(gallery.species.tolist()):
            if taxon in given:
                assert given[taxon].share == pytest.approx(scores[number, column], abs=2e-3)
                assert given[taxon].score == pytest.approx(final[number, column], abs=2e-3)


def test_scores_and_none_of_these_add_up_to_one(calibrated: Snapshot) -> None:
    gallery = read_gallery(calibrated, calibrated.flora(WORLD))

    answer = identify_embeddings(
        make_queries(gallery, 2), calibrated, flora=WORLD, voting=calibrated.voting, candidates=100
    )

    assert answer.rejection is not None
    assert sum(candidate.score for candidate in answer.species) + answer.rejection.none == pytest.approx(1, abs=1e-4)
    assert sum(candidate.score for candidate in answer.genera) + answer.rejection.none == pytest.approx(1, abs=1e-9)


def test_every_part_of_the_answer_is_json(calibrated: Snapshot) -> None:
    rows = make_queries(read_gallery(calibrated, calibrated.flora(WORLD)), 3)
    options = IdentifyOptions(priors=("uniform",), within=(3,), fusion="product")

    answer = identify_embeddings(rows, calibrated, flora="n", voting=calibrated.voting, candidates=5, options=options)
    found = identification_json(answer, calibrated)

    assert found["calibrated"] is True
    assert "None of these".lower() in found["scoreMeaning"].lower()
    assert found["priorsApplied"] == ["uniform"]
    assert len(found["photoRankings"]) == 3
    assert found["decidingPhoto"] in range(3)
    assert found["specificity"]["taxon"]["taxonRank"] in {"genus", "species"}
    assert all(one["taxon"]["genus"] == "Alpha" for one in found["species"])
    assert set(found["rejection"]) == {"rejected", "noneOfThese", "similarity", "reason"}


def test_photos_are_fused_by_the_rule_that_was_learned_unless_another_is_asked_for(calibrated: Snapshot) -> None:
    rows = make_queries(read_gallery(calibrated, calibrated.flora(WORLD)), 3)
    trained_on = copy(calibrated)
    vars(trained_on)["calibration"] = calibrated.calibration.changed(fusion="product")  # as if it had been learned

    def ask(snapshot: Snapshot, options: IdentifyOptions | None = None) -> Identification:
        return identify_embeddings(rows, snapshot, flora=WORLD, voting=snapshot.voting, candidates=100, options=options)

    assert ask(calibrated).fusion == calibrated.calibration.fusion == "mean"
    assert ask(trained_on) == ask(calibrated, IdentifyOptions(fusion="product"))
    assert ask(trained_on, IdentifyOptions(fusion="mean")) == ask(calibrated)
    assert ask(trained_on).species[0].score != ask(calibrated).species[0].score


def test_an_observation_of_its_own_is_taken_out_of_its_prototype(calibrated: Snapshot) -> None:
    gallery = read_gallery(calibrated, calibrated.flora(WORLD))
    method = Method(calibrated.voting, calibrated.calibration, calibrated.metric)
    queries = hold_out_queries(gallery, gallery.observations[:1])
    without = gallery.select(gallery.observations != gallery.observations[0])
    stranger = HeldOutQueries(
        queries.embeddings, queries.columns, queries.observations, np.full(len(queries.excluded), -1)
    )

    scores, _ = score_all(gallery, queries, search(gallery, queries), method)
    others, _ = score_all(without, stranger, search(without, stranger), method)

    assert scores == pytest.approx(others, abs=0.02)  # the centre alone still knows it
    assert scores.argmax() == others.argmax()


def test_a_hidden_species_is_in_no_prototype(calibrated: Snapshot) -> None:
    gallery = read_gallery(calibrated, calibrated.flora(WORLD))
    method = Method(calibrated.voting, calibrated.calibration, calibrated.metric)
    queries = hold_out_queries(gallery, gallery.observations[:1])
    column, (sums, counts) = int(queries.columns[0]), gallery.sums

    near, numbers = prototype_similarities(gallery, queries, method, "species")

    left = np.arange(gallery.width) != column
    prototypes = make_prototypes(
        sums * left[:, None],
        counts * left,
        gallery.genera,
        shrinkage=method.calibration.shrinkage,
        centre=gallery.centre,
        metric=method.metric,
    )
    assert near == pytest.approx(project(queries.embeddings, gallery.centre, method.metric) @ prototypes.T)
    assert numbers[:, column] == pytest.approx(0)


def test_what_an_observation_shows_is_told_by_a_model_that_has_not_seen_it(calibrated: Snapshot) -> None:
    gallery = read_gallery(calibrated, calibrated.flora(WORLD))
    rng = np.random.default_rng(4)
    noise = unit_rows(rng.normal(size=gallery.embeddings.shape))
    said = rng.integers(0, 2, len(noise))  # labels that nothing in the embeddings tells: a model that saw them knows

    _, told, notes = fit_classifier(replace(gallery, embeddings=noise, aspects=said), seed=1)

    assert notes["toldRight"] < 0.7
    assert (told >= 0).all()


def test_too_small_a_collection_to_learn_from_is_refused_with_a_sentence(calibrated: Snapshot) -> None:
    gallery = read_gallery(calibrated, calibrated.flora(WORLD))
    single = np.isin(gallery.observations, gallery.observations[np.unique(gallery.columns, return_index=True)[1]])

    with pytest.raises(BuildError, match="too few species have two observations"):
        learn(gallery.select(single))


def test_the_logit_finds_the_weights_that_made_the_choices() -> None:
    rng = np.random.default_rng(2)
    terms = rng.normal(size=(6000, 5, 2))
    chances = normalise(terms @ np.array([1.5, -0.7]))
    truth = np.array([rng.choice(5, p=row) for row in chances])

    weights, _ = fit_logit(terms, truth, start=[0.0, 0.0])

    assert weights == pytest.approx([1.5, -0.7], abs=0.08)
    assert fit_strength(np.full((6000, 5), 0.2), truth, [terms[..., 0]])[0] == pytest.approx(1.3, abs=0.3)


def test_measures_by_hand() -> None:
    assert auroc(np.array([3.0, 1.0]), np.array([0.0, 1.0])) == pytest.approx((2 + 1.5) / 4)
    right = np.array([True, True, False, False])
    assert calibration_error(np.array([0.9, 0.9, 0.1, 0.1]), right, bins=2) == pytest.approx(0.1)
    assert calibration_error(
        np.array([0.9, 0.1]), np.array([True, True]), bins=2, weights=np.array([3.0, 1.0])
    ) == pytest.approx((3 * 0.1 + 0.9) / 4)


def test_cross_validation_judges_each_observation_once(calibrated: Snapshot) -> None:
    gallery = read_gallery(calibrated, calibrated.flora(WORLD))

    judged = cross_validate(gallery, folds=3)

    assert judged.observations.tolist() == sorted(set(gallery.observations.tolist()))
    assert len(judged.methods) == 3
    assert ((judged.rank >= 0) & (judged.rank <= gallery.width)).all()


def test_counts_do_not_tell_of_which_species_a_question_of_the_collection_is(calibrated: Snapshot) -> None:
    """Six observations of each species: counted without the question, only the truth would have five."""
    whole = read_gallery(calibrated, calibrated.flora(WORLD))
    noise = unit_rows(np.random.default_rng(7).normal(size=whole.embeddings.shape))
    gallery = replace(whole, embeddings=noise)  # nothing can be seen on its photos

    judged = cross_validate(gallery, Trial(ranking_only=True, score_terms=("votes", "counts")), folds=3)

    assert (judged.first == judged.truth).mean() < 0.3  # chance: one of ten
    lifts = uniform_log_lifts(gallery, hold_out_queries(gallery))
    assert np.ptp(lifts) == 0


def test_species_that_cannot_be_asked_for_count_as_those_that_just_can() -> None:
    assert neutral_counts(np.array([0, 1, 2, 3, 40])).tolist() == [2, 2, 2, 3, 40]


def test_nothing_of_an_observation_shows_in_the_method_that_judges_it(calibrated: Snapshot) -> None:
    gallery = read_gallery(calibrated, calibrated.flora(WORLD))
    tuned = [Method(calibrated.voting, calibrated.calibration)] * 2
    judged = cross_validate(gallery, Trial(ranking_only=True, tuned=tuned), folds=2)
    held = np.isin(gallery.observations, judged.observations[judged.fold == 0])
    noise = np.random.default_rng(8).normal(size=gallery.embeddings.shape)
    other = replace(gallery, embeddings=np.where(held[:, None], unit_rows(noise), gallery.embeddings))

    again = cross_validate(other, Trial(ranking_only=True, tuned=tuned), folds=2)

    assert 0 < held.sum() < len(held)
    assert judged.methods[0].calibration == again.methods[0].calibration
    assert judged.methods[0].voting == again.methods[0].voting
    metric, same = judged.methods[0].metric, again.methods[0].metric
    assert np.array_equal(np.asarray(metric), np.asarray(same))  # both may be none
    assert judged.methods[1].calibration != again.methods[1].calibration  # which has learned from them


def test_the_lift_of_evenly_likely_species_does_not_say_which_can_be_asked_for(calibrated: Snapshot) -> None:
    whole = read_gallery(calibrated, calibrated.flora(WORLD))
    first, ends = whole.spans
    kept = np.ones(len(whole.columns), dtype=bool)
    kept[ends[1] : first[np.searchsorted(whole.columns[first], 1)]] = False  # of the first species one observation
    gallery = whole.select(kept)
    queries = hold_out_queries(gallery)
    not_fungi = replace(queries, excluded=np.full(len(queries.excluded), -1))

    assert gallery.sums[1][0] == 1
    assert uniform_log_lifts(gallery, queries)[:, 0] == pytest.approx(-np.log(2))
    assert uniform_log_lifts(gallery, not_fungi)[:, 0] == pytest.approx(0)


def test_cross_validation_may_ask_with_one_photo_of_each_observation(calibrated: Snapshot) -> None:
    whole = read_gallery(calibrated, calibrated.flora(WORLD))
    first = np.flatnonzero(np.diff(whole.observations, prepend=-1))
    turned = whole.embeddings.copy()
    turned[first] = -whole.embeddings.mean(axis=0)  # the first photo of each says nothing, and the same
    gallery = replace(whole, embeddings=unit_rows(turned))

    everything = cross_validate(gallery, folds=3)
    alone = cross_validate(gallery, Trial(fold_methods=everything.methods, photos=1), folds=3)

    assert alone.observations.tolist() == everything.observations.tolist()
    assert (everything.rank == 1).mean() > 0.8
    assert (alone.rank == 1).mean() < 0.3


def test_the_report_is_one_page_that_needs_nothing(calibrated: Snapshot, tmp_path: Path) -> None:
    root = calibrated._folder.parents[1]

    assert (
        main(
            [
                "evaluate",
                "report",
                calibrated.name,
                "--indexes",
                str(root),
                "--out",
                str(tmp_path / "r.html"),
                "--no-ablations",
            ]
        )
        == 0
    )

    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "http" not in page
    assert (tmp_path / "r.json").exists()


def test_the_same_seed_draws_the_same_collection() -> None:
    few = Assumptions(references=20_000)

    one, other = (simulate(few, queries=50, seed=7) for _ in range(2))

    assert np.array_equal(one.gallery.embeddings, other.gallery.embeddings)
    assert np.array_equal(one.queries.cell, other.queries.cell)
    assert not np.array_equal(one.gallery.embeddings, simulate(few, queries=50, seed=8).gallery.embeddings)


@pytest.mark.slow
def test_the_simulation_is_as_large_and_as_good_as_what_is_published(shared: Path) -> None:
    names = shared / "samples" / "fgvcx-fungi-2018" / "val.json"
    gallery, queries = convert_simulation(simulate(names=names, queries=10_000))

    one = queries.select(np.arange(queries.count) < 4_000, 1)
    first, five = nearest_recall(gallery, search(gallery, one, 100), one.truth)

    assert (gallery.width, len(gallery.columns)) == (1394, 85_578)
    assert len(np.unique(gallery.genera)) == 418
    assert first == pytest.approx(0.399, abs=0.01 + 0.015)  # two standard errors of 4,000 observations more
    assert five == pytest.approx(0.60, abs=0.02 + 0.015)


def test_perfect_scores_show_an_error_by_chance_that_falls_with_the_number_of_observations() -> None:
    few, many = (chance_error(np.random.default_rng(1).random(count), seed=1) for count in (200, 20_000))

    assert few == pytest.approx(0.1, abs=0.03)  # 15 bins of 13: a mean of 0.4 / sqrt(13)
    assert many < 0.015


def test_weights_found_anew_keep_the_numbers_that_were_settled(calibrated: Snapshot) -> None:
    gallery = read_gallery(calibrated, calibrated.flora(WORLD))
    before = learn(gallery, ranking_only=True)

    after = learn(gallery, ranking_only=True, score_terms=("votes", "counts"), tuned=before)

    assert numbers_of(after) == numbers_of(before)
    assert after.calibration.prototypes == 0
    assert after.calibration.votes != before.calibration.votes
