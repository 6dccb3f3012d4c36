"""Date, place and orientation from EXIF: only what is whole and can be believed, and never at the cost of the photo."""

from __future__ import annotations

import io
import struct
import zlib
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import UnsupportedPhoto
from retrieval.photos.exif import latest_day, read_metadata
from retrieval.photos.views import decode_view, render_photo
from tests.retrieval.photos.oddities import exif, grey_levels, open_image, save, scene

GPS, EXIF = 0x8825, 0x8769
SYDNEY: dict[int, Any] = {1: "S", 2: (33.0, 52.0, 4.0), 3: "E", 4: (151.0, 12.0, 26.0)}
CONTAINERS = ("JPEG", "PNG", "WEBP")


def located(kind: str = "JPEG", taken: str = "", **change: Any) -> bytes:
    """A photo taken in Sydney, with parts of its place changed: `ref1` and `ref3` are the hemispheres."""
    block = Image.Exif()
    place = SYDNEY | {int(name[-1]): value for name, value in change.items()}
    block.get_ifd(GPS).update({tag: value for tag, value in place.items() if value is not None})
    if taken:
        block.get_ifd(EXIF)[0x9003] = taken
    return save(scene(64, 64), kind, exif=block.tobytes())


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_place_in_the_south_is_in_the_south(kind: str) -> None:
    found = read_metadata(located(kind))

    assert (found.latitude, found.longitude) == pytest.approx((-33.867778, 151.207222), abs=1e-5)


@pytest.mark.parametrize("written", ["s", "S\0", " S "])
def test_a_hemisphere_is_read_however_it_is_padded(written: str) -> None:
    assert read_metadata(located(ref1=written)).latitude == pytest.approx(-33.867778, abs=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"ref1": None},
        {"ref3": None},
        {"ref1": ""},
        {"ref1": "E"},
        {"ref3": "N"},
        {"ref1": "X"},
        {"ref1": "-"},
        {"ref1": "\0"},
        {"at2": (33.0, 52.0)},
        {"at2": (93.0, 0.0, 0.0)},
        {"at2": (33.0, 75.0, 0.0)},
        {"at4": None},
    ],
)
def test_an_odd_or_missing_hemisphere_gives_no_place(change: dict[str, Any]) -> None:
    found = read_metadata(located(taken="2026:05:03 10:11:12", **change))

    assert (found.latitude, found.longitude) == (None, None)
    assert found.event_date == date(2026, 5, 3)


def test_a_day_is_read_where_it_can_be_believed() -> None:
    assert read_metadata(located(taken="2026:05:03 10:11:12")).event_date == date(2026, 5, 3)
    assert read_metadata(located(taken=f"{latest_day():%Y:%m:%d} 00:00:00")).event_date == latest_day()


@pytest.mark.parametrize(
    "taken",
    [
        "0000:00:00 00:00:00",
        "0001:01:01 00:00:00",
        "1601:01:01 00:00:00",
        "1904:01:01 00:00:00",
        "1970:01:01 00:00:00",
        "1980:01:01 00:00:00",
        f"{latest_day() + timedelta(days=2):%Y:%m:%d} 00:00:00",
        "2999:12:31 00:00:00",
        "2026:02:30 00:00:00",
        "yesterday",
        "    :  :     :  :  ",
    ],
)
def test_an_unbelievable_day_is_dropped_and_the_place_kept(taken: str) -> None:
    found = read_metadata(located(taken=taken))

    assert found.event_date is None
    assert found.latitude is not None


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


GARBAGE = {
    "noise": b"no EXIF at all",
    "no header": b"Exif\0\0" + b"\xff" * 30,
    "an offset beyond the end": b"MM\0*\xff\xff\xff\xff",
    "a tag larger than the file": b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\xff\xff\xff\xff\0\1\0\0",
    "a block within itself": b"II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\0\0\0\0",
}


def with_garbage(kind: str, garbage: bytes) -> bytes:
    picture = scene(64, 64)
    if kind == "PNG":
        whole = save(picture, "PNG")
        at = whole.index(b"IDAT") - 4
        return whole[:at] + chunk(b"eXIf", garbage) + whole[at:]
    if kind == "HEIF":
        heif = pytest.importorskip("pillow_heif", reason="HEIC needs pillow-heif")
        stored = io.BytesIO()
        heif.from_pillow(picture).save(stored, quality=90, exif=garbage)
        return stored.getvalue()
    return save(picture, kind, exif=garbage if kind == "WEBP" else b"Exif\0\0" + garbage)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow's own words on it
@pytest.mark.parametrize("kind", [*CONTAINERS, "HEIF"])
@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_in_place_of_metadata_costs_the_metadata_and_not_the_photo(kind: str, garbage: str) -> None:
    photo = with_garbage(kind, GARBAGE[garbage])

    found = read_metadata(photo)

    assert grey_levels(decode_view(photo, 64).pixels, np.asarray(scene(64, 64))) < 6
    assert open_image(render_photo(photo, 64)).size == (64, 64)
    assert (found.event_date, found.latitude) == (None, None)


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_an_orientation_in_xmp_is_ignored_where_exif_has_none(kind: str, orientation: int) -> None:
    options: dict[str, Any] = {"xmp": XMP % orientation}
    if kind == "PNG":
        from PIL.PngImagePlugin import PngInfo

        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", options.pop("xmp").decode())
        options["pnginfo"] = text

    lying = decode_view(save(scene(96, 64), kind, **options), 64).pixels
    turned = decode_view(save(scene(96, 64), kind, exif=exif(6), **options), 64).pixels

    assert lying.shape == (64, 96, 3)
    assert turned.shape == (96, 64, 3)


LOSSLESS = b"\xff\xd8\xff\xc3\0\x0b\x08\0\x40\0\x40\1\1\x11\0\xff\xd9"
OTHER_FORMATS = {
    "GIF": (b"GIF89a" + bytes(40), "GIF"),
    "TIFF": (b"II*\0" + bytes(40), "TIFF"),
    "big-endian TIFF": (b"MM\0*" + bytes(40), "TIFF"),
    "BMP": (b"BM" + bytes(40), "BMP"),
    "PDF": (b"%PDF-1.7", "PDF"),
    "AVIF": (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(40), "AVIF"),
    "AVIF by another brand": (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf" + bytes(40), "AVIF"),
    "JPEG XL": (b"\xff\x0a" + bytes(40), "JPEG XL"),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n" + bytes(40), "JPEG 2000"),
    "lossless JPEG": (LOSSLESS, "lossless JPEG"),
    "JPEG-LS": (b"\xff\xd8\xff\xf7" + LOSSLESS[4:], "lossless JPEG"),
    "12-bit JPEG": (LOSSLESS[:3] + b"\xc1\0\x0b\x0c" + LOSSLESS[7:], "lossless JPEG"),
}


@pytest.mark.parametrize("name", OTHER_FORMATS)
def test_an_unsupported_format_is_named_by_what_its_bytes_are(name: str) -> None:
    photo, called = OTHER_FORMATS[name]

    with pytest.raises(UnsupportedPhoto, match=rf"\(it is {called}\)"):
        decode_view(photo, 64)
