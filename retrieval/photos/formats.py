"""Detection of file formats by content: supported ones, and the names of unsupported ones."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from typing import Final

from retrieval.errors import PhotoTooLarge, UnsupportedPhoto

HEVC: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc"})
BRANDS: Final = HEVC | {b"mif1", b"msf1"}
OTHERS: Final = (
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"BM", "BMP"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"%PDF", "PDF"),
    (b"8BPS", "PSD"),
    (b"PK\x03\x04", "ZIP"),
)
"""First bytes of unsupported formats, with their common names."""
MOST_SEGMENTS: Final = 10_000  # of a JPEG before its picture; cameras write some dozens
MOST_CHUNKS: Final = 50_000  # of a PNG; 20 MB in the smallest usual pieces, of 1 kB, are 20,000
MOST_FRAMES: Final = 500  # of an animated WebP, of which the first is read
MOST_SCANS: Final = 50  # of a JPEG, with thumbnails: each is a pass over the picture; encoders write about twelve
BASELINE: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})  # JPEG processes supported by the decoder
FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}  # markers at the start of a JPEG's picture
ESSENTIAL: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})  # chunks of a PNG that contain its picture


def sniff(photo: bytes) -> str:
    """Detect the format by content, not by file name: JPEG, PNG, WEBP or HEIF.

    Raises UnsupportedPhoto for anything else, with the name of the format if known.
    """
    if photo[:3] == b"\xff\xd8\xff":
        if is_rare_jpeg(photo):
            raise unsupported("lossless JPEG")
        return "JPEG"
    if photo[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if photo[:4] == b"RIFF" and photo[8:12] == b"WEBP":
        return "WEBP"
    if photo[4:8] == b"ftyp":
        brands = read_brands(photo)
        if brands[0] in BRANDS and (HEVC & set(brands) or b"avif" not in brands):
            return "HEIF"
        if b"avif" in brands or b"avis" in brands:
            raise unsupported("AVIF")
        raise UnsupportedPhoto("the file is not a JPEG, PNG, WebP or HEIC photo")
    if not photo:
        raise UnsupportedPhoto("the file is empty")
    for begins, called in OTHERS:
        if photo.startswith(begins):
            raise unsupported(called)
    raise UnsupportedPhoto("the file is not a JPEG, PNG, WebP or HEIC photo")


def check_structure(photo: bytes, kind: str) -> None:
    """Raise PhotoTooLarge for a photo of more parts than any camera or program writes.

    Decoders walk through all of them, most in Python: some megabytes of empty ones take minutes.
    """
    parts: list[tuple[str, int, int]] = []
    if kind == "JPEG":
        segments = sum(1 for _ in islice(read_segments(photo), MOST_SEGMENTS + 1))
        parts = [("scans", count_scans(photo), MOST_SCANS), ("segments", segments, MOST_SEGMENTS)]
    elif kind == "PNG":
        parts = [("chunks", sum(1 for _ in islice(read_chunks(photo), MOST_CHUNKS + 1)), MOST_CHUNKS)]
    elif kind == "WEBP":
        parts = [("frames", photo.count(b"ANMF"), MOST_FRAMES)]
    for name, count, most in parts:
        if count > most:
            raise PhotoTooLarge(f"the photo is stored in {count:,} {name}; at most {most:,} are accepted")


def count_scans(photo: bytes) -> int:
    """Count the scans of a JPEG without decoding: within coded data, a byte FF is never followed by DA."""
    return photo.count(b"\xff\xda")


def unsupported(called: str) -> UnsupportedPhoto:
    """Return the error for a file of a known but unsupported format."""
    return UnsupportedPhoto(f"the file is not a JPEG, PNG, WebP or HEIC photo (it is {called})")


def read_brands(photo: bytes) -> tuple[bytes, ...]:
    """Return the brands of an ISO media file, the major one first."""
    end = min(int.from_bytes(photo[:4], "big"), 256)
    return (photo[8:12], *(photo[place : place + 4] for place in range(16, end, 4)))


def is_rare_jpeg(photo: bytes) -> bool:
    """Return whether a JPEG is lossless, hierarchical, JPEG-LS or 12-bit, which its decoder does not support."""
    for marker, segment in islice(read_segments(photo), MOST_SEGMENTS):
        if marker in FRAMES:
            return marker not in BASELINE or segment[4:5] != b"\x08"
    return False


def strip_metadata(photo: bytes, kind: str) -> bytes:
    """Return a PNG or JPEG without its metadata, for a second attempt: these may be damaged, and the picture not."""
    if kind == "PNG":
        return photo[:8] + b"".join(whole for name, whole in read_chunks(photo) if name in ESSENTIAL)
    if kind == "JPEG":
        kept, end = [photo[:2]], 2
        for marker, segment in read_segments(photo):
            end += len(segment)
            is_metadata = 0xE0 <= marker <= 0xEF or marker == 0xFE
            if not is_metadata or segment[4:10] == b"Exif\0\0" or (segment[4:9] == b"Adobe" and len(segment) >= 16):
                kept.append(segment)  # Adobe's marker has the colour transform
        return b"".join(kept) + photo[end:]
    return photo


def read_segments(photo: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the segments of a JPEG before its picture: marker, and all bytes with marker and length."""
    place = 2
    while place + 5 <= len(photo) and photo[place] == 0xFF and photo[place + 1] != 0xDA:
        length = 1 if photo[place + 1] == 0xFF else 2 + int.from_bytes(photo[place + 2 : place + 4], "big")
        yield photo[place + 1], photo[place : place + length]
        place += length


def read_chunks(photo: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG: type, and all bytes with length and checksum."""
    place = 8
    while place + 8 <= len(photo):
        (length,) = struct.unpack_from(">I", photo, place)
        yield photo[place + 4 : place + 8], photo[place : place + 12 + length]
        place += 12 + length
