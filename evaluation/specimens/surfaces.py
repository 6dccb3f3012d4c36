"""Surfaces: colour and relief of caps, hymenia and stipes. Independent of layout.

A skin maps points in its own coordinates to a colour and a bump (a height in pixels). The same skin serves the view
from above and the view from the side.
"""

from __future__ import annotations

import math

import numpy as np

from evaluation.specimens.canvas import TILE, Cells, Picture, Plane, cell_tile, flat, mix, noise_tile, pick, ramp
from evaluation.specimens.traits import CapLook, Genus, HymeniumLook, Individual, StipeLook, Tint

_CELL = TILE / 20.0  # pixels of a cell tile per cell


def cap_skin(look: CapLook, individual: Individual, r: Plane, x: Plane, y: Plane) -> tuple[Picture, Plane]:
    """Return colour and bump of a cap at points (x, y) in cap radii, `r` from the centre, 1 at the margin."""
    seed = individual.seed
    shift_x, shift_y = seed % 509, seed % 283
    cloud = pick(noise_tile(0), x * 150 + shift_x, y * 150 + shift_y)
    centre, colour = flat(individual.tinted(look.centre)), flat(individual.tinted(look.colour))
    skin = mix(colour, centre, 1 - ramp(r + (cloud - 0.5) * 0.25, 0.1, 0.75))
    skin = skin * (0.86 + 0.28 * cloud)[..., None]
    bump = cloud * 3
    pattern = flat(individual.tinted(look.pattern_tint))
    cover, height = _PATTERNS[look.pattern](look, seed, r, x, y, cloud)
    skin = mix(skin, pattern, cover)
    bump = bump + height
    if look.striate:
        theta = np.arctan2(y, x)
        line = np.cos(theta * 64 + 2 * cloud)
        strength = look.striate * ramp(r, 0.62, 0.95)
        skin = skin * (1 - 0.28 * strength * (line > 0.1))[..., None]
        bump = bump + line * strength * 1.2
    worn = individual.age * 0.35 * ramp(r + (cloud - 0.5) * 0.4, 0.75, 1.05)
    return skin * (1 - worn)[..., None], bump


def _plain(look: CapLook, seed: int, r: Plane, x: Plane, y: Plane, cloud: Plane) -> tuple[Plane, Plane]:
    cover = 0.25 * look.density * ramp(cloud, 0.45, 0.9)
    return cover, np.zeros_like(r)


def _fibrils(look: CapLook, seed: int, r: Plane, x: Plane, y: Plane, cloud: Plane) -> tuple[Plane, Plane]:
    theta = np.arctan2(y, x)
    hair = pick(noise_tile(1, 1.0), theta * (TILE / math.tau * 2) + seed % 97, r * 40)
    cover = look.density * ramp(hair, 0.45, 0.75) * ramp(r, 0.0, 0.35)
    return cover, hair * 4


def _cells(look: CapLook, seed: int, x: Plane, y: Plane, grain: float) -> tuple[Plane, Plane, Plane]:
    cells: Cells = cell_tile(seed % 2)
    scale = _CELL / grain
    u, v = x * scale + seed % 311, y * scale + seed % 173
    return pick(cells.distance, u, v), pick(cells.wall, u, v), pick(cells.value, u, v)


def _scales(look: CapLook, seed: int, r: Plane, x: Plane, y: Plane, cloud: Plane) -> tuple[Plane, Plane]:
    distance, _, value = _cells(look, seed, x, y, look.grain * 0.8)
    size = (0.38 + 0.25 * value) * look.density * 1.5 * (1.15 - 0.6 * r)
    cover = 1 - ramp(distance - size, -0.08, 0.08)
    whole = 1 - ramp(r, 0.12, 0.3)  # the middle keeps its scales together
    cover = np.maximum(cover, whole)
    return cover * 0.92, cover * 2.5


def _warts(look: CapLook, seed: int, r: Plane, x: Plane, y: Plane, cloud: Plane) -> tuple[Plane, Plane]:
    distance, _, value = _cells(look, seed, x, y, look.grain)
    size = np.where(value < look.density, 0.2 + 0.22 * value, -1.0)
    lump = 1 - ramp(distance - size, -0.1, 0.06)
    return lump, lump * 7


def _zones(look: CapLook, seed: int, r: Plane, x: Plane, y: Plane, cloud: Plane) -> tuple[Plane, Plane]:
    count = 0.55 / look.grain
    wave = np.sin((r + (cloud - 0.5) * 0.12) * (math.tau * count) + seed % 7)
    return look.density * ramp(wave, -0.2, 0.5), wave * 1.5


def _cracked(look: CapLook, seed: int, r: Plane, x: Plane, y: Plane, cloud: Plane) -> tuple[Plane, Plane]:
    _, wall, _ = _cells(look, seed, x, y, look.grain * 1.2)
    gap = 1 - ramp(wall, 0.05, 0.14 + 0.1 * look.density)
    gap = gap * ramp(r, 0.15, 0.6)
    return gap * 0.9, gap * -3


def _spotted(look: CapLook, seed: int, r: Plane, x: Plane, y: Plane, cloud: Plane) -> tuple[Plane, Plane]:
    distance, _, value = _cells(look, seed, x, y, look.grain * 1.4)
    size = np.where(value < look.density, 0.22 + 0.2 * value, -1.0)
    return (1 - ramp(distance - size + (cloud - 0.5) * 0.3, -0.06, 0.1)) * 0.85, np.zeros_like(r)


_PATTERNS = {
    "plain": _plain,
    "fibrils": _fibrils,
    "scales": _scales,
    "warts": _warts,
    "zones": _zones,
    "cracked": _cracked,
    "spotted": _spotted,
}


def mature(look: HymeniumLook, individual: Individual) -> Picture:
    """Return the colour of a hymenium at an individual's age."""
    young, old = flat(individual.tinted(look.colour)), flat(individual.tinted(look.mature))
    return young + (old - young) * individual.age * 0.8


def hymenium_skin(
    kind: str, look: HymeniumLook, individual: Individual, r: Plane, x: Plane, y: Plane
) -> tuple[Picture, Plane]:
    """Return colour and bump of gills, pores, teeth, ridges or a smooth side at points (x, y) in cap radii."""
    height, bump = _HYMENIA[kind](look, individual.seed, r, x, y)
    colour, edge = mature(look, individual), flat(individual.tinted(look.edge))
    deep = colour * 0.42
    skin = mix(mix(deep, colour, np.clip(height * 2, 0, 1)), edge, np.clip(height * 2 - 1, 0, 1))
    cloud = pick(noise_tile(0), x * 120 + individual.seed % 401, y * 120)
    return skin * (0.9 + 0.2 * cloud)[..., None], bump


def _gills(look: HymeniumLook, seed: int, r: Plane, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    theta = np.arctan2(y, x) / math.tau
    wobble = pick(noise_tile(2), theta * TILE + seed % 211, r * 60) - 0.5
    count = round(44 - 26 * look.spacing)
    phase = theta * count + wobble * 0.35
    inner = r + (pick(noise_tile(2, 0.6), theta * TILE * 6 + seed % 131, r * 0) - 0.5) * 0.3
    tier = np.float32(1) + (inner > 0.38) + np.float32(2) * (inner > 0.68)  # short gills fill the gaps
    across = np.abs((phase * tier) % 1 - 0.5) * 2
    return 1 - across, (1 - across) * 3


def _pores(look: HymeniumLook, seed: int, r: Plane, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    cells = cell_tile(seed % 2)
    grain = _CELL / (0.035 + 0.085 * look.spacing**1.3)
    wall = pick(cells.wall, x * grain + seed % 311, y * grain + seed % 173)
    rim = 1 - ramp(wall, 0.12, 0.5)
    return 0.12 + 0.88 * rim, rim * 3


def _teeth(look: HymeniumLook, seed: int, r: Plane, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    cells = cell_tile(seed % 2)
    grain = _CELL / (0.035 + 0.06 * look.spacing)
    lean = 1 + 0.28 * r  # teeth hang down and are seen more from the side towards the margin
    distance = pick(cells.distance, x / lean * grain + seed % 311, y / lean * grain + seed % 173)
    value = pick(cells.value, x / lean * grain + seed % 311, y / lean * grain + seed % 173)
    tip = 1 - ramp(distance, 0.08, 0.62)
    return tip * (0.75 + 0.25 * value), tip * 8


def _ridges(look: HymeniumLook, seed: int, r: Plane, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    theta = np.arctan2(y, x) / math.tau
    wobble = pick(noise_tile(2), theta * TILE * 2 + seed % 211, r * 110) - 0.5
    count = round(26 - 13 * look.spacing)
    tier = np.float32(1) + (r + wobble * 0.35 > 0.55)  # ridges fork
    wave = 0.5 + 0.5 * np.cos(math.tau * (theta * count * tier + wobble * 1.5))
    vein = ramp(np.cos(r * 46 + wobble * 25), 0.75, 1.0) * 0.45  # and are joined across
    height = np.maximum(wave, vein)
    return 0.2 + 0.7 * height, height * 6


def _smooth(look: HymeniumLook, seed: int, r: Plane, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    grain = 500 / (1 + 3 * look.spacing)
    fold = pick(noise_tile(1, 1.0), x * grain + seed % 311, y * grain + seed % 173)
    return 0.15 + 0.8 * fold, fold * 10


_HYMENIA = {"gills": _gills, "pores": _pores, "teeth": _teeth, "ridges": _ridges, "smooth": _smooth}


def stipe_skin(look: StipeLook, individual: Individual, t: Plane, v: Plane) -> tuple[Picture, Plane]:
    """Return colour and bump of a stipe: `t` from 0 at the apex to 1 at the base, `v` from -1 to 1 across."""
    around = np.arcsin(np.clip(v, -0.999, 0.999)) / math.pi  # -0.5 to 0.5
    length = look.length / look.thickness  # in stipe widths
    down = t * length
    cloud = pick(noise_tile(0), around * 160 + individual.seed % 509, down * 60)
    colour, base = flat(individual.tinted(look.colour)), flat(individual.tinted(look.base))
    skin = mix(colour, base, ramp(t + (cloud - 0.5) * 0.3, 0.35, 1.05)) * (0.88 + 0.24 * cloud)[..., None]
    cover, bump = _STIPES[look.texture](individual.seed, around, down, cloud)
    dark = _darker(look.colour, individual)
    return mix(skin, dark, cover), bump


def _darker(tint: Tint, individual: Individual) -> Picture:
    return flat(individual.tinted(Tint(tint.hue, tint.saturation + 0.12, tint.value * 0.5)))


def _bare(seed: int, around: Plane, down: Plane, cloud: Plane) -> tuple[Plane, Plane]:
    return np.zeros_like(down), cloud * 2


def _threads(seed: int, around: Plane, down: Plane, cloud: Plane) -> tuple[Plane, Plane]:
    hair = pick(noise_tile(1, 1.0), around * 300 + seed % 97, down * 14)
    return 0.75 * ramp(hair, 0.5, 0.8), hair * 4


def _scaly(seed: int, around: Plane, down: Plane, cloud: Plane) -> tuple[Plane, Plane]:
    cells = cell_tile(seed % 2)
    distance = pick(cells.distance, around * 150 + seed % 311, down * 75)
    lump = 1 - ramp(distance, 0.3, 0.5)
    return lump * 0.85, lump * 4


def _net(seed: int, around: Plane, down: Plane, cloud: Plane) -> tuple[Plane, Plane]:
    cells = cell_tile(seed % 2)
    wall = pick(cells.wall, around * 170 + seed % 311, down * 50)
    line = 1 - ramp(wall, 0.08, 0.25)
    return line * 0.8, line * 3


def _bands(seed: int, around: Plane, down: Plane, cloud: Plane) -> tuple[Plane, Plane]:
    zigzag = np.sin(down * 7.5 + np.abs((around * 4) % 1 - 0.5) * 5 + (cloud - 0.5) * 5)
    return 0.75 * ramp(zigzag, 0.15, 0.6), zigzag * 1.5


_STIPES = {"smooth": _bare, "fibrils": _threads, "scales": _scaly, "net": _net, "bands": _bands}


def flesh_skin(genus: Genus, individual: Individual, x: Plane, y: Plane) -> Picture:
    """Return the colour of cut flesh, bruising in clouds, at points in cap radii."""
    cloud = pick(noise_tile(0), x * 130 + individual.seed % 331, y * 130)
    bruise = 0.4 * ramp(cloud, 0.5, 0.85)
    return mix(flat(individual.tinted(genus.flesh)), flat(individual.tinted(genus.bruise)), bruise)
