"""Photos refused before decoding, and metadata that re-encoded photos no longer contain."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from retrieval.errors import NoPhoto, PhotoTooLarge, TooManyPhotos, UnreadablePhoto
from retrieval.photos.formats import MOST_SCANS
from retrieval.photos.views import PhotoLimits, decode_view, decode_views, open_photo, render_photo
from tests.retrieval.photos.oddities import (
    TURNS,
    exif,
    grey_levels,
    jpeg_of_claimed_size,
    open_image,
    png_header,
    save,
    scene,
)


@pytest.mark.parametrize("size", [(15, 300), (300, 15), (1, 1)])
def test_a_tiny_photo_shows_nothing_and_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UnreadablePhoto, match=f"only {size[0]} x {size[1]} pixels"):
        decode_view(save(Image.new("RGB", size), "PNG"), 96)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.8])
def test_a_file_that_was_cut_short_is_unreadable(kind: str, share: float) -> None:
    photo = save(scene(), kind)

    with pytest.raises(UnreadablePhoto, match="damaged"):
        decode_view(photo[: max(12, int(len(photo) * share))], 96)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_give_a_view_or_a_sentence_and_nothing_else(data: st.DataObject) -> None:
    photo = bytearray(save(scene(64, 48), data.draw(st.sampled_from(["JPEG", "PNG", "WEBP"]))))
    for _ in range(data.draw(st.integers(1, 6))):
        photo[data.draw(st.integers(0, len(photo) - 1))] = data.draw(st.integers(0, 255))

    with suppress(UnreadablePhoto, PhotoTooLarge):
        assert decode_view(bytes(photo), 48).pixels.shape[2] == 3


@pytest.mark.parametrize(
    "photo", [png_header(50_000, 50_000), png_header(9000, 9000), jpeg_of_claimed_size(65_000, 65_000)]
)
def test_a_header_that_claims_too_many_pixels_is_refused_before_decoding(photo: bytes) -> None:
    assert len(photo) < 10_000

    with pytest.raises(PhotoTooLarge, match="pixels"):
        decode_view(photo, 96)


def progressive(scans: int) -> bytes:
    """A progressive JPEG whose last scan is there again and again, as a file that is made to take minutes has it."""
    photo = io.BytesIO()
    scene().save(photo, "JPEG", progressive=True)
    whole = photo.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * (scans - whole.count(b"\xff\xda")) + whole[-2:]


def test_a_progressive_photo_of_ever_so_many_scans_is_refused_before_decoding() -> None:
    assert decode_view(progressive(MOST_SCANS), 96).pixels.shape[2] == 3

    with pytest.raises(PhotoTooLarge, match="5,000 scans; at most 50"):
        decode_view(progressive(5_000), 96)


def test_the_limits_stand_exactly_where_they_say() -> None:
    photo = save(scene(100, 80), "PNG")

    decode_view(photo, 32, PhotoLimits(bytes=len(photo), pixels=8000))

    with pytest.raises(PhotoTooLarge, match=f"at most {len(photo) - 1:,} are accepted"):
        decode_view(photo, 32, PhotoLimits(bytes=len(photo) - 1))
    with pytest.raises(PhotoTooLarge, match="100 x 80 pixels; at most 7,999"):
        decode_view(photo, 32, PhotoLimits(pixels=7999))


def test_opening_a_photo_decodes_nothing() -> None:
    cut_short = save(scene())[:1500]  # enough for the header, not for a picture

    with open_photo(cut_short, PhotoLimits()) as image:
        assert image.size == (320, 240)


def test_an_observation_has_one_photo_or_more_up_to_the_limit() -> None:
    photo = save(scene(32, 32))

    assert len(decode_views([photo] * 3, 32, PhotoLimits(photos=3))) == 3
    with pytest.raises(NoPhoto):
        decode_views([], 32)
    with pytest.raises(TooManyPhotos, match=r"4 photos were given; .* at most 3"):
        decode_views([photo] * 4, 32, PhotoLimits(photos=3))


def test_the_count_is_checked_before_any_photo_is_opened() -> None:
    with pytest.raises(TooManyPhotos):
        decode_views([b"no photo"] * 9, 32)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("side", [100, 5000])
def test_a_drawn_photo_carries_no_metadata(kind: str, side: int) -> None:
    secret = "SECRET-PLACE"
    options: dict[str, object] = {"exif": exif(1, secret=secret), "icc_profile": b"SECRET-PROFILE" * 20}
    if kind != "PNG":
        options["xmp"] = b"<x:xmpmeta>SECRET-XMP</x:xmpmeta>"
    if kind == "JPEG":
        options["comment"] = b"SECRET-COMMENT"
    photo = save(scene(), kind, **options)

    drawn = render_photo(photo, side)

    assert b"SECRET" in photo
    assert b"SECRET" not in drawn
    assert b"Exif" not in drawn
    assert not open_image(drawn).getexif()
    assert set(open_image(drawn).info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_a_drawn_photo_is_upright_and_no_larger_than_wanted() -> None:
    photo = save(scene(320, 240), exif=exif(6))

    small, whole = open_image(render_photo(photo, 100)), open_image(render_photo(photo, 1000))

    assert small.format == "JPEG"
    assert small.size == (75, 100)
    assert whole.size == (240, 320)
    assert grey_levels(np.asarray(whole), np.asarray(scene().transpose(TURNS[6]))) < 3


def test_a_long_strip_is_drawn_whole() -> None:
    assert open_image(render_photo(save(Image.new("RGB", (5000, 20)), "PNG"), 500)).size == (500, 2)


def test_no_place_leaves_a_real_photograph(shared: Path) -> None:
    photo = (shared / "samples" / "images" / "exif" / "geotagged.jpg").read_bytes()
    assert open_image(photo).getexif().get_ifd(0x8825)

    drawn = render_photo(photo, 400)

    assert not open_image(drawn).getexif()
    assert b"GPS" not in drawn
