"""Brushes: noise and cell tiles, shading by a light, blending onto a picture. Independent of fungi."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[np.floating[Any]]  # (height, width), float32 for speed
Picture: TypeAlias = NDArray[np.floating[Any]]  # (height, width, 3), float32; red, green, blue, 0 to 1
Pixels: TypeAlias = NDArray[np.uint8]  # (height, width, 3)

TILE = 512
"""Edge of a texture tile in pixels; a power of two, so that wrapping is a bit mask."""

CELLS = 20
"""Cells along the edge of a cell tile."""


@dataclass(frozen=True, slots=True)
class Light:
    """The direction of the light in picture axes: x right, y down, z towards the viewer. Length 1."""

    x: float
    y: float
    z: float


@dataclass(frozen=True, slots=True)
class Cells:
    """A tile of round cells about scattered points, as scales, pores and warts are made of. All planes (TILE, TILE)."""

    distance: Plane  # to the nearest point, in cells: 0 to about 1
    wall: Plane  # 0 where two cells meet
    value: Plane  # a number per cell, 0 to 1


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of the picture to paint into, with the coordinates of its pixels."""

    left: int
    top: int
    x: Plane  # pixels right of the object's centre
    y: Plane  # pixels below it


def patch_of(canvas: Picture, centre: tuple[float, float], box: tuple[float, float, float, float]) -> Patch:
    """Return the patch of a canvas inside `box` (left, top, right, bottom, in pixels from the centre)."""
    height, width = canvas.shape[:2]
    x, y = centre
    left, top = max(0, int(x + box[0])), max(0, int(y + box[1]))
    right, bottom = min(width, int(x + box[2]) + 1), min(height, int(y + box[3]) + 1)
    xs = np.arange(left, max(right, left), dtype=np.float32) - np.float32(x)
    ys = np.arange(top, max(bottom, top), dtype=np.float32) - np.float32(y)
    grid_x, grid_y = np.broadcast_arrays(xs[None, :], ys[:, None])
    return Patch(left, top, grid_x, grid_y)


def blend(canvas: Picture, patch: Patch, colour: Picture | Plane, cover: Plane) -> None:
    """Blend a colour into the canvas by `cover` (0 to 1). Only this function changes a canvas."""
    height, width = cover.shape
    area = canvas[patch.top : patch.top + height, patch.left : patch.left + width]
    area += cover[..., None] * (colour - area)


def shadow(canvas: Picture, centre: tuple[float, float], reach: tuple[float, float], depth: float) -> None:
    """Darken a soft ellipse of half axes `reach`, in pixels."""
    patch = patch_of(canvas, centre, (-reach[0] * 1.6, -reach[1] * 1.6, reach[0] * 1.6, reach[1] * 1.6))
    if patch.x.size == 0:
        return
    far = np.square(patch.x / np.float32(reach[0])) + np.square(patch.y / np.float32(reach[1]))
    cover = np.float32(depth) * np.exp(-1.3 * far * far)
    blend(canvas, patch, np.zeros((1, 1, 3), np.float32), cover)


def flat(rgb: tuple[float, float, float]) -> Picture:
    """Return a colour as a picture of one pixel."""
    return np.array(rgb, dtype=np.float32)[None, None, :]


def mix(first: Picture, second: Picture, amount: Plane) -> Picture:
    """Interpolate between two colours by an amount per pixel."""
    return first + amount[..., None] * (second - first)


def ramp(plane: Plane, low: float, high: float) -> Plane:
    """Rise smoothly from 0 at `low` to 1 at `high`."""
    t: Plane = np.clip((plane - low) / (high - low), 0, 1)
    smooth: Plane = t * t * (3 - 2 * t)
    return smooth


def shade(
    colour: Picture, slope_x: Plane, slope_y: Plane, light: Light, gloss: float, ambient: float = 0.46
) -> Picture:
    """Light a surface whose height falls by `slope` per step along x and y."""
    length = 1 / np.sqrt(slope_x * slope_x + slope_y * slope_y + 1)
    diffuse = np.maximum((slope_x * light.x + slope_y * light.y + light.z) * length, 0)
    lit = colour * (ambient + (1.12 - ambient) * diffuse)[..., None]
    if gloss > 0:
        half = np.array([light.x, light.y, light.z + 1])
        hx, hy, hz = (float(part) for part in half / np.linalg.norm(half))
        shine = np.maximum((slope_x * hx + slope_y * hy + hz) * length, 0)
        for _ in range(4):  # to the 16th power
            shine = shine * shine
        lit += (gloss * 0.6 * shine)[..., None]
    return lit


def relief(bump: Plane, strength: float) -> tuple[Plane, Plane]:
    """Return how much a surface falls along x and y, from its height in pixels."""
    if min(bump.shape) < 2:
        return np.zeros_like(bump), np.zeros_like(bump)
    fall_y, fall_x = np.zeros_like(bump), np.zeros_like(bump)
    fall_x[:, 1:] = (bump[:, :-1] - bump[:, 1:]) * strength
    fall_y[1:] = (bump[:-1] - bump[1:]) * strength
    return fall_x, fall_y


def pick(tile: Plane, x: Plane, y: Plane) -> Plane:
    """Read a tile at pixel coordinates, wrapping around its edges."""
    found: Plane = tile[y.astype(np.int32) & (TILE - 1), x.astype(np.int32) & (TILE - 1)]
    return found


@lru_cache(maxsize=8)
def noise_tile(seed: int, roughness: float = 1.6) -> Plane:
    """Return a seamless cloud, (TILE, TILE), about 0.5 with deviation 0.2; a higher `roughness` is smoother."""
    rng = np.random.default_rng([seed, 7])
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE)))
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :]) * TILE
    frequency[0, 0] = 1e9
    cloud = np.fft.irfft2(spectrum * np.maximum(frequency, 3.0) ** -roughness, s=(TILE, TILE))
    cloud = 0.5 + 0.2 * cloud / cloud.std()
    return np.asarray(np.clip(cloud, 0, 1), np.float32)


@lru_cache(maxsize=2)
def grain_tile(seed: int) -> Plane:
    """Return white noise of deviation 1, (TILE, TILE): a sensor's."""
    return np.random.default_rng([seed, 11]).standard_normal((TILE, TILE)).astype(np.float32)


@lru_cache(maxsize=4)
def cell_tile(seed: int, jitter: float = 0.75) -> Cells:
    """Return a seamless tile of CELLS x CELLS cells about jittered points."""
    rng = np.random.default_rng([seed, 13])
    points = rng.uniform(-jitter / 2, jitter / 2, (2, CELLS, CELLS))
    values = rng.random((CELLS, CELLS))
    at = (np.arange(TILE) + 0.5) * CELLS / TILE
    home = at.astype(int)
    first = np.full((TILE, TILE), 9.0)
    second = np.full((TILE, TILE), 9.0)
    value = np.zeros((TILE, TILE))
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            rows, columns = (home + down) % CELLS, (home + right) % CELLS
            py = (home + down)[:, None] + 0.5 + points[0][rows[:, None], columns[None, :]]
            px = (home + right)[None, :] + 0.5 + points[1][rows[:, None], columns[None, :]]
            distance = np.hypot(at[:, None] - py, at[None, :] - px)
            nearer = distance < first
            second = np.where(nearer, first, np.minimum(second, distance))
            value = np.where(nearer, values[rows[:, None], columns[None, :]], value)
            first = np.where(nearer, distance, first)
    return Cells(first.astype(np.float32), (second - first).astype(np.float32), value.astype(np.float32))
