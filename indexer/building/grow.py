"""Appends references to the published snapshot, and compacts its segments; existing files are not rewritten.

Each operation makes a new snapshot, complete and verified, to be published like any other.
"""

from __future__ import annotations

import heapq
import shutil
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.building.assemble import Draft, assemble
from indexer.building.build import describe_tools, read_entries
from retrieval.errors import BuildError
from retrieval.models.embedder import DIM, Embeddings
from retrieval.progress import Progress, counted, silent
from retrieval.ranking.prototypes import SpeciesSums
from retrieval.search.arrays import load_array
from retrieval.search.faiss_coarse import SPECIES as GUIDE_SPECIES
from retrieval.segments.segment import Naming, ReferenceEntry, Segment, name_entries, write_segment
from retrieval.snapshots.history import GROWN, log_built
from retrieval.snapshots.learned_arrays import ASPECTS_FILE as ASPECTS
from retrieval.snapshots.learned_arrays import METRIC, TYPICAL, add_sums, sum_segments, write_sums
from retrieval.snapshots.manifest import Manifest
from retrieval.snapshots.observation_context import ObservationContext, gather_contexts, renew_contexts, write_contexts
from retrieval.snapshots.occurrences import FILE as OCCURRENCES
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from retrieval.snapshots.staging import building, settle
from retrieval.snapshots.withdrawals import read_withdrawals

OWN_FILES = ("taxonomy.sqlite", "species.npy")
LEARNED_FILES = (
    OCCURRENCES,
    METRIC,
    TYPICAL,
    ASPECTS,
    GUIDE_SPECIES,
)  # if present; sums of prototypes are given


def append_references(
    root: Path, entries: Sequence[ReferenceEntry], embeddings: Embeddings, contexts: Sequence[ObservationContext] = ()
) -> str:
    """Add references, with embeddings (rows in the same order), in a new segment; returns the snapshot's name.

    `contexts` are the known dates and places of their observations; the counts of the priors are not updated. Their
    species must be in the published snapshot: new species or floras require a build from the catalogue. Withdrawn
    photos are refused until they are restored.
    """
    if listed := sorted({entry.photo for entry in entries} & read_withdrawals(root)):
        raise BuildError(
            f"photo {listed[0]} has been withdrawn: let it in again with `fungarium index withdraw --undo`"
        )
    with building(root) as staging, published_snapshot(root) as published:
        if strangers := sorted({e.species for e in entries} - set(published.shelf.species.tolist())):
            raise BuildError(f"snapshot {published.name} knows no species {strangers[:3]}: build it anew")
        order = sorted(range(len(entries)), key=lambda place: entries[place].place)
        ordered = [entries[place] for place in order]
        for segment in published.segments:
            if known := next((e.photo for e in ordered if segment.reference_of_photo(e.photo)), None):
                raise BuildError(f"photo {known} is a reference already")
        manifest = published.manifest
        name = name_entries(ordered, describe_tools(published.manifest.model))
        if name in manifest.segments:
            raise BuildError("these references have been withdrawn as they are: run `fungarium index compact` first")
        write_segment(staging / "segment", ordered, embeddings[order])
        settle(staging / "segment", root / "segments" / name)
        licences = Counter(manifest.licences) + Counter(entry.licence for entry in entries)
        segments = (*manifest.segments, name)
        sums = add_sums(published.sums, sum_one(root / "segments" / name))
        gone = gone_rows(published)
        changes = Changes(segments=segments, withdrawn=gone, sums=sums, licences=licences, contexts=contexts)
        return continue_snapshot(root, staging, published, changes)


def compact_snapshot(root: Path, *, progress: Progress = silent) -> str:
    """Merge all active references into one segment, without withdrawn ones; returns the snapshot's name.

    Codebook and recipes are kept, so that search results are bit-identical; only row numbers change. `progress`
    receives the progress.
    """
    with building(root) as staging, published_snapshot(root, with_withdrawn=False) as published:
        if len(published.segments) == 1 and published.segments[0].withdrawn is None:
            return published.name
        standing = published.references
        if not standing:
            raise BuildError("every reference has been withdrawn, and a snapshot needs at least one")
        naming = Naming(describe_tools(published.manifest.model))
        gathered = GatheredRows(published)
        folders = [root / "segments" / name for name in published.manifest.segments]
        entries = counted(gathered.follow(merge_entries(published, folders)), "references", standing, progress)
        write_segment(staging / "segment", naming.follow(entries), gathered)
        name = naming.name
        settle(staging / "segment", root / "segments" / name)
        changes = Changes(segments=(name,), withdrawn={}, sums=published.sums)
        return continue_snapshot(root, staging, published, changes, keep_recipes=True, progress=progress)


def merge_entries(snapshot: Snapshot, folders: Sequence[Path]) -> Iterator[tuple[ReferenceEntry, int, int]]:
    """Yield the active references of all segments ordered by place, each with its segment and row."""

    def standing(number: int) -> Iterator[tuple[ReferenceEntry, int, int]]:
        gone = snapshot.segments[number].withdrawn
        for row, entry in enumerate(read_entries(folders[number])):
            if gone is None or not gone[row]:
                yield entry, number, row

    return heapq.merge(*map(standing, range(len(folders))), key=lambda one: one[0].place)


class GatheredRows:
    """Rows of several segments in a new order, collected by iteration and then read on demand."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._stores = [segment.store for segment in snapshot.segments]
        self._segments, self._rows = array("H"), array("q")  # of each row

    def follow(self, places: Iterable[tuple[ReferenceEntry, int, int]]) -> Iterator[ReferenceEntry]:
        """Yield the references alone."""
        for entry, segment, row in places:
            self._segments.append(segment)
            self._rows.append(row)
            yield entry

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: slice) -> NDArray[np.float16]:
        segments, sources = np.array(self._segments[rows]), np.array(self._rows[rows])
        gathered = np.empty((len(sources), DIM), dtype=np.float16)
        for number, store in enumerate(self._stores):
            here = segments == number
            gathered[here] = store.take(sources[here])
        return gathered


def sum_one(folder: Path) -> SpeciesSums:
    """Return prototype sums from a new segment alone, since those of the others are known."""
    segment = Segment(folder, 0)
    try:
        return sum_segments([segment])
    finally:
        segment.close()


def sum_active(
    root: Path, segments: Sequence[str], withdrawn: Mapping[str, NDArray[np.int64]], species: NDArray[np.int64]
) -> SpeciesSums:
    """Return prototype sums of some species from the active rows of all segments."""
    opened = [Segment(root / "segments" / name, 0, withdrawn.get(name)) for name in segments]
    try:
        return sum_segments(opened, species)
    finally:
        for segment in opened:
            segment.close()


@contextmanager
def published_snapshot(root: Path, *, with_withdrawn: bool = True) -> Iterator[Snapshot]:
    """Open the published snapshot for a block, with its withdrawals, which the next one inherits."""
    snapshot = open_snapshot(root, with_withdrawn=with_withdrawn)
    try:
        yield snapshot
    finally:
        snapshot.close()


def gone_rows(snapshot: Snapshot) -> dict[str, NDArray[np.int64]]:
    """Return the withdrawn rows of each segment of a snapshot."""
    return {
        name: np.flatnonzero(segment.withdrawn)
        for name, segment in zip(snapshot.manifest.segments, snapshot.segments, strict=True)
        if segment.withdrawn is not None
    }


def active_observations(
    root: Path, segments: Sequence[str], withdrawn: Mapping[str, NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Return the observations of active references, ascending."""
    held = [np.zeros(0, dtype=np.int64)]
    for name in segments:
        observations = load_array(root / "segments" / name / "observations.npy", mapped=True)
        gone = withdrawn.get(name)
        held.append(np.unique(observations if gone is None else np.delete(observations, gone)))
    return np.unique(np.concatenate(held))


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Changes of references between a snapshot and the previous one."""

    segments: Sequence[str]
    withdrawn: Mapping[str, NDArray[np.int64]]  # withdrawn rows of each segment
    sums: SpeciesSums
    licences: Mapping[str, int] | None = None  # references of each species; counted from the segments if None
    contexts: Sequence[ObservationContext] = ()  # of added observations
    forget: Collection[int] = ()  # observations whose known context is replaced by `contexts`


def continue_snapshot(
    root: Path,
    staging: Path,
    published: Snapshot,
    changes: Changes,
    *,
    keep_recipes: bool = False,
    progress: Progress = silent,
) -> str:
    """Assemble a snapshot that differs from the published one only in its references."""
    old, folder = root / "snapshots" / published.name, staging / "snapshot"
    (folder / "floras").mkdir(parents=True)
    for own in OWN_FILES:
        shutil.copyfile(old / own, folder / own)
    for learned in LEARNED_FILES:
        if (old / learned).is_file():
            shutil.copyfile(old / learned, folder / learned)
    write_sums(folder, changes.sums)
    active = active_observations(root, changes.segments, changes.withdrawn)
    forgotten = np.array(sorted(changes.forget), dtype=np.int64)
    known = renew_contexts(published.contexts, forgotten, gather_contexts(changes.contexts))
    write_contexts(folder, known.only(active))
    for bits in sorted((old / "floras").iterdir()):
        shutil.copyfile(bits, folder / "floras" / bits.name)
    manifest: Manifest = published.manifest
    titles = {card.id: card.title for card in manifest.floras[1:]}
    continued = replace(manifest, segments=tuple(changes.segments))
    draft = Draft(
        manifest=continued,
        titles=titles,
        withdrawn=changes.withdrawn,
        verified=manifest.files,
        licences=changes.licences,
    )
    name = assemble(root, staging, draft, keep_recipes=keep_recipes, progress=progress)
    log_built(root, name, published.name, GROWN)
    return name
