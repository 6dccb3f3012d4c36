"""An open snapshot: what the answer line searches and reads names from. The indexer writes it, readers open it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import RANKS, WORLD, Reference
from retrieval.errors import DamagedSnapshot, SnapshotMismatch, UnknownFlora, UnknownPhoto
from retrieval.models.embedder import Embeddings, unit_rows
from retrieval.ranking.aspects import AspectClassifier, name_aspects
from retrieval.ranking.calibration import Calibration, read_calibration, score_views
from retrieval.ranking.prototypes import Metric, SpeciesSums, make_prototypes, project
from retrieval.ranking.votes import Voting
from retrieval.search.arrays import load_array
from retrieval.search.faiss_coarse import MEANS, CoarseQuantiser
from retrieval.search.faiss_codes import FaissCodes, read_codebook
from retrieval.search.recipes import Recipe, read_recipe
from retrieval.segments.segment import Segment
from retrieval.snapshots.flora import Flora, ReferenceShelf
from retrieval.snapshots.flora_expressions import in_words, read_flora
from retrieval.snapshots.learned_arrays import METRIC, read_aspect_classifier, read_metric, read_sums, sum_segments
from retrieval.snapshots.manifest import FloraCard, Manifest, read_current, read_manifest, verify_files
from retrieval.snapshots.observation_context import ObservationContexts, read_contexts
from retrieval.snapshots.occurrences import FILE as OCCURRENCES
from retrieval.snapshots.occurrences import Occurrences, read_occurrences
from retrieval.snapshots.taxonomy import Taxonomy
from retrieval.snapshots.verified_files import read_verified_files


class Snapshot:
    """One published state, opened and checked; all its parts belong together. Safe to read from several threads."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        folder = root / "snapshots" / manifest.name
        self.name = manifest.name
        self.manifest = manifest
        self.taxonomy = Taxonomy(folder / "taxonomy.sqlite")
        codebook = read_codebook(root / "codebooks" / manifest.codebook) if manifest.codebook else None
        segments, base = [], 0
        for name in manifest.segments:
            segment = Segment(root / "segments" / name, base, read_withdrawn(folder, manifest, name))
            if codebook is not None and name in manifest.codes:
                path = root / "codebooks" / manifest.codebook / manifest.codes[name]
                segment.codes = FaissCodes(path, segment.offsets, codebook)
            segments.append(segment)
            base += segment.rows
        self.segments = tuple(segments)
        held = base - sum(manifest.withdrawn.values())
        if held != manifest.references:
            raise DamagedSnapshot(f"snapshot {self.name} promises {manifest.references} references and holds {held}")
        species: NDArray[np.int64] = load_array(folder / "species.npy")
        if any(not np.isin(segment.species, species, assume_unique=True).all() for segment in segments):
            raise DamagedSnapshot(f"snapshot {self.name} has references of species that it does not list")
        recipes = {flora: read_recipe(recipe) for flora, recipe in manifest.recipes.items()}
        quantiser = CoarseQuantiser(folder) if (folder / MEANS).exists() else None
        self.shelf = ReferenceShelf(species, self.segments, recipes, self.name, quantiser)
        self._cards = {card.id: card for card in manifest.floras}
        self._folder = folder
        self._bits = {  # read now: later the folder may have been cleared away, which hurts no file that is open
            flora: np.fromfile(folder / "floras" / f"{flora}.bits", dtype=np.uint8)
            for flora in self._cards
            if flora != WORLD
        }
        self.flora = lru_cache(maxsize=512)(self._flora)
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
    def aspect_model(self) -> AspectClassifier | None:
        """What tells aspects, if that was learned and helps."""
        return read_aspect_classifier(self._folder) if self.calibration.tells_aspects else None

    def predict_aspects(self, embeddings: Embeddings) -> tuple[str, ...]:
        """What each photo seems to show; nothing where that was not learned."""
        return () if self.aspect_model is None else tuple(name_aspects(self.aspect_model.predict(embeddings)))

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
        return read_occurrences(self._folder / OCCURRENCES, len(self.all_species))

    @cached_property
    def contexts(self) -> ObservationContexts | None:
        """Month and cell of each observation, to learn from; None where the snapshot does not hold them."""
        return read_contexts(self._folder)

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
        return self.shelf.species

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
        """The flora of an id, or one in words, as `flora_expressions` reads them; raises UnknownFlora."""
        if flora in self._cards or not in_words(flora):
            return self.published(flora)
        read = read_flora(flora, self)
        return replace(read, card=replace(read.card, id=flora))

    def published(self, flora: str) -> Flora:
        """The published flora of an id; raises UnknownFlora, naming those that there are."""
        card = self._cards.get(flora)
        if card is None:
            known = ", ".join(sorted(self._cards)[:20])
            raise UnknownFlora(f"there is no flora {flora!r} in snapshot {self.name}; there are: {known}")
        if flora == WORLD:
            held = self.shelf.counts(self.shelf.species) > 0
        else:
            held = np.unpackbits(self._bits[flora], count=len(self.shelf.species)).astype(np.bool_)
        return self.shelf.cut(held, card, self.shelf.recipes.get(flora, Recipe(references=card.references)))

    def flora_of(self, taxa: Iterable[int], title: str = "a list of taxa") -> Flora:
        """The flora of any list of taxa, with nothing built: a genus or family stands for all its species.

        Raises UnknownTaxon for an id that the snapshot does not know.
        """
        wanted = set(taxa)
        strangers = [taxon for taxon in wanted if self.taxonomy.taxon(taxon).rank != "species"]
        species = self.shelf.bits_of(wanted)
        if strangers:
            higher = set(strangers)
            for place in np.flatnonzero(~species).tolist():
                line = self.taxonomy.lineage(int(self.shelf.species[place]))
                species[place] = any(taxon.id in higher for taxon in line)
        return self.shelf.cut_ad_hoc(species, title)

    def flora_of_bits(self, bits: NDArray[np.bool_], title: str) -> Flora:
        """The flora of a set of `all_species`."""
        return self.shelf.cut_ad_hoc(bits, title)

    @property
    def names(self) -> Taxonomy:
        """Who knows the names of taxa."""
        return self.taxonomy

    @property
    def licences(self) -> tuple[str, ...]:
        """The licences that references stand under."""
        return tuple(sorted(self.manifest.licences))

    def reference(self, row: int) -> Reference:
        """The reference at a row of the snapshot; a withdrawn one too, for those who hold its row."""
        segment = next(segment for segment in reversed(self.segments) if segment.base <= row)
        return segment.reference(row - segment.base)

    def reference_of_photo(self, photo: str) -> Reference:
        """The reference whose photo has this digest; raises UnknownPhoto."""
        for segment in self.segments:
            reference = segment.reference_of_photo(photo)
            if reference is not None:
                return reference
        raise UnknownPhoto(f"snapshot {self.name} has no reference photo {photo[:64]!r}")

    def embedding_of(self, row: int) -> Embeddings:
        """The embedding of the reference at a row, (1, 256), as it is stored: at float16, brought to length 1."""
        segment = next(segment for segment in reversed(self.segments) if segment.base <= row)
        return unit_rows(segment.store.take(np.array([row - segment.base])).astype(np.float32))

    def references_of(self, species: int) -> list[Reference]:
        """All references of a species, in the order of rows."""
        return [reference for segment in self.segments for reference in segment.references_of(species)]

    def count_references(self, species: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many references each of the given species has; (species,) int64."""
        return self.shelf.counts(species)

    def close(self) -> None:
        """Let go of all files, and of what lies on GPUs and on other machines."""
        if self.shelf.searcher is not None:
            self.shelf.searcher.forget()
        if self.shelf.accelerator is not None:
            self.shelf.accelerator.forget(self.name)
        self.taxonomy.close()
        for segment in self.segments:
            segment.close()


def read_withdrawn(folder: Path, manifest: Manifest, segment: str) -> NDArray[np.int64] | None:
    """The rows of a segment that a snapshot has withdrawn, ascending."""
    if segment not in manifest.withdrawn:
        return None
    rows: NDArray[np.int64] = load_array(folder / "withdrawn" / f"{segment}.npy")
    if len(rows) != manifest.withdrawn[segment] or np.any(np.diff(rows) <= 0):
        raise DamagedSnapshot(f"the withdrawn rows of segment {segment} are not those that {manifest.name} counts")
    return rows


def open_snapshot(root: Path, name: str | None = None, *, thorough: bool = False) -> Snapshot:
    """Open the published snapshot under `root`, or the one named; every checksum is compared first.

    A file that nothing has touched since the indexer compared it here is not read again, unless `thorough`.
    Raises NoSnapshot, DamagedSnapshot or SnapshotMismatch, each saying what to do.
    """
    manifest = read_manifest(root, name or read_current(root))
    verify_files(root, manifest, verified=None if thorough else read_verified_files(root))
    return Snapshot(root, manifest)
