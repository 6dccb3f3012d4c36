"""An open snapshot: what the answer line searches and reads names from. The indexer writes it, readers open it."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.calibration import Calibration, read_calibration, score_views
from retrieval.domain import RANKS, WORLD, Neighbour, Reference
from retrieval.embedder import Embeddings
from retrieval.errors import DamagedSnapshot, SnapshotMismatch, UnknownFlora, UnknownPhoto
from retrieval.learned import METRIC, read_metric, read_sums, sum_segments
from retrieval.manifest import FloraCard, Manifest, read_current, read_manifest, verify_files
from retrieval.occurrences import FILE as OCCURRENCES
from retrieval.occurrences import Occurrences, read_occurrences
from retrieval.prototypes import Metric, SpeciesSums, make_prototypes, project
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
        self._folder = folder
        self._species: NDArray[np.int64] = np.load(folder / "species.npy", mmap_mode="r")
        self._cards = {card.id: card for card in manifest.floras}
        self.flora = lru_cache(maxsize=64)(self._flora)
        self.flora_lineages = lru_cache(maxsize=64)(self._flora_lineages)

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

    @cached_property
    def calibration(self) -> Calibration:
        """What was learned on held-out observations; the defaults where nobody has calibrated the snapshot."""
        return read_calibration(self.manifest.calibration)

    @cached_property
    def sums(self) -> SpeciesSums:
        """What prototypes are made of, read from the snapshot, or from its embeddings where it has no such file."""
        return read_sums(self._folder) or sum_segments(self.segments)

    @cached_property
    def metric(self) -> Metric | None:
        """The metric of the prototypes, if one was learned."""
        return read_metric(self._folder / METRIC) if self.calibration.metric else None

    @cached_property
    def prototypes(self) -> NDArray[np.float64]:
        """The prototype of each species of `sums`, in the metric."""
        lineages = self.lineages(self.sums.species)
        genera = np.unique(lineages[:, RANKS.index("genus")], return_inverse=True)
        known = genera[0][genera[1]] >= 0
        return make_prototypes(
            self.sums.sums,
            self.sums.observations,
            np.where(known, genera[1], -1),
            shrinkage=self.calibration.shrinkage,
            centre=self.sums.centre,
            metric=self.metric,
        )

    @cached_property
    def occurrences(self) -> Occurrences | None:
        """When and where the species of `all_species` were recorded; None where nothing is known of it."""
        return read_occurrences(self._folder / OCCURRENCES, len(self._species))

    def count_observations(self, species: NDArray[np.int64]) -> NDArray[np.int64]:
        """Observations of each of the given species in the gallery, (species,)."""
        places = np.minimum(np.searchsorted(self.sums.species, species), len(self.sums.species) - 1)
        return np.where(self.sums.species[places] == species, self.sums.observations[places], 0)

    def score_views(self, flora: Flora, embeddings: Embeddings, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of a flora's species for each view from the shares of the votes, as the calibration says."""
        learned = self.calibration
        if not learned.calibrated:
            return score_views(shares, None, np.ones(shares.shape[1]), learned)
        counts = self.count_observations(flora.species)
        similarities = np.zeros_like(shares)
        held = counts > 0
        places = np.searchsorted(self.sums.species, flora.species[held])
        similarities[:, held] = project(embeddings, self.sums.centre, self.metric) @ self.prototypes[places].T
        return score_views(shares, similarities, counts.astype(np.float64), learned)

    def _flora_lineages(self, flora: str) -> NDArray[np.int64]:
        """The lineages of a flora's species."""
        return self.lineages(self.flora(flora).species)

    @property
    def all_species(self) -> NDArray[np.int64]:
        """Taxon ids of all species, with references or on a list, ascending."""
        return np.asarray(self._species)

    def lineages(self, species: NDArray[np.int64]) -> NDArray[np.int64]:
        """Taxon ids of the given species and of all above them, (species, 7) by rank; -1 where a rank is not known."""
        table = np.full((len(species), len(RANKS)), -1, dtype=np.int64)
        for row, taxon in zip(table, species.tolist(), strict=True):
            for node in self.taxonomy.lineage(taxon):
                if node.rank in RANKS:
                    row[RANKS.index(node.rank)] = node.id
        return table

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
            bits = np.fromfile(self._folder / "floras" / f"{flora}.bits", dtype=np.uint8)
            species = np.asarray(self._species)[np.unpackbits(bits, count=len(self._species)).astype(bool)]
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
