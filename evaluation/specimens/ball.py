"""Cups and puffballs: outer skin with the cap's look, inner side with the hymenium's."""

from __future__ import annotations

import numpy as np

from evaluation.specimens.canvas import Light, Picture, Plane, mix, ramp, shadow
from evaluation.specimens.shapes import Spot, Stem, paint_disc, paint_dome, paint_stem
from evaluation.specimens.surfaces import cap_skin, flesh_skin, hymenium_skin, stipe_skin
from evaluation.specimens.traits import DrawnSpecies, Individual


def paint_cap(canvas: Picture, species: DrawnSpecies, individual: Individual, spot: Spot, light: Light) -> None:
    """Paint the outer skin from above; a cup is turned over for it."""
    shadow(canvas, (spot.x, spot.y + spot.radius * 0.15), (spot.radius * 1.15, spot.radius * 1.15 * spot.tilt), 0.75)
    paint_disc(
        canvas,
        individual,
        spot,
        "ball",
        lambda r, x, y: cap_skin(species.cap, individual, r, x, y),
        light,
        wavy=species.genus.wavy,
        gloss=species.cap.gloss,
    )


def paint_hymenium(canvas: Picture, species: DrawnSpecies, individual: Individual, spot: Spot, light: Light) -> None:
    """Paint what is inside: the bowl of a cup, the spore mass of an opened puffball."""
    shadow(canvas, (spot.x, spot.y + spot.radius * 0.12), (spot.radius * 1.12, spot.radius * 1.12 * spot.tilt), 0.75)

    def skin(r: Plane, x: Plane, y: Plane) -> tuple[Picture, Plane]:
        colour, bump = hymenium_skin("smooth", species.hymenium, individual, r, x, y)
        return mix(colour, flesh_skin(species.genus, individual, x, y), ramp(r, 0.88, 0.93)), bump

    shape = "dish" if species.form == "cup" else "under"
    paint_disc(canvas, individual, spot, shape, skin, light, wavy=species.genus.wavy, gloss=0.1)


def paint_side(canvas: Picture, species: DrawnSpecies, individual: Individual, spot: Spot, light: Light) -> None:
    """Paint the outer side on its short foot; the spot is the base."""
    radius = spot.radius * 0.85
    shadow(canvas, (spot.x, spot.y), (radius * 1.2, radius * 0.25), 0.75)
    foot = radius * (0.4 + 0.5 * species.stipe.thickness)
    head = spot.y - radius * 0.5
    stem = Stem((spot.x, head), (spot.x, spot.y), foot, 1.1)
    if species.form == "cup":
        tall = Stem((spot.x, spot.y - radius * 1.5), (spot.x, spot.y), foot, 1.0)
        wide = radius / foot

        def outer(t: Plane, v: Plane, x: Plane) -> tuple[Picture, Plane]:
            above, bump = cap_skin(species.cap, individual, 1 - t, v * (1 - 0.5 * t), 1 - t)
            below, _ = stipe_skin(species.stipe, individual, t, v)
            return mix(above, below, ramp(t, 0.68, 0.8)), bump

        paint_stem(
            canvas,
            tall,
            outer,
            light,
            flare=lambda t: 1 + (wide - 1) * np.sqrt(np.clip(1 - t / 0.75, 0, 1)),
            ragged=0.02,
        )
        return
    paint_stem(canvas, stem, lambda t, v, x: stipe_skin(species.stipe, individual, t, v), light)
    paint_dome(
        canvas,
        individual,
        Spot(spot.x, head, radius, individual.lean * 0.1, 0.6),
        "ball",
        lambda r, x, y: cap_skin(species.cap, individual, r, x, y),
        light,
        wavy=species.genus.wavy * 0.2,
        gloss=species.cap.gloss,
    )
