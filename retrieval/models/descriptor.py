"""A hand-crafted descriptor of colour, texture and shape in 256 numbers, which needs no model file.

Colour is measured twice: under a soft window over the middle of the view, where the fungus mostly is, and in the
remainder around it. Each block of counts is scaled to sum 1 and square-rooted (Hellinger kernel), so that cosine
similarity compares distributions; the blocks are then weighted. Colour is a joint histogram in an opponent space with
soft bins (after Swain and Ballard 1991), texture the histogram of oriented gradients (Dalal and Triggs 2005) and local
binary patterns (Ojala et al. 2002), shape the coarse layout of light and colour over a grid.
It serves for demonstrations and first tests, not for identification in the field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.models.embedder import DIM, Embeddings, View, unit_rows

SIDE: Final = 96  # side in pixels of the square that is described
VERSION: Final = 1
LIGHT, OPPONENT = 3, 6  # bins of lightness and of each opponent colour axis
DIRECTIONS, CELLS, GRID = 8, 2, 4
WEIGHTS: Final = {"middle": 1.0, "rim": 0.5, "gradients": 0.7, "patterns": 0.5, "layout": 0.6}

Plane = NDArray[np.float32]


class Descriptor:
    """A deterministic embedder in NumPy: the same photo gives the same 256 numbers on every machine."""

    short_side = SIDE

    @property
    def model(self) -> str:
        return f"descriptor@{VERSION}"

    @property
    def card(self) -> Mapping[str, Any]:
        return {
            "model": self.model,
            "handle": "descriptor",
            "runtime": "numpy",
            "dimension": DIM,
            "precision": "f32",
            "input": {"short_side": SIDE, "crop": SIDE, "layout": "NHWC", "range": [0, 255]},
            "licence": "Apache-2.0",
            "suitable": "demonstrations, and a first look at a collection before a trained model is at hand",
            "unsuitable": "identification in the field",
        }

    def embed(self, views: Sequence[View]) -> Embeddings:
        if not views:
            return np.zeros((0, DIM), dtype=np.float32)
        return unit_rows(np.stack([describe(view) for view in views]))


def describe(view: View) -> NDArray[np.float64]:
    """Return the descriptor (256,) of one view: the weighted blocks, concatenated. Not scaled to length 1."""
    image = Image.fromarray(view.pixels)
    left, top = (image.width - min(image.size)) // 2, (image.height - min(image.size)) // 2
    square = image.crop((left, top, left + min(image.size), top + min(image.size)))
    if square.width != SIDE:
        square = square.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    rgb = np.asarray(square, dtype=np.float32) / 255.0
    light = rgb @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    middle = window()
    blocks = {
        "middle": count_colours(rgb, light, middle),
        "rim": count_colours(rgb, light, 1.0 - middle),
        "gradients": count_gradients(light, middle),
        "patterns": count_patterns(light, middle),
        "layout": lay_out(rgb, light),
    }
    parts = [WEIGHTS[name] * hellinger(block) for name, block in blocks.items()]
    return np.concatenate(parts)[:DIM]


@cache
def window() -> Plane:
    """Return a Gaussian window (SIDE, SIDE): near 1 in the middle of the square, near 0 at its rim."""
    place = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE * 2 - 1
    distance = place[:, None] ** 2 + place[None, :] ** 2
    return np.exp(-distance / (2 * 0.45**2)).astype(np.float32)


def hellinger(block: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return signed square roots of shares: their dot product compares distributions, and no count dominates."""
    total = float(np.abs(block).sum())
    shares = np.asarray(block, dtype=np.float64) / total if total > 0 else np.full(block.shape, 1.0 / block.size)
    return np.sign(shares) * np.sqrt(np.abs(shares))


def soft_bins(plane: Plane, low: float, high: float, count: int) -> tuple[NDArray[np.int64], Plane]:
    """Return for each pixel its lower bin and the weight of the next bin, for linear interpolation."""
    place = np.clip((plane - low) / (high - low), 0.0, 1.0) * (count - 1)
    lower = np.minimum(place.astype(np.int64), count - 2)
    return lower, (place - lower).astype(np.float32)


def count_colours(rgb: NDArray[np.float32], light: Plane, weight: Plane) -> NDArray[np.float64]:
    """Return a joint histogram (72,) of lightness, red-green and blue-yellow with soft bins.

    Cube roots stretch the colour axes near grey, where most fungi are. Red-green has 4 bins over the middle range.
    """
    red_green = np.cbrt(rgb[..., 0] - rgb[..., 1])
    blue_yellow = np.cbrt(0.5 * (rgb[..., 0] + rgb[..., 1]) - rgb[..., 2])
    axes = (
        soft_bins(light, 0.1, 0.9, LIGHT),
        soft_bins(red_green, -0.5, 0.8, 4),
        soft_bins(blue_yellow, -0.5, 0.9, OPPONENT),
    )
    sizes = (LIGHT, 4, OPPONENT)
    histogram = np.zeros(LIGHT * 4 * OPPONENT)
    for corner in range(8):
        number, share = np.zeros(light.shape, np.int64), weight.copy()
        for axis, ((lower, upper_share), size) in enumerate(zip(axes, sizes, strict=True)):
            upper = corner >> axis & 1
            number = number * size + lower + upper
            share = share * (upper_share if upper else 1.0 - upper_share)
        histogram += np.bincount(number.ravel(), share.ravel(), len(histogram))
    return histogram


def count_gradients(light: Plane, weight: Plane) -> NDArray[np.float64]:
    """Return histograms of oriented gradients (48,): fine and coarse in the middle, and 2 x 2 cells, 8 bins each."""
    blocks = []
    for step in (1, 3):
        down = light[2 * step :, step:-step] - light[: -2 * step, step:-step]
        across = light[step:-step, 2 * step :] - light[step:-step, : -2 * step]
        strength = np.hypot(down, across)
        turn = (np.arctan2(down, across) / np.pi * DIRECTIONS).astype(np.int64) % DIRECTIONS  # modulo 180 degrees
        seen = weight[step:-step, step:-step]
        blocks.append(np.bincount(turn.ravel(), (strength * seen).ravel(), DIRECTIONS))
        if step == 1:
            half = strength.shape[0] // 2
            for rows in (slice(None, half), slice(half, None)):
                for columns in (slice(None, half), slice(half, None)):
                    cell = (rows, columns)
                    blocks.append(np.bincount(turn[cell].ravel(), strength[cell].ravel(), DIRECTIONS))
    return np.concatenate(blocks)


def count_patterns(light: Plane, weight: Plane) -> NDArray[np.float64]:
    """Return histograms (16,) of rotation-invariant uniform local binary patterns at radius 1 and 3, 8 bins each.

    A uniform pattern is the number of a pixel's 8 neighbours that are lighter, where they are contiguous.
    """
    blocks = []
    for radius in (1, 3):
        centre = light[radius:-radius, radius:-radius]
        shifts = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
        height, width = light.shape
        ring = np.stack(
            [
                light[
                    radius + y * radius : height - radius + y * radius,
                    radius + x * radius : width - radius + x * radius,
                ]
                > centre + 0.01
                for y, x in shifts
            ]
        )
        changes = np.count_nonzero(ring != np.roll(ring, 1, axis=0), axis=0)
        lighter = np.count_nonzero(ring, axis=0)
        pattern = np.where(changes <= 2, np.minimum(lighter, 6), 7)
        seen = weight[radius:-radius, radius:-radius]
        blocks.append(np.bincount(pattern.ravel(), seen.ravel(), 8))
    return np.concatenate(blocks)


def lay_out(rgb: NDArray[np.float32], light: Plane) -> NDArray[np.float64]:
    """Return the layout (48,): means of lightness, red-green and yellow-blue over a 4 x 4 grid, each centred."""
    planes = np.stack([light, rgb[..., 0] - rgb[..., 1], 0.5 * (rgb[..., 0] + rgb[..., 1]) - rgb[..., 2]])
    cell = SIDE // GRID
    means = planes.reshape(3, GRID, cell, GRID, cell).mean(axis=(2, 4), dtype=np.float64)
    spread: NDArray[np.float64] = means - means.mean(axis=(1, 2), keepdims=True)
    return spread.ravel()
