"""Draws the images of a pool: in parts, which consist of units with independent random generators.

A unit is a genus of drawn fungi or a class of things. Its pixels depend only on the seed and its number, and not on the
number of processes or the order of work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from evaluation.specimens.canvas import Pixels
from evaluation.specimens.photo import draw_photo
from evaluation.specimens.traits import (
    DrawnSpecies,
    Genus,
    sample_family,
    sample_genus,
    sample_genus_species,
    sample_individual,
    seen,
)
from evaluation.specimens.world import ASPECT_SHARES, DEMO_KINDS
from training.drawn.things import draw_example, sample_example, sample_thing

ENLARGED = 4 / 3
"""Drawings are made larger than they are stored, so that downscaling affects them as it affects photographs."""

_SIZES = ((4, 3), (3, 4), (1, 1), (3, 2))
_EPITHETS = ("prima", "altera", "tertia", "quarta")


@dataclass(frozen=True, slots=True)
class PoolPart:
    """A part of a pool, drawn in one way."""

    name: str  # one of PARTS
    units: int  # genera of four species, or classes of things
    individuals: int  # of each species or class: each is an observation
    photos: int  # of each individual


@dataclass(frozen=True, slots=True)
class Drawn:
    """An image and its labels. An empty label means that the rank does not apply."""

    pixels: Pixels  # (side, side, 3)
    observation: str
    species: str
    genus: str
    family: str
    seen: str  # traits of the species visible in this aspect; images with equal values cannot be told apart
    aspect: str


PARTS = {
    "fungi": "drawn fungi of the demo collection's six kinds, of invented species that no collection has",
    "things": "thousands of things that are no fungi",
    "other forms": "cups and puffballs, never trained on: they judge",
    "other things": "things of shapes and textures that are never trained on: they judge",
}
_HELD_OUT_KINDS = ("cup", "puffball")


def draw_unit(part: PoolPart, seed: int, unit: int, side: int) -> Iterator[Drawn]:
    """Draw all images of one unit of a part, each `side` pixels square."""
    if part.name in ("fungi", "other forms"):
        yield from _draw_genus(part, seed, unit, side)
    else:
        yield from _draw_class(part, seed, unit, side)


def _draw_genus(part: PoolPart, seed: int, unit: int, side: int) -> Iterator[Drawn]:
    held_out = part.name == "other forms"
    kinds = _HELD_OUT_KINDS if held_out else DEMO_KINDS
    kind = kinds[unit % len(kinds)]
    own = np.random.default_rng([seed, 101 + held_out, unit])
    genus = sample_genus(own, sample_family(own, kind), f"Genus{unit:05d}")
    members = sample_genus_species(own, genus, tuple(f"{word}{unit:05d}" for word in _EPITHETS))
    for place, species in enumerate(members):
        for number in range(part.individuals):
            rng = np.random.default_rng([seed, 103 + held_out, unit, place, number])
            individual = sample_individual(rng)
            for position, aspect in enumerate(_aspects(rng, part.photos)):
                camera = np.random.default_rng([seed, 105 + held_out, unit, place, number, position])
                pixels = draw_photo(species, individual, aspect, camera, _size(camera, side))
                yield Drawn(
                    square(pixels, side),
                    f"{part.name} {unit} {place} {number}",
                    species.name,
                    genus.name,
                    kind,
                    _visible(genus, members, species, aspect),
                    aspect,
                )


def _visible(genus: Genus, members: tuple[DrawnSpecies, ...], species: DrawnSpecies, aspect: str) -> str:
    looks = seen(species, aspect)
    same = [str(place) for place, member in enumerate(members) if seen(member, aspect) == looks]
    return f"{genus.name} {'cap' if species.cap in looks else 'under'} {'+'.join(same)}"


def _aspects(rng: np.random.Generator, count: int) -> list[str]:
    names, shares = list(ASPECT_SHARES), np.array(list(ASPECT_SHARES.values()))
    return list(map(str, rng.choice(names, min(count, len(names)), replace=False, p=shares / shares.sum())))


def _draw_class(part: PoolPart, seed: int, unit: int, side: int) -> Iterator[Drawn]:
    held_out = part.name == "other things"
    thing = sample_thing(np.random.default_rng([seed, 107 + held_out, unit]), held_out=held_out)
    for number in range(part.individuals):
        example = sample_example(np.random.default_rng([seed, 109 + held_out, unit, number]), thing)
        for position in range(part.photos):
            rng = np.random.default_rng([seed, 111 + held_out, unit, number, position])
            pixels = draw_example(example, rng, _size(rng, side))
            name = f"thing {'h' if held_out else ''}{unit:05d}"
            yield Drawn(square(pixels, side), f"{part.name} {unit} {number}", name, "", thing.kind, name, "")


def _size(rng: np.random.Generator, side: int) -> tuple[int, int]:
    across, down = _SIZES[int(rng.choice(len(_SIZES), p=[0.5, 0.25, 0.1, 0.15]))]
    short = side * ENLARGED
    return round(short * across / min(across, down)), round(short * down / min(across, down))


def square(pixels: Pixels, side: int) -> Pixels:
    """Crop the centre square of an image and scale it to `side`."""
    height, width = pixels.shape[:2]
    short = min(height, width)
    left, top = (width - short) // 2, (height - short) // 2
    cut = Image.fromarray(pixels[top : top + short, left : left + short])
    if short != side:
        cut = cut.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.asarray(cut)
