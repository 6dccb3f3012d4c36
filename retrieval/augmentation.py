"""Several views of one photo, embedded each and pooled to one row: crops and mirror images by a named recipe.

Pooled is the direction of the mean embedding: the search costs what it costs for one view, and calibration stays
what it was. What each recipe gains and costs on real photographs stands in docs/models.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from retrieval.embedder import DIM, Embedder, Embeddings, View, unit_rows
from retrieval.errors import ImpossibleWish


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a photo: a share of both sides, and where it lies; 0 is left or top, 1 right or bottom."""

    share: float = 1.0
    across: float = 0.5
    down: float = 0.5
    mirrored: bool = False


WHOLE: Final = "whole"
CORNERS = tuple(Crop(0.6, across, down) for down in (0.0, 1.0) for across in (0.0, 1.0))
CUTS = (Crop(), Crop(0.8), Crop(0.6), *CORNERS)

RECIPES: Final[Mapping[str, tuple[Crop, ...]]] = {
    WHOLE: (Crop(),),
    "mirrored": (Crop(), Crop(mirrored=True)),
    "two-scales": (Crop(), Crop(0.8)),
    "fourteen": tuple(
        Crop(cut.share, cut.across, cut.down, mirrored) for cut in CUTS for mirrored in (False, True)
    ),  # of the Danish service
}


def check_recipe(recipe: str) -> None:
    """Raise ImpossibleWish for a recipe that there is not."""
    if recipe not in RECIPES:
        raise ImpossibleWish(f"views are made by {', '.join(RECIPES)}, not by {recipe!r}")


def side_to_decode(short_side: int, recipe: str) -> int:
    """Pixels that a photo's shorter side needs so that the smallest crop has `short_side`."""
    return round(short_side / min(crop.share for crop in RECIPES[recipe]))


def cut_views(view: View, short_side: int, recipe: str) -> list[View]:
    """The views of a photo that was decoded at `side_to_decode`."""
    return [View(cut(view, short_side, crop), view.aspect) for crop in RECIPES[recipe]]


def cut(view: View, short_side: int, crop: Crop) -> np.ndarray:
    """One crop, its shorter side scaled to `short_side`."""
    pixels = view.pixels
    if crop.share < 1.0:
        height, width = (round(side * crop.share) for side in pixels.shape[:2])
        top = round((pixels.shape[0] - height) * crop.down)
        left = round((pixels.shape[1] - width) * crop.across)
        pixels = pixels[top : top + height, left : left + width]
    factor = short_side / min(pixels.shape[:2])
    if factor != 1.0:
        size = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0))
    return pixels[:, ::-1] if crop.mirrored else pixels


def embed_photos_views(views: Sequence[View], embedder: Embedder, recipe: str) -> Embeddings:
    """One row for each photo, (photos, 256), from photos decoded at `side_to_decode`."""
    if recipe == WHOLE or not views:
        return embedder.embed(views)
    each = [cut_views(view, embedder.short_side, recipe) for view in views]
    rows = embedder.embed([part for parts in each for part in parts])
    return unit_rows(rows.reshape(len(views), len(RECIPES[recipe]), DIM).mean(axis=1, dtype=np.float64))
