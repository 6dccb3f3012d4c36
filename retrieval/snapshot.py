"""An open snapshot: what the answer line searches and reads names from. The indexer writes it, readers open it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import WORLD, Neighbour, Reference
from retrieval.embedder import Embeddings
from retrieval.errors import DamagedSnapshot, SnapshotMismatch, UnknownFlora, UnknownPhoto
from retrieval.manifest import FloraCard, Manifest, read_current, read_manifest, verify_files
from retrieval.ranking import Voting
from retrieval.segment import Segment, merge_neighbours
from retrieval.taxonomy import Taxonomy


class Flora:
    """A region's species and where their references lie. Costs bits: the embeddings are the snapshot's."""

    def __init__(self, card: FloraCard, species: NDArray[np.int64], segments: tuple[Segment, ...]) -> None:
        self.card = card
        self.species = species  # ascending taxon ids, those without references among them
        self._parts = [(segment, segment.lists_of(species)) for segment in segments]

    def __contains__(self, species: int) -> bool:
        place = int(np.searchsorted(self.species, species))
        return place < len(self.species) and int(self.species[place]) == species

    def neighbours(self, embeddings: Embeddings, k: int) -> list[list[Neighbour]]:
        """The `k` nearest references of the flora for each view, best first; fewer where the flora has fewer."""
        return merge_neighbours([part.search(embeddings, k, lists) for part, lists in self._parts], k)


class Snapshot:
    """One published state, opened and checked; all its parts belong together. Safe to read from several threads."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        folder = root / "snapshots" / manifest.name
        self.name = manifest.name
        self.manifest = manifest
        self.taxonomy = Taxonomy(folder / "taxonomy.sqlite")
        segments, base = [], 0
        for name in manifest.segments:
            segments.append(Segment(root / "segments" / name, base))
            base += segments[-1].rows
        self.segments = tuple(segments)
        if base != manifest.references:
            raise DamagedSnapshot(f"snapshot {self.name} promises {manifest.references} references and holds {base}")
        self._species: NDArray[np.int64] = np.load(folder / "species.npy")
        self._cards = {card.id: card for card in manifest.floras}
        self._bits = {  # read now: later the folder may have been cleared away, which hurts no file that is open
            flora: np.fromfile(folder / "floras" / f"{flora}.bits", dtype=np.uint8)
            for flora in self._cards
            if flora != WORLD
        }
        self.flora = lru_cache(maxsize=64)(self._flora)

    @property
    def model(self) -> str:
        """The name of the model whose embeddings these are."""
        return str(self.manifest.model["model"])

    @property
    def floras(self) -> tuple[FloraCard, ...]:
        """All floras, world first, then by id."""
        return self.manifest.floras

    @property
    def voting(self) -> Voting:
        """How neighbours vote in this snapshot."""
        return Voting(int(self.manifest.voting["neighbours"]), float(self.manifest.voting["temperature"]))

    def require_model(self, model: str) -> None:
        """Refuse a query made with another model, precision or preprocessing than the references."""
        if model != self.model:
            raise SnapshotMismatch(
                f"snapshot {self.name} was made with the model {self.model}, but {model} is open; "
                "choose that model, or embed and publish anew with this one"
            )

    def _flora(self, flora: str) -> Flora:
        """The flora of an id; raises UnknownFlora, naming those that there are."""
        card = self._cards.get(flora)
        if card is None:
            known = ", ".join(sorted(self._cards)[:20])
            raise UnknownFlora(f"there is no flora {flora!r} in snapshot {self.name}; there are: {known}")
        if flora == WORLD:
            lists = [np.asarray(segment.species) for segment in self.segments]
            species = np.unique(np.concatenate([np.zeros(0, np.int64), *lists]))
        else:
            species = self._species[np.unpackbits(self._bits[flora], count=len(self._species)).astype(bool)]
        return Flora(card, species, self.segments)

    def reference(self, row: int) -> Reference:
        """The reference at a row of the snapshot."""
        segment = next(segment for segment in reversed(self.segments) if segment.base <= row)
        return segment.reference(row - segment.base)

    def reference_of_photo(self, photo: str) -> Reference:
        """The reference whose photo has this digest; raises UnknownPhoto."""
        for segment in self.segments:
            reference = segment.reference_of_photo(photo)
            if reference is not None:
                return reference
        raise UnknownPhoto(f"snapshot {self.name} has no reference photo {photo[:64]!r}")

    def references_of(self, species: int) -> list[Reference]:
        """All references of a species, in the order of rows."""
        return [reference for segment in self.segments for reference in segment.references_of(species)]

    def count_references(self, species: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many references each of the given species has; (species,) int64."""
        counts = np.zeros(len(species), dtype=np.int64)
        for segment in self.segments:
            sizes = np.diff(segment.offsets)
            places = np.searchsorted(segment.species, species)
            held = np.minimum(places, len(segment.species) - 1)
            counts += np.where(np.asarray(segment.species)[held] == species, sizes[held], 0)
        return counts

    def close(self) -> None:
        """Let go of all files."""
        self.taxonomy.close()
        for segment in self.segments:
            segment.close()


def open_snapshot(root: Path, name: str | None = None) -> Snapshot:
    """Open the published snapshot under `root`, or the one named; every checksum is compared first.

    Raises NoSnapshot, DamagedSnapshot or SnapshotMismatch, each saying what to do.
    """
    manifest = read_manifest(root, name or read_current(root))
    verify_files(root, manifest)
    return Snapshot(root, manifest)
