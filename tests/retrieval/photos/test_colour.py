"""Colour profiles: pixels become sRGB, whatever they were stored in, and a broken profile costs no photo."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from retrieval.photos.colour import find_transform
from retrieval.photos.crops import Box, decode_crops
from retrieval.photos.views import PhotoLimits, decode_pixels, decode_view, render_photo
from tests.retrieval.photos.oddities import open_image, save, scene
from tests.retrieval.photos.profiles import (
    WORKING,
    camera_to_xyz,
    curve_tag,
    grey_profile,
    inks_to_xyz,
    lut_profile,
    profile,
    reference_grey,
    reference_rgb,
    rgb_profile,
    xyz_tag,
)

Pixels = NDArray[np.uint8]
SIDE = 64
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
PRESS, CAMERA = lut_profile("CMYK", inks_to_xyz, 7), lut_profile("RGB ", camera_to_xyz, 17, "scnr")
CONTAINERS: dict[str, dict[str, Any]] = {"JPEG": {}, "PNG": {}, "WEBP": {"lossless": True}}


def colours(seed: int, bands: int = 3) -> Image.Image:
    """Patches of random colours, with a gradient over them."""
    numbers = np.random.default_rng(seed)
    patches = numbers.integers(0, 256, (8, 8, bands)).repeat(SIDE // 8, 0).repeat(SIDE // 8, 1)
    slope = np.linspace(-30, 30, SIDE)[:, None, None]
    return Image.fromarray(np.clip(patches + slope, 0, 255).astype(np.uint8).squeeze(), "CMYK" if bands == 4 else None)


def by_little_cms(image: Image.Image, written: bytes) -> Pixels:
    """The reference for tables: the whole photo through Little CMS, as Pillow's manual converts one."""
    found = ImageCms.applyTransform(image, transform_of(written, image.mode))
    assert found is not None
    return np.asarray(found)


@cache
def transform_of(written: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(written)), SRGB, mode, "RGB")


def broken_profiles() -> dict[str, bytes]:
    whole = rgb_profile("display-p3")
    curves = {f"{one}TRC": curve_tag(2.2) for one in "rgb"}

    def colorants(light: float) -> dict[str, bytes]:
        return {f"{one}XYZ": xyz_tag((light / 3, light / 3, light / 3)) for one in "rgb"}

    return {
        "nothing": b"",
        "noise": np.random.default_rng(5).bytes(500),
        "cut short": whole[: len(whole) // 2],
        "header only": whole[:128],
        "tags beyond the end": whole[:132] + b"\xff" * (len(whole) - 132),
        "no curves": profile("RGB ", {"wtpt": bytes(20)}),
        "of another colour space": grey_profile(1.8),
        "a device link": profile("RGB ", {}, kind="link"),
        "everything is black": profile("RGB ", colorants(0) | curves),
        "nothing is white": profile("RGB ", colorants(0.1) | curves),
        "without a signature": whole[:36] + bytes(4) + whole[40:],
    }


def profiled_photos() -> list[tuple[str, bytes, Pixels]]:
    """(name, photo, what it shows in sRGB): 200 photos of every kind."""
    made: list[tuple[str, bytes, Pixels]] = []
    for kind, options in CONTAINERS.items():
        for seed in range(13):
            for name in WORKING:
                photo = save(colours(seed), kind, icc_profile=rgb_profile(name), **options)
                made.append((f"{name} {kind} {seed}", photo, reference_rgb(np.asarray(open_image(photo)), name)))
    for seed in range(19):
        photo = save(colours(seed, 4), icc_profile=PRESS)
        made.append((f"CMYK {seed}", photo, by_little_cms(open_image(photo), PRESS)))
    for seed in range(24):
        gamma = (0.0, 1.8, 2.2, 2.6)[seed % 4]
        photo = save(colours(seed).convert("L"), ("JPEG", "PNG")[seed % 2], icc_profile=grey_profile(gamma))
        made.append((f"grey {gamma} {seed}", photo, reference_grey(np.asarray(open_image(photo)), gamma)))
    for seed in range(19):
        photo = save(colours(seed), ("JPEG", "PNG")[seed % 2], icc_profile=CAMERA)
        made.append((f"table {seed}", photo, by_little_cms(open_image(photo), CAMERA)))
    broken = broken_profiles()
    for seed, (name, written) in enumerate((broken | {f"{name} too": one for name, one in broken.items()}).items()):
        photo = save(colours(seed), ("JPEG", "PNG")[seed >= len(broken)], icc_profile=written)
        made.append((f"broken: {name}", photo, np.asarray(open_image(photo))))
    return made[:200]


def farthest(one: Pixels, other: Pixels) -> int:
    return int(np.abs(one.astype(np.int64) - other.astype(np.int64)).max())


def test_two_hundred_photos_with_profiles_are_within_two_levels_of_a_reference_conversion() -> None:
    photos = profiled_photos()

    far = {name: farthest(decode_view(photo, SIDE).pixels, wanted) for name, photo, wanted in photos}

    assert len(far) == 200
    assert {name: by for name, by in far.items() if by > 2} == {}


def test_a_red_of_a_phone_is_kept_as_the_red_that_was_seen() -> None:
    seen = Image.new("RGB", (SIDE, SIDE), (184, 57, 42))  # Display P3's coordinates of sRGB's 200, 40, 30

    kept = open_image(render_photo(save(seen, "PNG", icc_profile=rgb_profile("display-p3")), SIDE, quality=95))

    assert np.abs(np.asarray(kept).reshape(-1, 3).mean(axis=0) - (200, 40, 30)).max() < 2


WAYS: dict[str, Callable[[bytes], Pixels]] = {
    "a view": lambda photo: decode_view(photo, SIDE).pixels,
    "crops": lambda photo: decode_crops(photo, SIDE, PhotoLimits(), augmentation="mirrored")[0].pixels,
    "a box": lambda photo: decode_crops(photo, SIDE, PhotoLimits(), box=Box(0, 0, 1, 1))[0].pixels,
    "the whole": decode_pixels,
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_decode_converts(way: str) -> None:
    photo = save(colours(3), "PNG", icc_profile=rgb_profile("prophoto"))

    assert farthest(WAYS[way](photo), reference_rgb(np.asarray(colours(3)), "prophoto")) <= 2


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "I;16"])
def test_transparent_palette_and_16_bit_photos_are_converted_too(mode: str) -> None:
    grey = mode in {"LA", "I;16"}
    plain = colours(4).convert("L") if grey else colours(4).quantize(64).convert("RGB")
    if mode == "I;16":
        stored = Image.fromarray(np.asarray(plain).astype(np.uint16) * 257)
    elif mode == "P":
        stored = colours(4).quantize(64)
    else:
        stored = plain.convert(mode)
    written = grey_profile(1.8) if grey else rgb_profile("adobe-rgb")
    wanted = reference_grey(np.asarray(plain), 1.8) if grey else reference_rgb(np.asarray(plain), "adobe-rgb")

    pixels = decode_view(save(stored, "PNG", icc_profile=written), SIDE).pixels

    assert farthest(pixels, wanted) <= 2


def test_heic_photos_are_converted_too() -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="HEIC needs pillow-heif")
    stored = io.BytesIO()
    pillow_heif.from_pillow(scene(64, 64)).save(stored, quality=-1, icc_profile=rgb_profile("display-p3"))
    decoded = np.asarray(pillow_heif.open_heif(stored.getvalue()).to_pillow().convert("RGB"))

    pixels = decode_view(stored.getvalue(), 64).pixels

    assert farthest(pixels, reference_rgb(decoded, "display-p3")) <= 2
    assert farthest(pixels, decoded) > 10


@pytest.mark.parametrize("written", [SRGB.tobytes(), rgb_profile("display-p3")[:90]])
def test_a_photo_in_srgb_or_without_a_usable_profile_is_not_touched(written: bytes) -> None:
    assert np.array_equal(
        decode_view(save(colours(2), "PNG", icc_profile=written), SIDE).pixels, np.asarray(colours(2))
    )
    assert find_transform(written, "RGB") is None


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


DAMAGED = {
    "an iCCP without a profile": chunk(b"iCCP", b"name\0"),
    "an iCCP of an unknown compression": chunk(b"iCCP", b"name\0\7" + zlib.compress(bytes(300))),
    "an iCCP that unfolds to megabytes": chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(3_000_000))),
    "an iCCP that is no zlib stream": chunk(b"iCCP", b"name\0\0noise"),
    "text with a wrong checksum": chunk(b"tEXt", b"a\0b")[:-1] + b"\0",
    "EXIF with a wrong checksum": chunk(b"eXIf", b"MM\0*")[:-1] + b"\0",
    "a cHRM that is cut short": chunk(b"cHRM", b"abc"),
}


@pytest.mark.parametrize("damaged", DAMAGED)
@pytest.mark.parametrize("place", [b"IDAT", b"IEND"])
def test_damaged_metadata_of_a_png_cost_the_metadata_alone(damaged: str, place: bytes) -> None:
    whole = save(colours(1), "PNG")
    at = whole.index(place) - 4

    pixels = decode_view(whole[:at] + DAMAGED[damaged] + whole[at:], SIDE).pixels

    assert np.array_equal(pixels, np.asarray(colours(1)))


@pytest.mark.parametrize("body", [b"ICC_PROFILE\0", b"ICC_PROFILE\0\1", b"ICC_PROFILE\0\2\3cut"])
def test_damaged_profile_segments_of_a_jpeg_cost_the_profile_alone(body: bytes) -> None:
    whole = save(colours(1))
    photo = whole[:2] + b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body + whole[2:]

    assert np.array_equal(decode_view(photo, SIDE).pixels, np.asarray(open_image(whole)))
