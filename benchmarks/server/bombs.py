"""Photos and bodies made to cost a server much time or memory, each within its limits of bytes. All are drawn here."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from PIL import Image

PNG: Final = b"\x89PNG\r\n\x1a\n"
SIDE: Final = 8000  # 64 megapixels: the most that is accepted


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG with its checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def save(image: Image.Image, form: str, **options: object) -> bytes:
    """Return an image in a file format."""
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def plain_png(side: int = 64, extra: bytes = b"") -> bytes:
    """Return a small PNG with chunks of one's own before its picture."""
    whole = save(Image.new("RGB", (side, side), "brown"), "PNG")
    return whole[:33] + extra + whole[33:]


def large_png(mode: str = "RGB", side: int = SIDE) -> bytes:
    """Return a PNG of one colour: some kilobytes that are 256 MB once decoded."""
    return save(Image.new(mode, (side, side)), "PNG")


def png_of_chunks(count: int = 1_000_000) -> bytes:
    """Return a PNG with very many empty chunks."""
    return plain_png(extra=chunk(b"teXt", b"") * count)


def png_of_texts(count: int = 60, size: int = 60_000_000) -> bytes:
    """Return a PNG whose compressed texts and colour profile are large once decompressed."""
    packed = zlib.compress(bytes(size), 9)
    texts = b"".join(chunk(b"zTXt", b"Comment%d\0\0" % number + packed) for number in range(count))
    return plain_png(extra=chunk(b"iCCP", b"profile\0\0" + packed) + texts)


def jpeg_of_scans(side: int = 2000, scans: int = 5000) -> bytes:
    """Return a progressive JPEG whose last scan is repeated: each is a pass over the picture."""
    whole = save(Image.new("RGB", (side, side), "brown"), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * scans + b"\xff\xd9"


def jpeg_of_segments(count: int = 2_000_000) -> bytes:
    """Return a JPEG with very many empty segments before its picture."""
    whole = save(Image.new("RGB", (64, 64), "brown"), "JPEG")
    return whole[:2] + b"\xff\xe5\x00\x02" * count + whole[2:]


def jpeg_of_fill(count: int = 8_000_000) -> bytes:
    """Return a JPEG with very many fill bytes before its picture."""
    whole = save(Image.new("RGB", (64, 64), "brown"), "JPEG")
    return whole[:2] + b"\xff" * count + whole[2:]


def large_progressive(side: int = SIDE) -> bytes:
    """Return a progressive JPEG of the most pixels, with the scans that encoders write."""
    noise = np.random.default_rng(7).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    tile = Image.fromarray(noise).resize((512, 512))
    whole = Image.new("RGB", (side, side))
    for left in range(0, side, 512):
        for top in range(0, side, 512):
            whole.paste(tile, (left, top))
    return save(whole, "JPEG", progressive=True, quality=60)


def animation(side: int = 4000, frames: int = 600) -> bytes:
    """Return an animated WebP with very many frames."""
    pictures = [Image.new("RGB", (16, 16), colour) for colour in ("brown", "white")]
    one = save(pictures[0], "WEBP", save_all=True, append_images=[pictures[1]], duration=10, lossless=True)
    first = one.index(b"ANMF")
    size = 8 + struct.unpack("<I", one[first + 4 : first + 8])[0]
    body = one[12:first] + one[first : first + size] * frames
    canvas = body.index(b"VP8X") + 12
    body = body[:canvas] + struct.pack("<I", side - 1)[:3] * 2 + body[canvas + 6 :]
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


BOMBS: Final[Mapping[str, Callable[[], bytes]]] = {
    "PNG of 8000 x 8000": large_png,
    "PNG of 8000 x 8000, transparent": lambda: large_png("RGBA"),
    "PNG of 8000 x 8000, 16 bits of grey": lambda: large_png("I;16"),
    "PNG of a million chunks": png_of_chunks,
    "PNG of compressed texts": png_of_texts,
    "JPEG of 5,000 scans": jpeg_of_scans,
    "JPEG of two million segments": jpeg_of_segments,
    "JPEG of eight million fill bytes": jpeg_of_fill,
    "progressive JPEG of 8000 x 8000": large_progressive,
    "WebP of 600 frames": animation,
}
