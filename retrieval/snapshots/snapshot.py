"""An open snapshot, from which answers search and read. The indexer writes it, servers open it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import WORLD, Reference
from retrieval.errors import DamagedSnapshot, SnapshotMismatch, UnknownFlora, UnknownPhoto
from retrieval.models.embedder import DIM, Embeddings, unit_rows
from retrieval.models.retired import describe_mismatch
from retrieval.ranking.aspects import AspectClassifier, name_aspects
from retrieval.ranking.calibration import Calibration, read_calibration
from retrieval.ranking.nodes import Classification
from retrieval.ranking.prototypes import Metric, SpeciesSums, compare_rows, make_prototypes, project
from retrieval.ranking.votes import Voting
from retrieval.search.arrays import load_array
from retrieval.search.faiss_coarse import MEANS, CoarseQuantiser
from retrieval.search.faiss_codes import FaissCodes, read_codebook
from retrieval.search.faiss_products import inner_products
from retrieval.search.recipes import Recipe, read_recipe
from retrieval.segments.segment import Segment, count_observations
from retrieval.snapshots.flora import Flora, ReferenceShelf
from retrieval.snapshots.flora_expressions import in_words, read_flora
from retrieval.snapshots.learned_arrays import (
    METRIC,
    read_aspect_classifier,
    read_metric,
    read_sums,
    read_typical,
    replace_sums,
    sum_segments,
)
from retrieval.snapshots.manifest import STABLE, FloraCard, Manifest, find_snapshot, read_manifest, verify_files
from retrieval.snapshots.observation_context import ObservationContexts, read_contexts
from retrieval.snapshots.occurrences import FILE as OCCURRENCES
from retrieval.snapshots.occurrences import Occurrences, read_occurrences
from retrieval.snapshots.species_arrays import (
    EXACT,
    SpeciesArrays,
    make_species_arrays,
    number_genera,
    read_prototypes,
    read_species_arrays,
)
from retrieval.snapshots.taxonomy import Taxonomy
from retrieval.snapshots.verified_files import read_verified_files
from retrieval.snapshots.withdrawals import read_withdrawals


class Snapshot:
    """A published state, opened and verified; its parts belong together. Thread-safe."""

    def __init__(self, root: Path, manifest: Manifest, withheld: Collection[str] = ()) -> None:
        """`withheld` are photos that must not be found; the manifest still counts them."""
        folder = root / "snapshots" / manifest.name
        self.name = manifest.name
        self.line = STABLE  # the published line as which a server opened it
        self.manifest = manifest
        self.taxonomy = Taxonomy(folder / "taxonomy.sqlite")
        codebook = read_codebook(root / "codebooks" / manifest.codebook) if manifest.codebook else None
        segments, base = [], 0
        for name in manifest.segments:
            segment = Segment(root / "segments" / name, base, read_withdrawn(folder, manifest, name), withheld)
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
        self._folder = folder
        quantiser = CoarseQuantiser(folder) if (folder / MEANS).exists() else None
        if quantiser is not None and self.withheld:
            fewer, sums = self._fewer, self.sums
            quantiser.renew(fewer, sums.sums[np.searchsorted(sums.species, fewer)])
        self.shelf = ReferenceShelf(species, self.segments, recipes, self.edition, quantiser)
        self._bits = {  # read now: later the folder may have been cleared away, which hurts no file that is open
            flora: np.fromfile(folder / "floras" / f"{flora}.bits", dtype=np.uint8)
            for flora in (card.id for card in manifest.floras)
            if flora != WORLD
        }
        self._cards = {card.id: self._count_again(card) for card in manifest.floras}
        self.flora = lru_cache(maxsize=512)(self._flora)

    @cached_property
    def edition(self) -> str:
        """The name, and the photos withheld: readers with the same edition give the same answers."""
        if not self.withheld:
            return self.name
        digest = sha256()
        for segment in self.segments:
            digest.update(f"{segment.name} {segment.withheld.tolist()}".encode())
        return f"{self.name}-{digest.hexdigest()[:16]}"

    @property
    def withheld(self) -> int:
        """The number of the manifest's references that are withheld."""
        return sum(len(segment.withheld) for segment in self.segments)

    @property
    def references(self) -> int:
        """The number of active references."""
        return self.manifest.references - self.withheld

    @cached_property
    def observation_count(self) -> int:
        """The number of their observations."""
        return count_observations(self.segments) if self.withheld else self.manifest.observations

    @property
    def model(self) -> str:
        """The name of the model of the embeddings."""
        return str(self.manifest.model["model"])

    @property
    def floras(self) -> tuple[FloraCard, ...]:
        """All floras, world first, then by id."""
        return tuple(self._cards.values())

    @property
    def voting(self) -> Voting:
        """The parameters of voting."""
        return Voting(int(self.manifest.voting["neighbours"]), float(self.manifest.voting["temperature"]))

    @cached_property
    def calibration(self) -> Calibration:
        """The calibration; defaults for an uncalibrated snapshot."""
        return read_calibration(self.manifest.calibration)

    @cached_property
    def sums(self) -> SpeciesSums:
        """The sums for prototypes, from the snapshot's file or else from its embeddings."""
        kept = read_sums(self._folder)
        if kept is None:
            return sum_segments(self.segments)
        return replace_sums(kept, sum_segments(self.segments, self._fewer)) if self.withheld else kept

    @property
    def _fewer(self) -> NDArray[np.int64]:
        """The species of which something is withheld, ascending."""
        found = [segment.species_of(segment.withheld) for segment in self.segments]
        return np.unique(np.concatenate(found))

    @cached_property
    def metric(self) -> Metric | None:
        """The metric of prototypes, if one was learned."""
        return read_metric(self._folder / METRIC) if self.calibration.metric else None

    @cached_property
    def typical(self) -> NDArray[np.float32]:
        """The usual similarity among observations of each of `all_species`, (species,); NaN if unknown."""
        return read_typical(self._folder, self.all_species)

    @cached_property
    def aspect_model(self) -> AspectClassifier | None:
        """The aspect classifier, if one was learned and helps."""
        return read_aspect_classifier(self._folder) if self.calibration.tells_aspects else None

    def predict_aspects(self, embeddings: Embeddings) -> tuple[str, ...]:
        """Predict the aspect of each photo; empty without a classifier."""
        return () if self.aspect_model is None else tuple(name_aspects(self.aspect_model.predict(embeddings)))

    @cached_property
    def arrays(self) -> SpeciesArrays:
        """Arrays over all species, from the snapshot's file or else computed."""
        known = read_species_arrays(self._folder, self.all_species)
        if known is None:
            return make_species_arrays(self.all_species, self.taxonomy, self.sums)
        return known.with_sums(self.sums) if self.withheld else known

    @cached_property
    def referenced(self) -> NDArray[np.int64]:
        """Places in `all_species` of the species with references, (species,): the columns of answers."""
        return np.flatnonzero(self.shelf.counts(self.all_species) > 0)

    @cached_property
    def tree(self) -> Classification:
        """The classification of the species with references."""
        return self.arrays.tree.of(self.referenced)

    @cached_property
    def observations(self) -> NDArray[np.float64]:
        """The number of observations of each species with references, (species,)."""
        return self.arrays.observations[self.referenced].astype(np.float64)

    @cached_property
    def prototypes(self) -> NDArray[np.floating]:
        """The prototype of each species with references, (species, 256), in the metric; float32 of very many."""
        made = None if self.withheld else read_prototypes(self._folder, len(self.referenced))
        if made is not None:
            return made
        own = np.searchsorted(self.sums.species, self.tree.species)
        return make_prototypes(
            self.sums.sums[own],
            self.sums.observations[own],
            number_genera(self.tree),
            shrinkage=self.calibration.shrinkage,
            centre=self.arrays.centre,
            metric=self.metric,
            out=np.empty((len(own), DIM), dtype=np.float64 if len(own) <= EXACT else np.float32),
        )

    @cached_property
    def occurrences(self) -> Occurrences | None:
        """The counts of records of `all_species`; None if there are none."""
        return read_occurrences(self._folder / OCCURRENCES, len(self.all_species))

    @cached_property
    def contexts(self) -> ObservationContexts | None:
        """Month and cell of each observation, for learning; None if the snapshot has none."""
        return read_contexts(self._folder)

    def compare_prototypes(self, embeddings: Embeddings) -> NDArray[np.floating]:
        """Return the similarity of each view to the prototype of each species with references, (views, species)."""
        views = project(embeddings, self.arrays.centre, self.metric)
        if self.prototypes.dtype == np.float32:
            return inner_products(self.prototypes, views.astype(np.float32))
        return compare_rows(self.prototypes, views)

    @property
    def all_species(self) -> NDArray[np.int64]:
        """Taxon ids of all species, with references or on a list, ascending."""
        return self.shelf.species

    def lineages(self, species: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the lineage of each species, (species, 7) taxon ids by rank; -1 where unknown."""
        return self.arrays.tree.of(np.searchsorted(self.all_species, species)).lineages

    def by_name(self, flora: Flora | None = None) -> NDArray[np.int64]:
        """Return the taxon ids of all species, or of a flora's, sorted by name, then by id."""
        places = self.arrays.by_name
        return self.all_species[places if flora is None else places[flora.bits[places]]]

    def require_model(self, model: str) -> None:
        """Raise SnapshotMismatch for a query with another model, precision or preprocessing."""
        if model != self.model:
            raise SnapshotMismatch(f"snapshot {self.name} was {describe_mismatch(self.model, model)}")

    def _flora(self, flora: str) -> Flora:
        """Return the flora of an id or a flora expression; raises UnknownFlora."""
        if flora in self._cards or not in_words(flora):
            return self.published(flora)
        read = read_flora(flora, self)
        return replace(read, card=replace(read.card, id=flora))

    def published(self, flora: str) -> Flora:
        """Return the published flora of an id; raises UnknownFlora, which lists the published ones."""
        card = self._cards.get(flora)
        if card is None:
            known = ", ".join(sorted(self._cards)[:20])
            raise UnknownFlora(f"there is no flora {flora!r} in snapshot {self.name}; there are: {known}")
        return self.shelf.cut(
            self._held(flora), card, self.shelf.recipes.get(flora, Recipe(references=card.references))
        )

    def _held(self, flora: str) -> NDArray[np.bool_]:
        """Return the bits of a published flora."""
        if flora == WORLD:
            return np.asarray(self.shelf.counts(self.shelf.species) > 0)
        return np.unpackbits(self._bits[flora], count=len(self.shelf.species)).astype(np.bool_)

    def _count_again(self, card: FloraCard) -> FloraCard:
        """Return the card of a flora without withheld references."""
        if not self.withheld:
            return card
        held = self._held(card.id)
        counts = self.shelf.counts(self.shelf.species[held])
        listed = int(np.count_nonzero(held)) if card.id == WORLD else card.species
        return replace(card, species=listed, covered=int(np.count_nonzero(counts)), references=int(counts.sum()))

    def flora_of(self, taxa: Iterable[int], title: str = "a list of taxa") -> Flora:
        """Return an ad-hoc flora of taxa; higher taxa stand for all their species.

        Raises UnknownTaxon for an unknown id.
        """
        wanted = set(taxa)
        strangers = [taxon for taxon in wanted if self.taxonomy.taxon(taxon).rank != "species"]
        species = self.shelf.bits_of(wanted)
        if strangers:
            species |= self.arrays.tree.under(strangers)
        return self.shelf.cut_ad_hoc(species, title)

    def flora_of_bits(self, bits: NDArray[np.bool_], title: str) -> Flora:
        """Return the flora of a mask of `all_species`."""
        return self.shelf.cut_ad_hoc(bits, title)

    @property
    def names(self) -> Taxonomy:
        """The source of taxon names."""
        return self.taxonomy

    @cached_property
    def licences(self) -> tuple[str, ...]:
        """The licences of the references."""
        counted = Counter(self.manifest.licences)
        for segment in self.segments:
            counted.subtract(segment.licences_of(segment.withheld))
        return tuple(sorted(licence for licence, count in counted.items() if count))

    def reference(self, row: int) -> Reference:
        """Return the reference at a row of the snapshot, even if it is withdrawn."""
        segment = next(segment for segment in reversed(self.segments) if segment.base <= row)
        return segment.reference(row - segment.base)

    def references_at(self, rows: Collection[int]) -> dict[int, Reference]:
        """Return the references at rows of the snapshot, by row, even if they are withdrawn; read together."""
        found: dict[int, Reference] = {}
        for segment in self.segments:
            own = [row - segment.base for row in rows if segment.base <= row < segment.base + segment.rows]
            if own:
                found |= {reference.row: reference for reference in segment.references_at(own)}
        return found

    def reference_of_photo(self, photo: str) -> Reference:
        """Return the reference of a photo (SHA-256); raises UnknownPhoto."""
        for segment in self.segments:
            reference = segment.reference_of_photo(photo)
            if reference is not None:
                return reference
        raise UnknownPhoto(f"snapshot {self.name} has no reference photo {photo[:64]!r}")

    def embedding_of(self, row: int) -> Embeddings:
        """Return the embedding of the reference at a row, (1, 256), float16 normalised to length 1."""
        segment = next(segment for segment in reversed(self.segments) if segment.base <= row)
        return unit_rows(segment.store.take(np.array([row - segment.base])).astype(np.float32))

    def references_of(self, species: int) -> list[Reference]:
        """Return the active references of a species, by row."""
        return [reference for segment in self.segments for reference in segment.references_of(species)]

    def count_references(self, species: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of references of each species; (species,) int64."""
        return self.shelf.counts(species)

    def close(self) -> None:
        """Close all files, and release memory on GPUs and other machines."""
        if self.shelf.searcher is not None:
            self.shelf.searcher.forget()
        if self.shelf.accelerator is not None:
            self.shelf.accelerator.forget(self.edition)
        self.taxonomy.close()
        for segment in self.segments:
            segment.close()


def read_withdrawn(folder: Path, manifest: Manifest, segment: str) -> NDArray[np.int64] | None:
    """Return the withdrawn rows of a segment, ascending."""
    if segment not in manifest.withdrawn:
        return None
    rows: NDArray[np.int64] = load_array(folder / "withdrawn" / f"{segment}.npy")
    if len(rows) != manifest.withdrawn[segment] or np.any(np.diff(rows) <= 0):
        raise DamagedSnapshot(f"the withdrawn rows of segment {segment} are not those that {manifest.name} counts")
    return rows


def open_snapshot(
    root: Path, name: str | None = None, *, thorough: bool = False, with_withdrawn: bool = False
) -> Snapshot:
    """Open the published snapshot under `root`, or the one named (by its own name or a line's), comparing checksums.

    A file that was verified on this disk and is unchanged since is not read again, unless `thorough`. Photos on
    the list of withdrawals are not found, except `with_withdrawn`, for making the next snapshot from this one,
    which will obey the list again.
    Raises NoSnapshot, DamagedSnapshot or SnapshotMismatch, each with advice.
    """
    manifest = read_manifest(root, find_snapshot(root, name))
    verify_files(root, manifest, verified=None if thorough else read_verified_files(root))
    return Snapshot(root, manifest, () if with_withdrawn else read_withdrawals(root))
