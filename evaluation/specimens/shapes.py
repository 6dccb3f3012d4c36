"""Bodies: caps as surfaces of revolution and stems as bent cylinders, seen from above, from below or from the side."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from evaluation.specimens.canvas import Light, Patch, Picture, Plane, blend, patch_of, ramp, relief, shade
from evaluation.specimens.traits import Individual

Skin: TypeAlias = Callable[[Plane, Plane, Plane], tuple[Picture, Plane]]
"""Colour and bump at points (r, x, y) of a disc, or (t, v, x) of a stem."""

_STEPS = 256


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one fungus is in a photo."""

    x: float  # pixels
    y: float
    radius: float  # of its cap, in pixels
    turn: float  # radians in the picture's plane
    tilt: float  # sine of the camera's height above the horizon: 1 looks straight down


@dataclass(frozen=True, slots=True)
class Stem:
    """A stipe's axis from apex to base, in pixels, bent like a hook; half width at the apex and swelling below."""

    top: tuple[float, float]
    base: tuple[float, float]
    half: float
    swelling: float

    def coordinates(self, patch: Patch) -> tuple[Plane, Plane, Plane]:
        """Return t (0 apex, 1 base), offset from the axis and half width, in pixels, of a patch centred on the base."""
        length = self.base[1] - self.top[1]
        t = (patch.y + np.float32(length)) / np.float32(length)
        lean = self.top[0] - self.base[0]
        offset = patch.x - lean * np.square(1 - t)
        return t, offset, self.half * (1 + (self.swelling - 1) * np.clip(t, 0, 1) ** 2)


@lru_cache(maxsize=256)
def _profile(shape: str, stage: int) -> tuple[Plane, Plane]:
    """Return height and fall of a cap from its centre to its margin, in radii; `stage` 0 young to 8 old."""
    age = stage / 8
    r = np.linspace(0, 1, _STEPS)
    height = _SHAPES[shape](r, age)
    return height.astype(np.float32), (-np.gradient(height, r)).astype(np.float32)


_SHAPES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "convex": lambda r, age: (0.78 - 0.34 * age) * (1 - r**2.2) ** 0.8,
    "cushion": lambda r, age: (0.85 - 0.3 * age) * (1 - r**3) ** 0.7,
    "bell": lambda r, age: (
        (1.25 - 0.4 * age) * (np.exp(-((r / 0.6) ** 2)) - math.exp(-((1 / 0.6) ** 2))) + 0.1 * (1 - r)
    ),
    "flat": lambda r, age: (0.4 - 0.18 * age) * (1 - r**4),
    "umbonate": lambda r, age: (0.42 - 0.15 * age) * (1 - r**2.5) + 0.24 * np.exp(-((r / 0.22) ** 2)),
    "depressed": lambda r, age: 0.36 * (1 - r**6) - (0.1 + 0.25 * age) * np.exp(-((r / 0.45) ** 2)),
    "funnel": lambda r, age: 0.14 * (1 - r**8) - (0.35 + 0.35 * age) * np.exp(-((r / 0.42) ** 2)),
    "shelf": lambda r, age: 0.4 * (1 - r**2.2),
    "hoof": lambda r, age: 0.75 * (1 - r**2.4) ** 0.8,
    "dish": lambda r, age: -0.75 * (1 - r**2.5),
    "ball": lambda r, age: 0.95 * np.sqrt(np.maximum(1 - r**2.1, 0.004)),
    "under": lambda r, age: -0.16 * (1 - r**2),
}


def profile(shape: str, age: float) -> tuple[Plane, Plane]:
    """Return height and fall of a cap shape at 256 steps from centre to margin, in cap radii."""
    return _profile(shape, round(age * 8))


def outline(individual: Individual, wavy: float, theta: Plane) -> Plane:
    """Return how far an individual's margin lies out in each direction, about 1."""
    rng = np.random.default_rng(individual.seed)
    reach = np.ones_like(theta)
    for lobes in (2, 3, 5, 8):
        amount = float(rng.normal(0, (0.012 + 0.05 * wavy) / math.sqrt(lobes - 1)))
        reach = reach + amount * np.cos(lobes * theta + float(rng.uniform(0, math.tau)))
    if individual.damage > 0.35:  # something has bitten it
        away = np.abs((theta - float(rng.uniform(-math.pi, math.pi)) + math.pi) % math.tau - math.pi)
        reach = reach - 0.22 * individual.damage * (1 - ramp(away, 0.05, 0.2))
    return reach


def paint_disc(
    canvas: Picture,
    individual: Individual,
    spot: Spot,
    shape: str,
    skin: Skin,
    light: Light,
    *,
    wavy: float,
    gloss: float,
    half: bool = False,
) -> None:
    """Paint a cap or an underside seen from above, turned and foreshortened; `half` keeps the lower half only."""
    reach = spot.radius * 1.25
    patch = patch_of(canvas, (spot.x, spot.y), (-reach, -reach, reach, reach))
    if patch.x.size == 0:
        return
    height, fall = profile(shape, individual.age)
    down, up = patch.y / spot.radius, 0.0 if half else math.sqrt(max(0.0, 1 - spot.tilt**2))
    x0 = patch.x / spot.radius
    y0 = down / spot.tilt
    r = np.hypot(x0, y0)
    for _ in range(2 if up > 0.05 else 0):  # what stands higher is seen further up in the picture
        rise = height[np.minimum(r * (_STEPS - 1), _STEPS - 1).astype(np.int32)] - height[-1]
        y0 = (down + rise * up * 0.7) / spot.tilt
        r = np.hypot(x0, y0)
    theta = np.arctan2(y0, x0)
    edge = outline(individual, wavy, theta)
    r = r / edge
    cover = np.clip((1 - r) * spot.radius * 0.8 + 0.5, 0, 1)
    if half:
        back = 0.05 * np.sin(x0 * 5 + individual.seed % 7) + 0.025 * np.sin(x0 * 17 + individual.seed % 5)
        cover = cover * np.clip((y0 + back + 0.12) * spot.radius * 0.5 + 0.5, 0, 1)
    cos, sin = math.cos(spot.turn), math.sin(spot.turn)
    x, y = (x0 * cos + y0 * sin) / edge, (y0 * cos - x0 * sin) / edge
    colour, bump = skin(r, x, y)
    slope = fall[np.minimum(r * (_STEPS - 1), _STEPS - 1).astype(np.int32)]
    away = 1 / np.maximum(r * edge, 1e-3)
    fall_x, fall_y = relief(bump, 0.22)
    lit = shade(colour, slope * x0 * away + fall_x, slope * y0 * away * spot.tilt - 0.5 * up + fall_y, light, gloss)
    lit *= (1 - 0.45 * ramp(r, 0.93, 1.02))[..., None]  # a drawn line round the margin
    blend(canvas, patch, lit, cover)


def paint_dome(
    canvas: Picture,
    individual: Individual,
    spot: Spot,
    shape: str,
    skin: Skin,
    light: Light,
    *,
    wavy: float,
    gloss: float,
) -> None:
    """Paint a cap seen from the side; the spot is the middle of its margin, `tilt` small."""
    height, fall = profile(shape, individual.age)
    height = np.maximum.accumulate(height[::-1])[::-1]  # a hollow middle is hidden by what stands before it
    tallest = float(height[0])
    reach = spot.radius * 1.1
    patch = patch_of(
        canvas, (spot.x, spot.y), (-reach, -spot.radius * (tallest + 0.35), reach, spot.radius * (spot.tilt + 0.35))
    )
    if patch.x.size == 0:
        return
    cos, sin = math.cos(spot.turn), math.sin(spot.turn)
    x = (patch.x * cos + patch.y * sin) / spot.radius
    up = (patch.x * sin - patch.y * cos) / spot.radius
    up = up + wavy * 0.05 * np.sin(x * 7 + individual.seed % 7) + wavy * 0.03 * np.sin(x * 13 + individual.seed % 5)
    beside = np.minimum(np.abs(x), 1)
    low, high = beside * (_STEPS - 1), np.full_like(x, _STEPS - 1)
    for _ in range(8):  # find the ring of the cap that is seen here
        middle = (low + high) * np.float32(0.5)
        r = middle / (_STEPS - 1)
        front = np.sqrt(np.maximum(r * r - x * x, 0))
        above = height[middle.astype(np.int32)] - spot.tilt * front > up
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    r = low / (_STEPS - 1)
    front = np.sqrt(np.maximum(r * r - x * x, 0))
    crest = height[(beside * (_STEPS - 1)).astype(np.int32)] - up
    rim = up + spot.tilt * np.sqrt(np.maximum(1 - x * x, 0))
    inside = np.minimum(np.minimum(crest, rim), (1 - np.abs(x)) * 1.5)
    cover = np.clip(inside * spot.radius + 0.5, 0, 1)
    colour, bump = skin(r, x, front)
    slope = fall[(r * (_STEPS - 1)).astype(np.int32)]
    away = 1 / np.maximum(r, 1e-3)
    nx, ny = slope * x * away, slope * front * away
    cos_tilt = math.sqrt(1 - spot.tilt**2)
    towards = np.maximum(ny * cos_tilt + spot.tilt, 0.12)
    fall_x, fall_y = relief(bump, 0.22)
    lit = shade(colour, nx / towards + fall_x, -(cos_tilt - ny * spot.tilt) / towards * 0.6 + fall_y, light, gloss)
    lit *= (1 - 0.4 * (1 - ramp(inside, 0.0, 0.05)))[..., None]
    blend(canvas, patch, lit, cover)


def paint_stem(
    canvas: Picture,
    stem: Stem,
    skin: Skin,
    light: Light,
    *,
    span: tuple[float, float] = (0.0, 1.0),
    flare: Callable[[Plane], Plane] | None = None,
    ragged: float = 0.0,
    gloss: float = 0.05,
) -> None:
    """Paint a stipe, or a sleeve about it between two heights (`span`, in t) widened by `flare`."""
    length = stem.base[1] - stem.top[1]
    wide = stem.half * max(stem.swelling, 1) * 2.6 + abs(stem.top[0] - stem.base[0])
    if flare is not None:
        wide = max(wide, stem.half * float(np.max(flare(np.linspace(*span, 9, dtype=np.float32)))) * 1.6 + wide / 2)
    patch = patch_of(canvas, stem.base, (-wide, (span[0] - 1.06) * length, wide, (span[1] - 1 + 0.06) * length))
    if patch.x.size == 0:
        return
    t, offset, half = stem.coordinates(patch)
    if flare is not None:
        half = half * flare(np.clip(t, *span))
    v = offset / half
    foot = np.sqrt(np.maximum(1 - v * v, 0)) * stem.half * 0.3 / length  # ends are round
    wave = ragged * np.sin(v * 9 + stem.base[0])
    cover = np.clip((1 - np.abs(v)) * half + 0.5, 0, 1)
    cover = cover * np.clip((t - span[0] + wave - foot * 0.5 + 0.5 / length) * length, 0, 1)
    cover = cover * np.clip((span[1] + foot - t + 0.5 / length) * length, 0, 1)
    colour, bump = skin(t, np.clip(v, -1, 1), offset)
    fall_x, fall_y = relief(bump, 0.2)
    bulge = np.clip(v, -0.97, 0.97)
    lit = shade(colour, bulge / np.sqrt(1 - bulge * bulge) + fall_x, fall_y - 0.1, light, gloss)
    lit *= (1 - 0.35 * ramp(np.abs(v), 0.86, 1.0))[..., None]
    blend(canvas, patch, lit, cover)
