"""Boxes crop the upright photo; augmentations are crops whose embeddings are averaged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import InvalidOption
from retrieval.models.descriptor import Descriptor
from retrieval.models.embedder import unit_rows
from retrieval.photos.crops import AUGMENTATIONS, Box, ViewOptions, cut_crops, decode_crops, pool_crops
from retrieval.photos.views import PhotoLimits, decode_view
from tests.retrieval.photos.oddities import TURNS, exif, grey_levels, save, scene

LIMITS = PhotoLimits()


@pytest.mark.parametrize("orientation", [1, *TURNS])
def test_a_box_means_the_photo_as_it_is_seen(orientation: int) -> None:
    turn = TURNS.get(orientation)
    back = {6: 8, 8: 6}.get(orientation, orientation)  # what lies so that it stands upright when it is turned
    lying = scene().transpose(TURNS[back]) if turn is not None else scene()
    photo = save(lying, exif=exif(orientation))

    (view,) = decode_crops(photo, 96, LIMITS, box=Box(0.5, 0.25, 0.5, 0.5))

    wanted = scene().crop((160, 60, 320, 180)).resize((view.pixels.shape[1], view.pixels.shape[0]))
    assert min(view.pixels.shape[:2]) == 96
    assert grey_levels(view.pixels, np.asarray(wanted)) < 3


def test_the_whole_photo_is_what_it_always_was() -> None:
    photo = save(scene())

    (view,) = decode_crops(photo, 96, LIMITS)

    assert np.array_equal(view.pixels, decode_view(photo, 96, LIMITS).pixels)


def test_a_small_box_of_a_large_photo_is_seen_sharp_and_a_sliver_does_not_fill_the_memory() -> None:
    large = save(scene(3000, 2000), quality=80)

    (small,) = decode_crops(large, 96, LIMITS, box=Box(0.4, 0.4, 0.05, 0.05))
    (sliver,) = decode_crops(large, 96, LIMITS, box=Box(0.0, 0.5, 1.0, 0.02))

    assert min(small.pixels.shape[:2]) >= 96
    assert sliver.pixels.size <= 3 * 96 * 4 * 96 * 1.2


@pytest.mark.parametrize(
    "numbers",
    [
        (-0.1, 0, 0.5, 0.5),
        (0, 0, 0, 0.5),
        (0.6, 0, 0.5, 0.5),
        (0, 0.9, 0.5, 0.2),
        (0, 0, 0.01, 1),
        (float("nan"), 0, 1, 1),
    ],
)
def test_a_box_beyond_the_photo_or_of_nothing_is_refused(numbers: tuple[float, float, float, float]) -> None:
    with pytest.raises(InvalidOption, match="a box"):
        Box(*numbers)


def test_as_many_boxes_as_photos_or_none() -> None:
    ViewOptions().check(3)
    ViewOptions((None, Box(0, 0, 1, 1))).check(2)

    with pytest.raises(InvalidOption, match="1 boxes were given for 2 photos"):
        ViewOptions((None,)).check(2)
    with pytest.raises(InvalidOption, match="augmentations are"):
        ViewOptions(augmentation="ten-fold").check(1)


@pytest.mark.parametrize(("augmentation", "count"), list(zip(AUGMENTATIONS, (1, 2, 2, 14), strict=True)))
def test_an_augmentation_has_its_crops_the_mirrored_ones_last(augmentation: str, count: int) -> None:
    pixels = np.asarray(scene(100, 80))

    crops = cut_crops(pixels, augmentation)

    assert len(crops) == count
    assert np.array_equal(crops[0], pixels)
    if augmentation == "mirrored":
        assert np.array_equal(crops[1], pixels[:, ::-1])
    if augmentation == "two-scale":
        assert np.array_equal(crops[1], pixels[16:64, 20:80])
    if count == 14:
        assert [crop.shape[:2] for crop in crops[:7]] == [(80, 100), (64, 80), *[(48, 60)] * 5]
        assert np.array_equal(crops[3], pixels[:48, :60])
        assert np.array_equal(crops[6], pixels[32:, 40:])
        for crop, mirrored in zip(crops[:7], crops[7:], strict=True):
            assert np.array_equal(crop[:, ::-1], mirrored)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 99))
def test_crops_are_pooled_to_the_direction_of_their_mean(counts: list[int], seed: int) -> None:
    rows = unit_rows(np.random.default_rng(seed).normal(1, 1, (sum(counts), 256)))

    pooled = pool_crops(rows, counts)

    start = 0
    for count, row in zip(counts, pooled, strict=True):
        mean = rows[start : start + count].astype(np.float64).mean(axis=0)
        assert np.allclose(row, mean / np.linalg.norm(mean), atol=1e-6)
        start += count


def test_crops_are_ready_to_embed() -> None:
    views = decode_crops(save(scene()), Descriptor.short_side, LIMITS, augmentation="full")

    assert Descriptor().embed(views).shape == (14, 256)
