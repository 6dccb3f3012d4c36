"""Colour profiles: pixels of Display P3, Adobe RGB, ProPhoto, CMYK or grey photos, converted to sRGB.

A network learned its colours from sRGB, and what is kept and shown carries no profile. Conversion is Little CMS' with
the perceptual intent, through `PIL.ImageCms`. A profile that cannot be used costs the profile, not the photo.
"""

from __future__ import annotations

import io
from functools import lru_cache
from itertools import product
from typing import Final

import numpy as np
from PIL import Image, ImageCms

MOST_BYTES: Final = 8 << 20  # of a profile; the largest of printers have 3 MB
KEPT: Final = 16  # conversions kept ready: photos of one camera share a profile
STEPS: Final = (0, 36, 73, 109, 146, 182, 219, 255)
NEXT_TO_NOTHING: Final = 1  # levels: a profile that changes no colour by more is sRGB under whatever name
PALEST, DARKEST = 200, 110  # levels that white must reach and black must not; otherwise the profile is broken


def convert_to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Convert the pixels of an image (L, RGB or CMYK) from its ICC profile to sRGB; returns an RGB image.

    `profile` is what Pillow found in the file. Where it is missing, broken or of another colour space, the pixels are
    taken as they are.
    """
    if isinstance(profile, bytes) and 0 < len(profile) <= MOST_BYTES:
        transform = find_transform(profile, image.mode)
        if transform is not None:
            return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=KEPT)
def find_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Prepare the conversion of a profile's pixels to sRGB; None where there is nothing to convert or no way to."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.ImageCmsTransform(
            opened, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")), mode, "RGB"
        )
        given = probe_colours(mode)
        found = np.asarray(transform.apply(given), dtype=np.int16)
    except Exception:  # Little CMS refuses broken profiles, and those of another colour space, in many ways
        return None
    plain = np.asarray(given.convert("RGB"), dtype=np.int16)
    if mode == "RGB" and np.abs(found - plain).max() <= NEXT_TO_NOTHING:
        return None
    white = found.reshape(-1, 3)[int(plain.sum(axis=-1).argmax())]
    return transform if white.min() >= PALEST and found.max(axis=-1).min() <= DARKEST else None


def probe_colours(mode: str) -> Image.Image:
    """An image of one row with colours from all over a mode's cube, black and white among them."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    colours = np.array(list(product(STEPS, repeat=bands)), dtype=np.uint8)
    return Image.frombytes(mode, (len(colours), 1), colours.tobytes())
