"""Builds a snapshot: segments, taxonomy, floras, manifest and card, written beside the published one and checked."""

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
from retrieval.segments.segment import Naming, ReferenceEntry, Segment, write_segment
from retrieval.snapshots.history import BUILT, log_built
from retrieval.snapshots.learned_arrays import sum_segments, write_sums
from retrieval.snapshots.lineage import carry_calibration
from retrieval.snapshots.manifest import Manifest, current_or_none, read_current, read_manifest, verify_files
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

MOST_WITHDRAWN = 0.25  # of a segment's rows; beyond that it is written anew without them


@dataclass(frozen=True, slots=True)
class FloraPlan:
    """A flora as it is to be built: the ids of all species on its list."""

    id: str
    title: str
    species: frozenset[int]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that a snapshot is made of, but for the embeddings."""

    references: Sequence[ReferenceEntry] | PlacedReferences  # in any order, or in their places
    taxa: Sequence[tuple[Taxon, str]]  # with toxicity
    synonyms: Sequence[tuple[str, int]]
    vernacular_names: Sequence[tuple[int, str, str]]
    floras: Sequence[FloraPlan]
    occurrences: Sequence[Occurrence] | Records = ()  # of species with month and cell, with or without photos
    contexts: Sequence[ObservationContext] | ObservationContexts = ()  # month and cell of the references' observations

    def placed(self) -> Sequence[ReferenceEntry] | PlacedReferences:
        """The references in their places, each photo once."""
        if isinstance(self.references, PlacedReferences):
            return self.references
        return sorted({entry.photo: entry for entry in self.references}.values(), key=lambda entry: entry.place)

    def close(self) -> None:
        """Let go of what is kept on disk for it."""
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
    """Build a snapshot under `root` and give its name; it is complete and verified, but not yet published.

    References that stand in segments of the published snapshot, made with the same model, stay
    there; only new ones are written, to a segment of their own. One that has changed or gone is
    withdrawn from its segment, which is written anew only when a quarter of it has gone. The same
    catalogue over the same published snapshot gives the same name and bytes. From `codes_from`
    references on, floras are large enough for a first stage of short codes. What the published snapshot
    had learned is carried over, unless other votes are asked for. `since` names the snapshot that was
    published when the catalogue was read, where that is not the present one. `progress` is told how far the build is.
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
        kept = before if voting is None else None  # votes that were asked for are not those that were learned from
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
    """What the embeddings of a collection were made with: the model, and the views of each photo if several."""
    views = str(card.get("views", "none"))
    return str(card["model"]) if views == "none" else f"{card['model']}+{views}"


def sum_written(root: Path, segments: Sequence[str], withdrawn: Mapping[str, NDArray[np.int64]]) -> SpeciesSums:
    """What prototypes are made of, from the segments as they were written."""
    opened = [Segment(root / "segments" / name, 0, withdrawn.get(name)) for name in segments]
    try:
        return sum_segments(opened)
    finally:
        for segment in opened:
            segment.close()


def suited_voting(card: Mapping[str, Any]) -> Voting:
    """The votes that suit a model: the kernel's temperature belongs to the head that projected the embeddings."""
    head = card.get("head") or {}
    return Voting(temperature=float(head.get("temperature", Voting().temperature)))


def vars_of(voting: Voting) -> dict[str, float]:
    """The voting's numbers by name."""
    return {"neighbours": voting.neighbours, "temperature": voting.temperature}


class WantedReferences:
    """What the wanted references belong to, noted as they go by in their places."""

    def __init__(self) -> None:
        self._species, self._observations = array("q", [-1]), array("q", [-1])

    def follow(self, entries: Iterable[ReferenceEntry]) -> Iterator[ReferenceEntry]:
        """The same references."""
        for entry in entries:
            if self._species[-1] != entry.species:
                self._species.append(entry.species)
            if self._observations[-1] != entry.observation_id:
                self._observations.append(entry.observation_id)
            yield entry

    @property
    def species(self) -> NDArray[np.int64]:
        """Each species once, ascending."""
        return np.unique(np.array(self._species[1:], dtype=np.int64))

    @property
    def observations(self) -> NDArray[np.int64]:
        """Each observation once, ascending."""
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
    """Keep the published segments as they are, withdraw from them what is not wanted, write what is new to a new one.

    A segment most of which is still wanted is not rewritten; gives the segments and the rows withdrawn from each, and
    what the references, which come in their places, belong to.
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
        if not published:  # nobody has gone through them yet
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
    """For each row of published segments where the very same reference is among those wanted, -1 where it is not.

    Both lie in their places, and are gone through side by side. A segment that is not what its name says is left out.
    """
    published = [PublishedRows(root / "segments" / name, model) for name in segments]
    for place, entry in enumerate(references):
        for rows in published:
            rows.meet(place, entry)
    return {name: rows.places for name, rows in zip(segments, published, strict=True) if rows.finish() == name}


class PublishedRows:
    """The rows of a published segment beside the references that are wanted, both in their places."""

    def __init__(self, folder: Path, model: str) -> None:
        self._naming = Naming(model)
        self._entries = self._naming.follow(read_entries(folder))
        self._row, self._entry = 0, next(self._entries, None)
        self.places = np.full(len(load_array(folder / "observations.npy", mapped=True)), -1, dtype=np.int64)

    def meet(self, place: int, wanted: ReferenceEntry) -> None:
        """Note the wanted reference's number if it stands here just so."""
        while self._entry is not None and self._entry.place < wanted.place:
            self._step()
        if self._entry == wanted:
            self.places[self._row] = place

    def finish(self) -> str:
        """Go through what is left; gives the name that the segment should have."""
        while self._entry is not None:
            self._step()
        return self._naming.name

    def _step(self) -> None:
        self._row, self._entry = self._row + 1, next(self._entries, None)


def published_manifest(root: Path, model: str) -> Manifest | None:
    """The manifest of the published snapshot, if it is whole and was made with the same model."""
    try:
        manifest = read_manifest(root, read_current(root))
        verify_files(root, manifest, verified=read_verified_files(root))
    except SnapshotError:
        return None
    return manifest if describe_tools(manifest.model) == model else None


def read_entries(folder: Path) -> Iterator[ReferenceEntry]:
    """The references of a written segment by row, as they were given; read in portions."""
    segment = Segment(folder, 0)
    try:
        for reference in segment.all_references():
            yield ReferenceEntry(
                reference.photo,
                int(segment.observations[reference.row]),
                reference.observation,
                reference.species,
                reference.author,
                reference.licence,
                reference.source,
                reference.aspect,
            )
    finally:
        segment.close()


def write_species(folder: Path, catalogue: Catalogue, held: NDArray[np.int64]) -> NDArray[np.int64]:
    """Write the ids of all species, those `held` by references or on a list; gives them, ascending."""
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
