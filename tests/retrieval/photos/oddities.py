"""Photos for tests: an asymmetric scene in every format and colour mode."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

ORIENTATION, GPS, COMMENT = 0x0112, 0x8825, 0x9286
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How the stored picture is turned for each EXIF orientation to stand upright."""


def scene(width: int = 320, height: int = 240) -> Image.Image:
    """Soft colours that differ in every corner, so that no turn or flip of it looks like another."""
    y, x = np.mgrid[:height, :width]
    across, down = x / max(1, width - 1), y / max(1, height - 1)
    wave = 20 * np.sin(12 * across) * np.cos(9 * down)
    planes = [40 + 170 * across + wave, 60 + 130 * down - wave, 200 - 120 * across * down]
    return Image.fromarray(np.stack(planes, axis=-1).round().astype(np.uint8))


def save(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """The bytes of a file of the image; JPEG at a quality at which artefacts do not matter."""
    if kind == "JPEG":
        options = {"quality": 95, "subsampling": 0, **options}
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def open_image(photo: bytes) -> Image.Image:
    """The image of a file, decoded whole."""
    image = Image.open(io.BytesIO(photo))
    image.load()
    return image


def exif(orientation: int | None = None, *, secret: str = "") -> Image.Exif:
    """A block of metadata with an orientation, and on demand a place and a comment."""
    block = Image.Exif()
    if orientation is not None:
        block[ORIENTATION] = orientation
    if secret:
        block[GPS] = {1: "N", 2: (55.0, 40.0, 12.5), 3: "E", 4: (12.0, 34.0, 1.5)}
        block[COMMENT] = secret
    return block


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    claim = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", claim) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def jpeg_of_size(width: int, height: int) -> bytes:
    """A small file of a plain picture."""
    return save(Image.new("RGB", (width, height), (120, 90, 60)), quality=50)


def jpeg_of_claimed_size(width: int, height: int) -> bytes:
    """A JPEG whose header claims another size than its picture has."""
    photo = bytearray(save(scene(32, 32)))
    frame = photo.index(b"\xff\xc0")
    photo[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(photo)


def grey_levels(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    """The mean difference of two pictures in grey levels."""
    return float(np.abs(one.astype(np.int64) - other.astype(np.int64)).mean())
