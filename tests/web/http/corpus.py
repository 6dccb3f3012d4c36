"""Invalid request bodies, generated from a seed: damaged photos and malformed forms."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator

from tests.retrieval.photos.oddities import jpeg_of_claimed_size, png_header, save, scene
from tests.snapshots import MUSCARIA, draw_photo

EDGE = b"----edge"
NAMES = (
    "../../../../tmp/owned.jpg",
    "/etc/cron.d/owned",
    "C:\\Windows\\owned.jpg",
    "photo.jpg\0.php",
    "a" * 3000,
    "%2e%2e%2fowned",
    "CON",
    "",
    ";rm -rf owned",
    "пляска 🍄.heic",
)


def pictures(seed: int) -> Iterator[bytes]:
    """Some 450 spoilt pictures."""
    dice = random.Random(seed)
    whole = [
        save(scene(160, 120)),
        save(scene(160, 120), "PNG"),
        save(scene(160, 120), "WEBP"),
        draw_photo(MUSCARIA, 3),
    ]
    for photo in whole:
        for _ in range(40):  # cut short
            yield photo[: dice.randrange(len(photo))]
        for _ in range(50):  # some bytes are others
            spoilt = bytearray(photo)
            for _ in range(dice.choice((1, 3, 30))):
                spoilt[dice.randrange(len(spoilt))] = dice.randrange(256)
            yield bytes(spoilt)
        for _ in range(8):  # two of them in one another
            other, place = dice.choice(whole), dice.randrange(len(photo))
            yield photo[:place] + other + photo[place:]
        yield photo + b"<?php system('id'); ?>" + b"PK\x03\x04" + bytes(500)
        yield b"GIF89a" + photo
        yield photo[:12] + b"<script>alert(1)</script>" + photo[12:]
    yield from (png_header(*size) for size in ((60_000, 60_000), (1, 2**31 - 1), (0, 0), (2**31 - 1, 2**31 - 1)))
    yield from (jpeg_of_claimed_size(*size) for size in ((65_535, 65_535), (1, 65_535), (0, 10)))
    yield png_bomb(1900, 1900)
    yield png_bomb(30_000, 30_000)
    yield b"RIFF" + struct.pack("<I", 2**32 - 1) + b"WEBPVP8X" + bytes(40)
    yield b"\0\0\0\x18ftypheic" + bytes(200)
    yield b"\0\0\0\x18ftypmif1" + dice.randbytes(3000)
    yield b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
    yield b"%PDF-1.7\n%%EOF"
    yield b"II*\0" + dice.randbytes(400)
    yield b""
    for _ in range(20):
        yield dice.choice((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF....WEBP")) + dice.randbytes(
            dice.randrange(2000)
        )


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes and many pixels, all of them there."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compressobj(9)
    line = bytes(1 + 3 * width)
    packed = b"".join(rows.compress(line) for _ in range(min(height, 2000))) + rows.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def part(name: str, body: bytes, filename: str | None = "x.jpg", *headers: bytes) -> bytes:
    """A part of a form."""
    named = f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
    lines = [b"Content-Disposition: " + named.encode("utf-8", "surrogatepass"), *headers]
    return b"--" + EDGE + b"\r\n" + b"\r\n".join(lines) + b"\r\n\r\n" + body + b"\r\n"


def form(*parts: bytes) -> bytes:
    """A whole form."""
    return b"".join(parts) + b"--" + EDGE + b"--\r\n"


def forms(seed: int) -> Iterator[bytes]:
    """Some 120 bodies that are forms, or nearly."""
    dice = random.Random(seed)
    photo = draw_photo(MUSCARIA, 3)
    good = form(part("photos", photo))
    yield from (form(part("photos", photo, name)) for name in NAMES)
    yield from (
        form(part(name, photo)) for name in ("photo", "images[]", "__class__", "a" * 5000, "\0", "photos\r\nX: y")
    )
    yield form(*(part("photos", b"x") for _ in range(10_000)))
    yield form(*(part("flora", b"x", None) for _ in range(10_000)))
    yield form(part("photos", photo, "x.jpg", *(b"X-%d: " % n + b"y" * 100 for n in range(500))))
    yield form(part("photos", photo, "x.jpg", b"X: " + b"y" * 200_000))
    yield form(part("flora", b"z" * 900_000, None))
    yield form(part("flora", b"z" * 2_000_000, None))
    yield form(part("photos", photo), part("latitude", b"1e400", None), part("longitude", b"nan", None))
    yield form(part("photos", photo), part("within", b"9" * 400, None))
    yield form(part("photos", photo), part("count", b"-1", None), part("date", b"0000-00-00", None))
    yield form(part("photos", photo), part("boxes", b"nan,nan,nan,nan", None))
    yield form(part("photos", photo), part("boxes", b"0,0,1e-300,1", None))
    yield form(part("photos", photo), part("flora", b"\xff\xfe\0", None))
    yield form(part("photos", photo), part("flora", b"../../../etc", None))
    yield form(part("photos", photo, "x.jpg", b"Content-Transfer-Encoding: base64"))
    yield form(part("photos", photo, "x.jpg", b"Content-Type: multipart/mixed; boundary=" + EDGE))
    yield form(part("photos", photo, "x.jpg", b"Content-Length: 99999999999"))
    yield from (good[: dice.randrange(len(good))] for _ in range(30))
    for _ in range(40):
        spoilt = bytearray(good)
        for _ in range(20):
            spoilt[dice.randrange(200)] = dice.randrange(256)
        yield bytes(spoilt)
    yield from (dice.randbytes(dice.randrange(3000)) for _ in range(10))
    yield from (b"", b"--", b"--" + EDGE, b"\r\n" * 1000, good.replace(b"\r\n", b"\n"), good + good)
