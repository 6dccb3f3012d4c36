"""Backgrounds: litter, needles, grass, moss, sand and wood, from above or as a scene with depth."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import product

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from evaluation.specimens.canvas import Picture, Pixels, noise_tile

SIDE = 640
"""Edge of a ground texture in pixels; it wraps."""

VARIANTS = 3
"""Textures per habitat; more of them cost time and memory, once per process."""

_LEAVES = 24


@lru_cache(maxsize=_LEAVES)
def leaf_sprite(index: int) -> Image.Image:
    """Return a fallen leaf, RGBA, about 150 x 90 pixels, stalk to the left."""
    rng = np.random.default_rng([index, 17])
    width, height = int(rng.integers(230, 320)), int(rng.integers(110, 190))
    sprite = Image.new("RGBA", (width, height))
    pen = ImageDraw.Draw(sprite)
    t = np.linspace(0, 1, 24)
    half = (np.sin(math.pi * t ** float(rng.uniform(0.7, 1.1))) * 0.46 * height) * (1 + 0.05 * rng.standard_normal(24))
    xs, middle = 0.08 * width + t * 0.9 * width, height / 2
    outline = [*zip(xs, middle - half, strict=True), *zip(xs[::-1], (middle + half)[::-1], strict=True)]
    hue = np.array([(126, 82, 46), (158, 104, 56), (96, 64, 42), (176, 132, 74), (140, 92, 66)])[rng.integers(5)]
    colour = tuple(int(part) for part in np.clip(hue * rng.uniform(0.75, 1.1), 0, 255))
    dark = tuple(int(part * 0.72) for part in colour)
    pale = tuple(min(255, int(part * 1.18)) for part in colour)
    pen.polygon(outline, fill=(*colour, 255), outline=(*dark, 255))
    pen.polygon([(x, y) for x, y in outline[:24]] + [(xs[-1], middle), (xs[0], middle)], fill=(*pale, 255))
    pen.line([(0, middle), (xs[-1], middle)], fill=(*dark, 255), width=4)
    for k in range(3, 21, 2):
        for way in (-1, 1):
            pen.line([(xs[k], middle), (xs[min(k + 3, 23)], middle + way * half[k] * 0.85)], fill=(*dark, 255), width=2)
    return sprite.resize((width // 2, height // 2), Image.Resampling.BOX)


def turned(sprite: Image.Image, angle: float, scale: float) -> Image.Image:
    """Return a sprite turned by degrees and scaled."""
    size = (max(2, int(sprite.width * scale)), max(2, int(sprite.height * scale)))
    return sprite.resize(size, Image.Resampling.BILINEAR).rotate(angle, Image.Resampling.BILINEAR, expand=True)


@lru_cache(maxsize=VARIANTS * 6 + 6)
def texture(habitat: str, variant: int) -> Image.Image:
    """Return a ground texture, RGB, four copies of SIDE x SIDE side by side so that any crop lies inside."""
    rng = np.random.default_rng([variant, *habitat.encode()])
    tile = _PAINTERS[habitat](rng)
    image = Image.new("RGB", (2 * SIDE, 2 * SIDE))
    for x in (0, SIDE):
        for y in (0, SIDE):
            image.paste(tile, (x, y))
    return image


def ground_from_above(rng: np.random.Generator, habitat: str, size: tuple[int, int]) -> Image.Image:
    """Return the ground under a camera that looks straight down: any way up, and nearer or farther."""
    image = texture(habitat, int(rng.integers(VARIANTS)))
    angle = float(rng.uniform(0, 2 * math.pi))
    step = float(rng.uniform(0.55, 0.85))
    return _crop(rng, image, size, angle, step)


def bark(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Return upright bark, as behind a bracket."""
    image = texture("wood", int(rng.integers(VARIANTS)))
    return _crop(rng, image, size, float(rng.normal(0, 0.06)), float(rng.uniform(0.6, 0.9)))


def scene(rng: np.random.Generator, habitat: str, size: tuple[int, int], horizon: float) -> Image.Image:
    """Return the ground receding from a low camera to a blurred background; `horizon` from the top, 0 to 1."""
    width, height = size
    image = texture("log" if habitat == "wood" else habitat, int(rng.integers(VARIANTS)))
    line = horizon * height
    near = height * 1.04 - line
    spread = float(rng.uniform(0.5, 0.7))
    # u = middle + (x - width / 2) * spread * near / depth with depth = y - line + margin; v likewise: a pinhole
    margin = 0.6 * near
    divisor = margin - line
    span = spread * near
    middle_u, start_v = float(rng.uniform(500, 780)), float(rng.uniform(300, 420))
    reach = 0.75 * span * (near + margin) * 0.55
    coefficients = (
        span / divisor,
        middle_u / divisor,
        (-span * width / 2 + middle_u * divisor) / divisor,
        0.0,
        start_v / divisor,
        (start_v * divisor + reach) / divisor,
        0.0,
        1 / divisor,
    )
    floor = image.transform(size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR)
    distance = _distance(rng, habitat, size)
    fade = np.clip((np.arange(height) - line) / (0.16 * height), 0, 1)
    mask = Image.fromarray(np.repeat((fade * 255).astype(np.uint8)[:, None], width, axis=1))
    return Image.composite(floor, distance, mask)


def _crop(
    rng: np.random.Generator, image: Image.Image, size: tuple[int, int], angle: float, step: float
) -> Image.Image:
    width, height = size
    cos, sin = math.cos(angle) * step, math.sin(angle) * step
    x, y = (float(part) for part in rng.uniform(SIDE - 200, SIDE + 200, 2))
    coefficients = (cos, -sin, x - cos * width / 2 + sin * height / 2, sin, cos, y - sin * width / 2 - cos * height / 2)
    return image.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)


def _distance(rng: np.random.Generator, habitat: str, size: tuple[int, int]) -> Image.Image:
    """Return the background, out of focus: trunks in a wood, a pale sky over grass and sand."""
    width, height = size
    small = Image.new("RGB", (64, 48))
    pen = ImageDraw.Draw(small)
    open_air = habitat in ("grass", "sand")
    top = (188, 204, 214) if open_air else (118, 134, 96)
    low = (150, 168, 120) if open_air else (74, 72, 52)
    for y in range(48):
        t = y / 47
        pen.line([(0, y), (64, y)], fill=tuple(int(a + (b - a) * t) for a, b in zip(top, low, strict=True)))
    for _ in range(0 if open_air else int(rng.integers(3, 8))):
        x, thick = int(rng.integers(0, 64)), int(rng.integers(1, 6))
        grey = int(rng.integers(40, 90))
        pen.rectangle([x, 0, x + thick, 48], fill=(grey, int(grey * 0.9), int(grey * 0.75)))
    blurred = small.filter(ImageFilter.GaussianBlur(1.6))
    return blurred.resize((width, height), Image.Resampling.BICUBIC)


def _cloud(rng: np.random.Generator, dark: tuple[int, int, int], pale: tuple[int, int, int], rough: float) -> Picture:
    tile = np.tile(noise_tile(int(rng.integers(4)), rough), (2, 2))
    x, y = rng.integers(0, 300, 2)
    plane = tile[y : y + 512, x : x + 512][..., None]
    return np.asarray(dark, np.float32) + (np.asarray(pale, np.float32) - np.asarray(dark, np.float32)) * plane


def _start(
    rng: np.random.Generator, dark: tuple[int, int, int], pale: tuple[int, int, int], rough: float
) -> Image.Image:
    pixels: Pixels = np.clip(_cloud(rng, dark, pale, rough), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _strew(image: Image.Image, sprite: Image.Image, x: int, y: int) -> None:
    for over_x in (x, x - SIDE):
        for over_y in (y, y - SIDE):
            if over_x + sprite.width > 0 and over_y + sprite.height > 0:
                image.paste(sprite, (over_x, over_y), sprite)


def _litter(rng: np.random.Generator) -> Image.Image:
    image = _start(rng, (30, 22, 16), (80, 58, 40), 1.2)
    for layer in range(560):
        dim = 0.5 + 0.5 * layer / 560
        sprite = turned(
            leaf_sprite(int(rng.integers(_LEAVES))), float(rng.uniform(0, 360)), float(rng.uniform(0.4, 0.7))
        )
        x, y = (int(part) for part in rng.integers(0, SIDE, 2))
        alpha = sprite.getchannel("A")
        under = Image.new("RGBA", sprite.size, (12, 8, 5, 255))
        under.putalpha(alpha.point(lambda value: value * 110 // 255))
        _strew(image, under, x + 3, y + 4)
        shaded = Image.merge("RGB", [band.point(lambda v, d=dim: int(v * d)) for band in sprite.split()[:3]])
        shaded.putalpha(alpha)
        _strew(image, shaded, x, y)
    return image


def _strokes(
    rng: np.random.Generator,
    image: Image.Image,
    count: int,
    length: tuple[float, float],
    colours: tuple[tuple[int, int, int], ...],
    width: tuple[int, int],
    heading: tuple[float, float] = (0, 2 * math.pi),
) -> Image.Image:
    """Draw many short strokes over an image that wraps, later ones brighter."""
    big = image.resize((2 * SIDE, 2 * SIDE))
    pen = ImageDraw.Draw(big)
    starts, angles = rng.uniform(0, 2 * SIDE, (count, 2)), rng.uniform(*heading, count)
    lengths, kinds = rng.uniform(*length, count) * 2, rng.integers(len(colours), size=count)
    widths = rng.integers(width[0], width[1] + 1, count)
    tones = rng.uniform(0.75, 1.1, count) * np.linspace(0.5, 1, count)
    for k in range(count):
        x, y = starts[k]
        dx, dy = math.cos(angles[k]) * lengths[k], math.sin(angles[k]) * lengths[k]
        colour = tuple(int(min(255, part * tones[k])) for part in colours[kinds[k]])
        wraps_x = (0, -2 * SIDE) if x + dx > 2 * SIDE else (0, 2 * SIDE) if x + dx < 0 else (0,)
        wraps_y = (0, -2 * SIDE) if y + dy > 2 * SIDE else (0, 2 * SIDE) if y + dy < 0 else (0,)
        for over_x, over_y in product(wraps_x, wraps_y):
            ends = [(x + over_x, y + over_y), (x + over_x + dx, y + over_y + dy)]
            pen.line(ends, fill=colour, width=int(widths[k]))
    return big.resize((SIDE, SIDE), Image.Resampling.BOX)


def _needles(rng: np.random.Generator) -> Image.Image:
    image = _start(rng, (34, 24, 16), (92, 66, 42), 1.0)
    colours = ((132, 88, 52), (160, 112, 66), (98, 64, 40), (112, 92, 50))
    return _strokes(rng, image, 5200, (12, 26), colours, (2, 3))


def _grass(rng: np.random.Generator) -> Image.Image:
    image = _start(rng, (26, 40, 16), (70, 92, 40), 1.2)
    colours = ((84, 124, 48), (112, 150, 62), (138, 160, 82), (150, 146, 88))
    return _strokes(rng, image, 3400, (25, 70), colours, (3, 6), (-2.3, -0.8))


def _moss(rng: np.random.Generator) -> Image.Image:
    image = _start(rng, (34, 46, 16), (94, 110, 42), 1.6)
    colours = ((104, 128, 40), (138, 158, 58), (160, 172, 78), (82, 108, 34))
    return _strokes(rng, image, 14000, (4, 9), colours, (3, 6))


def _sand(rng: np.random.Generator) -> Image.Image:
    image = _start(rng, (176, 156, 122), (222, 204, 170), 1.1)
    colours = ((206, 186, 150), (238, 224, 196), (164, 142, 112), (132, 118, 100))
    image = _strokes(rng, image, 5000, (1, 3), colours, (2, 5))
    return _strokes(rng, image, 26, (10, 50), ((150, 136, 96), (120, 110, 80)), (3, 5))


def _wood(rng: np.random.Generator) -> Image.Image:
    cloud = np.tile(noise_tile(int(rng.integers(4)), 1.3), (2, 2))
    x = np.arange(SIDE)
    around = x * 512 // SIDE  # whole turns of the cloud, so that the texture wraps
    grain = cloud[around[:, None], around[None, :] * 6 % 512]
    crack = cloud[(around[:, None] * 2 + 99) % 512, (around[None, :] * 11 + 33) % 512]
    hue = np.array([(120, 96, 72), (108, 100, 90), (132, 104, 70)], np.float32)[rng.integers(3)]
    pixels = hue * (0.45 + 0.9 * grain)[..., None] * (1 - 0.55 * (crack < 0.27))[..., None]
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return _strokes(rng, image, 260, (20, 90), ((70, 56, 44), (150, 128, 98)), (2, 4), (1.45, 1.69))


def _log(rng: np.random.Generator) -> Image.Image:
    return _wood(rng).transpose(Image.Transpose.ROTATE_90)  # the same, lying across the view


_PAINTERS: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "beech litter": _litter,
    "spruce needles": _needles,
    "grass": _grass,
    "moss": _moss,
    "sand": _sand,
    "wood": _wood,
    "log": _log,
}
