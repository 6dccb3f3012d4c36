"""Traits of drawn species, inherited from family and genus; looks are shared by pairs of species.

Nothing here draws. `sample_species` makes any number of further species, for example for training.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import numpy as np

from evaluation.specimens.names import FAMILIES, family_of, invent_genus

Rgb: TypeAlias = tuple[float, float, float]  # each 0 to 1


@dataclass(frozen=True, slots=True)
class Tint:
    """The mean colour of a species' part; individuals scatter about it."""

    hue: float  # in turns
    saturation: float
    value: float

    def rgb(self) -> Rgb:
        """Return the colour as red, green and blue."""
        return colorsys.hsv_to_rgb(self.hue % 1, min(max(self.saturation, 0), 1), min(max(self.value, 0), 1))


@dataclass(frozen=True, slots=True)
class CapLook:
    """What a photo from above can show, as far as species of a genus differ in it."""

    colour: Tint
    centre: Tint
    pattern: str  # one of PATTERNS
    pattern_tint: Tint
    grain: float  # size of the pattern's pieces against the cap's radius
    density: float  # 0 to 1: how much of the cap the pattern covers
    striate: float  # 0 to 1: how strongly the margin is lined
    gloss: float
    habitats: tuple[str, ...]  # the first is twice as common as each other


@dataclass(frozen=True, slots=True)
class HymeniumLook:
    """What a photo from below can show, as far as species of a genus differ in it."""

    colour: Tint
    edge: Tint
    spacing: float  # 0 crowded or fine, 1 distant or coarse
    mature: Tint  # colour towards old age: that of the spores


@dataclass(frozen=True, slots=True)
class StipeLook:
    """What a stipe can show, as far as species of a genus differ in it."""

    colour: Tint
    base: Tint
    length: float  # against the cap's diameter
    thickness: float  # against the cap's diameter
    swelling: float  # thickness at the base against the apex
    texture: str  # one of TEXTURES


@dataclass(frozen=True, slots=True)
class Family:
    """A family; it determines the kind, that is, growth form and hymenium."""

    name: str
    kind: str  # a key of KINDS


@dataclass(frozen=True, slots=True)
class Genus:
    """A genus; it determines cap shape, ring, volva, flesh and size, and the parts in which its species differ."""

    name: str
    family: Family
    shape: str  # one of SHAPES
    ring: str  # "", skirt or cortina
    volva: str  # "", sac or warty
    flesh: Tint
    bruise: Tint
    cuticle: Tint
    size: float  # relative to the usual size
    wavy: float  # 0 to 1: how uneven the margin is
    contrast: str  # "hymenium": its species are 2 caps x 2 hymenia; "stipe": 2 hymenia x 2 stipes


@dataclass(frozen=True, slots=True)
class DrawnSpecies:
    """A species: its genus and one of the genus' looks for each part."""

    name: str
    genus: Genus
    cap: CapLook
    hymenium: HymeniumLook
    stipe: StipeLook
    season: float  # month of its peak, 1 to 13

    @property
    def form(self) -> str:
        """Return the growth form."""
        return KINDS[self.genus.family.kind][0]

    @property
    def hymenium_kind(self) -> str:
        """Return what bears the spores: gills, pores, teeth, ridges or smooth."""
        return KINDS[self.genus.family.kind][1]


@dataclass(frozen=True, slots=True)
class Individual:
    """One fungus of a species, the same in all photos of its observation."""

    age: float  # 0 button, 1 old
    size: float
    hue: float  # added, in turns
    saturation: float  # factor
    value: float  # factor
    lean: float  # -1 to 1
    damage: float  # 0 to 1
    seed: int  # of its outline and the positions of its scales

    def tinted(self, tint: Tint) -> Rgb:
        """Return the individual's own shade of a mean colour."""
        return Tint(tint.hue + self.hue, tint.saturation * self.saturation, tint.value * self.value).rgb()


KINDS = {
    "gilled": ("agaric", "gills"),
    "pored": ("agaric", "pores"),
    "toothed": ("agaric", "teeth"),
    "ridged": ("funnel", "ridges"),
    "bracket": ("bracket", "pores"),
    "coral": ("coral", "smooth"),
    "cup": ("cup", "smooth"),
    "puffball": ("puffball", "smooth"),
}
"""Growth form and hymenium of each kind of family."""

SHAPES = {
    "gilled": ("convex", "bell", "flat", "umbonate", "depressed"),
    "pored": ("cushion", "convex"),
    "toothed": ("convex", "depressed"),
    "ridged": ("funnel",),
    "bracket": ("shelf", "hoof"),
    "coral": ("club", "bush"),
    "cup": ("dish",),
    "puffball": ("ball",),
}

PATTERNS = ("plain", "fibrils", "scales", "warts", "zones", "cracked", "spotted")
TEXTURES = ("smooth", "fibrils", "scales", "net", "bands")
HABITATS = ("beech litter", "spruce needles", "grass", "moss", "sand", "wood")

_SEEN: dict[str, dict[str, tuple[str, ...]]] = {
    "agaric": {
        "cap": ("cap",),
        "hymenium": ("hymenium",),
        "stipe": ("cap", "stipe"),
        "section": ("hymenium",),
        "habitat": ("cap", "stipe"),
    },
    "funnel": {
        "cap": ("cap",),
        "hymenium": ("hymenium",),
        "stipe": ("hymenium", "stipe"),
        "section": ("hymenium",),
        "habitat": ("cap",),
    },
    "bracket": {
        "cap": ("cap",),
        "hymenium": ("hymenium",),
        "stipe": ("cap",),
        "section": ("hymenium",),
        "habitat": ("cap",),
    },
    "coral": {
        "cap": ("cap",),
        "hymenium": ("hymenium",),
        "stipe": ("cap", "stipe"),
        "section": ("hymenium",),
        "habitat": ("cap", "stipe"),
    },
    "cup": {
        "cap": ("cap",),
        "hymenium": ("hymenium",),
        "stipe": ("cap", "stipe"),
        "section": ("hymenium",),
        "habitat": ("cap",),
    },
    "puffball": {
        "cap": ("cap",),
        "hymenium": ("hymenium",),
        "stipe": ("cap", "stipe"),
        "section": ("hymenium",),
        "habitat": ("cap",),
    },
}

_WARM = ((0.00, 0.7, 0.65), (0.03, 0.7, 0.6), (0.06, 0.65, 0.55), (0.08, 0.55, 0.45), (0.10, 0.55, 0.75))
_PALE = ((0.12, 0.25, 0.9), (0.10, 0.12, 0.92), (0.08, 0.35, 0.8), (0.14, 0.6, 0.88))
_COOL = ((0.19, 0.4, 0.5), (0.55, 0.2, 0.5), (0.75, 0.3, 0.45), (0.88, 0.4, 0.55), (0.33, 0.25, 0.5), (0.07, 0.2, 0.3))
_GROUND_COLOURS = _WARM + _PALE + _COOL
_HYMENIA = (
    (0.12, 0.12, 0.93),
    (0.14, 0.55, 0.88),
    (0.03, 0.25, 0.85),
    (0.06, 0.55, 0.55),
    (0.08, 0.45, 0.35),
    (0.80, 0.22, 0.6),
    (0.05, 0.6, 0.75),
    (0.20, 0.35, 0.65),
    (0.60, 0.06, 0.6),
    (0.98, 0.5, 0.7),
)
_FLESH = ((0.13, 0.08, 0.95), (0.14, 0.3, 0.92), (0.06, 0.2, 0.9), (0.1, 0.35, 0.8), (0.09, 0.4, 0.6))


def seen(species: DrawnSpecies, aspect: str) -> tuple[CapLook | HymeniumLook | StipeLook, ...]:
    """Return the looks visible in a photo of one aspect; everything else in it is common to the genus."""
    looks: dict[str, CapLook | HymeniumLook | StipeLook] = {
        "cap": species.cap,
        "hymenium": species.hymenium,
        "stipe": species.stipe,
    }
    return tuple(looks[part] for part in _SEEN[species.form][aspect])


def sample_family(rng: np.random.Generator, kind: str | None = None) -> Family:
    """Draw a family of a kind, or of any."""
    kind = kind or str(rng.choice(list(KINDS)))
    return Family(family_of(invent_genus(rng, kind).name), kind)


def demo_family(kind: str) -> Family:
    """Return the demo collection's family of a kind."""
    return Family(FAMILIES[kind], kind)


def sample_genus(
    rng: np.random.Generator, family: Family, name: str = "", *, contrast: str = "", shape: str = ""
) -> Genus:
    """Draw a genus of a family: what all its species have in common."""
    form, hymenium = KINDS[family.kind]
    ring = volva = ""
    if hymenium == "gills":
        ring = str(rng.choice(["", "skirt", "cortina"]))
        volva = str(rng.choice(["", "", "sac", "warty"]))
    if not contrast:
        contrast = str(rng.choice(["hymenium", "stipe"])) if form == "agaric" else "hymenium"
    flesh = _FLESH[rng.integers(len(_FLESH))]
    return Genus(
        name=name or invent_genus(rng, family.kind).name,
        family=family,
        shape=shape or str(rng.choice(SHAPES[family.kind])),
        ring=ring,
        volva=volva,
        flesh=_scatter(rng, flesh),
        bruise=_scatter(rng, _COOL[rng.integers(len(_COOL))]),
        cuticle=_scatter(rng, (0.08, 0.4, 0.4)),
        size=float(rng.uniform(0.8, 1.15)),
        wavy=float(rng.uniform(0.0, 0.6) if form == "agaric" else rng.uniform(0.5, 1.0)),
        contrast=contrast,
    )


def sample_cap(rng: np.random.Generator, form: str, unlike: CapLook | None = None) -> CapLook:
    """Draw how a cap looks from above, clearly unlike another where one is given."""
    colour = _unlike(rng, _GROUND_COLOURS, unlike.colour if unlike else None)
    patterns = [pattern for pattern in PATTERNS if unlike is None or pattern != unlike.pattern]
    if form == "bracket":
        patterns = [pattern for pattern in patterns if pattern in ("plain", "zones", "fibrils", "cracked")]
    pattern = str(rng.choice(patterns))
    darker = rng.random() < 0.6 or colour.value > 0.8
    pattern_tint = Tint(
        colour.hue + rng.normal(0, 0.03),
        colour.saturation * rng.uniform(0.8, 1.3) if darker else colour.saturation * 0.35,
        colour.value * rng.uniform(0.4, 0.65) if darker else min(0.95, colour.value + rng.uniform(0.25, 0.4)),
    )
    centre = Tint(colour.hue + rng.normal(0, 0.02), colour.saturation, min(0.95, colour.value * rng.uniform(0.65, 1.2)))
    habitats = ("wood",) if form == "bracket" else tuple(map(str, rng.permutation(HABITATS)[:3]))
    return CapLook(
        colour=colour,
        centre=centre,
        pattern=pattern,
        pattern_tint=pattern_tint,
        grain=float(rng.uniform(0.06, 0.2)),
        density=float(rng.uniform(0.35, 0.8)),
        striate=float(rng.uniform(0.5, 1.0)) if rng.random() < 0.35 else 0.0,
        gloss=float(rng.choice([0.05, 0.25, 0.6])),
        habitats=habitats,
    )


def sample_hymenium(rng: np.random.Generator, unlike: HymeniumLook | None = None) -> HymeniumLook:
    """Draw how the spore-bearing side looks, clearly unlike another where one is given."""
    colour = _unlike(rng, _HYMENIA, unlike.colour if unlike else None)
    spacing = rng.uniform(0.0, 1.0) if unlike is None else (unlike.spacing + rng.uniform(0.35, 0.65)) % 1.0
    edge = Tint(colour.hue, colour.saturation * 0.8, min(1.0, colour.value * 1.15))
    mature = Tint(colour.hue + rng.normal(0, 0.02), colour.saturation * 1.1, colour.value * rng.uniform(0.7, 0.9))
    return HymeniumLook(colour, edge, float(spacing), mature)


def sample_stipe(rng: np.random.Generator, unlike: StipeLook | None = None) -> StipeLook:
    """Draw how a stipe looks, clearly unlike another where one is given."""
    colour = _unlike(rng, _PALE + _WARM[3:] + _COOL[1:4], unlike.colour if unlike else None)
    length, thickness = rng.uniform(0.7, 1.4), rng.uniform(0.12, 0.3)
    if unlike is not None:  # slender beside stout
        length, thickness = (rng.uniform(1.1, 1.5), rng.uniform(0.1, 0.16))
        if unlike.length > 1.05:
            length, thickness = rng.uniform(0.65, 0.85), rng.uniform(0.24, 0.34)
    textures = [texture for texture in TEXTURES if unlike is None or texture != unlike.texture]
    return StipeLook(
        colour=colour,
        base=Tint(colour.hue + rng.normal(0, 0.03), colour.saturation + 0.1, colour.value * rng.uniform(0.5, 1.0)),
        length=float(length),
        thickness=float(thickness),
        swelling=float(rng.uniform(0.85, 1.9)),
        texture=str(rng.choice(textures)),
    )


def sample_genus_species(rng: np.random.Generator, genus: Genus, names: tuple[str, ...]) -> tuple[DrawnSpecies, ...]:
    """Draw up to four species of a genus: two looks of one part crossed with two of another.

    The two species that share a look cannot be told apart by it, so that one aspect is never enough.
    """
    form = KINDS[genus.family.kind][0]
    caps = [sample_cap(rng, form)]
    caps.append(sample_cap(rng, form, caps[0]))
    hymenia = [sample_hymenium(rng)]
    hymenia.append(sample_hymenium(rng, hymenia[0]))
    stipes = [sample_stipe(rng)]
    stipes.append(sample_stipe(rng, stipes[0]))
    if genus.contrast == "hymenium":
        looks = [(cap, hymenium, stipes[0]) for cap, hymenium in product(caps, hymenia)]
    else:
        looks = [(caps[0], hymenium, stipe) for hymenium, stipe in product(hymenia, stipes)]
    seasons = rng.uniform(6.0, 12.0, 4)
    return tuple(
        DrawnSpecies(f"{genus.name} {name}", genus, *look, season=float(season))
        for name, look, season in zip(names, looks, seasons, strict=False)
    )


def sample_species(rng: np.random.Generator, kind: str | None = None) -> DrawnSpecies:
    """Draw one species of a new genus and family, of a given kind or any. Its name comes from the seed."""
    genus = sample_genus(rng, sample_family(rng, kind))
    epithet = "ficta" + "".join(rng.choice(list("aeiou"), 3))
    names = tuple(f"{epithet}{ordinal}" for ordinal in ("prima", "altera", "tertia", "quarta"))
    members = sample_genus_species(rng, genus, names)
    return members[int(rng.integers(len(members)))]


def sample_individual(rng: np.random.Generator) -> Individual:
    """Draw one fungus: its age, size and the scatter of its colours about the species' mean."""
    return Individual(
        age=float(rng.beta(2, 2)),
        size=float(rng.uniform(0.82, 1.12)),
        hue=float(rng.normal(0, 0.008)),
        saturation=float(np.clip(rng.normal(1, 0.1), 0.7, 1.3)),
        value=float(np.clip(rng.normal(1, 0.06), 0.82, 1.15)),
        lean=float(rng.normal(0, 0.35)),
        damage=float(rng.random() ** 3),
        seed=int(rng.integers(2**31)),
    )


def _scatter(rng: np.random.Generator, base: tuple[float, float, float], amount: float = 1.0) -> Tint:
    hue, saturation, value = base
    return Tint(
        float(hue + rng.normal(0, 0.012) * amount),
        float(np.clip(saturation * rng.uniform(0.85, 1.15), 0.02, 0.95)),
        float(np.clip(value * rng.uniform(0.92, 1.06), 0.1, 0.97)),
    )


def _unlike(rng: np.random.Generator, palette: tuple[tuple[float, float, float], ...], other: Tint | None) -> Tint:
    """Draw from a palette, far from another colour where one is given."""
    for _ in range(40):
        tint = _scatter(rng, palette[rng.integers(len(palette))])
        if other is None or np.linalg.norm(np.subtract(tint.rgb(), other.rgb())) > 0.3:
            break
    return tint
