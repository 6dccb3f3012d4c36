"""From bytes to views: accepted formats, orientation, scaling, and refusals before decoding."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from retrieval.errors import UnreadablePhoto, UnsupportedPhoto
from retrieval.photos.views import PhotoLimits, decode_view, decode_views, open_photo, scale_upright, sniff
from tests.retrieval.photos.oddities import (
    TURNS,
    exif,
    grey_levels,
    jpeg_of_size,
    open_image,
    save,
    scene,
)

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_first_bytes_name_the_format(kind: str) -> None:
    assert sniff(save(scene(), kind)) == kind


@pytest.mark.parametrize(
    "photo",
    [
        b"GIF89a" + bytes(40),
        b"%PDF-1.7",
        b"<svg/>",
        b"RIFF\0\0\0\0WAVE",
        b"\0\0\0\x18ftypisom" + bytes(40),
        b"\xff\xd8",
    ],
)
def test_other_files_are_refused_whatever_they_are_called(photo: bytes) -> None:
    with pytest.raises(UnsupportedPhoto, match="not a JPEG, PNG, WebP or HEIC"):
        decode_view(photo, 96)


def test_an_empty_file_is_refused_as_empty() -> None:
    with pytest.raises(UnsupportedPhoto, match="empty"):
        decode_view(b"", 96)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_view_is_rgb_with_the_shorter_side_that_was_asked_for(kind: str) -> None:
    view = decode_view(save(scene(320, 240), kind), 96)

    assert view.pixels.shape == (96, 128, 3)
    assert view.pixels.dtype == np.uint8


def test_a_small_photo_is_scaled_up() -> None:
    view = decode_view(save(scene(40, 30)), 96)

    assert view.pixels.shape == (96, 128, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_orientation_gives_the_upright_view(kind: str, orientation: int) -> None:
    upright = scene(320, 240)
    undo = {6: 8, 8: 6}.get(orientation, orientation)  # the two quarter turns undo each other, the rest themselves
    lying = upright.transpose(TURNS[undo]) if undo in TURNS else upright
    options = {"lossless": True} if kind == "WEBP" else {}

    view = decode_view(save(lying, kind, exif=exif(orientation), **options), 240)

    assert view.pixels.shape == (240, 320, 3)
    assert grey_levels(view.pixels, np.asarray(upright)) < 1.0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_agrees_with_transposing_the_whole_photo_by_hand(orientation: int) -> None:
    photo = save(scene(1600, 1200), exif=exif(orientation))
    by_hand = ImageOps.exif_transpose(open_image(photo))
    factor = 120 / min(by_hand.size)
    small = by_hand.resize((round(by_hand.width * factor), round(by_hand.height * factor)), Image.Resampling.BICUBIC)

    view = decode_view(photo, 120)

    assert view.pixels.shape == (small.height, small.width, 3)
    assert grey_levels(view.pixels, np.asarray(small)) < 1.0


@pytest.mark.parametrize("orientation", [None, 0, 9, 77, 65535])
def test_an_absent_or_invalid_orientation_leaves_the_photo_as_it_lies(orientation: int | None) -> None:
    photo = save(scene(), exif=exif(orientation))

    view = decode_view(photo, 240)

    assert grey_levels(view.pixels, np.asarray(scene())) < 1.0


@given(width=st.integers(300, 1500), height=st.integers(300, 1500), side=st.sampled_from([33, 96, 224]))
@settings(max_examples=25, deadline=None)
def test_decoding_at_a_reduced_scale_hardly_differs_from_decoding_whole(width: int, height: int, side: int) -> None:
    assume(max(width, height) < 3.9 * min(width, height))  # a longer strip is cut
    whole = scene(width, height)
    factor = side / min(width, height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    expected = whole.resize(size, Image.Resampling.BICUBIC)

    view = decode_view(save(whole, quality=90), side).pixels

    assert view.shape[:2] in {(size[1] + down, size[0] + across) for down in (-1, 0, 1) for across in (-1, 0, 1)}
    assert min(view.shape[:2]) == side
    if view.shape == np.asarray(expected).shape:
        assert grey_levels(view, np.asarray(expected)) < 2.0


@given(width=st.integers(300, 1500), height=st.integers(300, 1500), side=st.integers(16, 400))
@settings(max_examples=25, deadline=None)
def test_a_jpeg_is_decoded_at_twice_the_wanted_size_or_whole(width: int, height: int, side: int) -> None:
    photo = jpeg_of_size(width, height)

    with open_photo(photo, PhotoLimits()) as image:
        view = scale_upright(image, lambda width, height: side / min(width, height), cut=False)
        decoded = image.size

    assert min(view.size) == side
    assert decoded == (width, height) or min(decoded) >= 2 * side
    assert min(decoded) < 4 * side + 8 or min(width, height) > 31 * side  # no more than an eighth is on offer


def test_cmyk_grey_palette_and_16_bit_photos_show_the_same_scene() -> None:
    wanted = np.asarray(scene().convert("L"), dtype=np.int64)
    sixteen = Image.fromarray((wanted * 257).astype(np.uint16))
    versions = {
        "grey": save(scene().convert("L")),
        "CMYK": save(scene().convert("CMYK")),
        "16-bit": save(sixteen, "PNG"),
        "palette": save(scene().quantize(256), "PNG"),
        "grey with alpha": save(scene().convert("LA"), "PNG"),
        "WebP": save(scene(), "WEBP", quality=95),
    }

    views = {name: decode_view(photo, 240).pixels for name, photo in versions.items()}

    for name, pixels in views.items():
        assert pixels.shape == (240, 320, 3), name
        assert grey_levels(np.asarray(Image.fromarray(pixels).convert("L")), wanted) < 4, name


def test_a_16_bit_photo_is_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)

    pixels = decode_view(save(Image.fromarray(ramp), "PNG"), 64).pixels

    assert np.array_equal(pixels[..., 0], (ramp / 65535 * 255).astype(np.uint8))


def test_transparency_is_laid_on_white() -> None:
    layer = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    layer.paste((0, 0, 255, 255), (0, 0, 32, 64))
    palette = Image.new("P", (64, 64), 1)
    palette.putpalette([255, 255, 255, 0, 128, 0])
    shown = save(palette, "PNG", transparency=1)

    left, right = np.split(decode_view(save(layer, "PNG"), 64).pixels, 2, axis=1)
    hidden = decode_view(shown, 64).pixels

    assert np.all(left == (0, 0, 255))
    assert np.all(right == 255)
    assert np.all(hidden == 255)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_its_first_picture(kind: str) -> None:
    first, second = Image.new("RGB", (64, 64), "red"), Image.new("RGB", (64, 64), "blue")
    animation = save(first, kind, save_all=True, append_images=[second, second], duration=50)

    pixels = decode_view(animation, 64).pixels

    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() < 12


def test_a_photo_with_a_preview_inside_is_read_as_the_photo() -> None:
    photo = save(scene(), "MPO", save_all=True, append_images=[scene(64, 48)], quality=95)

    view = decode_view(photo, 240)

    assert grey_levels(view.pixels, np.asarray(scene())) < 1.5


@pytest.mark.parametrize("size", [(5000, 20), (20, 5000), (4000, 16)])
def test_the_centre_of_a_long_strip_is_kept(size: tuple[int, int]) -> None:
    strip = Image.new("RGB", size, "green")
    middle = (size[0] // 2 - 30, size[1] // 2 - 30, size[0] // 2 + 30, size[1] // 2 + 30)
    strip.paste((255, 0, 0), middle)

    view = decode_view(save(strip, "PNG"), 96)

    assert min(view.pixels.shape[:2]) == 96
    assert max(view.pixels.shape[:2]) == 4 * 96
    assert tuple(view.pixels[view.pixels.shape[0] // 2, view.pixels.shape[1] // 2]) == (255, 0, 0)


def test_views_come_in_the_order_of_the_photos() -> None:
    colours = ["red", "lime", "blue", "white", "black", "yellow"]

    views = decode_views([save(Image.new("RGB", (64, 64), colour), "PNG") for colour in colours], 32)

    assert [tuple(view.pixels[0, 0]) for view in views] == [
        Image.new("RGB", (1, 1), colour).getpixel((0, 0)) for colour in colours
    ]


def test_an_error_says_which_photo_it_was_and_the_first_is_named() -> None:
    good = save(scene(64, 64))

    with pytest.raises(UnsupportedPhoto, match=r"^photo 2 of 4: "):
        decode_views([good, b"nonsense", good, b"more nonsense"], 32)


def test_decoding_one_photo_or_several_gives_the_same_view() -> None:
    photos = [save(scene(300 + 40 * number, 240)) for number in range(4)]

    together = decode_views(photos, 96)

    for photo, view in zip(photos, together, strict=True):
        assert np.array_equal(view.pixels, decode_view(photo, 96).pixels)


def test_heic_photos_are_read_and_turned_where_pillow_heif_is_installed() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    lying = scene(320, 240).transpose(TURNS[8])
    written = io.BytesIO()
    pillow_heif.from_pillow(lying).save(written, quality=95, exif=exif(6).tobytes())

    view = decode_view(written.getvalue(), 240)

    assert sniff(written.getvalue()) == "HEIF"
    assert view.pixels.shape == (240, 320, 3)
    assert grey_levels(view.pixels, np.asarray(scene())) < 4


def test_without_pillow_heif_a_heic_photo_is_refused_with_the_name_of_the_package() -> None:
    program = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from retrieval.photos.views import decode_view\n"
        "decode_view(b'\\0\\0\\0\\x18ftypheic' + bytes(64), 96)"
    )

    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    assert "UnsupportedPhoto: HEIC photos cannot be read here: install pillow-heif" in ran.stderr


def test_a_damaged_heic_photo_is_unreadable() -> None:
    pytest.importorskip("pillow_heif")

    with pytest.raises(UnreadablePhoto, match="damaged"):
        decode_view(b"\0\0\0\x18ftypheic" + bytes(64), 96)


def test_real_photographs_with_traps_are_read_or_refused_in_words(shared: Path) -> None:
    found = sorted(
        path for path in (shared / "samples" / "images").rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"}
    )
    assert found

    for path in found:
        photo = path.read_bytes()
        if "truncated" in path.name:
            with pytest.raises(UnreadablePhoto, match="cut short"):
                decode_view(photo, 96)
            continue
        whole = ImageOps.exif_transpose(open_image(photo)).convert("RGB")
        factor = 96 / min(whole.size)
        size = (round(whole.width * factor), round(whole.height * factor))
        expected = np.asarray(whole.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0))

        pixels = decode_view(photo, 96).pixels

        assert pixels.shape == expected.shape, path.name
        assert grey_levels(pixels, expected) < 2.0, path.name
