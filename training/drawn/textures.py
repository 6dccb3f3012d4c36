"""Procedural textures of things other than fungi, so that a network learns more than one drawing style.

A texture is a set of parameters; evaluated at coordinates it gives a value from 0 to 1 per pixel, which a palette
turns into colour and lighting into relief. Kinds in HELD_OUT are only used for evaluation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from evaluation.specimens.canvas import TILE, Plane, cell_tile, noise_tile, pick, ramp

KINDS = ("cloud", "grains", "stripes", "cells", "spots", "cracks", "fibres", "rings", "rays", "weave", "bark", "moss")
"""Textures that are trained on."""

HELD_OUT = ("labyrinth", "coral spots", "branches", "terraces")
"""Textures kept for validation: two of reaction and diffusion, one of branching, one of levels of noise."""

_RATES = {"labyrinth": (0.029, 0.057), "coral spots": (0.035, 0.065)}


@dataclass(frozen=True, slots=True)
class Texture:
    """A texture of one class of things. Individuals of the class only shift its coordinates."""

    kind: str
    grain: float  # pieces per unit of length
    stretch: float  # along one axis against the other
    heading: float  # radians
    warp: float  # how far noise bends it
    sharp: float  # 0 soft, 1 hard edges
    level: float  # 0 to 1: how much is covered
    tile: int  # which of the noise tiles


def sample_texture(rng: np.random.Generator, kinds: tuple[str, ...] = KINDS) -> Texture:
    """Draw a texture of one of some kinds."""
    return Texture(
        kind=str(rng.choice(kinds)),
        grain=float(np.exp(rng.uniform(math.log(2.0), math.log(14.0)))),
        stretch=float(np.exp(rng.uniform(-0.7, 0.7))),
        heading=float(rng.uniform(0, math.pi)),
        warp=float(rng.uniform(0, 0.5)),
        sharp=float(rng.random()),
        level=float(rng.uniform(0.3, 0.7)),
        tile=int(rng.integers(2)),
    )


def paint_texture(texture: Texture, x: Plane, y: Plane, shift: tuple[float, float]) -> Plane:
    """Return the texture's value, 0 to 1, at coordinates in lengths of the thing; `shift` is the individual's."""
    cos, sin = math.cos(texture.heading), math.sin(texture.heading)
    u = (x * cos - y * sin) * texture.grain * texture.stretch + shift[0]
    v = (x * sin + y * cos) * texture.grain / texture.stretch + shift[1]
    if texture.warp > 0.05:
        bend = pick(noise_tile(2), u * 21, v * 21) - np.float32(0.5)
        u, v = u + bend * np.float32(2 * texture.warp), v - bend * np.float32(1.6 * texture.warp)
    value = _PAINTERS[texture.kind](texture, u.astype(np.float32), v.astype(np.float32))
    width = 0.5 * (1.05 - texture.sharp)
    return ramp(value, texture.level - width, texture.level + width)


def _noise(texture: Texture, u: Plane, v: Plane, scale: float, roughness: float = 1.6) -> Plane:
    return pick(noise_tile(texture.tile, roughness), u * np.float32(scale) + 4096, v * np.float32(scale) + 4096)


def _cells(texture: Texture, u: Plane, v: Plane, plane: str) -> Plane:
    scale = np.float32(TILE / 20)
    cells = cell_tile(texture.tile)
    return pick({"wall": cells.wall, "distance": cells.distance, "value": cells.value}[plane], u * scale, v * scale)


def _wave(phase: Plane) -> Plane:
    return np.asarray(0.5 + 0.5 * np.cos(np.float32(math.tau) * phase), np.float32)


def _cloud(texture: Texture, u: Plane, v: Plane) -> Plane:
    return _noise(texture, u, v, 24)


def _grains(texture: Texture, u: Plane, v: Plane) -> Plane:
    return _noise(texture, u, v, 40, 0.6)


def _stripes(texture: Texture, u: Plane, v: Plane) -> Plane:
    return _wave(u)


def _cell_walls(texture: Texture, u: Plane, v: Plane) -> Plane:
    return 1 - ramp(_cells(texture, u, v, "wall"), 0.05, 0.5)


def _spots(texture: Texture, u: Plane, v: Plane) -> Plane:
    return 1 - ramp(_cells(texture, u, v, "distance"), 0.15, 0.65)


def _cracks(texture: Texture, u: Plane, v: Plane) -> Plane:
    return 0.25 + 0.5 * _cells(texture, u, v, "value") + 0.4 * (_cells(texture, u, v, "wall") < 0.1)


def _fibres(texture: Texture, u: Plane, v: Plane) -> Plane:
    return _noise(texture, u * np.float32(3), v * np.float32(0.25), 34, 1.0)


def _rings(texture: Texture, u: Plane, v: Plane) -> Plane:
    return _wave(np.hypot(u - np.float32(3), v) * np.float32(0.8))


def _rays(texture: Texture, u: Plane, v: Plane) -> Plane:
    count = 6 + round(texture.grain * 2)
    return _wave(np.arctan2(v, u) / np.float32(math.tau) * count)


def _weave(texture: Texture, u: Plane, v: Plane) -> Plane:
    return np.maximum(_wave(u) * (np.floor(v) % 2 < 1), _wave(v) * (np.floor(u) % 2 < 1))


def _bark(texture: Texture, u: Plane, v: Plane) -> Plane:
    ridges = np.abs(_noise(texture, u * np.float32(1.6), v * np.float32(0.4), 26) - np.float32(0.5))
    return np.asarray(1 - 4 * ridges + 0.3 * _noise(texture, u, v, 90, 0.6), np.float32)


def _moss(texture: Texture, u: Plane, v: Plane) -> Plane:
    tufts = 1 - _cells(texture, u * np.float32(1.7), v * np.float32(1.7), "distance")
    return np.asarray(0.6 * tufts + 0.5 * _noise(texture, u, v, 120, 0.6), np.float32)


@lru_cache(maxsize=4)
def reaction_tile(kind: str, seed: int) -> Plane:
    """Return a seamless tile (TILE, TILE) of a Gray-Scott reaction, 0 to 1, in the state its rates lead to."""
    feed, kill = _RATES[kind]
    side = TILE // 4
    rng = np.random.default_rng([seed, 29])
    u = np.ones((side, side), np.float32)
    v = (rng.random((side // 8, side // 8)) < 0.3).astype(np.float32).repeat(8, 0).repeat(8, 1) * np.float32(0.5)
    u -= v
    for _ in range(2400):
        reaction = u * v * v
        u += np.float32(0.16) * _laplace(u) - reaction + np.float32(feed) * (1 - u)
        v += np.float32(0.08) * _laplace(v) + reaction - np.float32(feed + kill) * v
    scaled = (v - v.min()) / max(float(np.ptp(v)), 1e-6)
    return np.asarray(scaled.repeat(4, 0).repeat(4, 1), np.float32)


def _laplace(plane: Plane) -> Plane:
    around = np.roll(plane, 1, 0) + np.roll(plane, -1, 0) + np.roll(plane, 1, 1) + np.roll(plane, -1, 1)
    return np.asarray(around - 4 * plane, np.float32)


def _reaction(texture: Texture, u: Plane, v: Plane) -> Plane:
    return pick(reaction_tile(texture.kind, texture.tile), u * np.float32(36), v * np.float32(36))


def _branches(texture: Texture, u: Plane, v: Plane) -> Plane:
    """Veins: folds of noise at three scales, the finer ones thinner."""
    veins = np.zeros_like(u)
    for scale, strength in ((10, 1.0), (22, 0.7), (47, 0.45)):
        fold = np.abs(_noise(texture, u, v, scale) - np.float32(0.5))
        veins = np.maximum(veins, np.float32(strength) * (1 - ramp(fold, 0.0, 0.07)))
    return veins


def _terraces(texture: Texture, u: Plane, v: Plane) -> Plane:
    cloud = _noise(texture, u, v, 14) * np.float32(7)
    return np.asarray((cloud % 1 * 0.5 + np.floor(cloud) % 2 * 0.5), np.float32)


_PAINTERS = {
    "cloud": _cloud,
    "grains": _grains,
    "stripes": _stripes,
    "cells": _cell_walls,
    "spots": _spots,
    "cracks": _cracks,
    "fibres": _fibres,
    "rings": _rings,
    "rays": _rays,
    "weave": _weave,
    "bark": _bark,
    "moss": _moss,
    "labyrinth": _reaction,
    "coral spots": _reaction,
    "branches": _branches,
    "terraces": _terraces,
}
