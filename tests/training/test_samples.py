"""Splits, classes, batches and changes to pictures."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs requirements-train.txt")

from training.augment import PLAIN, Augmentation, augment
from training.losses import UNKNOWN
from training.network import TrainingError
from training.pool import Pool
from training.samples import Samples, batches, choose_parts, make_samples, split_observations

ALL = Augmentation(side=24, turn=20, warmth=0.1, blur=0.5, noise=0.1, erase=0.5, jpeg=0.5)


@pytest.fixture
def samples(pool: Pool) -> Samples:
    return make_samples(pool, choose_parts(pool, ()), ("species", "family"))


def test_an_observation_never_lies_on_both_sides_of_a_split(pool: Pool) -> None:
    learned, judged = split_observations(pool, choose_parts(pool, ()), 0.4, seed=1)

    observations = pool.names["observation"]
    assert len(learned) + len(judged) == len(pool)
    assert 0.2 < len(judged) / len(pool) < 0.6
    assert not set(observations[learned].tolist()) & set(observations[judged].tolist())


def test_an_observation_stays_on_its_side_when_the_collection_grows(pool: Pool) -> None:
    fungi = choose_parts(pool, ["fungi"])

    _, few = split_observations(pool, fungi, 0.4, seed=1)
    _, many = split_observations(pool, choose_parts(pool, ()), 0.4, seed=1)

    assert set(few.tolist()) == set(many.tolist()) & set(fungi.tolist())


def test_classes_are_numbered_by_name_and_unknown_ones_marked(samples: Samples) -> None:
    things = samples.pool.names["part"] == "things"

    assert list(samples.names[0]) == sorted(samples.names[0])
    assert (samples.classes[things, 1] == UNKNOWN).all()
    named = np.array(samples.names[0])[samples.classes[:, 0]]
    assert named.tolist() == samples.pool.names["species"].tolist()


def test_species_know_their_family(samples: Samples) -> None:
    parents = samples.parents("family", of="species")

    for species, parent in zip(samples.names[0], parents.tolist(), strict=True):
        families = set(samples.pool.names["family"][samples.pool.names["species"] == species].tolist())
        assert families == {samples.names[1][parent] if parent != UNKNOWN else ""}


def test_an_epoch_holds_every_picture_once_and_starts_anywhere(samples: Samples) -> None:
    steps = len(samples) // 8
    whole = list(islice(batches(samples, 8, balanced=False, seed=1, start=0), 2 * steps))
    later = list(islice(batches(samples, 8, balanced=False, seed=1, start=5), 3))

    assert sorted(np.concatenate(whole[:steps]).tolist()) == list(range(len(samples)))
    assert np.concatenate(whole[:steps]).tolist() != np.concatenate(whole[steps:]).tolist()
    np.testing.assert_array_equal(np.stack(later), np.stack(whole[5:8]))


@pytest.mark.parametrize("balanced", [False, True])
def test_processes_share_each_batch_without_overlap(samples: Samples, balanced: bool) -> None:
    alone = next(batches(samples, 8, balanced=balanced, seed=1, start=3))

    shared = [next(batches(samples, 8, balanced=balanced, seed=1, start=3, rank=rank, world=2)) for rank in (0, 1)]

    np.testing.assert_array_equal(np.concatenate(shared), alone)
    with pytest.raises(TrainingError, match="multiple of 3"):
        next(batches(samples, 8, balanced=balanced, seed=1, start=0, world=3))


def test_balanced_batches_draw_rare_species_as_often_as_common_ones(pool: Pool) -> None:
    species = pool.names["species"]
    rare = np.flatnonzero(species == species[0])[:1]
    common = np.flatnonzero(species != species[0])
    samples = make_samples(pool, np.concatenate([rare, common]), ("species",))

    drawn = np.concatenate(list(islice(batches(samples, 32, balanced=True, seed=1, start=0), 100)))

    share = float((drawn == 0).mean())
    assert share == pytest.approx(1 / 16, abs=0.02)  # of 16 species, though it has 1 picture of 91


@pytest.mark.parametrize(("parts", "rank", "word"), [(["dogs"], "species", "no part"), ([], "kingdom", "no rank")])
def test_what_is_not_there_is_refused_by_name(pool: Pool, parts: list[str], rank: str, word: str) -> None:
    with pytest.raises(TrainingError, match=word):
        make_samples(pool, choose_parts(pool, parts), (rank,))


def test_no_change_changes_nothing(pool: Pool) -> None:
    pictures = pool.pictures(np.arange(4))
    plain = Augmentation(**{**{name: getattr(PLAIN, name) for name in PLAIN.__slots__}, "side": 48})

    batch = augment(pictures, plain, (1,))

    np.testing.assert_allclose(batch.numpy().transpose(0, 2, 3, 1) * 255, pictures, atol=0.01)


def test_the_same_seed_changes_pictures_the_same_way_and_another_does_not(pool: Pool) -> None:
    pictures = pool.pictures(np.arange(6))

    first, again, other = (augment(pictures, ALL, seed).numpy() for seed in ((1, 7), (1, 7), (1, 8)))

    assert first.shape == (6, 3, 24, 24)
    assert first.min() >= 0
    assert first.max() <= 1
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.02


def test_pictures_are_mirrored_but_never_turned_upside_down() -> None:
    picture = np.zeros((1, 16, 16, 3), np.uint8)
    picture[:, :8] = 200  # light above
    picture[:, :, :4] //= 2  # darker to the left
    how = Augmentation(side=16, smallest=1.0, brightness=0, contrast=0, saturation=0, hue=0)

    seen = {tuple(np.round(augment(picture, how, (seed,))[0, 0, 4].numpy() * 255)) for seed in range(12)}
    upper = [float(augment(picture, how, (seed,))[0, :, :8].mean()) for seed in range(12)]

    assert len(seen) == 2  # as it is, and mirrored
    assert min(upper) > 0.5


def test_colours_turn_about_grey() -> None:
    grey = np.full((3, 16, 16, 3), 128, np.uint8)
    how = Augmentation(side=16, brightness=0, contrast=0)

    batch = augment(grey, how, (1,))

    np.testing.assert_allclose(batch.numpy(), 128 / 255, atol=2e-3)
