"""Drawings without a fungus, for testing rejection."""

from __future__ import annotations

import numpy as np

from evaluation.specimens.camera import expose, open_canvas, sample_camera
from evaluation.specimens.canvas import Picture, Pixels, Plane, flat, noise_tile, pick, shadow
from evaluation.specimens.ground import ground_from_above, leaf_sprite, scene, turned
from evaluation.specimens.shapes import Spot, paint_disc
from evaluation.specimens.traits import HABITATS, sample_individual

THINGS = ("landscape", "leaf", "stone")


def draw_thing(thing: str, rng: np.random.Generator, size: tuple[int, int] = (640, 480)) -> Pixels:
    """Draw one of THINGS: (height, width, 3), uint8; `size` is (width, height)."""
    camera = sample_camera(rng)
    habitat = str(rng.choice(HABITATS))
    if thing == "landscape":
        return expose(rng, open_canvas(scene(rng, habitat, size, float(rng.uniform(0.35, 0.6))), camera), camera, 0)
    ground = ground_from_above(rng, habitat, size)
    middle = (size[0] * float(rng.uniform(0.42, 0.58)), size[1] * float(rng.uniform(0.42, 0.58)))
    if thing == "leaf":
        sprite = turned(leaf_sprite(int(rng.integers(24))), float(rng.uniform(0, 360)), float(rng.uniform(2.0, 2.8)))
        ground.paste(sprite, (int(middle[0] - sprite.width / 2), int(middle[1] - sprite.height / 2)), sprite)
        return expose(rng, open_canvas(ground, camera), camera, 0)
    canvas = open_canvas(ground, camera)
    radius = min(size) * float(rng.uniform(0.25, 0.36))
    grey = float(rng.uniform(0.35, 0.7))

    def skin(r: Plane, x: Plane, y: Plane) -> tuple[Picture, Plane]:
        cloud = pick(noise_tile(1, 1.0), x * 140, y * 140)
        return flat((grey, grey * 0.97, grey * 0.92)) * (0.6 + 0.8 * cloud)[..., None], cloud * 12

    shadow(canvas, (middle[0], middle[1] + radius * 0.2), (radius * 1.2, radius), 0.8)
    spot = Spot(*middle, radius, float(rng.uniform(-3, 3)), float(rng.uniform(0.7, 0.9)))
    paint_disc(canvas, sample_individual(rng), spot, "cushion", skin, camera.light, wavy=2.0, gloss=0.0)
    return expose(rng, canvas, camera, 0)
