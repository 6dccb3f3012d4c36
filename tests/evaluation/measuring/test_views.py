"""Pooling of crops: by the mean of embeddings, the sum of scores, the mode of first places."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.measuring.views import (
    CROPS,
    POOLINGS,
    CroppedPhotos,
    list_trials,
    make_gallery,
    measure_views,
    pool_scores,
    rank_true_species,
    share_votes,
)
from retrieval.models.embedder import unit_rows
from retrieval.photos.crops import AUGMENTATIONS, cut_crops
from retrieval.ranking.votes import Voting

VOTING = Voting(neighbours=50, temperature=0.08)


def draw_crops(
    species: int = 6, observations: int = 4, photos: int = 2, *, noise: float, seed: int = 1
) -> CroppedPhotos:
    """Photos of drawn species: a crop is its photo and noise of its own, the whole photo has as much as any crop."""
    rng = np.random.default_rng(seed)
    of_species = rng.normal(size=(species, 1, 1, 1, 256))
    of_find = 0.8 * rng.normal(size=(1, observations, 1, 1, 256)) + of_species
    rows = of_find + noise * rng.normal(size=(species, observations, photos, 14, 256))
    labels = np.arange(species * observations).repeat(photos)
    return CroppedPhotos(unit_rows(rows.reshape(-1, 256)).reshape(-1, 14, 256), labels // observations + 10, labels)


def test_the_crops_of_an_augmentation_are_where_the_product_cuts_them() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    whole = cut_crops(pixels, "full")

    assert set(CROPS) == set(AUGMENTATIONS)
    for name, places in CROPS.items():
        crops = cut_crops(pixels, name)
        assert len(crops) == len(places)
        assert all(np.array_equal(whole[place], crop) for place, crop in zip(places, crops, strict=True))


def test_the_sum_of_scores_is_their_mean_over_the_crops() -> None:
    shares = [np.array([[0.6, 0.4, 0.0]]), np.array([[0.1, 0.2, 0.7]])]

    assert pool_scores(shares, "sum").tolist() == [pytest.approx([0.35, 0.3, 0.35])]


def test_the_mode_counts_first_places_and_scores_only_break_ties() -> None:
    often = [np.array([[0.4, 0.6, 0.0]])] * 2 + [np.array([[1.0, 0.0, 0.0]])]
    even = [np.array([[0.45, 0.55, 0.0]]), np.array([[0.9, 0.1, 0.0]])]

    assert pool_scores(often, "sum").argmax() == 0
    assert pool_scores(often, "mode").argmax() == 1
    assert pool_scores(even, "mode").argmax() == 0
    assert pool_scores([np.zeros((1, 3))] * 2, "mode").tolist() == [[0.0, 0.0, 0.0]]  # without votes, no first place


def test_a_rank_counts_all_species_with_as_high_a_score() -> None:
    photos = draw_crops(3, 2, 1, noise=0.1).sorted()
    gallery = make_gallery(photos, "none")
    tied = np.array([[0.5, 0.5, 0.0]] * 2 + [[0.4, 0.3, 0.3]] * 2 + [[1.0, 0.0, 0.0]] * 2)

    assert rank_true_species(gallery, tied).tolist() == [2, 2, 3, 3, 4, 4]


def test_one_view_is_pooled_alike_by_every_rule() -> None:
    photos = draw_crops(noise=1.5).sorted()
    gallery = make_gallery(photos, "none")
    shares = share_votes(gallery, photos.crops[:, 0], VOTING)

    by_rule = [rank_true_species(gallery, pool_scores([shares], rule)) == 1 for rule in ("sum", "mode")]

    assert np.array_equal(*by_rule)
    assert np.array_equal(
        by_rule[0], rank_true_species(gallery, share_votes(gallery, photos.average("none"), VOTING)) == 1
    )


def test_copies_of_an_observation_are_left_out_with_it() -> None:
    photos = draw_crops(4, 2, 1, noise=0.2)
    copied = CroppedPhotos(
        np.concatenate([photos.crops, photos.crops]),
        np.concatenate([photos.species, photos.species]),
        np.concatenate([photos.observations, photos.observations + 100]),
    )
    alone = CroppedPhotos(photos.crops[::2], photos.species[::2], photos.observations[::2])
    twice = CroppedPhotos(
        np.concatenate([alone.crops, alone.crops]),
        np.concatenate([alone.species, alone.species]),
        np.concatenate([alone.observations, alone.observations + 100]),
    )

    assert len(make_gallery(copied.sorted(), "none").evaluable) == 16
    assert not len(make_gallery(twice.sorted(), "none").evaluable)  # nothing but its own copy could answer


def test_views_gain_where_crops_add_something_and_nothing_where_they_repeat_the_photo() -> None:
    noisy = {
        (row["references"], row["queries"], row["pooling"]): row
        for row in measure_views(draw_crops(12, noise=5.0), VOTING)
    }
    same = draw_crops(12, noise=5.0)
    repeated = CroppedPhotos(same.crops[:, :1].repeat(14, axis=1), same.species, same.observations)

    assert len(noisy) == len(list_trials())
    plain = noisy["none", "none", "mean"]["top1"]
    assert plain["gain"] == 0
    assert plain["before"] == plain["after"]
    for rule in POOLINGS:
        row = noisy["full", "full", rule]
        assert row["views"] == 14
        assert row["top1"]["low"] > 0
    for row in measure_views(repeated, VOTING):
        if row["pooling"] != "mode":  # which counts photos instead of adding their scores
            assert row["top1"]["gain"] == row["top5"]["gain"] == 0
