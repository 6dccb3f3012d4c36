"""A seeded synthetic collection: long-tailed species in genera, nested and overlapping floras, and query observations.

It only imitates what matters to an index. An embedding is the sum of random components for genus, species, one of the
species' three habits, observation and photo, in a space whose axes differ in variance, as those of trained networks
do, plus isotropic noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.models.embedder import DIM, Embeddings, unit_rows

SPECIES = {86_000: 1_394}
FRACTIONS = (0.02, 0.05, 0.12, 0.25, 0.40, 0.60)  # of the references, in each of four parts of the world
PARTS = 4
PHOTOS = 2  # of an observation, on average


@dataclass(frozen=True)
class Collection:
    """References, sorted by species and observation."""

    rows: NDArray[np.float16]  # (references, 256)
    species: NDArray[np.int64]  # (references,): number of the species, ascending
    observations: NDArray[np.int64]  # (references,)
    floras: dict[str, NDArray[np.int64]]  # species of each
    world: World


class World:
    """The positions of species in embedding space, from which photos are drawn."""

    def __init__(self, species: int, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self.axes = (draw.normal(size=(DIM, DIM)) * (1 / np.sqrt(1 + np.arange(DIM) / 6))[:, None]).astype(np.float32)
        genera = draw.normal(size=(max(1, species // 7), DIM)).astype(np.float32)
        self.genus = np.sort(draw.integers(0, len(genera), species))
        self.centres = genera[self.genus] + 0.75 * draw.normal(size=(species, DIM)).astype(np.float32)
        self.habits = 0.6 * draw.normal(size=(species, 3, DIM)).astype(np.float32)

    def photograph(self, species: NDArray[np.int64], photos: int, draw: np.random.Generator) -> Embeddings:
        """Draw `photos` photos of one observation of each given species, (species * photos, 256)."""
        place = self.centres[species] + self.habits[species, draw.integers(0, 3, len(species))]
        place += 0.9 * draw.standard_normal(place.shape, dtype=np.float32)
        place = np.repeat(place, photos, axis=0)
        place += 0.6 * draw.standard_normal(place.shape, dtype=np.float32)
        rows = place @ self.axes + 1.5 * draw.standard_normal(place.shape, dtype=np.float32)
        return unit_rows(rows)


def make_collection(references: int, seed: int) -> Collection:
    """Draw a collection of about `references` references."""
    draw = np.random.default_rng(seed)
    count = SPECIES.get(references, 5_000 if references >= 1_000_000 else max(20, references // 100))
    shares = 1 / (np.arange(count) + 10) ** 1.05
    sizes = np.maximum(1, np.round(references / PHOTOS * shares / shares.sum())).astype(np.int64)
    sizes = draw.permutation(sizes)  # observations of each species
    world = World(count, seed + 1)
    seen = np.repeat(np.arange(count), sizes)
    rows = np.empty((PHOTOS * len(seen), DIM), dtype=np.float16)
    for start in range(0, len(seen), 50_000):
        block = world.photograph(seen[start : start + 50_000], PHOTOS, draw)
        rows[PHOTOS * start : PHOTOS * start + len(block)] = block
    species = np.repeat(seen, PHOTOS)
    return Collection(rows, species, np.repeat(np.arange(len(seen)), PHOTOS), draw_floras(species, count, draw), world)


def draw_floras(species: NDArray[np.int64], count: int, draw: np.random.Generator) -> dict[str, NDArray[np.int64]]:
    """Draw 24 floras: six nested ones around each of four centres, which overlap."""
    places, sizes = draw.normal(size=(count, 2)), np.bincount(species, minlength=count)
    floras = {}
    for part, centre in enumerate(draw.normal(scale=0.8, size=(PARTS, 2))):
        nearness = np.linalg.norm(places - centre, axis=1) + 0.2 * draw.normal(size=count)
        order = np.argsort(nearness)
        within = np.cumsum(sizes[order]) / sizes.sum()
        for fraction in FRACTIONS:
            last = max(1, int(np.searchsorted(within, fraction)))
            floras[f"part{part}-{round(100 * fraction):02}"] = np.sort(order[:last])
    return floras


def draw_observations(collection: Collection, listed: NDArray[np.int64], count: int, seed: int) -> Iterator[Embeddings]:
    """Yield new observations of listed species, sampled by frequency; one to four photos each, two on average."""
    draw = np.random.default_rng(seed)
    sizes = np.bincount(collection.species, minlength=int(collection.species[-1]) + 1)[listed]
    for species in draw.choice(listed, count, p=sizes / sizes.sum()).tolist():
        photos = int(draw.choice([1, 2, 3, 4], p=[0.4, 0.3, 0.2, 0.1]))
        yield collection.world.photograph(np.array([species]), photos, draw)
