"""Brackets: shelves on upright wood."""

from __future__ import annotations

from evaluation.specimens.canvas import Light, Picture, Plane, blend, flat, mix, patch_of, ramp, shadow
from evaluation.specimens.shapes import Spot, paint_disc, profile
from evaluation.specimens.surfaces import cap_skin, flesh_skin, hymenium_skin
from evaluation.specimens.traits import DrawnSpecies, Individual


def paint_cap(canvas: Picture, species: DrawnSpecies, individual: Individual, spot: Spot, light: Light) -> None:
    """Paint the upper side of a shelf; the spot is the middle of where it is grown on."""
    shadow(canvas, (spot.x - light.x * spot.radius * 0.2, spot.y + spot.radius * 0.6), _reach(spot), 0.75)
    paint_disc(
        canvas,
        individual,
        spot,
        species.genus.shape,
        lambda r, x, y: cap_skin(species.cap, individual, r, x, y),
        light,
        wavy=species.genus.wavy,
        gloss=species.cap.gloss,
        half=True,
    )


def paint_hymenium(canvas: Picture, species: DrawnSpecies, individual: Individual, spot: Spot, light: Light) -> None:
    """Paint the lower side of a shelf."""
    shadow(canvas, (spot.x, spot.y + spot.radius * 0.5), _reach(spot), 0.75)

    def skin(r: Plane, x: Plane, y: Plane) -> tuple[Picture, Plane]:
        colour, bump = hymenium_skin(species.hymenium_kind, species.hymenium, individual, r, x, y)
        return mix(colour, flesh_skin(species.genus, individual, x, y), 0.9 * ramp(r, 0.92, 0.96)), bump

    paint_disc(canvas, individual, spot, "under", skin, light, wavy=species.genus.wavy, gloss=0.0, half=True)


def paint_side(canvas: Picture, species: DrawnSpecies, individual: Individual, spot: Spot, light: Light) -> None:
    """Paint a shelf in profile, grown on at the left; its lower side is turned away."""
    heights, _ = profile(species.genus.shape, individual.age)
    radius = spot.radius
    shadow(canvas, (spot.x + radius * 0.2, spot.y + radius * 0.3), (radius * 0.9, radius * 0.5), 0.6)
    patch = patch_of(canvas, (spot.x, spot.y), (-radius * 0.1, -radius * 1.1, radius * 1.1, radius * 0.6))
    if patch.x.size == 0:
        return
    x, up = patch.x / radius, -patch.y / radius
    step = (x.clip(0, 1) * 255).astype("int32")
    top = heights[step] + 0.06
    bottom = -0.3 * (1 - x.clip(0, 1)) ** 0.7
    cover = (((top - up).clip(-9, (up - bottom).clip(-9, 1 - x))) * radius + 0.5).clip(0, 1)
    rim = (top - up) / (top - bottom)  # 0 at the upper edge, 1 at the lower
    colour, _ = cap_skin(species.cap, individual, (x + rim * 0.2).clip(0, 1), x, rim * 0.7)
    tone = 1.1 - 0.62 * ramp(rim, 0.1, 1.0)
    blend(canvas, patch, colour * (tone * (1 - 0.3 * (1 - ramp(rim, 0.0, 0.03))))[..., None], cover)


def paint_section(canvas: Picture, species: DrawnSpecies, individual: Individual, spot: Spot, light: Light) -> None:
    """Paint a shelf cut from the wood to the margin: crust, flesh, and the tubes below."""
    heights, _ = profile(species.genus.shape, individual.age)
    radius = spot.radius
    shadow(canvas, (spot.x + radius * 0.4, spot.y + radius * 0.2), (radius * 0.9, radius * 0.6), 0.6)
    patch = patch_of(canvas, (spot.x, spot.y), (-radius * 0.1, -radius * 1.1, radius * 1.1, radius * 0.8))
    if patch.x.size == 0:
        return
    x, up = patch.x / radius, -patch.y / radius
    beside = x.clip(0, 1)
    top = heights[(beside * 255).astype("int32")] + 0.06
    bottom = -0.42 * (1 - beside) ** 0.7
    border = bottom + 0.3 * (1 - beside) ** 0.6
    within = ((1 - x).clip(-9, x + 0.02) * radius + 0.5).clip(0, 1)
    cover = ((top - up).clip(-9, up - bottom) * radius + 0.5).clip(0, 1) * within
    blend(canvas, patch, flesh_skin(species.genus, individual, x, up), cover)
    tubes = hymenium_skin(species.hymenium_kind, species.hymenium, individual, beside, x, up * 0.12)[0]
    spores = hymenium_skin("smooth", species.hymenium, individual, beside, x, up)[0]
    blend(canvas, patch, tubes * 0.5 + spores * 0.5, cover * ((border - up) * radius + 0.5).clip(0, 1))
    crust = ((0.03 - (top - up)) * radius + 0.5).clip(0, 1) * cover
    blend(canvas, patch, flat(individual.tinted(species.genus.cuticle)), crust)


def _reach(spot: Spot) -> tuple[float, float]:
    return spot.radius * 1.15, spot.radius * 0.8 * spot.tilt
