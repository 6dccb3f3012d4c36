"""Fungi with cap and stipe: agarics of any hymenium, and funnels whose ridges run down the stipe."""

from __future__ import annotations

import numpy as np

from evaluation.specimens.canvas import Light, Picture, Plane, blend, flat, mix, patch_of, ramp, shadow
from evaluation.specimens.shapes import Spot, Stem, paint_disc, paint_dome, paint_stem, profile
from evaluation.specimens.surfaces import cap_skin, flesh_skin, hymenium_skin, stipe_skin
from evaluation.specimens.traits import DrawnSpecies, Individual

_STUB = 0.19  # radius of the broken stipe seen from below and of the cut one: the same for all species of a genus


def paint_cap(canvas: Picture, species: DrawnSpecies, individual: Individual, spot: Spot, light: Light) -> None:
    """Paint a cap from above."""
    shadow(canvas, (spot.x - light.x * spot.radius * 0.25, spot.y + spot.radius * 0.16), _ellipse(spot), 0.75)
    paint_disc(
        canvas,
        individual,
        spot,
        species.genus.shape,
        lambda r, x, y: cap_skin(species.cap, individual, r, x, y),
        light,
        wavy=species.genus.wavy,
        gloss=species.cap.gloss,
    )


def paint_hymenium(canvas: Picture, species: DrawnSpecies, individual: Individual, spot: Spot, light: Light) -> None:
    """Paint a cap laid on its back, the stipe broken off."""
    shadow(canvas, (spot.x - light.x * spot.radius * 0.25, spot.y + spot.radius * 0.12), _ellipse(spot), 0.75)

    def skin(r: Plane, x: Plane, y: Plane) -> tuple[Picture, Plane]:
        colour, bump = hymenium_skin(species.hymenium_kind, species.hymenium, individual, r, x, y)
        stub = 1 - ramp(r, _STUB - 0.015, _STUB + 0.015)
        flesh = flesh_skin(species.genus, individual, x, y)
        margin = ramp(r, 0.955, 0.975)
        colour = mix(colour, flesh, np.maximum(stub, margin * 0.8))
        groove = np.exp(-np.square((r - _STUB - 0.03) / 0.03))
        return colour * (1 - 0.5 * groove)[..., None], np.where(r < _STUB, 6.0, bump).astype(np.float32)

    paint_disc(canvas, individual, spot, "under", skin, light, wavy=species.genus.wavy, gloss=0.0)


def paint_side(canvas: Picture, species: DrawnSpecies, individual: Individual, spot: Spot, light: Light) -> None:
    """Paint a whole fungus from the side; the spot is where its base meets the ground."""
    look = species.stipe
    length = look.length * 2 * spot.radius * (0.85 + 0.3 * individual.age)
    half = look.thickness * spot.radius
    head = (spot.x + individual.lean * 0.16 * length, spot.y - length)
    stem = Stem(head, (spot.x, spot.y), half, look.swelling)
    shadow(canvas, (spot.x - light.x * spot.radius * 0.8, spot.y), (spot.radius * 1.1, spot.radius * 0.22), 0.7)
    if species.form == "funnel":
        _paint_funnel(canvas, species, individual, stem, spot.radius, light)
        return
    paint_stem(canvas, stem, lambda t, v, x: stipe_skin(look, individual, t, v), light)
    _paint_volva(canvas, species, individual, stem, light)
    _paint_ring(canvas, species, individual, stem, light)
    shadow(canvas, (head[0], head[1] + spot.radius * 0.12), (half * 1.1, spot.radius * 0.16), 0.55)
    paint_dome(
        canvas,
        individual,
        Spot(head[0], head[1], spot.radius, individual.lean * 0.12, spot.tilt),
        species.genus.shape,
        lambda r, x, y: cap_skin(species.cap, individual, r, x, y),
        light,
        wavy=species.genus.wavy,
        gloss=species.cap.gloss,
    )


def paint_section(canvas: Picture, species: DrawnSpecies, individual: Individual, spot: Spot, light: Light) -> None:
    """Paint a cap cut in two from top to stipe; the stipe is cut short."""
    heights, _ = profile(species.genus.shape, individual.age)
    radius = spot.radius
    shadow(canvas, (spot.x, spot.y + radius * 0.1), (radius * 1.05, radius * 0.6), 0.6)
    patch = patch_of(canvas, (spot.x, spot.y), (-radius * 1.05, -radius * 1.1, radius * 1.05, radius * 1.0))
    if patch.x.size == 0:
        return
    x, up = patch.x / radius, -patch.y / radius
    beside = np.minimum(np.abs(x), 1)
    top = heights[(beside * 255).astype(np.int32)]
    flesh_depth = 0.07 + 0.27 * (1 - beside**1.5)
    if species.form == "funnel":
        flesh_depth = 0.1 + 0.1 * (1 - beside)
    under = top - flesh_depth
    depth = 0.2 * np.clip((1 - beside) * 6, 0, 1) * (0.7 + 0.3 * np.sqrt(beside))
    ragged = 0.0
    if species.hymenium_kind == "teeth":
        ragged = 0.09 * np.abs((x * 26) % 1 - 0.5) * 2
    stem_half = _STUB * (1 - 0.1 * up)
    in_cap = _inside(np.minimum(top - up, up - under), radius) * _inside(1 - np.abs(x), radius)
    in_stem = _inside(stem_half - np.abs(x), radius) * _inside(np.minimum(up + 0.85, top - up), radius)
    in_hymenium = _inside(np.minimum(top - up, up - under + depth - ragged), radius) * _inside(1 - np.abs(x), radius)
    skin, _ = hymenium_skin(species.hymenium_kind, species.hymenium, individual, beside, x, up * 0.1)
    spores = hymenium_skin("smooth", species.hymenium, individual, beside, x, up)[0]
    blend(canvas, patch, skin * 0.5 + spores * 0.5, in_hymenium * (beside > _STUB * 0.8))
    flesh = flesh_skin(species.genus, individual, x, up)
    whole = np.maximum(in_cap, in_stem)
    blend(canvas, patch, flesh, whole)
    line = np.exp(-np.square((top - up - 0.012) * radius / 2.2)) * _inside(1 - np.abs(x), radius)
    blend(canvas, patch, flat(individual.tinted(species.genus.cuticle)), 0.85 * line)


def _paint_funnel(
    canvas: Picture, species: DrawnSpecies, individual: Individual, stem: Stem, radius: float, light: Light
) -> None:
    """Paint a funnel from outside: stipe below, widening into the ridged outer side of the cap."""
    wide = radius / stem.half

    def flare(t: Plane) -> Plane:
        fan: Plane = 1 + (wide / (1 + (stem.swelling - 1) * t * t) - 1) * np.clip(1 - t / 0.8, 0, 1) ** 1.9
        return fan

    def skin(t: Plane, v: Plane, x: Plane) -> tuple[Picture, Plane]:
        lower, lower_bump = stipe_skin(species.stipe, individual, t, v)
        r = flare(t) / wide
        around = np.arcsin(np.clip(v, -0.999, 0.999))
        upper, upper_bump = hymenium_skin(
            species.hymenium_kind, species.hymenium, individual, r, r * np.sin(around), r * np.cos(around)
        )
        ridged = 1 - ramp(t + 0.06 * np.sin(v * 11), 0.42, 0.62)
        colour = mix(lower, upper, ridged)
        lip = np.exp(-np.square((t - 0.015) / 0.015))
        return mix(colour, flat(individual.tinted(species.genus.flesh)), 0.6 * lip), (
            lower_bump * (1 - ridged) + upper_bump * ridged
        )

    paint_stem(canvas, stem, skin, light, flare=flare, ragged=0.012 + 0.03 * species.genus.wavy)


def _paint_ring(canvas: Picture, species: DrawnSpecies, individual: Individual, stem: Stem, light: Light) -> None:
    ring = species.genus.ring
    pale = flat(individual.tinted(species.genus.flesh))
    if ring == "skirt" and individual.age > 0.15:

        def pleats(t: Plane, v: Plane, x: Plane) -> tuple[Picture, Plane]:
            fold = np.sin(np.arcsin(v) * 14)
            return pale * (0.92 + 0.08 * fold)[..., None], fold * 2

        shadow(canvas, (stem.base[0], stem.top[1] * 0.6 + stem.base[1] * 0.4), (stem.half, stem.half * 0.6), 0.4)
        paint_stem(canvas, stem, pleats, light, span=(0.2, 0.36), flare=lambda t: 1.1 + (t - 0.2) * 6.5, ragged=0.008)
    elif ring == "cortina":

        def web(t: Plane, v: Plane, x: Plane) -> tuple[Picture, Plane]:
            rust = flat(individual.tinted(species.genus.cuticle))
            return np.broadcast_to(rust, (*t.shape, 3)).copy(), np.sin(v * 40) * 1.5

        paint_stem(canvas, stem, web, light, span=(0.27, 0.31), flare=lambda t: t * 0 + 1.1, ragged=0.012)


def _paint_volva(canvas: Picture, species: DrawnSpecies, individual: Individual, stem: Stem, light: Light) -> None:
    volva = species.genus.volva
    if not volva:
        return
    pale = individual.tinted(species.genus.flesh)
    stem = Stem(stem.top, stem.base, stem.half, 1.0)

    def skin(t: Plane, v: Plane, x: Plane) -> tuple[Picture, Plane]:
        rows = np.sin(t * 90) * np.sin(v * 12) if volva == "warty" else np.sin(v * 9 + t * 7) * 0.4
        tone = flat(pale) * (0.88 + 0.1 * rows)[..., None]
        return tone, rows * 3

    if volva == "sac":
        paint_stem(canvas, stem, skin, light, span=(0.78, 1.03), flare=lambda t: 2.1 - (1.03 - t) * 1.2, ragged=0.03)
    else:
        paint_stem(
            canvas, stem, skin, light, span=(0.82, 1.03), flare=lambda t: 1.2 + 0.9 * np.sin((t - 0.82) / 0.21 * 3.1)
        )


def _inside(depth: Plane, radius: float) -> Plane:
    """Return the cover of what lies `depth` radii inside an edge, smoothed over a pixel."""
    cover: Plane = np.clip(depth * radius + 0.5, 0, 1)
    return cover


def _ellipse(spot: Spot) -> tuple[float, float]:
    return spot.radius * 1.12, spot.radius * 1.12 * spot.tilt
