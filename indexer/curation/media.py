"""Distinguishes photos from sounds, videos and pages, by media type or format, whichever is informative."""

from __future__ import annotations

import re
from functools import lru_cache

PHOTO_FORMAT = re.compile(
    r"^(?:image[/ ]|\.)?(?:x-)?(?:p?jpe?g|jfif|png|webp|hei[cf]|gif|tiff?|(?:ms-)?bmp)\b|^image/\*$", re.I
)
"""`image/jpeg`, `jpg`, `.jpg`, `JPEG image`."""
STILL = frozenset({
    "stillimage", "image", "images", "photograph", "photo", "photos", "picture", "digitalimage", "digitalphotograph",
    "imagen", "imagem", "foto", "bild", "photographie",
})  # fmt: skip
"""Words of DCMI types and of people, without blanks: `StillImage`, `Still Image`, `.../dcmitype/StillImage`."""


@lru_cache(maxsize=1024)
def find_media_fault(media_type: str, media_format: str) -> tuple[str, str] | None:
    """Return (type or format, its value) if it excludes a photo. The two columns are often swapped."""
    for name, text in (("type", media_type), ("format", media_format)):
        if text and not any(map(is_photo_word, re.split("[;|,]", text))):
            return name, text
    return None


def is_photo_word(text: str) -> bool:
    """Return whether a word means photos, in DCMI, MIME or common use."""
    text = text.strip()
    last = re.sub(r"[\s_-]+", "", re.split(r"[/#.:]", text.rstrip("/"))[-1]).lower()
    return last in STILL or PHOTO_FORMAT.match(text) is not None
