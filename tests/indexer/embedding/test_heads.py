"""Heads: what they compute and learn, and that none with a lower recall than principal components is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer.embedding.fit_head import HeadComparison, fit_head, judge_heads, write_model
from indexer.embedding.held_out import MeasuredRecall, askable, measure_recall
from indexer.embedding.projection import Labels, fit_pca, learn_projection, vote_loss
from retrieval.domain import Neighbour
from retrieval.errors import BuildError, ModelError
from retrieval.models.card import Preprocessing
from retrieval.models.embedder import Embeddings, unit_rows
from retrieval.models.head import Head, read_head, write_head
from tests.retrieval.ranking.plain_votes import cast_votes, fuse_shares, rank_taxa, share_votes


def made_up(
    species: int = 12, observations: int = 4, width: int = 40, *, nuisance: float = 3.0, seed: int = 3
) -> tuple[Embeddings, Labels]:
    """Features in which species differ along a few directions, and observations much more along the others."""
    noise = np.random.default_rng(seed)
    telling = noise.normal(size=(species, 6))
    rows, labels = [], []
    for kind in range(species):
        for observation in range(observations):
            odd = nuisance * noise.normal(size=width - 6)
            for _ in range(2):
                own = telling[kind] + 0.3 * noise.normal(size=6)
                rows.append(np.concatenate([own, odd + 0.3 * noise.normal(size=width - 6)]))
                labels.append((kind + 100, kind * observations + observation))
    ids = np.array(labels, dtype=np.int64)
    return unit_rows(np.stack(rows)), Labels(ids[:, 0], ids[:, 1])


def test_principal_components_keep_every_similarity_where_nothing_is_whitened() -> None:
    features, _ = made_up()

    head = fit_pca(features, whitening=0.0)

    projected = head.project(features) / np.linalg.norm(head.matrix, axis=0).max()
    centred = features - features.mean(axis=0)
    assert np.allclose(projected @ projected.T, centred @ centred.T, atol=1e-5)


@pytest.mark.parametrize("photos", [30, 2000])
def test_full_whitening_gives_every_direction_the_same_variance(photos: int) -> None:
    features = unit_rows(np.random.default_rng(1).normal(size=(photos, 60)) * np.linspace(1, 5, 60) + 1)

    head = fit_pca(features, whitening=1.0)

    variance = head.project(features).astype(np.float64).var(axis=0)
    kept = variance > 1e-12
    assert kept.sum() == min(59 if photos == 2000 else 29, 60) or kept.sum() == 60
    assert variance[kept].max() / variance[kept].min() < 1.02


def test_the_slope_of_the_loss_is_that_of_finite_differences() -> None:
    features, labels = made_up(4, 2, 10)
    matrix = np.random.default_rng(2).normal(size=(10, 256)).astype(np.float32) * 0.05
    queries = np.arange(len(features))

    _, slope = vote_loss(features, matrix, labels, queries)

    for place in ((0, 0), (3, 100), (9, 255)):
        step = np.zeros_like(matrix)
        step[place] = 1e-2
        after, _ = vote_loss(features, matrix + step, labels, queries)
        before, _ = vote_loss(features, matrix - step, labels, queries)
        assert slope[place] == pytest.approx((after - before) / 2e-2, rel=0.05, abs=1e-3)


def test_an_observation_does_not_answer_for_itself() -> None:
    features, labels = made_up(4, 1, 10)

    loss, slope = vote_loss(features, np.eye(10, 256, dtype=np.float32), labels, np.arange(len(features)))

    assert loss == 0.0
    assert not slope.any()


def test_a_learned_head_finds_what_tells_species_apart_and_beats_principal_components() -> None:
    features, labels = made_up(20, nuisance=1.5, width=14)

    verdict = judge_heads(features, labels, folds=2)

    assert verdict.learned.observations == verdict.pca.observations == 80
    assert verdict.learned.first > verdict.pca.first + 0.05
    assert not verdict.worse


def test_where_labels_mean_nothing_learning_stops_early() -> None:
    features, labels = made_up()
    shuffled = Labels(
        np.random.default_rng(1).permutation(12)[np.random.default_rng(5).integers(0, 12, 48)][labels.observations],
        labels.observations,
    )
    held_out = labels.observations % 4 == 0

    _, steps = learn_projection(features, shuffled, fit_pca(features), held_out=held_out)

    assert steps <= 100


def test_held_out_rows_change_nothing_that_is_learned() -> None:
    features, labels = made_up()
    held_out = labels.observations % 4 == 0
    other = features.copy()
    other[held_out] = other[held_out][::-1]
    start = fit_pca(features[~held_out])

    seen, _ = learn_projection(features[~held_out], labels.pick(np.flatnonzero(~held_out)), start, steps=20)
    with_others, taken = learn_projection(other, labels, start, held_out=held_out, steps=20)

    assert taken in {0, 10, 20}
    if taken == 20:
        assert np.allclose(seen.matrix, with_others.matrix)


def test_a_head_that_is_worse_than_components_is_not_shipped() -> None:
    features, labels = made_up()
    verdict = HeadComparison(MeasuredRecall(40, 0.5, 0.8), MeasuredRecall(40, 0.475, 0.9), 50)

    with pytest.raises(BuildError, match=r"learned head names 0\.475 .* components 0\.500: nothing was written"):
        fit_head(features, labels, "learned", verdict)
    assert fit_head(features, labels, "pca", verdict).facts["kind"] == "pca"


def test_a_network_of_as_many_numbers_as_an_index_holds_is_judged_without_a_head_too() -> None:
    features, labels = made_up(20, nuisance=0.1, width=16)
    wide = np.pad(features, ((0, 0), (0, 240)))

    assert judge_heads(features, labels, folds=2).own is None
    verdict = judge_heads(wide, labels, folds=2)

    assert verdict.own == measure_recall(wide, labels, askable(labels), temperature=0.08)
    facts = fit_head(wide, labels, "pca", verdict).facts
    assert facts["heldOut"]["own"]["first"] == verdict.own.first


def test_a_head_is_needless_where_the_network_alone_names_more() -> None:
    better, worse = MeasuredRecall(40, 0.5, 0.8), MeasuredRecall(40, 0.475, 0.9)

    assert HeadComparison(worse, worse, 50, better).needless
    assert not HeadComparison(better, worse, 50, better).needless
    assert not HeadComparison(worse, worse, 50).needless


def test_too_small_a_collection_is_refused() -> None:
    features, labels = made_up(3, 2)

    with pytest.raises(BuildError, match=r"only 6 observations .* import more photos"):
        judge_heads(features, labels)


def test_recall_is_what_the_engine_s_own_rules_say() -> None:
    features, labels = made_up(6, 3, nuisance=1.0)
    asked = askable(labels)

    recall = measure_recall(features, labels, asked, temperature=0.05)

    first = five = 0
    for observation in asked.tolist():
        mine = np.flatnonzero(labels.observations == observation)
        others = np.flatnonzero(labels.observations != observation)
        ballots = []
        for row in mine:
            near = sorted(others.tolist(), key=lambda other: (-float(features[row] @ features[other]), other))[:50]
            ballots.append(
                share_votes(
                    cast_votes(
                        [
                            Neighbour(
                                other,
                                int(labels.species[other]),
                                int(labels.observations[other]),
                                float(features[row] @ features[other]),
                            )
                            for other in near
                        ],
                        temperature=0.05,
                    )
                )
            )
        shares = fuse_shares(ballots)
        ranking = rank_taxa(shares, {taxon: str(taxon) for taxon in shares})
        truth = int(labels.species[mine[0]])
        first += ranking[0] == truth
        five += truth in ranking[:5]
    assert recall == MeasuredRecall(18, first / 18, five / 18)


def test_a_head_comes_back_as_it_was_written(tmp_path: Path) -> None:
    features, _ = made_up()
    head = fit_pca(features)

    write_head(tmp_path / "mine.head.npz", head)
    back = read_head(tmp_path / "mine.head.npz")

    assert back.digest == head.digest
    assert np.array_equal(back.project(features), head.project(features))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.head.npz"]


@pytest.mark.parametrize("damage", ["short", "other", "width"])
def test_a_damaged_head_is_refused_in_one_sentence(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "mine.head.npz"
    write_head(path, fit_pca(made_up()[0]))
    if damage == "short":
        path.write_bytes(path.read_bytes()[:3000])
    elif damage == "other":
        path.write_bytes(b"no archive")
    else:
        write_head(path, Head(np.zeros(3, np.float32), np.zeros((3, 255), np.float32)))

    with pytest.raises(ModelError, match=r"mine\.head\.npz is .*fit it again"):
        read_head(path)


def test_a_head_and_its_card_are_written_under_one_name(tmp_path: Path) -> None:
    card = write_model(tmp_path / "sub" / "mine", fit_pca(made_up()[0]), Preprocessing(10, 8))

    assert sorted(path.name for path in card.parent.iterdir()) == ["mine.card.json", "mine.head.npz"]
    with pytest.raises(BuildError, match="--out is a name"):
        write_model(tmp_path / "mine.onnx", fit_pca(made_up()[0]), Preprocessing(10, 8))
