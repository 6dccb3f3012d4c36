"""Decoders as processes: they give what decoding here gives, and can be ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from benchmarks.server.bombs import large_png
from retrieval.errors import PhotoTooLarge, UnreadablePhoto, UnsupportedPhoto
from retrieval.photos.crops import Box, decode_crops
from retrieval.photos.decoders import Decoders, DecodersBusy
from retrieval.photos.exif import read_metadata
from retrieval.photos.views import (
    PhotoLimits,
    convert_part,
    cut_view,
    decode_pixels,
    render_photo,
    to_rgb,
    upright_size,
)
from tests.snapshots import MUSCARIA, draw_photo

LIMITS = PhotoLimits()
PATIENCE = 60


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    opened = Decoders(2)
    yield opened
    opened.close()


def turned() -> bytes:
    """A photo taken with a turned camera, with its day."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9003] = "2026:10:03 12:00:00"
    stream = BytesIO()
    pixels = np.random.default_rng(3).integers(0, 255, (120, 200, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG", exif=exif)
    return stream.getvalue()


@pytest.mark.parametrize("photo", [draw_photo(MUSCARIA, 7), turned()], ids=["upright", "turned"])
def test_a_process_gives_what_decoding_here_gives(decoders: Decoders, photo: bytes) -> None:
    for box, augmentation in ((None, "none"), (Box(0.1, 0.2, 0.5, 0.5), "none"), (None, "full")):
        there = decoders.views(photo, 64, LIMITS, box=box, augmentation=augmentation)
        here = decode_crops(photo, 64, LIMITS, box=box, augmentation=augmentation)
        assert len(there) == len(here)
        assert all((one.pixels == other.pixels).all() for one, other in zip(there, here, strict=True))
    picture, size = decoders.picture(photo, 50, LIMITS, quality=80, form="WEBP")
    assert picture == render_photo(photo, 50, LIMITS, quality=80, form="WEBP")
    assert Image.open(BytesIO(picture)).size == size
    assert decoders.metadata(photo, LIMITS) == read_metadata(photo, LIMITS)
    assert decoders.size(photo, LIMITS) == upright_size(photo, LIMITS) == decode_pixels(photo).shape[1::-1]
    (tile,) = decoders.tiles(photo, 32, LIMITS, [(10, 20, 60, 70)])
    assert (tile.pixels == cut_view(decode_pixels(photo), (10, 20, 60, 70), 32).pixels).all()


@pytest.mark.parametrize("photo", [b"", b"GIF89a", draw_photo(MUSCARIA, 7)[:300], large_png("L", 40)])
def test_errors_are_those_of_decoding_here(decoders: Decoders, photo: bytes) -> None:
    limits = PhotoLimits(pixels=1000)
    with pytest.raises((UnreadablePhoto, UnsupportedPhoto, PhotoTooLarge)) as here:
        decode_crops(photo, 64, limits)

    with pytest.raises(type(here.value), match=str(here.value)[:20]):
        decoders.views(photo, 64, limits)


def test_a_decoding_that_takes_too_long_is_ended_and_its_place_is_free_again() -> None:
    decoders, photo = Decoders(2, longest=0.0), draw_photo(MUSCARIA, 7)
    processes = []
    for _ in range(3):
        with pytest.raises(PhotoTooLarge, match="takes longer than"):
            decoders.views(photo, 64, LIMITS)
        processes.append(decoders._started)
    decoders.longest = PATIENCE

    assert processes == [0, 0, 0]
    assert decoders.views(photo, 64, LIMITS)
    with pytest.raises(DecodersBusy):
        decoders.views(photo, 64, LIMITS, seconds=0)
    decoders.close()


def test_a_decoder_that_was_killed_costs_no_photo(decoders: Decoders) -> None:
    photo = draw_photo(MUSCARIA, 7)
    decoders.views(photo, 64, LIMITS)
    for decoder in decoders._free:
        decoder.process.kill()
        decoder.process.wait(PATIENCE)

    assert decoders.views(photo, 64, LIMITS)


def test_large_photos_are_decoded_one_at_a_time_and_small_ones_beside_them(decoders: Decoders) -> None:
    large = large_png("L", 6000)
    with decoders._large:
        with pytest.raises(DecodersBusy, match="one at a time"):
            decoders.picture(large, 64, LIMITS, seconds=PATIENCE / 60)
        assert decoders.views(draw_photo(MUSCARIA, 7), 64, LIMITS)

    assert decoders.picture(large, 64, LIMITS)[1] == (64, 64)


def test_a_photo_that_needs_too_much_memory_is_refused_and_what_a_process_keeps_is_small(decoders: Decoders) -> None:
    with pytest.raises(PhotoTooLarge, match="more memory"):
        decoders.picture(large_png("RGBA"), 640, LIMITS)

    assert decoders.views(draw_photo(MUSCARIA, 7), 64, LIMITS)
    assert all(decoder.kept_bytes < 160_000_000 for decoder in decoders._free)


def test_who_waits_for_a_decoder_is_seen() -> None:
    decoders = Decoders(2, stuck=0.0)
    taken = [decoders._take(float("inf")) for _ in range(2)]
    assert decoders.trouble == ""
    waiting = threading.Thread(target=decoders.views, args=(draw_photo(MUSCARIA, 7), 64, LIMITS))
    waiting.start()
    end = time.monotonic() + PATIENCE
    while not decoders.trouble and time.monotonic() < end:
        time.sleep(0.001)

    assert "waited" in decoders.trouble
    for decoder in taken:
        decoders._give_back(decoder, fit=True)
    waiting.join(PATIENCE)
    assert decoders.trouble == ""
    decoders.close()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16", "CMYK", "transparent"])
def test_a_large_picture_is_converted_in_strips_as_it_is_in_one_piece(mode: str) -> None:
    noise = np.random.default_rng(5).integers(0, 255, (1100, 4000), dtype=np.uint8)
    if mode == "I;16":
        image = Image.fromarray(noise.astype(np.uint16) * 257)
    elif mode == "transparent":
        image = Image.fromarray(noise)
        image.info["transparency"] = 7
    else:
        image = Image.fromarray(noise).convert("RGB").convert(mode)

    found = to_rgb(image)

    assert image.width * image.height > 4_000_000
    assert found.mode == "RGB"
    assert (np.asarray(found) == np.asarray(convert_part(image, 65535, image.info))).all()
