"""The collection for measuring the cost of answers: very many species, with a long tail, built by the indexer."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import PeakMemory
from evaluation.learning.calibrate import write_calibrated
from evaluation.learning.scoring import Method
from indexer.building.build import Catalogue, FloraPlan, build_snapshot
from indexer.curation.placed import PlacedReferences
from indexer.embedding.embeddings import EmbeddingStore
from retrieval.domain import Taxon
from retrieval.models.embedder import DIM, Embeddings, unit_rows
from retrieval.ranking.calibration import Calibration
from retrieval.ranking.votes import Voting
from retrieval.segments.segment import ReferenceEntry
from retrieval.snapshots.publishing import publish_snapshot
from retrieval.snapshots.snapshot import open_snapshot

FIRST, GENERA, FAMILIES = 1_000_000, 10_000, 100  # first taxon id
PER_GENUS, PER_FAMILY = 8, 12
AD_HOC = "taxon:Genus1 or taxon:Genus2"
BLOCK = 20_000
GIVEN = Calibration(
    votes=0.5,
    prototypes=9.0,
    counts=0.3,
    floor=1e-3,
    sharpening={"mean": 0.3},
    thresholds={photos: {"0.80": [0.5] * 7, "0.90": [0.6] * 7} for photos in ("one", "several")},
    rejection={"constant": -1.0, "similarity": -4.0, "entropy": 0.3, "strange": 0.05},
    confidence={"constant": 0.1, "logit": 1.0, "photos": 0.2},
    metric=True,
    fitted={"observations": 1},
)
"""Plausible parameters in place of learned ones; the cost of an answer does not depend on them."""


def draw_sizes(species: int, references: float, seed: int) -> NDArray[np.int64]:
    """Draw the number of references of each species by Zipf's law: one or two for most, hundreds for a few."""
    draw = np.random.default_rng(seed)
    weights = 1 / (draw.permutation(species) + 5.0)
    more = draw.multinomial(round(species * (references - 1)), weights / weights.sum())
    return 1 + np.minimum(more, 500)


def place_species(numbers: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    """Return the positions of species around their genera, each from its own seed, so that none need be stored."""
    genus = hashed(numbers // PER_GENUS, seed)
    return genus + np.float32(0.8) * hashed(numbers, seed + 1)


def hashed(numbers: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    """Return a standard normal row for each number, reproducibly."""
    table = np.random.default_rng(seed).standard_normal((4_096, DIM), dtype=np.float32)
    first, second = numbers % 4_093, (numbers * 2_654_435_761 % 2**31) % 4_091
    return np.asarray((table[first] + np.roll(table[second], 1, axis=1)) * np.float32(0.5**0.5), dtype=np.float32)


def draw_photos(numbers: NDArray[np.int64], seed: int, draw: np.random.Generator) -> Embeddings:
    """Draw one photo of each species."""
    rows = place_species(numbers, seed)
    rows += 0.9 * draw.standard_normal(rows.shape, dtype=np.float32)
    return unit_rows(rows)


def draw_queries(species: int, seed: int, count: int, views: int) -> NDArray[np.float32]:
    """Draw observations of any species, (observations, views, 256)."""
    draw = np.random.default_rng([seed, views])
    asked = draw.integers(0, species, count)
    return np.stack([draw_photos(np.repeat(number, views), seed, draw) for number in asked])


def fill_store(folder: Path, species: NDArray[np.int64], seed: int) -> EmbeddingStore:
    """Write the embedding store with a row for each reference, in blocks."""
    store = EmbeddingStore(folder, "drawn")
    draw = np.random.default_rng([seed, 1])
    for start in range(0, len(species), BLOCK):
        some = species[start : start + BLOCK]
        photos = [name_photo(row) for row in range(start, start + len(some))]
        store.add(photos, draw_photos(some, seed, draw))
    return store


def name_photo(row: int) -> str:
    """Return a photo's digest, in random order as real ones are."""
    return hashlib.sha256(str(row).encode()).hexdigest()


def make_entries(species: NDArray[np.int64]) -> Iterator[ReferenceEntry]:
    """Yield the references ordered by place."""
    for row, number in enumerate(species.tolist()):
        yield ReferenceEntry(
            name_photo(row), row, f"synthetic:{row}", FIRST + number, "Nobody", "CC0-1.0", "synthetic", "cap"
        )


def make_taxa(species: int) -> list[tuple[Taxon, str]]:
    """Return the taxa: species in genera, genera in families, and a kingdom."""
    genera = -(-species // PER_GENUS)
    taxa = [(Taxon(1, "Fungi", "kingdom"), "")]
    taxa += [
        (Taxon(FAMILIES + family, f"Family{family}", "family", 1), "") for family in range(-(-genera // PER_FAMILY))
    ]
    taxa += [
        (Taxon(GENERA + genus, f"Genus{genus}", "genus", FAMILIES + genus // PER_FAMILY), "") for genus in range(genera)
    ]
    taxa += [
        (Taxon(FIRST + n, f"Genus{n // PER_GENUS} species{n}", "species", GENERA + n // PER_GENUS), "")
        for n in range(species)
    ]
    return taxa


def card_of_default() -> dict[str, Any]:
    """Return the default model's card, so that a server opens the collection for benchmarks of whole requests.

    The model is opened in another process, so that its memory is not counted as that of a build.
    """
    program = (
        "import json; from retrieval.models.handles import open_model; print(json.dumps(open_model('default').card))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    card: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return card


def build_collection(work: Path, species: int, references: float, seed: int) -> dict[str, float]:
    """Build, calibrate and publish unless done before; returns seconds and megabytes of building and publishing."""
    kept = work / "built.json"
    if kept.exists():
        known: dict[str, float] = json.loads(kept.read_text(encoding="utf-8"))
        return known
    held = np.repeat(np.arange(species), draw_sizes(species, references, seed))
    draw = np.random.default_rng(seed)
    floras = [
        FloraPlan(flora, flora, frozenset((FIRST + draw.permutation(species)[: species * share // 100]).tolist()))
        for flora, share in (("part-30", 30), ("part-02", 2))
    ]
    common = [(FIRST + n, "en", f"common name {n}") for n in range(0, species, 3)]
    with fill_store(work / "embeddings", held, seed) as store:
        placed = PlacedReferences(work, make_entries(held))
        catalogue = Catalogue(placed, make_taxa(species), [], common, floras)
        card = card_of_default()
        started, spent = time.perf_counter(), time.process_time()
        with PeakMemory() as peak:
            build_snapshot(work, catalogue, store, card)
            built = time.perf_counter()
            publish_snapshot(work)
        published, processor = time.perf_counter(), time.process_time() - spent
        catalogue.close()
    shutil.rmtree(work / "embeddings")
    snapshot = open_snapshot(work)
    turn = np.eye(DIM, dtype=np.float32) + np.float32(0.02) * draw.standard_normal((DIM, DIM), dtype=np.float32)
    write_calibrated(work, snapshot, Method(Voting(50, 0.05), GIVEN, turn))
    snapshot.close()
    publish_snapshot(work)
    found = {
        "references": float(len(held)),
        "build_s": built - started,
        "publish_s": published - built,
        "cpu_s": processor,
        "private_mb": peak.private / 1e6,
        "resident_mb": peak.resident / 1e6,
    }
    kept.write_text(json.dumps(found), encoding="utf-8")
    return found
