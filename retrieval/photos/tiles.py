"""Tiling of photos: overlapping squares of a photo that shows several species, each identified separately."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from retrieval.errors import InvalidOption

Box: TypeAlias = tuple[int, int, int, int]
"""left, top, right, bottom in pixels; right and bottom are exclusive."""

MOST: Final = 400  # largest number of tiles of a photo


@dataclass(frozen=True, slots=True)
class Tiling:
    """Sizes and strides of a photo's tiles."""

    size: int = 600  # pixels of a tile's side
    stride: int = 300  # pixels from one tile to the next
    factor: float = 2**0.5  # growth of size and stride from one scale to the next
    multi_scale: bool = False  # whether to add larger tiles, up to the shorter side of the photo


def cut_boxes(width: int, height: int, tiling: Tiling) -> list[Box]:
    """Return the tiles of a photo, smallest scale first, row by row; the last of each row ends at the edge.

    The side of a tile is at most the shorter side of the photo. Raises InvalidOption for more than MOST tiles.
    """
    boxes: list[Box] = []
    scale = 1.0
    while True:
        side = min(round(tiling.size * scale), width, height)
        stride = max(1, round(tiling.stride * scale))
        lefts, tops = list(starts(width, side, stride)), list(starts(height, side, stride))
        if len(boxes) + len(lefts) * len(tops) > MOST:
            raise InvalidOption(f"the photo would be cut into more than {MOST} tiles: ask for larger ones or strides")
        boxes += [(left, top, left + side, top + side) for top in tops for left in lefts]
        if not tiling.multi_scale or side >= min(width, height):
            return boxes
        scale *= tiling.factor


def starts(length: int, side: int, stride: int) -> Iterator[int]:
    """Yield the first pixel of each tile along one side of a photo."""
    yield from range(0, length - side, stride)
    yield length - side


def covered(boxes: list[Box], width: int, height: int) -> float:
    """Return the share of a photo's area that is covered by the union of the boxes."""
    xs = sorted({edge for box in boxes for edge in (box[0], box[2])})
    ys = sorted({edge for box in boxes for edge in (box[1], box[3])})
    inside = np.zeros((max(len(ys) - 1, 0), max(len(xs) - 1, 0)), dtype=np.bool_)
    for left, top, right, bottom in boxes:
        inside[ys.index(top) : ys.index(bottom), xs.index(left) : xs.index(right)] = True
    if not inside.size:
        return 0.0
    areas = np.outer(np.diff(ys), np.diff(xs))
    return float(areas[inside].sum()) / (width * height)
