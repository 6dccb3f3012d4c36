"""Builds a snapshot: segments, taxonomy, floras, manifest and card, beside the published one, and verifies it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.building.assemble import Draft, assemble
from indexer.building.codes import CODES_FROM
from indexer.curation.placed import PlacedReferences
from indexer.embedding.embeddings import EmbeddingStore, StoredRows
from retrieval.domain import WORLD, Taxon
from retrieval.errors import BuildError, SnapshotError
from retrieval.progress import Progress, counted, silent
from retrieval.ranking.prototypes import SpeciesSums
from retrieval.ranking.votes import Voting
from retrieval.search.arrays import load_array
from retrieval.segments.segment import Naming, ReferenceEntry, Segment, entry_of, write_segment
from retrieval.snapshots.history import BUILT, log_built
from retrieval.snapshots.learned_arrays import sum_segments, write_sums
from retrieval.snapshots.lineage import carry_calibration
from retrieval.snapshots.lines import line_names
from retrieval.snapshots.manifest import STABLE, Manifest, current_or_none, read_current, read_manifest, verify_files
from retrieval.snapshots.observation_context import (
    ObservationContext,
    ObservationContexts,
    gather_contexts,
    write_contexts,
)
from retrieval.snapshots.occurrences import FILE as OCCURRENCES
from retrieval.snapshots.occurrences import Occurrence, Records, count_occurrences, write_occurrences
from retrieval.snapshots.staging import building, settle
from retrieval.snapshots.taxonomy import write_taxonomy
from retrieval.snapshots.verified_files import read_verified_files

MOST_WITHDRAWN = 0.25  # share of a segment's rows that may be withdrawn before it is rewritten


@dataclass(frozen=True, slots=True)
class FloraPlan:
    """A flora to be built: the ids of all species on its list."""

    id: str
    title: str
    species: frozenset[int]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything a snapshot is made of, except the embeddings."""

    references: Sequence[ReferenceEntry] | PlacedReferences  # in any order, or ordered by place
    taxa: Sequence[tuple[Taxon, str]]  # with toxicity
    synonyms: Sequence[tuple[str, int]]
    vernacular_names: Sequence[tuple[int, str, str]]
    floras: Sequence[FloraPlan]
    occurrences: Sequence[Occurrence] | Records = ()  # of species by month and cell, with or without photos
    contexts: Sequence[ObservationContext] | ObservationContexts = ()  # month and cell of the references' observations

    def placed(self) -> Sequence[ReferenceEntry] | PlacedReferences:
        """Return the references ordered by place, each photo once."""
        if isinstance(self.references, PlacedReferences):
            return self.references
        return sorted({entry.photo: entry for entry in self.references}.values(), key=lambda entry: entry.place)

    def close(self) -> None:
        """Delete temporary files."""
        if isinstance(self.references, PlacedReferences):
            self.references.close()


def build_snapshot(
    root: Path,
    catalogue: Catalogue,
    store: EmbeddingStore,
    card: Mapping[str, Any],
    *,
    voting: Voting | None = None,
    codes_from: int = CODES_FROM,
    since: str | None = None,
    progress: Progress = silent,
) -> str:
    """Build a snapshot under `root` and return its name; it is complete and verified, but not yet published.

    References in segments of the published snapshot, or of a line, made with the same model, stay there; only new ones
    are written, to a new segment. Changed and removed references are withdrawn from their segment, which is rewritten
    only when a quarter of it is withdrawn. The build is deterministic: the same catalogue and published snapshot give
    the same name and bytes. From `codes_from` references, floras are large enough for a first stage of short codes.
    Learned parameters of the published snapshot are kept unless voting changes. `since` names the snapshot that was
    published when the catalogue was read, if it is not the current one. `progress` receives the progress.
    """
    if not catalogue.references:
        raise BuildError("there is nothing to build: no reference photo has been embedded with this model")
    with building(root) as staging:
        model, parent = describe_tools(card), since or current_or_none(root)
        before = published_manifest(root, model)
        segments, withdrawn, held = write_segments(root, staging, catalogue.placed(), store, model, before, progress)
        folder = staging / "snapshot"
        (folder / "floras").mkdir(parents=True)
        species = write_species(folder, catalogue, held.species)
        for flora in catalogue.floras:
            write_flora(folder, flora, species)
        write_taxonomy(
            folder / "taxonomy.sqlite",
            sorted(catalogue.taxa, key=lambda pair: pair[0].id),
            sorted(catalogue.synonyms),
            sorted(catalogue.vernacular_names),
        )
        if catalogue.occurrences:
            write_occurrences(folder / OCCURRENCES, count_occurrences(species, catalogue.occurrences))
        write_contexts(folder, gather_contexts(catalogue.contexts).only(held.observations))
        write_sums(folder, sum_written(root, segments, withdrawn))
        kept = before if voting is None else None  # calibration does not apply to other voting parameters
        names = {taxon.id: taxon.name for taxon, _ in catalogue.taxa}
        calibration = carry_calibration(root, folder, kept, names) if kept else {}
        draft = Manifest(
            model=dict(card),
            segments=tuple(segments),
            references=0,
            observations=0,
            species=0,
            floras=(),
            files=(),
            voting=dict(kept.voting) if kept and calibration else vars_of(voting or suited_voting(card)),
            calibration=calibration,
            codebook=before.codebook if before else "",
            recipes=before.recipes if before else {},
            codes=before.codes if before else {},
        )
        titles = {flora.id: flora.title for flora in catalogue.floras}
        sealed = before.files if before else ()
        contents = Draft(manifest=draft, titles=titles, withdrawn=withdrawn, verified=sealed)
        name = assemble(root, staging, contents, codes_from=codes_from, progress=progress)
        log_built(root, name, parent, BUILT)
        return name


def describe_tools(card: Mapping[str, Any]) -> str:
    """Return how embeddings of a collection were made: model, and views per photo if several."""
    views = str(card.get("views", "none"))
    return str(card["model"]) if views == "none" else f"{card['model']}+{views}"


def sum_written(root: Path, segments: Sequence[str], withdrawn: Mapping[str, NDArray[np.int64]]) -> SpeciesSums:
    """Return the prototype sums of the written segments."""
    opened = [Segment(root / "segments" / name, 0, withdrawn.get(name)) for name in segments]
    try:
        return sum_segments(opened)
    finally:
        for segment in opened:
            segment.close()


def suited_voting(card: Mapping[str, Any]) -> Voting:
    """Return the voting parameters for a model: the kernel's temperature depends on its head."""
    head = card.get("head") or {}
    return Voting(temperature=float(head.get("temperature", Voting().temperature)))


def vars_of(voting: Voting) -> dict[str, float]:
    """Return the voting parameters by name."""
    return {"neighbours": voting.neighbours, "temperature": voting.temperature}


class WantedReferences:
    """Collects species and observations of the wanted references while they are iterated in order of place."""

    def __init__(self) -> None:
        self._species, self._observations = array("q", [-1]), array("q", [-1])

    def follow(self, entries: Iterable[ReferenceEntry]) -> Iterator[ReferenceEntry]:
        """Yield the same references."""
        for entry in entries:
            if self._species[-1] != entry.species:
                self._species.append(entry.species)
            if self._observations[-1] != entry.observation_id:
                self._observations.append(entry.observation_id)
            yield entry

    @property
    def species(self) -> NDArray[np.int64]:
        """Return the distinct species, ascending."""
        return np.unique(np.array(self._species[1:], dtype=np.int64))

    @property
    def observations(self) -> NDArray[np.int64]:
        """Return the distinct observations, ascending."""
        return np.unique(np.array(self._observations[1:], dtype=np.int64))


def write_segments(
    root: Path,
    staging: Path,
    references: Sequence[ReferenceEntry] | PlacedReferences,
    store: EmbeddingStore,
    model: str,
    before: Manifest | None,
    progress: Progress = silent,
) -> tuple[list[str], dict[str, NDArray[np.int64]], WantedReferences]:
    """Keep the published segments, withdraw unwanted rows from them, and write new references to a new segment.

    A segment with enough wanted rows is not rewritten. Returns the segments, the rows withdrawn from each, and species
    and observations of the references, which must be ordered by place.
    """
    noted, published = WantedReferences(), before.segments if before else ()
    found = compare_published(root, noted.follow(references), model, published) if published else {}
    kept: list[str] = []
    withdrawn: dict[str, NDArray[np.int64]] = {}
    fresh = np.ones(len(references), dtype=np.bool_)
    for name, places in found.items():
        wanted = places >= 0
        wanted[wanted] = fresh[places[wanted]]
        gone = np.flatnonzero(~wanted)
        if len(gone) > MOST_WITHDRAWN * len(places):
            continue
        kept.append(name)
        if len(gone):
            withdrawn[name] = gone.astype(np.int64)
        fresh[places[wanted]] = False
    if fresh.any():
        naming, total = Naming(model), int(np.count_nonzero(fresh))
        entries = counted(compress(references, fresh.tobytes()), "references", total, progress)
        if not published:  # iterate the rest
            entries = noted.follow(entries)
        rows = StoredRows(store, staging / "segment" / "references.sqlite", progress)
        write_segment(staging / "segment", naming.follow(entries), rows)
        settle(staging / "segment", root / "segments" / naming.name)
        if naming.name not in kept:
            kept.append(naming.name)
    return kept, withdrawn, noted


def compare_published(
    root: Path, references: Iterable[ReferenceEntry], model: str, segments: Sequence[str]
) -> dict[str, NDArray[np.int64]]:
    """Return for each row of published segments the index of the identical wanted reference, -1 without one.

    Both are ordered by place and merged. Segments whose content does not match their name are ignored.
    """
    published = [PublishedRows(root / "segments" / name, model) for name in segments]
    for place, entry in enumerate(references):
        for rows in published:
            rows.meet(place, entry)
    return {name: rows.places for name, rows in zip(segments, published, strict=True) if rows.finish() == name}


class PublishedRows:
    """Merges the rows of a published segment with the wanted references, both ordered by place."""

    def __init__(self, folder: Path, model: str) -> None:
        self._naming = Naming(model)
        self._entries = self._naming.follow(read_entries(folder))
        self._row, self._entry = 0, next(self._entries, None)
        self.places = np.full(len(load_array(folder / "observations.npy", mapped=True)), -1, dtype=np.int64)

    def meet(self, place: int, wanted: ReferenceEntry) -> None:
        """Record the wanted reference's index if an identical one is in the segment."""
        while self._entry is not None and self._entry.place < wanted.place:
            self._step()
        if self._entry == wanted:
            self.places[self._row] = place

    def finish(self) -> str:
        """Read the remaining rows; returns the name that the segment should have."""
        while self._entry is not None:
            self._step()
        return self._naming.name

    def _step(self) -> None:
        self._row, self._entry = self._row + 1, next(self._entries, None)


def published_manifest(root: Path, model: str) -> Manifest | None:
    """Return the manifest of the published snapshot if it is undamaged and of the same model, else of another line.

    So the next snapshot of a further line continues that line. None where no line has the model.
    """
    for line in (STABLE, *line_names(root)):
        try:
            manifest = read_manifest(root, read_current(root, line))
            if describe_tools(manifest.model) == model:
                verify_files(root, manifest, verified=read_verified_files(root))
                return manifest
        except SnapshotError:
            continue
    return None


def read_entries(folder: Path) -> Iterator[ReferenceEntry]:
    """Yield the references of a written segment by row, as they were given; read in portions."""
    segment = Segment(folder, 0)
    try:
        for reference in segment.all_references():
            yield entry_of(segment, reference)
    finally:
        segment.close()


def write_species(folder: Path, catalogue: Catalogue, held: NDArray[np.int64]) -> NDArray[np.int64]:
    """Write and return the ids, ascending, of all species: those `held` by references or on a list."""
    listed = {species for flora in catalogue.floras for species in flora.species}
    known = {taxon.id for taxon, _ in catalogue.taxa}
    all_species = listed.union(held.tolist())
    if strangers := sorted(all_species - known):
        raise BuildError(f"the catalogue has no taxon for {len(strangers)} species ids, such as {strangers[:3]}")
    species = np.array(sorted(all_species), dtype=np.int64)
    np.save(folder / "species.npy", species)
    return species


def write_flora(folder: Path, flora: FloraPlan, species: NDArray[np.int64]) -> None:
    """Write a flora's bits, one for each of `species`."""
    if flora.id == WORLD:
        raise BuildError(f"{WORLD!r} is always there and cannot be defined")
    np.packbits(np.isin(species, list(flora.species))).tofile(folder / "floras" / f"{flora.id}.bits")
