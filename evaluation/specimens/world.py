"""The demo collection before it is drawn: its species, observations and checklists."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import chain, zip_longest

import numpy as np

from evaluation.specimens.names import EPITHETS, GENERA, GenusName, invent_genus
from evaluation.specimens.photo import sample_habitat
from evaluation.specimens.traits import DrawnSpecies, Genus, demo_family, sample_genus, sample_genus_species

SPECIES_PER_GENUS = 4
DEMO_KINDS = ("gilled", "pored", "toothed", "ridged", "bracket", "coral")
"""The six kinds of the demo collection's families."""

BOXES = {
    "NO": (59.5, 60.8, 8.0, 11.0),
    "SE": (57.0, 59.0, 13.0, 15.5),
    "DK": (55.3, 57.0, 8.8, 9.9),
    "GB": (51.6, 53.8, -2.4, -0.2),
    "NL": (51.9, 52.7, 5.0, 6.0),
    "BE": (50.3, 51.1, 4.4, 5.5),
    "FR": (47.2, 49.4, 0.8, 4.5),
}
"""Latitudes and longitudes within each country."""

REGIONS = {"north": ("NO", "SE", "DK"), "west": ("GB", "NL", "DK"), "south": ("FR", "BE", "NL")}
"""Made-up regions; they overlap in Denmark and the Netherlands."""

_RANGES = (
    *[("north", "west", "south")] * 3,
    *[("north", "west"), ("west", "south"), ("north", "south")] * 2,
    *[("north",), ("west",), ("south",)] * 2,
)
"""Fifteen ranges that give each region nine species of fifteen."""

ASPECT_SHARES = {"cap": 0.34, "hymenium": 0.28, "stipe": 0.22, "habitat": 0.1, "section": 0.06}
"""How often each aspect is photographed."""


@dataclass(frozen=True, slots=True)
class ListedSpecies:
    """A species of the collection and its lists; `traits` is None if it is never drawn."""

    name: str
    genus: Genus
    english: str
    danish: str
    regions: tuple[str, ...]
    toxicity: str
    traits: DrawnSpecies | None


@dataclass(frozen=True, slots=True)
class Find:
    """An observation: one fungus, place and time, and the aspects it was photographed from."""

    number: int  # seeds its drawings
    species: ListedSpecies
    country: str
    latitude: float
    longitude: float
    uncertainty: int  # metres
    day: date
    habitat: str
    aspects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class World:
    """Everything about a collection except its pixels. Depends only on the seed and the number of species."""

    seed: int
    species: tuple[ListedSpecies, ...]
    unseen: tuple[ListedSpecies, ...]  # listed, never photographed
    finds: tuple[Find, ...]
    held_out: tuple[Find, ...]  # not in the archive


@lru_cache(maxsize=2)
def make_world(seed: int, species: int) -> World:
    """Invent `species` species and their observations."""
    genera = (species + SPECIES_PER_GENUS - 1) // SPECIES_PER_GENUS
    rng = np.random.default_rng([seed, 1])
    epithets = [EPITHETS[k] for k in rng.permutation(len(EPITHETS)).tolist()]
    ranges = [_RANGES[k] for _ in range(species // 15 + 1) for k in rng.permutation(len(_RANGES)).tolist()]
    known: list[ListedSpecies] = []
    unseen: list[ListedSpecies] = []
    for place, (kind, name) in enumerate(_genus_names(rng, genera)):
        own = np.random.default_rng([seed, 2, place])
        contrast = ("hymenium", "stipe")[(place // len(DEMO_KINDS)) % 2] if _has_stipe(kind) else "hymenium"
        genus = sample_genus(own, demo_family(kind), name.name, contrast=contrast)
        count = min(SPECIES_PER_GENUS, species - place * SPECIES_PER_GENUS)
        # epithets recur in later genera, as they do in real taxonomy
        words = [epithets[(place * (SPECIES_PER_GENUS + 1) + k) % len(epithets)] for k in range(SPECIES_PER_GENUS + 1)]
        for traits, word in zip(
            sample_genus_species(own, genus, tuple(w.name for w in words[:count])), words, strict=False
        ):
            english, danish = _vernacular(word.english, name.english), _vernacular(word.danish, name.danish)
            toxicity = "toxic" if len(known) % 9 == 4 else ""
            known.append(ListedSpecies(traits.name, genus, english, danish, ranges[len(known)], toxicity, traits))
        if place % 2 == 0:
            word = words[SPECIES_PER_GENUS]
            english, danish = _vernacular(word.english, name.english), _vernacular(word.danish, name.danish)
            where = _RANGES[int(own.integers(len(_RANGES)))]
            unseen.append(ListedSpecies(f"{genus.name} {word.name}", genus, english, danish, where, "", None))
    finds = [
        _find(seed, number, member)
        for number, member in enumerate(chain.from_iterable([m] * _finds_of(seed, k) for k, m in enumerate(known)))
    ]
    chosen = rng.permutation(len(known))[: max(2, min(12, len(known) // 4))].tolist()
    held_out = [_held_out(seed, 1_000_000 + k, known[index], k == 0) for k, index in enumerate(chosen)]
    return World(seed, tuple(known), tuple(unseen), tuple(finds), tuple(held_out))


def countries(regions: tuple[str, ...]) -> tuple[str, ...]:
    """Return the countries of a range: those that lie in no region outside it."""
    outside = {country for name, members in REGIONS.items() if name not in regions for country in members}
    return tuple(country for country in BOXES if country not in outside)


def statuses(world: World, region: str) -> list[tuple[ListedSpecies, str, str]]:
    """Return the lines of a region's list: species, country and status (present, doubtful or absent)."""
    lines = []
    strangers = []
    for member in (*world.species, *world.unseen):
        if region in member.regions:
            here = [country for country in countries(member.regions) if country in REGIONS[region]]
            lines += [(member, country, "present") for country in here]
        elif member.traits is not None:
            strangers.append(member)
    few = max(1, len(world.species) // 30)
    rng = np.random.default_rng([world.seed, 3, *region.encode()])
    odd = rng.permutation(len(strangers))[: 2 * few].tolist()
    for k, index in enumerate(odd):
        lines.append((strangers[index], REGIONS[region][k % 3], "absent" if k < few else "doubtful"))
    return lines


def _genus_names(rng: np.random.Generator, count: int) -> list[tuple[str, GenusName]]:
    """Return kinds and names of genera, so that the first six are of six families."""
    own = zip_longest(*([(kind, name) for name in GENERA[kind]] for kind in DEMO_KINDS))
    names = [entry for entry in chain.from_iterable(own) if entry is not None]
    taken = {name.name for _, name in names}
    while len(names) < count:
        kind = DEMO_KINDS[len(names) % len(DEMO_KINDS)]
        name = invent_genus(rng, kind)
        if name.name not in taken:
            taken.add(name.name)
            names.append((kind, name))
    return names[:count]


def _has_stipe(kind: str) -> bool:
    return kind in ("gilled", "pored", "toothed")


def _vernacular(adjective: str, noun: str) -> str:
    return f"{adjective} {noun}" if noun else ""


def _finds_of(seed: int, index: int) -> int:
    return int(np.random.default_rng([seed, 4, index]).integers(12, 15))


def _find(seed: int, number: int, species: ListedSpecies) -> Find:
    rng = np.random.default_rng([seed, 5, number])
    count = int(rng.choice([1, 2, 3, 4], p=[0.24, 0.41, 0.23, 0.12]))
    first = _telling(species) if count > 1 and rng.random() < 0.75 else ()
    return _placed(rng, number, species, _aspects(rng, count, first))


def _held_out(seed: int, number: int, species: ListedSpecies, plain: bool) -> Find:
    """Return an observation for the demonstration; a plain one has only the two photos that identify its species."""
    rng = np.random.default_rng([seed, 6, number])
    count = 2 if plain else int(rng.integers(2, 5))
    return _placed(rng, number, species, _aspects(rng, count, _telling(species)))


def _telling(species: ListedSpecies) -> tuple[str, ...]:
    """Return the two aspects that separate a species from the others of its genus."""
    return ("cap" if species.genus.contrast == "hymenium" else "stipe", "hymenium")


def _aspects(rng: np.random.Generator, count: int, first: tuple[str, ...]) -> tuple[str, ...]:
    names = [name for name in ASPECT_SHARES if name not in first]
    shares = np.array([ASPECT_SHARES[name] for name in names])
    more = rng.choice(names, count - len(first), replace=False, p=shares / shares.sum())
    return (*first, *map(str, more))


def _placed(rng: np.random.Generator, number: int, species: ListedSpecies, aspects: tuple[str, ...]) -> Find:
    assert species.traits is not None
    where = countries(species.regions)
    country = where[int(rng.integers(len(where)))]
    south, north, west, east = BOXES[country]
    month = float(np.clip(rng.normal(species.traits.season, 0.6), 1.0, 12.95))
    day = date(int(rng.integers(2019, 2025)), 1, 1) + timedelta(days=int((month - 1) * 30.4))
    return Find(
        number=number,
        species=species,
        country=country,
        latitude=round(float(rng.uniform(south, north)), 4),
        longitude=round(float(rng.uniform(west, east)), 4),
        uncertainty=int(rng.choice([10, 25, 50, 100, 250, 1000])),
        day=day,
        habitat=sample_habitat(rng, species.traits),
        aspects=aspects,
    )
