"""Updates the references of one dataset in the published snapshot, as one new snapshot, without rewriting segments.

New references get a segment of their own; changed and removed ones are withdrawn; withdrawn ones that return unchanged
become active again in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.building.build import describe_tools
from indexer.building.grow import Changes, continue_snapshot, gone_rows, published_snapshot, sum_active
from retrieval.errors import BuildError
from retrieval.models.embedder import Embeddings
from retrieval.segments.segment import ReferenceEntry, entry_of, name_entries, write_segment
from retrieval.snapshots.learned_arrays import replace_sums
from retrieval.snapshots.observation_context import ObservationContext, gather_contexts
from retrieval.snapshots.snapshot import Snapshot
from retrieval.snapshots.staging import building, settle


def renew_references(
    root: Path,
    dataset: str,
    entries: Sequence[ReferenceEntry],
    read: Callable[[Sequence[str]], Embeddings],
    contexts: Iterable[ObservationContext] = (),
) -> str:
    """Make `entries` the references of `dataset`; returns the snapshot's name, the published one if nothing changes.

    `read` returns embeddings by photo digest, of the snapshot's model. `contexts` are those of the entries'
    observations. Raises BuildError for a species that is not in the published snapshot (see `known_species`), or where
    no reference would remain.
    """
    with building(root) as staging, published_snapshot(root) as published:
        if strangers := sorted({e.species for e in entries} - known_species(published)):
            raise BuildError(f"snapshot {published.name} knows no species {strangers[:3]}: build it anew")
        before = {name: set(rows.tolist()) for name, rows in gone_rows(published).items()}
        gone = {name: set(before.get(name, ())) for name in published.manifest.segments}
        fresh = settle_active(published, dataset, entries, gone)
        mine, given = own_observations(published, dataset), list(contexts)
        own = np.array(sorted(mine), dtype=np.int64)
        had = published.contexts.only(own).listed() if published.contexts else []
        if not fresh and had == gather_contexts(given).listed() and gone == {**{n: set() for n in gone}, **before}:
            return published.name
        segments = list(published.manifest.segments)
        if sum(len(rows) for rows in gone.values()) == sum(s.rows for s in published.segments) and not fresh:
            raise BuildError("this would withdraw every reference; a snapshot needs at least one")
        if fresh:
            segments.append(name_entries(fresh, describe_tools(published.manifest.model)))
            write_segment(staging / "segment", fresh, read([entry.photo for entry in fresh]))
            settle(staging / "segment", root / "segments" / segments[-1])
        withdrawn = {name: np.array(sorted(rows), dtype=np.int64) for name, rows in gone.items() if rows}
        sums = replace_sums(published.sums, sum_active(root, segments, withdrawn, touched(published, gone, fresh)))
        changes = Changes(segments=segments, withdrawn=withdrawn, sums=sums, contexts=given, forget=mine)
        return continue_snapshot(root, staging, published, changes)


def known_species(snapshot: Snapshot) -> set[int]:
    """Return the species to which references can be added without a rebuild: with references, or on a checklist."""
    return set(snapshot.shelf.species.tolist())


def touched(published: Snapshot, gone: dict[str, set[int]], fresh: Sequence[ReferenceEntry]) -> NDArray[np.int64]:
    """Return the species whose references change, ascending."""
    species = {entry.species for entry in fresh}
    for name, segment in zip(published.manifest.segments, published.segments, strict=True):
        before = set() if segment.withdrawn is None else set(np.flatnonzero(segment.withdrawn).tolist())
        rows = np.array(sorted(gone[name] ^ before), dtype=np.int64)
        species.update(segment.species_of(rows).tolist())
    return np.array(sorted(species), dtype=np.int64)


def settle_active(
    published: Snapshot, dataset: str, entries: Sequence[ReferenceEntry], gone: dict[str, set[int]]
) -> list[ReferenceEntry]:
    """Update the withdrawn rows in `gone`, in place; returns the entries that no row has, in order of `place`."""
    wanted = {entry.photo: entry for entry in entries}
    held: list[tuple[bool, str, int, ReferenceEntry]] = []
    for name, segment in zip(published.manifest.segments, published.segments, strict=True):
        for reference in segment.references_of_dataset(dataset):
            row = reference.row - segment.base
            held.append((row in gone[name], name, row, entry_of(segment, reference)))
    met = set()
    for _, name, row, entry in sorted(held, key=lambda one: one[:3]):  # active rows first
        if wanted.get(entry.photo) == entry and entry.photo not in met:
            met.add(entry.photo)
            gone[name].discard(row)
        else:
            gone[name].add(row)
    fresh = sorted((entry for entry in entries if entry.photo not in met), key=lambda entry: entry.place)
    for entry in fresh:  # withdraw rows of the same photo in other datasets
        for name, segment in zip(published.manifest.segments, published.segments, strict=True):
            if (other := segment.reference_of_photo(entry.photo)) is not None:
                gone[name].add(other.row - segment.base)
    return fresh


def own_observations(published: Snapshot, dataset: str) -> set[int]:
    """Return the observations of a dataset's active references."""
    return {
        int(segment.observations[row])
        for segment in published.segments
        for row in (reference.row - segment.base for reference in segment.references_of_dataset(dataset))
        if segment.withdrawn is None or not segment.withdrawn[row]
    }
