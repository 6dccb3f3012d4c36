"""What a head of the collection's own is said to gain is what new finds gain by it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from indexer.embedding.advice import GROWN, HeadAdvice, advice_path, judge_advice, read_advice, write_advice
from indexer.embedding.fit_head import HELD_OUT, fit_head, hold_out, join_groups, judge_heads
from indexer.embedding.held_out import RecallGain, measure_gain, rank_observations, sample_species
from indexer.embedding.projection import Labels, Rows, fit_pca
from retrieval.models.embedder import unit_rows
from retrieval.models.head import TEMPERATURE, Head

ADVICE = HeadAdvice("net@1", 400, 300, 60, 120, "learned", RecallGain(0.4, 0.45, 0.05, 0.01, 0.09))
TELLING, OTHER = 6, 10  # directions in which species differ, and observations of all species


def draw_finds(species: int, finds: int, *, photos: int = 2, seed: int) -> tuple[Rows, Labels]:
    """Photos of finds: `seed` draws the finds, the species are always the same."""
    kinds = np.random.default_rng(1).normal(size=(species, 1, 1, TELLING))
    rng = np.random.default_rng([2, seed])
    odd = 1.2 * rng.normal(size=(species, finds, 1, OTHER))
    rows = np.concatenate(
        [
            kinds + 0.6 * rng.normal(size=(species, finds, photos, TELLING)),
            np.broadcast_to(odd, (species, finds, photos, OTHER))
            + 0.5 * rng.normal(size=(species, finds, photos, OTHER)),
        ],
        axis=3,
    )
    numbers = np.arange(species * finds).repeat(photos)
    return unit_rows(rows.reshape(-1, TELLING + OTHER)), Labels(numbers // finds, numbers)


def ask_new(head: Head, features: Rows, labels: Labels, asked: Rows, truth: Labels) -> np.ndarray:
    """Ranks of the species of new finds, which the collection alone answers."""
    references = unit_rows(head.project(features))
    ranks = []
    for number in np.unique(truth.observations):
        mine = truth.observations == number
        rows = np.concatenate([unit_rows(head.project(asked[mine])), references])
        there = Labels(
            np.concatenate([truth.species[mine], labels.species]),
            np.concatenate([truth.observations[mine], labels.observations]),
        )
        ranks.append(rank_observations(rows, there, np.array([number]), temperature=TEMPERATURE)[0])
    return np.array(ranks)


def test_the_gain_claimed_is_the_gain_on_new_finds() -> None:
    features, labels = draw_finds(20, 5, photos=1, seed=1)
    fresh, truth = draw_finds(20, 20, photos=1, seed=2)
    truth = Labels(truth.species, truth.observations + 100_000)
    own = Head(np.zeros(TELLING + OTHER, np.float32), np.eye(TELLING + OTHER, 256, dtype=np.float32))

    verdict = judge_heads(features, labels, own=own, folds=2)
    rows = np.flatnonzero(~hold_out(labels, HELD_OUT, 1))
    head = fit_head(features[rows], labels.pick(rows), verdict.best, verdict)

    assert verdict.gain is not None
    assert verdict.gain.low > 0
    there = measure_gain(*(ask_new(one, features, labels, fresh, truth) for one in (own, head)))
    by_chance = (verdict.gain.high - verdict.gain.low) / 2  # of 100 observations
    assert abs(there.gain - verdict.gain.gain) <= 0.02 + by_chance


def test_copies_in_other_observations_do_not_judge_each_other() -> None:
    features, labels = draw_finds(4, 3, seed=3)
    copies = Labels(np.tile(labels.species, 2), np.concatenate([labels.observations, labels.observations + 1000]))

    joined = join_groups(np.concatenate([features, features]), copies)

    assert np.array_equal(joined.observations, np.tile(labels.observations, 2))


def test_photos_of_one_outing_judge_each_other_as_little() -> None:
    features, labels = draw_finds(4, 4, seed=4)
    outings = np.where(labels.observations % 4 < 2, labels.observations // 4 + 1, 0)

    joined = join_groups(features, replace(labels, outings=outings))

    assert np.array_equal(joined.observations[labels.observations == 1], [0, 0])
    assert np.array_equal(joined.observations[labels.observations == 5], [4, 4])
    assert np.array_equal(joined.observations[labels.observations == 2], [2, 2])
    assert np.array_equal(joined.pick(np.array([0, 4])).outings, outings[[0, 4]])  # type: ignore[arg-type]


def test_few_observations_and_networks_without_numbers_of_their_own_are_told_nothing() -> None:
    few, labels = draw_finds(10, 4, seed=5)
    many, more = draw_finds(20, 4, seed=5)

    assert judge_advice(few, labels, own=fit_pca(few)) is None
    assert judge_advice(many, more, own=None) is None  # of 16 numbers and no head: they cannot have been embedded


def test_a_gain_is_paired_and_has_its_interval() -> None:
    before, after = np.array([1] * 60 + [2] * 40), np.array([1] * 60 + [1] * 20 + [0] * 20)

    gain = measure_gain(before, after)

    assert (gain.before, gain.after) == (0.6, 0.8)
    assert gain.gain == pytest.approx(0.2)
    assert 0.1 < gain.low < 0.2 < gain.high < 0.3
    assert measure_gain(before, before).high == 0.0
    assert measure_gain(after, before).gain == pytest.approx(-0.2)


def test_a_sample_has_whole_species() -> None:
    labels = Labels(np.arange(40).repeat(5), np.arange(200))

    rows = sample_species(labels, 52)

    assert len(rows) == 50
    assert np.all(np.unique(labels.species[rows], return_counts=True)[1] == 5)
    assert np.array_equal(rows, sample_species(labels, 52))
    assert not np.array_equal(rows, sample_species(labels, 52, seed=2))
    assert len(sample_species(labels, 200)) == 200


def test_an_advice_is_kept_beside_the_features(tmp_path: Path) -> None:
    assert read_advice(tmp_path, "net@1") is None

    write_advice(tmp_path, ADVICE)

    assert read_advice(tmp_path, "net@1") == ADVICE
    assert read_advice(tmp_path, "net@2") is None
    assert [path.name for path in tmp_path.iterdir()] == ["net@1.advice.json"]
    for damage in ("{", "[]", json.dumps({**asdict(ADVICE), "gain": 3}), json.dumps({"model": "net@1"})):
        advice_path(tmp_path, "net@1").write_text(damage, encoding="utf-8")
        assert read_advice(tmp_path, "net@1") is None


def test_an_advice_holds_until_the_collection_has_changed_by_a_tenth() -> None:
    assert ADVICE.still_holds(400)
    assert ADVICE.still_holds(round(400 * (1 + GROWN)))
    assert not ADVICE.still_holds(round(400 * (1 + GROWN)) + 1)
    assert not ADVICE.still_holds(round(400 * (1 - GROWN)) - 1)


def test_an_advice_is_worded_by_whether_the_interval_is_above_zero() -> None:
    unsure = replace(ADVICE, gain=replace(ADVICE.gain, low=-0.01))

    assert ADVICE.pays
    assert "would name 0.450 of the species first instead of 0.400, +5.0 points (+1.0 to +9.0)" in ADVICE.describe()
    assert "120 observations (300 of 400 photos)" in ADVICE.describe()
    assert not unsure.pays
    assert "is not shown to help" in unsure.describe()
