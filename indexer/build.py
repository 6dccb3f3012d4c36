"""Builds a snapshot: segments, taxonomy, floras, manifest and card, written beside the published one and checked."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.card import write_card
from indexer.embeddings import EmbeddingStore
from indexer.history import log_event
from retrieval.domain import WORLD, Taxon
from retrieval.errors import BuildError, SnapshotError
from retrieval.learned import sum_segments, write_sums
from retrieval.manifest import (
    FileSeal,
    FloraCard,
    Manifest,
    checksum,
    read_current,
    read_manifest,
    seal_file,
    sync_folder,
    verify_files,
)
from retrieval.occurrences import FILE as OCCURRENCES
from retrieval.occurrences import Occurrence, count_occurrences, write_occurrences
from retrieval.prototypes import SpeciesSums
from retrieval.ranking import Voting
from retrieval.segment import FILES, ReferenceEntry, Segment, name_entries, write_segment
from retrieval.snapshot import open_snapshot
from retrieval.taxonomy import write_taxonomy

STAGING = ".building"


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


def build_snapshot(
    root: Path, catalogue: Catalogue, store: EmbeddingStore, card: Mapping[str, Any], *, voting: Voting | None = None
) -> str:
    """Build a snapshot under `root` and give its name; it is complete and verified, but not yet published.

    References that stand in segments of the published snapshot, made with the same model, stay
    there; only new ones are written, to a segment of their own. Where a reference has changed or
    gone, its segment is written anew. The same catalogue gives the same name and bytes.
    """
    if not catalogue.references:
        raise BuildError("there is nothing to build: no reference photo has been embedded with this model")
    with building(root) as staging:
        segments = write_segments(root, staging, catalogue.references, store, str(card["model"]))
        folder = staging / "snapshot"
        (folder / "floras").mkdir(parents=True)
        species = write_species(folder, catalogue)
        counts = Counter(entry.species for entry in catalogue.references)
        floras = [write_flora(folder, flora, species, counts) for flora in sorted(catalogue.floras, key=lambda f: f.id)]
        write_taxonomy(
            folder / "taxonomy.sqlite",
            sorted(catalogue.taxa, key=lambda pair: pair[0].id),
            sorted(catalogue.synonyms),
            sorted(catalogue.vernacular_names),
        )
        if catalogue.occurrences:
            write_occurrences(folder / OCCURRENCES, count_occurrences(species, catalogue.occurrences))
        write_sums(folder, sum_written(root, segments))
        world = FloraCard(WORLD, "World: every species with references", len(counts), len(counts), sum(counts.values()))
        manifest = Manifest(
            model=dict(card),
            segments=tuple(segments),
            references=len(catalogue.references),
            observations=len({entry.observation_id for entry in catalogue.references}),
            species=len(counts),
            floras=(world, *floras),
            files=seal_files(root, folder, segments),
            voting=vars_of(voting or Voting()),
            licences=dict(sorted(Counter(entry.licence for entry in catalogue.references).items())),
        )
        return finish(root, folder, manifest)


def sum_written(root: Path, segments: Sequence[str]) -> SpeciesSums:
    """What prototypes are made of, from the segments as they were written."""
    opened = [Segment(root / "segments" / name, 0) for name in segments]
    try:
        return sum_segments(opened)
    finally:
        for segment in opened:
            segment.close()


def vars_of(voting: Voting) -> dict[str, float]:
    """The voting's numbers by name."""
    return {"neighbours": voting.neighbours, "temperature": voting.temperature}


@contextmanager
def building(root: Path) -> Iterator[Path]:
    """A staging folder on the same disk; one builder or publisher at a time, and what a killed one left is removed."""
    with writing(root):
        staging = root / STAGING
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Hold the lock of the folder; the system lets go of it if the process dies."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BuildError(f"another build or publish is running in {root}; wait for it to end") from error
        yield


def write_segments(
    root: Path, staging: Path, references: Sequence[ReferenceEntry], store: EmbeddingStore, model: str
) -> list[str]:
    """Keep the published segments whose references are all still wanted as they are; write the rest to a new one."""
    wanted = {entry.photo: entry for entry in references}
    kept: list[str] = []
    for name in published_segments(root, model):
        held = read_entries(root / "segments" / name)
        if held and all(wanted.get(entry.photo) == entry for entry in held) and name_entries(held, model) == name:
            kept.append(name)
            for entry in held:
                del wanted[entry.photo]
    if wanted:
        entries = sorted(wanted.values(), key=lambda entry: entry.place)
        name = name_entries(entries, model)
        write_segment(staging / "segment", entries, store.read([entry.photo for entry in entries]))
        settle(staging / "segment", root / "segments" / name)
        kept.append(name)
    return kept


def published_segments(root: Path, model: str) -> tuple[str, ...]:
    """Segments of the published snapshot, if it can be read and was made with the same model."""
    try:
        manifest = read_manifest(root, read_current(root))
        verify_files(root, manifest)
    except SnapshotError:
        return ()
    return manifest.segments if manifest.model.get("model") == model else ()


def read_entries(folder: Path) -> list[ReferenceEntry]:
    """The references of a written segment, as they were given."""
    segment = Segment(folder, 0)
    try:
        observations = segment.observations.tolist()
        return [
            ReferenceEntry(
                reference.photo,
                observations[reference.row],
                reference.observation,
                reference.species,
                reference.author,
                reference.licence,
                reference.source,
                reference.aspect,
            )
            for species in segment.species.tolist()
            for reference in segment.references_of(species)
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


def write_flora(folder: Path, flora: FloraPlan, species: NDArray[np.int64], counts: Mapping[int, int]) -> FloraCard:
    """Write a flora's bits, one for each of `species`; gives its card."""
    if flora.id == WORLD:
        raise BuildError(f"{WORLD!r} is always there and cannot be defined")
    np.packbits(np.isin(species, list(flora.species))).tofile(folder / "floras" / f"{flora.id}.bits")
    covered = [taxon for taxon in flora.species if taxon in counts]
    return FloraCard(flora.id, flora.title, len(flora.species), len(covered), sum(counts[taxon] for taxon in covered))


def seal_files(root: Path, folder: Path, segments: Sequence[str]) -> tuple[FileSeal, ...]:
    """Seal the segments' files, by their path from the root, and the snapshot's own, by theirs from its folder."""
    sealed = [seal_file(root, root / "segments" / segment / file) for segment in segments for file in FILES]
    return (*sealed, *(seal_file(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()))


def finish(root: Path, folder: Path, manifest: Manifest) -> str:
    """Write manifest and card, move the snapshot to its place, check the whole by opening it, and log it."""
    (folder / "manifest.json").write_text(manifest.text(), encoding="utf-8")
    (folder / "card.md").write_text(write_card(manifest), encoding="utf-8")
    settle(folder, root / "snapshots" / manifest.name)
    open_snapshot(root, manifest.name).close()
    log_event(root, "built", manifest.name)
    return manifest.name


def settle(written: Path, place: Path) -> None:
    """Flush a written folder to disk and give it its name, which stands for its content.

    Where the same is there already it stays, so that nothing published is touched; what
    bears the name with other bytes has been damaged, and makes way.
    """
    for path in sorted(written.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            sync_folder(path)
    sync_folder(written)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        if fingerprint(place) == fingerprint(written):
            shutil.rmtree(written)
            return
        place.rename(written.with_name(f"{written.name}-damaged"))  # in the staging folder, which is removed
    written.rename(place)
    sync_folder(place.parent)


def fingerprint(folder: Path) -> dict[str, str]:
    """Checksums of all files of a folder, by name."""
    return {p.relative_to(folder).as_posix(): checksum(p) for p in sorted(folder.rglob("*")) if p.is_file()}
