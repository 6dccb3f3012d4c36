"""Conversion of photos in Display P3, Adobe RGB, ProPhoto, CMYK or grey to sRGB by their colour profiles.

Networks are trained on sRGB, and stored and served photos have no profile. Uses Little CMS with the perceptual intent,
through `PIL.ImageCms`. An invalid profile is ignored; the photo is still used.
"""

from __future__ import annotations

import io
from functools import lru_cache
from itertools import product
from typing import Final

import numpy as np
from PIL import Image, ImageCms

MOST_BYTES: Final = 8 << 20  # bytes of a profile; the largest ones, of printers, have 3 MB
KEPT: Final = 16  # cached conversions: photos of one camera share a profile
STEPS: Final = (0, 36, 73, 109, 146, 182, 219, 255)
NEXT_TO_NOTHING: Final = 1  # levels: a profile with no larger difference counts as sRGB
PALEST, DARKEST = 200, 110  # levels that white must reach and black must not; otherwise the profile is invalid


def convert_to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Convert the pixels of an image (L, RGB or CMYK) from its ICC profile to sRGB; returns an RGB image.

    `profile` is the one found by Pillow. If it is missing, invalid or of another colour space, pixels are unchanged.
    """
    if isinstance(profile, bytes) and 0 < len(profile) <= MOST_BYTES:
        transform = find_transform(profile, image.mode)
        if transform is not None:
            return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=KEPT)
def find_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the conversion of a profile to sRGB; None if it is unnecessary or impossible."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.ImageCmsTransform(
            opened, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")), mode, "RGB"
        )
        given = probe_colours(mode)
        found = np.asarray(transform.apply(given), dtype=np.int16)
    except Exception:  # Little CMS raises various errors for invalid profiles and other colour spaces
        return None
    plain = np.asarray(given.convert("RGB"), dtype=np.int16)
    if mode == "RGB" and np.abs(found - plain).max() <= NEXT_TO_NOTHING:
        return None
    white = found.reshape(-1, 3)[int(plain.sum(axis=-1).argmax())]
    return transform if white.min() >= PALEST and found.max(axis=-1).min() <= DARKEST else None


def probe_colours(mode: str) -> Image.Image:
    """Return an image of one row with colours across a mode's gamut, including black and white."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    colours = np.array(list(product(STEPS, repeat=bands)), dtype=np.uint8)
    return Image.frombytes(mode, (len(colours), 1), colours.tobytes())
