"""Corals and clubs: bushes of branches, or tufts without any."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from evaluation.specimens.canvas import Light, Picture, Plane, blend, mix, patch_of, ramp, shadow
from evaluation.specimens.shapes import Spot, Stem, paint_stem
from evaluation.specimens.surfaces import flesh_skin, hymenium_skin
from evaluation.specimens.traits import DrawnSpecies, Individual, Rgb

_Piece = tuple[float, float, float, float, float, Rgb]
"""A piece of a branch: from x, y to x, y, in radii, half width, and colour."""

_LEVELS = 5  # how often a bush forks

_Branch = list[_Piece]
"""Pieces drawn as one: first every outline, then every body, then every lit side."""


def paint_side(canvas: Picture, species: DrawnSpecies, individual: Individual, spot: Spot, light: Light) -> None:
    """Paint a whole tuft from the side; the spot is its base."""
    shadow(canvas, (spot.x - light.x * spot.radius * 0.5, spot.y), (spot.radius * 0.8, spot.radius * 0.2), 0.7)
    _draw(canvas, _tuft(species, individual), spot, light)


def paint_cap(canvas: Picture, species: DrawnSpecies, individual: Individual, spot: Spot, light: Light) -> None:
    """Paint a tuft from above: many tips, the farther ones below."""
    shadow(canvas, (spot.x, spot.y + spot.radius * 0.1), (spot.radius * 1.1, spot.radius * 1.1 * spot.tilt), 0.8)
    rng = np.random.default_rng(individual.seed)
    look = species.cap
    bush = species.genus.shape == "bush"
    count = int((220 if bush else 46) * (0.6 + 0.6 * look.density))
    width = (0.028 + 0.18 * look.grain) * (1.0 if bush else 1.7)
    body, tip = individual.tinted(look.colour), individual.tinted(look.pattern_tint)
    branches: list[_Branch] = []
    for k in range(count):
        far = math.sqrt(1 - (k + 0.5) / count)  # from the margin inwards: the middle stands highest
        angle = k * 2.39996 + float(rng.normal(0, 0.15))
        x, y = far * math.cos(angle), far * math.sin(angle) * spot.tilt
        tone = 0.55 + 0.45 * (1 - far)
        lean = 0.16 * far
        low = tuple(part * tone * 0.8 for part in body)
        stalk = (x * (1 - lean), y * (1 - lean), x, y, width, (low[0], low[1], low[2]))
        high = tuple(part * (tone * 0.5 + 0.5) for part in tip)
        branches.append([stalk, (x, y, x, y, width * 0.85, (high[0], high[1], high[2]))])
    _draw(canvas, branches, spot, light)


def paint_hymenium(canvas: Picture, species: DrawnSpecies, individual: Individual, spot: Spot, light: Light) -> None:
    """Paint a few branches from close by: the spore-dusted surface."""
    rng = np.random.default_rng(individual.seed)
    order = rng.permutation(4)
    for place in order.tolist():
        x = spot.x + spot.radius * (place - 1.5) * 0.55
        lean = float(rng.normal(0, 0.25)) * spot.radius
        top = (x + lean, spot.y - spot.radius * float(rng.uniform(0.9, 1.2)))
        stem = Stem(top, (x, spot.y + spot.radius), spot.radius * float(rng.uniform(0.2, 0.27)), 0.85)

        def skin(t: Plane, v: Plane, across: Plane) -> tuple[Picture, Plane]:
            around = np.arcsin(np.clip(v, -0.999, 0.999)) * 0.3
            return hymenium_skin("smooth", species.hymenium, individual, t, around + t * 0.01, t * 1.2)

        shadow(canvas, (x + lean * 0.3, spot.y), (stem.half * 1.5, spot.radius), 0.4)
        paint_stem(canvas, stem, skin, light, flare=lambda t: 1.12 - 0.3 * np.square(1 - t))


def paint_section(canvas: Picture, species: DrawnSpecies, individual: Individual, spot: Spot, light: Light) -> None:
    """Paint branches cut across: flesh within a ring of the spore-bearing layer."""
    rng = np.random.default_rng(individual.seed)
    for place in range(5):
        angle = place * math.tau / 5 + float(rng.uniform(0, 1))
        far = 0.0 if place == 0 else 0.62
        x, y = spot.x + far * spot.radius * math.cos(angle), spot.y + far * spot.radius * math.sin(angle)
        radius = spot.radius * float(rng.uniform(0.2, 0.32))
        shadow(canvas, (x, y + radius * 0.2), (radius * 1.2, radius * 1.2), 0.7)
        patch = patch_of(canvas, (x, y), (-radius * 1.2, -radius * 1.2, radius * 1.2, radius * 1.2))
        if patch.x.size == 0:
            continue
        px, py = patch.x / radius, patch.y / radius
        r = np.hypot(px, py * (1 + 0.2 * math.sin(place)))
        rind = hymenium_skin("smooth", species.hymenium, individual, r, px * 0.3, py * 0.3)[0]
        colour = mix(flesh_skin(species.genus, individual, px, py), rind, ramp(r, 0.72, 0.8))
        blend(canvas, patch, colour * (1 - 0.35 * ramp(r, 0.95, 1.0))[..., None], np.clip((1 - r) * radius + 0.5, 0, 1))


def _tuft(species: DrawnSpecies, individual: Individual) -> list[_Branch]:
    """Grow a tuft's branches from its base, back ones first, in radii about the base with y upwards."""
    rng = np.random.default_rng(individual.seed)
    look, stipe = species.cap, species.stipe
    root, body = individual.tinted(stipe.colour), individual.tinted(look.colour)
    tip = individual.tinted(look.pattern_tint)
    branches: list[_Branch] = []

    def colour(along: float) -> Rgb:
        return _between(root, body, along * 2.6 - 0.3) if along < 0.7 else _between(body, tip, along * 3.6 - 2.6)

    def grow(x: float, y: float, angle: float, length: float, width: float, level: int) -> None:
        """Draw a branch in pieces that bend upwards, then its two or three children."""
        branch: _Branch = []
        for step in range(3):
            angle += (math.pi / 2 - angle) * 0.1 + float(rng.normal(0, 0.09))
            end_x, end_y = x + math.cos(angle) * length / 3, y + math.sin(angle) * length / 3
            branch.append((x, y, end_x, end_y, width * (1 - 0.08 * step), colour((level + step / 3) / _LEVELS)))
            x, y = end_x, end_y
        branches.append(branch)
        if level + 1 < _LEVELS:
            forks = 2 if level and rng.random() < 0.7 else 3
            spread = 0.75 if level == 0 else 0.5
            for fork in rng.permutation(forks):
                turn = (fork - (forks - 1) / 2) * spread + float(rng.normal(0, 0.12))
                grow(x, y, angle + turn, length * float(rng.uniform(0.62, 0.8)), width * 0.68, level + 1)

    def club(x: float, angle: float, tall: float, width: float) -> None:
        branch: _Branch = []
        y = 0.0
        for step in range(14):
            angle += (math.pi / 2 - angle) * 0.07 + float(rng.normal(0, 0.03))
            end_x, end_y = x + math.cos(angle) * tall / 14, y + math.sin(angle) * tall / 14
            along = step / 13
            girth = width * (0.55 + 0.75 * along) * (1 if along < 0.85 else 1 - (along - 0.85) * 3)
            branch.append((x, y, end_x, end_y, girth, colour(along)))
            x, y = end_x, end_y
        branches.append(branch)

    if species.genus.shape == "bush":
        size = 0.55 + 0.12 * individual.age
        grow(0.0, 0.0, math.pi / 2 + individual.lean * 0.2, size, (0.35 + stipe.thickness) * 0.42, 0)
    else:
        count = int(4 + 7 * look.density)
        for k in rng.permutation(count):
            place = (k + 0.5) / count - 0.5
            width = 0.07 + 0.22 * stipe.thickness
            club(place * 0.75, math.pi / 2 - place * 1.1, float(rng.uniform(1.0, 1.5)), width)
    return branches


def _between(first: Rgb, second: Rgb, amount: float) -> Rgb:
    t = min(max(amount, 0.0), 1.0)
    red, green, blue = (a + (b - a) * t for a, b in zip(first, second, strict=True))
    return red, green, blue


def _draw(canvas: Picture, branches: list[_Branch], spot: Spot, light: Light) -> None:
    """Draw branches with round ends at twice the size, each with a dark outline and a lit side, and lay them down."""
    scale = spot.radius * 2
    upright = spot.tilt < 0.5
    reach = spot.radius * 2.2
    patch = patch_of(canvas, (spot.x, spot.y), (-reach, -reach * 1.2, reach, reach * (0.25 if upright else 1.2)))
    if patch.x.size == 0:
        return
    height, width = patch.x.shape
    sketch = Image.new("RGBA", (width * 2, height * 2))
    pen = ImageDraw.Draw(sketch)
    origin_x, origin_y = -float(patch.x[0, 0]) * 2, -float(patch.y[0, 0]) * 2
    way = -1 if upright else 1
    for branch in branches:
        for lit, share, tone in ((0.0, 1.0, 0.45), (0.0, 0.86, 0.86), (0.35, 0.42, 1.14)):
            for x0, y0, x1, y1, half, colour in branch:
                rgba = (*(min(255, int(255 * part * tone)) for part in colour), 255)
                radius = half * scale * share
                aside_x, aside_y = light.x * half * scale * lit, light.y * half * scale * lit
                a = (origin_x + x0 * scale + aside_x, origin_y + way * y0 * scale + aside_y)
                b = (origin_x + x1 * scale + aside_x, origin_y + way * y1 * scale + aside_y)
                if a != b:
                    pen.line([a, b], fill=rgba, width=max(1, round(2 * radius)))
                    pen.ellipse([a[0] - radius, a[1] - radius, a[0] + radius, a[1] + radius], fill=rgba)
                pen.ellipse([b[0] - radius, b[1] - radius, b[0] + radius, b[1] + radius], fill=rgba)
    drawn = np.asarray(sketch.resize((width, height), Image.Resampling.BOX), np.float32) / 255
    blend(canvas, patch, drawn[..., :3] / np.maximum(drawn[..., 3:], 1e-3), drawn[..., 3])
