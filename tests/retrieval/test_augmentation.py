"""Several views of a photo, and the region of interest: which pixels are seen, whichever way the photo was held."""

from __future__ import annotations

import io
from itertools import product

import numpy as np
import pytest
from PIL import Image

from retrieval.augmentation import RECIPES, Crop, cut, cut_views, embed_photos_views, side_to_decode
from retrieval.embedder import View, unit_rows
from retrieval.errors import ImpossibleWish
from retrieval.models.descriptor import Descriptor
from retrieval.views import ORIENTATION, TRANSPOSES, Box, decode_view, decode_views
from retrieval.wishes import Wishes, read_box
from tests.retrieval.photos import save, scene


def numbered(width: int, height: int) -> View:
    """A view whose pixels say where they lie: red the column, green the row."""
    rows, columns = np.mgrid[:height, :width]
    return View(np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8), "cap")


def test_the_recipe_of_fourteen_is_the_whole_two_middles_and_four_corners_each_mirrored_too() -> None:
    crops = RECIPES["fourteen"]

    assert len(crops) == 14
    assert {(crop.share, crop.across, crop.down) for crop in crops} == {
        (1.0, 0.5, 0.5),
        (0.8, 0.5, 0.5),
        (0.6, 0.5, 0.5),
        *((0.6, across, down) for across, down in product((0.0, 1.0), repeat=2)),
    }
    assert sum(crop.mirrored for crop in crops) == 7


@pytest.mark.parametrize(
    ("crop", "corner"),
    [
        (Crop(0.6, 0.0, 0.0), (0, 0)),
        (Crop(0.6, 1.0, 0.0), (40, 0)),
        (Crop(0.6, 0.0, 1.0), (0, 80)),
        (Crop(0.6, 1.0, 1.0), (40, 80)),
        (Crop(0.8), (10, 20)),
    ],
)
def test_a_crop_lies_where_the_recipe_says(crop: Crop, corner: tuple[int, int]) -> None:
    view = numbered(100, 200)
    side = round(100 * crop.share)

    pixels = cut(view, side, crop)

    assert pixels.shape == (2 * side, side, 3)
    assert (pixels[0, 0, 0], pixels[0, 0, 1]) == corner


def test_a_mirrored_crop_is_the_crop_from_right_to_left() -> None:
    view = numbered(100, 200)

    assert np.array_equal(cut(view, 60, Crop(0.6, mirrored=True)), cut(view, 60, Crop(0.6))[:, ::-1])


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_view_of_a_recipe_has_the_side_that_the_model_wants_and_keeps_its_aspect(recipe: str) -> None:
    photo = save(scene(640, 480))
    view = decode_view(photo, side_to_decode(96, recipe), aspect="cap")

    views = cut_views(view, 96, recipe)

    assert [min(view.pixels.shape[:2]) for view in views] == [96] * len(RECIPES[recipe])
    assert {view.aspect for view in views} == {"cap"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_row_of_a_photo_is_the_direction_of_the_mean_of_its_views(recipe: str) -> None:
    model = Descriptor()
    photos = [save(scene(640, 480)), save(scene(300, 400))]
    views = [decode_view(photo, side_to_decode(96, recipe)) for photo in photos]

    rows = embed_photos_views(views, model, recipe)

    by_hand = [model.embed(cut_views(view, 96, recipe)).mean(axis=0) for view in views]
    assert np.allclose(rows, unit_rows(np.stack(by_hand)), atol=1e-6)


def test_no_photos_give_no_rows() -> None:
    assert embed_photos_views([], Descriptor(), "fourteen").shape == (0, 256)


def stored_as(image: Image.Image, orientation: int) -> bytes:
    """The photo as a camera stores it that was held so: shown upright, it is `image`."""
    back = {6: 8, 8: 6}.get(orientation, orientation)
    stored = image.transpose(TRANSPOSES[back]) if orientation in TRANSPOSES else image
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    written = io.BytesIO()
    stored.save(written, "PNG", exif=exif)
    return written.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("box", [(0.0, 0.0, 0.5, 0.25), (0.25, 0.5, 1.0, 1.0), (0.5, 0.25, 0.75, 0.75)])
def test_a_region_of_interest_is_what_a_person_sees_there_however_the_camera_was_held(
    orientation: int, box: Box
) -> None:
    image = scene(320, 240)
    left, top, right, bottom = (round(share * side) for share, side in zip(box, (320, 240, 320, 240), strict=True))
    seen = image.crop((left, top, right, bottom))

    view = decode_view(stored_as(image, orientation), min(seen.size), box=box)

    assert np.array_equal(view.pixels, np.asarray(seen))


def test_a_region_of_a_large_photo_is_seen_at_the_detail_it_has_there() -> None:
    photo = save(scene(2000, 1500))

    view = decode_view(photo, 300, box=(0.4, 0.4, 0.6, 0.6))
    blurred = decode_view(photo, 60).pixels

    assert min(view.pixels.shape[:2]) == 300
    middle = Image.fromarray(blurred).crop((32, 24, 48, 36)).resize(view.pixels.shape[1::-1])
    assert float(np.asarray(view.pixels).std()) >= float(np.asarray(middle).std()) * 0.9


def test_each_photo_has_its_own_region() -> None:
    photos = [save(scene(320, 240))] * 3

    views = decode_views(photos, 60, boxes=[None, (0.0, 0.0, 0.5, 0.5), None])

    assert np.array_equal(views[0].pixels, views[2].pixels)
    assert np.array_equal(views[1].pixels, decode_view(photos[1], 60, box=(0.0, 0.0, 0.5, 0.5)).pixels)


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        (Wishes(views="thousand"), "views are made by whole, mirrored, two-scales, fourteen, not by 'thousand'"),
        (Wishes(boxes=[None]), "1 regions of interest were given for 2 photos"),
        (Wishes(boxes=[None, (0.5, 0.0, 0.5, 1.0)]), "at least 0.05 wide"),
        (Wishes(boxes=[None, (0.0, 0.0, 1.0, 1.1)]), "in shares"),
        (Wishes(boxes=[None, (0.0, float("nan"), 1.0, 1.0)]), "in shares"),
    ],
)
def test_views_that_there_are_not_are_refused(wishes: Wishes, says: str) -> None:
    with pytest.raises(ImpossibleWish, match=says):
        wishes.check(2)


def test_a_region_is_read_from_text() -> None:
    assert read_box(" 0.1,0.2, 0.8,1") == (0.1, 0.2, 0.8, 1.0)
    assert read_box(" ") is None
    for text in ("0.1,0.2,0.3", "a,b,c,d", "1 2 3 4"):
        with pytest.raises(ImpossibleWish, match="four numbers"):
            read_box(text)
