"""Builds a snapshot: segments, taxonomy, floras, manifest and card, written beside the published one and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.assemble import assemble
from indexer.carry import carry_calibration
from indexer.codes import CODES_FROM
from indexer.embeddings import EmbeddingStore
from retrieval.domain import WORLD, Taxon
from retrieval.errors import BuildError, SnapshotError
from retrieval.learned import sum_segments, write_sums
from retrieval.manifest import Manifest, read_current, read_manifest, verify_files
from retrieval.occasions import Occasion, gather_occasions, write_occasions
from retrieval.occurrences import FILE as OCCURRENCES
from retrieval.occurrences import Occurrence, count_occurrences, write_occurrences
from retrieval.prototypes import SpeciesSums
from retrieval.ranking import Voting
from retrieval.segment import ReferenceEntry, Segment, name_entries, write_segment
from retrieval.staging import building, settle
from retrieval.stamps import read_stamps
from retrieval.taxonomy import write_taxonomy

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

    references: Sequence[ReferenceEntry]
    taxa: Sequence[tuple[Taxon, str]]  # with toxicity
    synonyms: Sequence[tuple[str, int]]
    vernacular_names: Sequence[tuple[int, str, str]]
    floras: Sequence[FloraPlan]
    occurrences: Sequence[Occurrence] = ()  # records of species with month and cell, with or without photos
    occasions: Sequence[Occasion] = ()  # month and cell of the references' observations


def build_snapshot(
    root: Path,
    catalogue: Catalogue,
    store: EmbeddingStore,
    card: Mapping[str, Any],
    *,
    voting: Voting | None = None,
    codes_from: int = CODES_FROM,
) -> str:
    """Build a snapshot under `root` and give its name; it is complete and verified, but not yet published.

    References that stand in segments of the published snapshot, made with the same model, stay
    there; only new ones are written, to a segment of their own. One that has changed or gone is
    withdrawn from its segment, which is written anew only when a quarter of it has gone. The same
    catalogue over the same published snapshot gives the same name and bytes. From `codes_from`
    references on, floras are large enough for a first stage of short codes. What the published snapshot
    had learned is carried over, unless other votes are asked for.
    """
    if not catalogue.references:
        raise BuildError("there is nothing to build: no reference photo has been embedded with this model")
    with building(root) as staging:
        model = made_with(card)
        before = published_manifest(root, model)
        segments, withdrawn = write_segments(root, staging, catalogue.references, store, model, before)
        folder = staging / "snapshot"
        (folder / "floras").mkdir(parents=True)
        species = write_species(folder, catalogue)
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
        shown = np.unique(np.array([entry.observation_id for entry in catalogue.references], dtype=np.int64))
        write_occasions(folder, gather_occasions(catalogue.occasions).only(shown))
        write_sums(folder, sum_written(root, segments, withdrawn))
        kept = before if voting is None else None  # votes that were asked for are not those that were learned from
        calibration = carry_calibration(root, folder, kept, [taxon for taxon, _ in catalogue.taxa]) if kept else {}
        draft = Manifest(
            model=dict(card),
            segments=tuple(segments),
            references=0,
            observations=0,
            species=0,
            floras=(),
            files=(),
            voting=dict(kept.voting) if kept and calibration else vars_of(voting or Voting()),
            calibration=calibration,
            codebook=before.codebook if before else "",
            recipes=before.recipes if before else {},
            codes=before.codes if before else {},
        )
        titles = {flora.id: flora.title for flora in catalogue.floras}
        return assemble(root, staging, draft, titles, withdrawn, before.files if before else (), codes_from=codes_from)


def made_with(card: Mapping[str, Any]) -> str:
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


def vars_of(voting: Voting) -> dict[str, float]:
    """The voting's numbers by name."""
    return {"neighbours": voting.neighbours, "temperature": voting.temperature}


def write_segments(
    root: Path,
    staging: Path,
    references: Sequence[ReferenceEntry],
    store: EmbeddingStore,
    model: str,
    before: Manifest | None,
) -> tuple[list[str], dict[str, NDArray[np.int64]]]:
    """Keep the published segments as they are, withdraw from them what is not wanted, write what is new to a new one.

    A segment most of which is still wanted is not rewritten; gives the segments and the rows withdrawn from each.
    """
    wanted = {entry.photo: entry for entry in references}
    kept: list[str] = []
    withdrawn: dict[str, NDArray[np.int64]] = {}
    for name in before.segments if before else ():
        held = read_entries(root / "segments" / name)
        if name_entries(held, model) != name:
            continue
        gone = [row for row, entry in enumerate(held) if wanted.get(entry.photo) != entry]
        if len(gone) > MOST_WITHDRAWN * len(held):
            continue
        kept.append(name)
        if gone:
            withdrawn[name] = np.array(gone, dtype=np.int64)
        for entry in held:
            if wanted.get(entry.photo) == entry:
                del wanted[entry.photo]
    if wanted:
        entries = sorted(wanted.values(), key=lambda entry: entry.place)
        name = name_entries(entries, model)
        write_segment(staging / "segment", entries, store.read([entry.photo for entry in entries]))
        settle(staging / "segment", root / "segments" / name)
        if name not in kept:
            kept.append(name)
    return kept, withdrawn


def published_manifest(root: Path, model: str) -> Manifest | None:
    """The manifest of the published snapshot, if it is whole and was made with the same model."""
    try:
        manifest = read_manifest(root, read_current(root))
        verify_files(root, manifest, stamps=read_stamps(root))
    except SnapshotError:
        return None
    return manifest if made_with(manifest.model) == model else None


def read_entries(folder: Path) -> list[ReferenceEntry]:
    """The references of a written segment by row, as they were given."""
    segment = Segment(folder, 0)
    try:
        return [
            ReferenceEntry(
                reference.photo,
                observation,
                reference.observation,
                reference.species,
                reference.author,
                reference.licence,
                reference.source,
                reference.aspect,
            )
            for reference, observation in zip(segment.all_references(), segment.observations.tolist(), strict=True)
        ]
    finally:
        segment.close()


def write_species(folder: Path, catalogue: Catalogue) -> NDArray[np.int64]:
    """Write the ids of all species, with references or on a list; gives them, ascending."""
    listed = {species for flora in catalogue.floras for species in flora.species}
    known = {taxon.id for taxon, _ in catalogue.taxa}
    all_species = listed | {entry.species for entry in catalogue.references}
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
