"""Facts about a photo that need no decoding, and completeness of its file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import PhotoTooLarge, UnreadablePhoto, UnsupportedPhoto
from retrieval.photos.views import CURATED, PhotoLimits, decode_view, open_photo

PROOF_SIDE = 32  # pixels; a JPEG is decoded at an eighth of its size
JPEG_END = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """Facts about a photo that need no decoding of its pixels."""

    sha256: str
    byte_count: int
    width: int  # as stored, before rotation by EXIF orientation
    height: int
    media_format: str  # JPEG, PNG, WEBP or HEIF


def inspect_photo(photo: bytes | Path, limits: PhotoLimits = CURATED) -> PhotoFacts:
    """Return the facts of a photo from its header, after checking that its file is complete.

    Pixels are not decoded if the end of the image is found, so damage in the middle shows only at embedding. Otherwise
    the decoder used for identification decides, since it accepts stray bytes between segments. Raises UnreadablePhoto,
    UnsupportedPhoto, PhotoTooLarge; OSError if a file cannot be read.
    """
    if isinstance(photo, Path):
        size = photo.stat().st_size
        if size > limits.bytes:
            raise PhotoTooLarge(f"the photo has {size:,} bytes; at most {limits.bytes:,} are accepted")
        photo = photo.read_bytes()
    with open_photo(photo, limits) as image:
        width, height = image.size
        media_format = {"MPO": "JPEG"}.get(image.format or "", image.format or "")
    if not is_whole(photo, media_format):
        try:
            decode_view(photo, PROOF_SIDE, limits)
        except UnreadablePhoto as error:
            raise UnreadablePhoto(f"the {media_format} photo breaks off: its end is missing") from error
    return PhotoFacts(hashlib.sha256(photo).hexdigest(), len(photo), width, height, media_format)


def is_whole(photo: bytes, media_format: str) -> bool:
    """Return whether the file contains the end of the image; data appended by cameras is ignored."""
    if media_format == "JPEG":
        start = find_scan(photo)
        return start is not None and photo.find(JPEG_END, start) >= 0
    if media_format == "PNG":
        return b"IEND" in photo[-(2**16) :] or b"IEND" in photo
    if media_format == "WEBP":
        return int.from_bytes(photo[4:8], "little") + 8 <= len(photo)
    return True


def find_scan(photo: bytes) -> int | None:
    """Return the offset of a JPEG's first scan, after which only the end of the image has its marker.

    Thumbnails in earlier segments have end markers of their own, so the search must not start before it.
    """
    place = 2
    while place + 4 <= len(photo):
        if photo[place] != 0xFF:
            return None
        marker = photo[place + 1]
        if marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 0x01:  # padding, or a marker without a length
            place += 1 if marker == 0xFF else 2
            continue
        place += 2 + int.from_bytes(photo[place + 2 : place + 4], "big")
        if marker == 0xDA:
            return place
    return None


def reason_of(error: UnreadablePhoto | PhotoTooLarge) -> str:
    """Return the rejection code for a photo that was refused."""
    if isinstance(error, PhotoTooLarge):
        return "too-large"
    return "not-an-image" if isinstance(error, UnsupportedPhoto) else "unreadable"
