"""Composes one photo: the individuals, the ground and the camera."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from PIL import Image

from evaluation.specimens import agaric, ball, bracket, coral
from evaluation.specimens.camera import expose, open_canvas, sample_camera
from evaluation.specimens.canvas import Light, Picture, Pixels
from evaluation.specimens.ground import bark, ground_from_above, scene
from evaluation.specimens.shapes import Spot
from evaluation.specimens.traits import DrawnSpecies, Individual

Painter: TypeAlias = Callable[[Picture, DrawnSpecies, Individual, Spot, Light], None]

ASPECTS = ("cap", "hymenium", "stipe", "section", "habitat")
"""The aspects that can be drawn, named as in `retrieval.domain.ASPECTS`; nobody draws microscopy."""

_TRUNK = 0.25  # share of a photo's width that the trunk beside a shelf in profile takes

_PAINTERS: dict[str, dict[str, Painter]] = {
    "agaric": {
        "cap": agaric.paint_cap,
        "hymenium": agaric.paint_hymenium,
        "stipe": agaric.paint_side,
        "section": agaric.paint_section,
        "habitat": agaric.paint_side,
    },
    "funnel": {
        "cap": agaric.paint_cap,
        "hymenium": agaric.paint_hymenium,
        "stipe": agaric.paint_side,
        "section": agaric.paint_section,
        "habitat": agaric.paint_cap,
    },
    "bracket": {
        "cap": bracket.paint_cap,
        "hymenium": bracket.paint_hymenium,
        "stipe": bracket.paint_side,
        "section": bracket.paint_section,
        "habitat": bracket.paint_cap,
    },
    "coral": {
        "cap": coral.paint_cap,
        "hymenium": coral.paint_hymenium,
        "stipe": coral.paint_side,
        "section": coral.paint_section,
        "habitat": coral.paint_side,
    },
    "cup": {
        "cap": ball.paint_cap,
        "hymenium": ball.paint_hymenium,
        "stipe": ball.paint_side,
        "section": ball.paint_hymenium,
        "habitat": ball.paint_cap,
    },
    "puffball": {
        "cap": ball.paint_cap,
        "hymenium": ball.paint_hymenium,
        "stipe": ball.paint_side,
        "section": ball.paint_hymenium,
        "habitat": ball.paint_cap,
    },
}


def draw_photo(
    species: DrawnSpecies,
    individual: Individual,
    aspect: str,
    rng: np.random.Generator,
    size: tuple[int, int] = (640, 480),
    *,
    habitat: str | None = None,
) -> Pixels:
    """Draw a photo of one aspect of an individual: (height, width, 3), uint8; `size` is (width, height).

    The same arguments with a generator in the same state give the same pixels. Without `habitat` one is drawn from
    those of the species.
    """
    if aspect not in ASPECTS:
        raise ValueError(f"{aspect!r} cannot be drawn; the aspects are {', '.join(ASPECTS)}")
    camera = sample_camera(rng)
    habitat = habitat or sample_habitat(rng, species)
    painter = _PAINTERS[species.form][aspect]
    canvas = open_canvas(_ground(rng, species, aspect, habitat, size), camera)
    for spot, member in _places(rng, species, individual, aspect, size):
        painter(canvas, species, member, spot, camera.light)
    leaves = int(rng.integers(0, 3)) if habitat == "beech litter" and species.form != "bracket" else 0
    return expose(rng, canvas, camera, leaves)


def sample_habitat(rng: np.random.Generator, species: DrawnSpecies) -> str:
    """Draw a habitat of a species; its first is twice as common as each other."""
    habitats = species.cap.habitats
    return habitats[max(0, int(rng.integers(len(habitats) + 1)) - 1)]


def _ground(
    rng: np.random.Generator, species: DrawnSpecies, aspect: str, habitat: str, size: tuple[int, int]
) -> Image.Image:
    if species.form == "bracket" and aspect == "stipe":
        open_side = scene(rng, "moss", size, 1.0)
        open_side.paste(bark(rng, (int(size[0] * (_TRUNK + 0.02)), size[1])), (0, 0))
        return open_side
    if species.form == "bracket" and aspect != "section":
        return bark(rng, size)
    upright = aspect == "stipe" or (aspect == "habitat" and _stands(species))
    if upright:
        return scene(rng, habitat, size, float(rng.uniform(0.2, 0.4)))
    return ground_from_above(rng, habitat, size)


def _stands(species: DrawnSpecies) -> bool:
    """Return whether a habitat photo of it is taken from the side."""
    return species.form in ("agaric", "coral")


def _places(
    rng: np.random.Generator, species: DrawnSpecies, individual: Individual, aspect: str, size: tuple[int, int]
) -> list[tuple[Spot, Individual]]:
    """Place the individual and its companions, farther ones first."""
    width, height = size
    short = min(size)
    scale = species.genus.size * individual.size
    if aspect == "habitat":
        return _group(rng, species, individual, size)
    middle = (width * float(rng.uniform(0.42, 0.58)), height * float(rng.uniform(0.44, 0.56)))
    if aspect == "stipe" and species.form != "bracket":
        foot = (middle[0], height * float(rng.uniform(0.84, 0.92)))
        return [(_upright(rng, species, individual, foot, short * 0.8), individual)]
    turn = float(rng.uniform(-math.pi, math.pi))
    tilt = float(rng.uniform(0.72, 1.0)) if aspect == "cap" else float(rng.uniform(0.85, 1.0))
    radius = short * float(rng.uniform(0.37, 0.44)) * min(1.08, max(0.85, scale))
    if aspect == "section" or species.form == "bracket":
        turn = 0.0
        middle = (middle[0], height * (0.36 if aspect != "stipe" else 0.55))
        if species.form == "bracket" and aspect in ("stipe", "section"):
            middle = (width * _TRUNK, height * 0.55)
            radius *= 1.3
        elif aspect == "section":
            middle = (middle[0], height * 0.5)
        else:
            radius *= 1.15
    main = (Spot(*middle, radius, turn, tilt), individual)
    if aspect != "cap" or rng.random() < 0.45 or species.form == "bracket":
        return [main]
    way = float(rng.uniform(-math.pi, math.pi))
    away = radius * float(rng.uniform(1.35, 1.6))
    spot = Spot(middle[0] + away * math.cos(way), middle[1] + away * math.sin(way), radius * 0.62, turn + 1, tilt)
    return [(spot, _sibling(rng, individual)), main]


def _upright(
    rng: np.random.Generator, species: DrawnSpecies, individual: Individual, foot: tuple[float, float], tall: float
) -> Spot:
    """Scale a standing fungus to a height of `tall` pixels."""
    stands = {
        "coral": 1.6 if species.genus.shape == "club" else 2.0,
        "cup": 1.6,
        "puffball": 1.8,
        "funnel": 2 * species.stipe.length + 0.1,
    }
    radii = stands.get(species.form, 2 * species.stipe.length * (0.85 + 0.3 * individual.age) + 0.75)
    radius = min(tall / radii, tall * 0.42) * float(rng.uniform(0.88, 1.05))
    return Spot(*foot, radius, 0.0, float(rng.uniform(0.1, 0.28)))


def _group(
    rng: np.random.Generator, species: DrawnSpecies, individual: Individual, size: tuple[int, int]
) -> list[tuple[Spot, Individual]]:
    """Scatter the individual and some siblings over a wider view."""
    width, height = size
    count = int(rng.integers(3, 8))
    depths = np.sort(rng.uniform(0, 1, count))
    columns = (rng.permutation(count) + rng.uniform(0.25, 0.75, count)) / count
    places: list[tuple[Spot, Individual]] = []
    for depth, column in zip(depths.tolist(), columns.tolist(), strict=True):
        member = _sibling(rng, individual)
        if _stands(species):
            foot = (width * (0.08 + 0.84 * column), height * (0.56 + 0.36 * depth))
            spot = _upright(rng, species, member, foot, height * (0.2 + 0.2 * depth))
        else:
            radius = min(size) * float(rng.uniform(0.1, 0.17))
            tilt = float(rng.uniform(0.55, 0.75))
            turn = 0.0 if species.form == "bracket" else float(rng.uniform(-3, 3))
            spot = Spot(width * (0.08 + 0.84 * column), height * (0.12 + 0.72 * depth), radius, turn, tilt)
        places.append((spot, member))
    return places


def _sibling(rng: np.random.Generator, individual: Individual) -> Individual:
    """Return another fungus of the same observation: similar in colour, not in shape."""
    return replace(
        individual,
        age=float(np.clip(individual.age + rng.normal(0, 0.2), 0, 1)),
        value=individual.value * float(rng.uniform(0.95, 1.05)),
        lean=float(rng.normal(0, 0.4)),
        seed=int(rng.integers(2**31)),
    )
