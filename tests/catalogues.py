"""Small catalogues with synthetic embeddings, for tests of builds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from indexer.building.build import Catalogue, FloraPlan, build_snapshot
from indexer.embedding.embeddings import EmbeddingStore
from retrieval.domain import Taxon
from retrieval.models.embedder import DIM, unit_rows
from retrieval.segments.segment import ReferenceEntry

CARD = {"model": "made@1", "runtime": "numpy", "precision": "f32"}
TAXA = [
    (Taxon(1, "Fungi", "kingdom"), ""),
    (Taxon(2, "Alphaceae", "family", 1), ""),
    (Taxon(3, "Alpha", "genus", 2), ""),
    (Taxon(4, "Beta", "genus", 2), ""),
    *((Taxon(10 + n, f"Alpha species{n}", "species", 3), "") for n in range(5)),
    *((Taxon(20 + n, f"Beta species{n}", "species", 4), "toxic" if n == 0 else "") for n in range(5)),
]
SPECIES = [taxon.id for taxon, _ in TAXA if taxon.rank == "species"]


def make_reference(species: int, observation: int, photo: int = 0) -> ReferenceEntry:
    """A reference whose digest follows from its numbers."""
    digest = hashlib.sha256(f"{species}/{observation}/{photo}".encode()).hexdigest()
    return ReferenceEntry(digest, observation, f"made:{observation}", species, "Someone", "CC0-1.0", "made")


def make_references(species: Sequence[int] = tuple(SPECIES), observations: int = 4) -> list[ReferenceEntry]:
    """Two photos of each of `observations` observations of each species."""
    return [
        make_reference(taxon, taxon * 1000 + number, photo)
        for taxon in species
        for number in range(observations)
        for photo in range(2)
    ]


def make_catalogue(references: Sequence[ReferenceEntry], floras: Sequence[FloraPlan] = ()) -> Catalogue:
    """The references with all taxa, in any order."""
    return Catalogue(list(references), TAXA, [("Alpha synonyma", 10)], [(10, "en", "first alpha")], list(floras))


def fill_store(folder: Path, references: Sequence[ReferenceEntry], *, spread: float = 2.5) -> EmbeddingStore:
    """A store with an embedding for each reference: its species' direction, moved by its observation and photo."""
    store = EmbeddingStore(folder, CARD["model"])
    rows = np.stack([make_embedding(entry, spread) for entry in references])
    store.add([entry.photo for entry in references], unit_rows(rows))
    return store


def make_embedding(entry: ReferenceEntry, spread: float = 2.5) -> np.ndarray:
    """Species, observation and photo parts, each from its own seed."""
    parts = ((entry.species, 0, 0, 1.0), (entry.species, entry.observation_id, 0, spread))
    row = sum(
        weight * np.random.default_rng([a, b, c]).normal(size=DIM) for a, b, c, weight in parts
    ) + 0.5 * spread * np.random.default_rng(list(bytes.fromhex(entry.photo)[:8])).normal(size=DIM)
    return np.asarray(row)


def build(root: Path, folder: Path, references: Sequence[ReferenceEntry], floras: Sequence[FloraPlan] = ()) -> str:
    """Build a snapshot of the references; gives its name."""
    with fill_store(folder, references) as store:
        return build_snapshot(root, make_catalogue(references, floras), store, CARD)
