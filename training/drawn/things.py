"""Draws things that do not exist: thousands of classes of textured, lit shapes on textured backgrounds.

Fungi drawn by one program share its style. A network that must also distinguish thousands of other shapes and surfaces
learns more general features. Each class has a shape, two textures and a palette; individuals vary in
colours, outline and texture; images vary in position, rotation, light and camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from evaluation.specimens.camera import expose, sample_camera
from evaluation.specimens.canvas import Picture, Pixels, Plane, mix, noise_tile, pick, ramp, relief, shade
from evaluation.specimens.ground import ground_from_above
from evaluation.specimens.traits import HABITATS, Tint
from training.drawn.textures import HELD_OUT as HELD_OUT_TEXTURES
from training.drawn.textures import KINDS as TEXTURES
from training.drawn.textures import Texture, paint_texture, sample_texture

SHAPES = ("disc", "ellipse", "lobes", "polygon", "club", "everywhere", "many")
HELD_OUT_SHAPES = ("leaf", "star", "crescent")


@dataclass(frozen=True, slots=True)
class Thing:
    """A class of things."""

    shape: str
    lobes: int
    slim: float  # width against length
    depth: float  # of its lobes
    dome: float  # how much it bulges
    gloss: float
    textures: tuple[Texture, Texture]
    palette: tuple[Tint, Tint, Tint]
    bump: float  # relief of its texture

    @property
    def kind(self) -> str:
        """The coarse rank: what it has in common with many other classes."""
        return f"{self.textures[0].kind} {self.shape}"


def sample_thing(rng: np.random.Generator, *, held_out: bool = False) -> Thing:
    """Sample a class; `held_out` uses shapes and textures reserved for evaluation."""
    textures, shapes = (HELD_OUT_TEXTURES, HELD_OUT_SHAPES) if held_out else (TEXTURES, SHAPES)
    return Thing(
        shape=str(rng.choice(shapes)),
        lobes=int(rng.integers(3, 9)),
        slim=float(rng.uniform(0.35, 1.0)),
        depth=float(rng.uniform(0.08, 0.4)),
        dome=float(rng.uniform(0.0, 1.2)),
        gloss=float(rng.choice([0.0, 0.2, 0.6])),
        textures=(sample_texture(rng, textures), sample_texture(rng, textures)),
        palette=_sample_palette(rng),
        bump=float(rng.uniform(0.0, 6.0)),
    )


def _sample_palette(rng: np.random.Generator) -> tuple[Tint, Tint, Tint]:
    """Sample three tints; three of four palettes are earth colours, which are more common in nature."""
    earthy = rng.random() < 0.75
    hue = float(rng.normal(0.09, 0.05)) if earthy else float(rng.random())
    spread = float(rng.choice([0.02, 0.06, 0.2]))
    tints = []
    for _ in range(3):
        value = float(rng.uniform(0.15, 0.98))
        saturation = float(rng.beta(1.6, 2.2)) if earthy else float(rng.beta(2, 2))
        tints.append(Tint(hue + float(rng.normal(0, spread)), saturation, value))
    return tints[0], tints[1], tints[2]


def sample_example(rng: np.random.Generator, thing: Thing) -> Thing:
    """Sample an individual of a class by varying every parameter a little."""
    hue, saturation, value = rng.normal(0, 0.012), rng.normal(1, 0.12), rng.normal(1, 0.08)
    tints = tuple(
        Tint(tint.hue + float(hue), tint.saturation * float(saturation), tint.value * float(value))
        for tint in thing.palette
    )
    textures = tuple(
        replace(
            texture,
            grain=texture.grain * float(np.exp(rng.normal(0, 0.08))),
            level=float(np.clip(texture.level + rng.normal(0, 0.04), 0.2, 0.8)),
            warp=max(0.0, texture.warp + float(rng.normal(0, 0.04))),
        )
        for texture in thing.textures
    )
    return replace(
        thing,
        slim=float(np.clip(thing.slim * np.exp(rng.normal(0, 0.08)), 0.25, 1.1)),
        depth=thing.depth * float(np.exp(rng.normal(0, 0.12))),
        dome=max(0.0, thing.dome + float(rng.normal(0, 0.1))),
        textures=(textures[0], textures[1]),
        palette=(tints[0], tints[1], tints[2]),
    )


def draw_example(thing: Thing, rng: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """Draw an individual: (height, width, 3), uint8; `size` is (width, height)."""
    width, height = size
    camera = sample_camera(rng)
    canvas: Picture = np.asarray(_ground(rng, size), np.float32) / np.float32(255)
    radius = min(size) * float(rng.uniform(0.3, 0.52))
    middle = (width * float(rng.uniform(0.38, 0.62)), height * float(rng.uniform(0.38, 0.62)))
    turn, tilt = float(rng.uniform(-math.pi, math.pi)), float(rng.uniform(0.6, 1.0))
    across = (np.arange(width, dtype=np.float32) - np.float32(middle[0])) / np.float32(radius)
    down = (np.arange(height, dtype=np.float32) - np.float32(middle[1])) / np.float32(radius * tilt)
    x = across[None, :] * np.float32(math.cos(turn)) - down[:, None] * np.float32(math.sin(turn))
    y = across[None, :] * np.float32(math.sin(turn)) + down[:, None] * np.float32(math.cos(turn))
    start = rng.uniform(8, 60, 2)
    wobble = pick(noise_tile(3), x * 40 + np.float32(start[0] * 9), y * 40 + np.float32(start[1] * 9)) - np.float32(0.5)
    reach = _reach(thing, x, y) + wobble * np.float32(0.2)  # 0 at its middle, 1 at its margin
    colour, bump = _skin(thing, x, y, (float(start[0]), float(start[1])))
    slope_x, slope_y = relief(bump * np.float32(thing.bump) - np.float32(thing.dome * radius * 0.4) * reach**2, 1.0)
    lit = shade(colour, slope_x, slope_y, camera.light, thing.gloss)
    soft = 2.5 / radius
    if thing.shape != "everywhere":
        canvas *= (0.5 + 0.5 * ramp(reach, 0.85, 1.35))[..., None]  # its shadow
    canvas = mix(canvas, lit, 1 - ramp(reach, 1 - soft, 1 + soft))
    return expose(rng, canvas, camera, int(rng.integers(0, 3)))


def _skin(thing: Thing, x: Plane, y: Plane, start: tuple[float, float]) -> tuple[Picture, Plane]:
    first = paint_texture(thing.textures[0], x, y, start)
    second = paint_texture(thing.textures[1], x, y, (start[1], start[0]))
    base, over, rare = (np.asarray(tint.rgb(), np.float32)[None, None, :] for tint in thing.palette)
    colour = mix(np.broadcast_to(base, (*x.shape, 3)), np.broadcast_to(over, (*x.shape, 3)), first)
    return mix(colour, np.broadcast_to(rare, colour.shape), second * np.float32(0.6)), first + 0.5 * second


def _reach(thing: Thing, x: Plane, y: Plane) -> Plane:
    """Return the relative distance of each point from the centre, 1 at the outline of the shape."""
    slim = np.float32(thing.slim)
    if thing.shape == "everywhere":
        return np.full_like(x, 0.3)
    if thing.shape == "many":
        cell = np.float32(0.75)
        return np.asarray(np.hypot((x / cell) % 1 - 0.5, (y / cell) % 1 - 0.5) / 0.4, np.float32)
    if thing.shape == "club":
        thick = slim * (0.35 + 0.3 * np.clip(y + 1, 0, 2))
        return np.maximum(np.abs(x) / thick, np.abs(y))
    if thing.shape == "leaf":
        thick = slim * 0.7 * np.maximum(np.cos(np.clip(y, -1, 1) * np.float32(math.pi / 2)), 0.02)
        return np.maximum(np.abs(x) / thick, np.abs(y))
    if thing.shape == "crescent":
        return np.maximum(np.hypot(x, y), 1.15 - np.hypot(x - 0.5 * slim, y) * 0.6)
    r, theta = np.hypot(x, y / (slim if thing.shape == "ellipse" else np.float32(1))), np.arctan2(y, x)
    if thing.shape in ("disc", "ellipse"):
        return r
    if thing.shape == "polygon":
        part = np.float32(math.tau / thing.lobes)
        return np.asarray(r * np.cos(theta % part - part / 2) / math.cos(math.pi / thing.lobes), np.float32)
    wave = np.cos(theta * thing.lobes)
    if thing.shape == "star":
        wave = 1 - 2 * np.abs(wave)
    return np.asarray(r / (1 + np.float32(thing.depth) * wave), np.float32)


def _ground(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Draw a background: a habitat of the drawn fungi, or an unrelated texture."""
    if rng.random() < 0.4:
        return ground_from_above(rng, str(rng.choice(HABITATS)), size)
    texture = sample_texture(rng)
    width, height = size
    x = np.linspace(-1.3, 1.3, width, dtype=np.float32)[None, :] + np.zeros((height, 1), np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] + np.zeros((1, width), np.float32)
    value = paint_texture(texture, x, y, (float(rng.uniform(5, 50)), float(rng.uniform(5, 50))))
    low, high, _ = (np.asarray(tint.rgb(), np.float32)[None, None, :] for tint in _sample_palette(rng))
    picture = mix(np.broadcast_to(low, (*x.shape, 3)), np.broadcast_to(high, (*x.shape, 3)), value)
    return Image.fromarray((picture * 255).astype(np.uint8))
