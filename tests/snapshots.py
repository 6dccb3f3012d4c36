"""A small snapshot on disk, written by the engine itself."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from retrieval.domain import WORLD, Taxon
from retrieval.models.descriptor import Descriptor
from retrieval.models.embedder import Embeddings
from retrieval.photos.views import decode_view
from retrieval.segments.segment import FILES, ReferenceEntry, name_entries, write_segment
from retrieval.snapshots.manifest import FloraCard, Manifest, seal_file, switch_current
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from retrieval.snapshots.taxonomy import write_taxonomy

MUSCARIA, CITRINA, PANTHERINA, EMETICA, CYANOXANTHA, TORMINOSUS, CIBARIUS = 11, 12, 13, 21, 22, 31, 41

TAXA: tuple[tuple[Taxon, str], ...] = (
    (Taxon(1, "Fungi", "kingdom"), ""),
    (Taxon(2, "Amanitaceae", "family", 1), ""),
    (Taxon(3, "Russulaceae", "family", 1), ""),
    (Taxon(4, "Amanita", "genus", 2, "Pers."), ""),
    (Taxon(5, "Russula", "genus", 3, "Pers."), ""),
    (Taxon(6, "Lactarius", "genus", 3, "Pers."), ""),
    (Taxon(MUSCARIA, "Amanita muscaria", "species", 4, "(L.) Lam.", 900011), "poisonous"),
    (Taxon(CITRINA, "Amanita citrina", "species", 4, "Pers."), ""),
    (Taxon(PANTHERINA, "Amanita pantherina", "species", 4, "(DC.) Krombh."), "poisonous"),
    (Taxon(EMETICA, "Russula emetica", "species", 5, "(Schaeff.) Pers."), ""),
    (Taxon(CYANOXANTHA, "Russula cyanoxantha", "species", 5, "(Schaeff.) Fr."), ""),
    (Taxon(TORMINOSUS, "Lactarius torminosus", "species", 6, "(Schaeff.) Gray"), ""),
    (Taxon(CIBARIUS, "Cantharellus cibarius", "species", 1, "Fr."), ""),  # its genus and family are not known here
)
SYNONYMS = (("Agaricus muscarius", MUSCARIA), ("Agaricus emeticus", EMETICA))
VERNACULAR_NAMES = ((MUSCARIA, "da", "rød fluesvamp"), (MUSCARIA, "en", "fly agaric"), (CIBARIUS, "fr", "girolle"))
FLORAS: Mapping[str, Sequence[int]] = {
    "north": (MUSCARIA, CITRINA, PANTHERINA, EMETICA),  # A. pantherina has no reference photo
    "south": (CITRINA, CYANOXANTHA, CIBARIUS),
}
COLOURS = {
    MUSCARIA: (200, 40, 30),
    CITRINA: (220, 215, 120),
    EMETICA: (215, 80, 100),
    CYANOXANTHA: (110, 90, 150),
    TORMINOSUS: (225, 170, 140),
    CIBARIUS: (240, 180, 40),
}
AUTHORS, LICENCES = ("A. Author", "B. Author"), ("CC0-1.0", "CC-BY-4.0")


@dataclass(frozen=True)
class Made:
    """A snapshot on disk with all that went into it; entries and embeddings in the order of their `place`."""

    root: Path
    manifest: Manifest
    entries: tuple[ReferenceEntry, ...]
    embeddings: Embeddings
    photos: Mapping[str, bytes] = field(default_factory=dict)  # sha256 -> the photo's bytes

    def open(self) -> Snapshot:
        """Open it as a reader does."""
        return open_snapshot(self.root, self.manifest.name)


def draw_photo(species: int, observation: int, number: int = 0, *, side: int = 120) -> bytes:
    """A JPEG with a blotch in the species' colour on green; each observation and photo a little different."""
    noise = np.random.default_rng([species, observation, number])
    pixels = np.full((side, side + 20, 3), (70, 110, 60), dtype=np.float64)
    y, x = np.mgrid[:side, : side + 20]
    blotch = ((x - side / 2 - 10) / (0.30 * side)) ** 2 + ((y - side / 2) / ((0.2 + 0.03 * number) * side)) ** 2 < 1
    pixels[blotch] = COLOURS[species]
    pixels += noise.normal(0, 12, 3) + noise.normal(0, 6, pixels.shape)
    drawn = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(drawn, "JPEG", quality=90)
    return drawn.getvalue()


@cache
def drawn_references(observations: int = 3) -> tuple[tuple[ReferenceEntry, ...], Embeddings, Mapping[str, bytes]]:
    """Six species with some observations of two photos each, embedded with the descriptor."""
    photos: dict[str, bytes] = {}
    entries = []
    for species in COLOURS:
        for observation in range(observations):
            for number, aspect in enumerate(("cap", "")):
                photo = draw_photo(species, observation, number)
                digest = hashlib.sha256(photo).hexdigest()
                photos[digest] = photo
                entries.append(make_entry(digest, species * 100 + observation, species, aspect=aspect))
    entries.sort(key=lambda entry: entry.place)
    views = [decode_view(photos[entry.photo], Descriptor.short_side) for entry in entries]
    return tuple(entries), Descriptor().embed(views), photos


def make_entry(photo: str, observation: int, species: int, **other: str) -> ReferenceEntry:
    """A reference with an author and a licence."""
    stated = {
        "author": AUTHORS[observation % 2],
        "licence": LICENCES[observation % 2],
        "source": f"https://example.org/observations/{observation}",
        **other,
    }
    return ReferenceEntry(photo, observation, f"drawn:{observation}", species, **stated)


def make_snapshot(
    root: Path,
    entries: Sequence[ReferenceEntry] | None = None,
    embeddings: Embeddings | None = None,
    *,
    taxa: Sequence[tuple[Taxon, str]] = TAXA,
    floras: Mapping[str, Sequence[int]] = FLORAS,
    card: Mapping[str, Any] | None = None,
    segments: int = 1,
    publish: bool = True,
) -> Made:
    """Write a snapshot under `root` (the folder of all snapshots) and point CURRENT at it.

    Without `entries` it holds `drawn_references()`. Entries may come in any order, each with its row
    of `embeddings`. With several `segments` they are dealt out in turn. `card` is the model's.
    """
    photos: Mapping[str, bytes] = {}
    if entries is None or embeddings is None:
        entries, embeddings, photos = drawn_references()
    given = list(entries)
    order = sorted(range(len(given)), key=lambda place: given[place].place)
    entries, embeddings = [given[place] for place in order], embeddings[order]
    model = dict(card or Descriptor().card)
    names = []
    for first in range(segments):
        part = entries[first::segments]
        names.append(name_entries(part, model["model"]))
        if not (root / "segments" / names[-1]).exists():
            write_segment(root / "segments" / names[-1], part, embeddings[first::segments])
    draft = root / "snapshots" / "draft"
    (draft / "floras").mkdir(parents=True)
    if taxa is TAXA:
        write_taxonomy(draft / "taxonomy.sqlite", taxa, SYNONYMS, VERNACULAR_NAMES)
    else:
        write_taxonomy(draft / "taxonomy.sqlite", taxa, (), ())
    species = np.array(sorted(taxon.id for taxon, _ in taxa if taxon.rank == "species"), dtype=np.int64)
    np.save(draft / "species.npy", species)
    for flora, listed in floras.items():
        np.packbits(np.isin(species, listed)).tofile(draft / "floras" / f"{flora}.bits")
    manifest = make_manifest(root, draft, model, names, entries, floras)
    (draft / "manifest.json").write_text(manifest.text(), encoding="utf-8")
    draft.rename(root / "snapshots" / manifest.name)
    if publish:
        switch_current(root, manifest.name)
    return Made(root, manifest, tuple(entries), embeddings, photos)


def make_manifest(
    root: Path,
    draft: Path,
    model: dict[str, Any],
    segments: Sequence[str],
    entries: Sequence[ReferenceEntry],
    floras: Mapping[str, Sequence[int]],
) -> Manifest:
    """Count and seal what lies in the draft folder and in the segments."""
    held = Counter(entry.species for entry in entries)
    cards = [FloraCard(WORLD, "World", len(held), len(held), len(entries))]
    for flora, listed in sorted(floras.items()):
        covered = [taxon for taxon in set(listed) if taxon in held]
        cards.append(
            FloraCard(flora, flora.title(), len(set(listed)), len(covered), sum(held[taxon] for taxon in covered))
        )
    seals = [seal_file(root, root / "segments" / name / file) for name in segments for file in FILES]
    fixed = (draft / "taxonomy.sqlite", draft / "species.npy", *sorted((draft / "floras").iterdir()))
    seals += [seal_file(draft, path) for path in fixed]
    return Manifest(
        model=model,
        segments=tuple(segments),
        references=len(entries),
        observations=len({entry.observation_id for entry in entries}),
        species=len(held),
        floras=tuple(cards),
        files=tuple(seals),
        voting={"neighbours": 50, "temperature": 0.05},
        licences=dict(Counter(entry.licence for entry in entries)),
    )
