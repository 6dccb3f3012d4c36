"""Regions of interest, and test-time augmentation: crops of a photo whose embeddings are averaged.

`full` has 14 crops: the whole, central crops of 80 % and 60 % and four corner crops of 60 %, each also mirrored.
`two-scale` has the whole and its centre, `mirrored` the whole and its mirror image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.errors import InvalidOption
from retrieval.models.embedder import Embeddings, Pixels, View, unit_rows
from retrieval.photos.views import PhotoLimits, cut_strip, decode_view, open_photo, scale_upright

AUGMENTATIONS: Final = ("none", "mirrored", "two-scale", "full")
SMALLEST_SHARE: Final = 0.02  # of a side; a smaller box is an accidental touch
CORNER: Final = 0.6
MOST_ENLARGED: Final = 4.0  # a small box needs a larger photo; limit, as a multiple of the view's side


@dataclass(frozen=True, slots=True)
class Box:
    """A region of interest of the upright photo, in fractions of its width and height (0 to 1).

    Raises InvalidOption for a box that is too small or not within the photo.
    """

    left: float
    top: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if not (0 <= self.left <= 1 and 0 <= self.top <= 1):
            raise InvalidOption("a box must begin within the photo: left and top are fractions from 0 to 1")
        if not (self.width >= SMALLEST_SHARE and self.height >= SMALLEST_SHARE):
            raise InvalidOption(f"a box must have at least {SMALLEST_SHARE:.0%} of the photo's width and height")
        if self.left + self.width > 1 + 1e-6 or self.top + self.height > 1 + 1e-6:
            raise InvalidOption("a box must end within the photo: left + width and top + height are at most 1")


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """Regions of interest and augmentation of an observation's photos; the default is each whole photo, once."""

    boxes: Sequence[Box | None] = ()  # one for each photo, None for the whole photo; empty: all whole
    augmentation: str = "none"

    def check(self, photos: int) -> None:
        """Raise InvalidOption for an unknown augmentation, or a wrong number of boxes for so many photos."""
        if self.augmentation not in AUGMENTATIONS:
            raise InvalidOption(f"augmentations are {', '.join(AUGMENTATIONS)}, not {self.augmentation!r}")
        if self.boxes and len(self.boxes) != photos:
            raise InvalidOption(f"{len(self.boxes)} boxes were given for {photos} photos")


WHOLE: Final = ViewOptions()


def decode_crops(
    photo: bytes, short_side: int, limits: PhotoLimits, *, box: Box | None = None, augmentation: str = "none"
) -> list[View]:
    """Decode a photo to the views of an augmentation; "none" gives one. Raises the errors of `decode_view`."""
    if box is None and augmentation == "none":
        return [decode_view(photo, short_side, limits)]
    enlarged = 1.0 if augmentation in {"none", "mirrored"} else 1 / CORNER
    if box is None:
        whole = decode_view(photo, round(short_side * enlarged), limits).pixels
    else:
        whole = decode_box(photo, short_side * enlarged, limits, box)
    return [View(pixels) for pixels in cut_crops(whole, augmentation)]


def decode_box(photo: bytes, side: float, limits: PhotoLimits, box: Box) -> Pixels:
    """Decode the part of the photo inside the box, scaled so that its shorter side has about `side` pixels."""
    longest = MOST_ENLARGED * side

    def scale(width: int, height: int) -> float:
        inside = min(width * box.width, height * box.height)
        return min(1.0, side / inside, longest / min(width, height))

    with open_photo(photo, limits) as image:
        upright = scale_upright(image, scale, cut=False)
        part = upright.crop(
            (
                round(box.left * upright.width),
                round(box.top * upright.height),
                max(round((box.left + box.width) * upright.width), round(box.left * upright.width) + 1),
                max(round((box.top + box.height) * upright.height), round(box.top * upright.height) + 1),
            )
        )
        part = cut_strip(part)
        if min(part.size) < side:
            factor = side / min(part.size)
            size = (round(part.width * factor), round(part.height * factor))
            part = part.resize(size, Image.Resampling.BICUBIC)
        return np.asarray(part)


def cut_crops(whole: Pixels, augmentation: str) -> list[Pixels]:
    """Return the crops of an augmentation, the whole first."""
    if augmentation == "none":
        return [whole]
    if augmentation == "mirrored":
        return [whole, np.ascontiguousarray(whole[:, ::-1])]
    if augmentation == "two-scale":
        return [whole, crop_pixels(whole, CORNER, 0.5, 0.5)]
    corners = [crop_pixels(whole, CORNER, across, down) for across in (0.0, 1.0) for down in (0.0, 1.0)]
    upright = [whole, crop_pixels(whole, 0.8, 0.5, 0.5), crop_pixels(whole, CORNER, 0.5, 0.5), *corners]
    return [*upright, *(np.ascontiguousarray(crop[:, ::-1]) for crop in upright)]


def crop_pixels(whole: Pixels, share: float, across: float, down: float) -> Pixels:
    """Crop a share of each side, positioned by `across` (0 left, 1 right) and `down` (0 top, 1 bottom)."""
    height, width = max(1, round(whole.shape[0] * share)), max(1, round(whole.shape[1] * share))
    top, left = round((whole.shape[0] - height) * down), round((whole.shape[1] - width) * across)
    return np.ascontiguousarray(whole[top : top + height, left : left + width])


def pool_crops(embeddings: Embeddings, counts: Sequence[int]) -> Embeddings:
    """Average and normalise the embeddings of each photo's crops; `counts` are crops per photo. Gives (photos, 256)."""
    ends = np.cumsum(counts).tolist()
    means: list[NDArray[np.float64]] = [
        embeddings[end - count : end].mean(axis=0, dtype=np.float64) for end, count in zip(ends, counts, strict=True)
    ]
    return unit_rows(np.stack(means)) if any(count > 1 for count in counts) else embeddings
