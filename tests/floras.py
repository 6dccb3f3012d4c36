"""A published collection of clustered references with PQ codes, in any number of segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from indexer.building.build import Catalogue, FloraPlan, build_snapshot
from indexer.building.grow import append_references
from indexer.embedding.embeddings import EmbeddingStore
from retrieval.domain import Taxon
from retrieval.models.embedder import Embeddings, unit_rows
from retrieval.segments.segment import ReferenceEntry
from retrieval.snapshots.publishing import publish_snapshot
from tests.catalogues import CARD, make_embedding, make_reference

GENERA, PER_GENUS = 6, 10
SPECIES = [100 + number for number in range(GENERA * PER_GENUS)]
TAXA = [
    (Taxon(1, "Fungi", "kingdom"), ""),
    *((Taxon(10 + genus, f"Genus{genus}", "genus", 1), "") for genus in range(GENERA)),
    *(
        (Taxon(id_, f"Genus{n // PER_GENUS} species{n}", "species", 10 + n // PER_GENUS), "")
        for n, id_ in enumerate(SPECIES)
    ),
]
FLORAS = [
    FloraPlan("north", "North", frozenset(SPECIES[:40])),
    FloraPlan("south", "South", frozenset(SPECIES[25:])),
    FloraPlan("few", "Few", frozenset(SPECIES[::9])),
]
LICENCES = ("CC0-1.0", "CC-BY-4.0", "CC-BY-NC-4.0")


def make_entries(observations: int = 6) -> list[ReferenceEntry]:
    """Two photos of each observation of each species; the later species are rarer."""
    made = []
    for place, species in enumerate(SPECIES):
        for number in range(max(1, observations - place // 12)):
            for photo in range(2):
                entry = make_reference(species, species * 1000 + number, photo)
                licence = LICENCES[(number + photo) % 3]
                made.append(replace(entry, licence=licence))
    return sorted(made, key=lambda entry: entry.place)


def embed(entries: Sequence[ReferenceEntry]) -> Embeddings:
    """Made-up embeddings at the precision of the store."""
    return unit_rows(np.stack([make_embedding(entry) for entry in entries])).astype(np.float16).astype(np.float32)


def publish(
    root: Path,
    entries: Sequence[ReferenceEntry],
    *,
    segments: int = 1,
    codes: bool = True,
    rows: Embeddings | None = None,
) -> str:
    """Publish the references in so many segments, the first with half of them, dealt out in turn."""
    first = list(entries[::2] if segments > 1 else entries)
    made = embed(entries) if rows is None else rows
    by_photo = {entry.photo: row for entry, row in zip(entries, made, strict=True)}
    with EmbeddingStore(root / "store", CARD["model"]) as store:
        store.add([entry.photo for entry in first], np.stack([by_photo[entry.photo] for entry in first]))
        catalogue = Catalogue(first, TAXA, [], [], FLORAS)
        build_snapshot(root, catalogue, store, CARD, codes_from=0 if codes else 10**9)
    name = publish_snapshot(root)
    for part in range(segments - 1):
        more = entries[1::2][part :: segments - 1]
        append_references(root, more, np.stack([by_photo[entry.photo] for entry in more]))
        name = publish_snapshot(root)
    return name
