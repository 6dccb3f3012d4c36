"""Appends references to the published snapshot, withdraws some, and compacts its segments; nothing old is rewritten.

Each makes a new snapshot, complete and verified, that is then published like any other.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.assemble import assemble
from indexer.build import made_with, read_entries
from retrieval.aspects import FILE as ASPECTS
from retrieval.embedder import DIM, Embeddings
from retrieval.errors import BuildError, UnknownPhoto
from retrieval.faiss_guide import SPECIES as GUIDE_SPECIES
from retrieval.learned import METRIC, add_sums, replace_sums, sum_segments, write_sums
from retrieval.manifest import Manifest
from retrieval.occasions import Occasion, gather_occasions, write_occasions
from retrieval.occurrences import FILE as OCCURRENCES
from retrieval.prototypes import SpeciesSums
from retrieval.segment import ReferenceEntry, Segment, name_entries, write_segment
from retrieval.snapshot import Snapshot, open_snapshot
from retrieval.staging import building, settle

OWN_FILES = ("taxonomy.sqlite", "species.npy")
LEARNED_FILES = (OCCURRENCES, METRIC, ASPECTS, GUIDE_SPECIES)  # where there are such; sums of prototypes are given


def append_references(
    root: Path, entries: Sequence[ReferenceEntry], embeddings: Embeddings, occasions: Sequence[Occasion] = ()
) -> str:
    """Add references, with their embeddings (rows in the same order), in a segment of their own; gives the snapshot.

    `occasions` say when and where their observations were made, where that is known; the counts of the priors stay
    those of the last build.

    Their species must be known to the published snapshot: for new species or floras, build from the catalogue.
    A photo that was withdrawn may come again.
    """
    with building(root) as staging, published_snapshot(root) as published:
        if strangers := sorted({e.species for e in entries} - set(published.shelf.species.tolist())):
            raise BuildError(f"snapshot {published.name} knows no species {strangers[:3]}: build it anew")
        order = sorted(range(len(entries)), key=lambda place: entries[place].place)
        ordered = [entries[place] for place in order]
        for segment in published.segments:
            if known := next((e.photo for e in ordered if segment.reference_of_photo(e.photo)), None):
                raise BuildError(f"photo {known} is a reference already")
        manifest = published.manifest
        name = name_entries(ordered, made_with(published.manifest.model))
        if name in manifest.segments:
            raise BuildError("these references have been withdrawn as they are: run `python -m indexer compact` first")
        write_segment(staging / "segment", ordered, embeddings[order])
        settle(staging / "segment", root / "segments" / name)
        licences = Counter(manifest.licences) + Counter(entry.licence for entry in entries)
        segments = (*manifest.segments, name)
        sums = add_sums(published.sums, sum_one(root / "segments" / name))
        gone = gone_rows(published)
        return continue_snapshot(root, staging, published, segments, gone, sums, licences=licences, occasions=occasions)


def withdraw_references(root: Path, photos: Collection[str]) -> str:
    """Let the references of these photos answer nothing any more; gives the snapshot. Their bytes go at compaction."""
    with building(root) as staging, published_snapshot(root) as published:
        rows = {name: gone.tolist() for name, gone in gone_rows(published).items()}
        taken = set()
        for photo in sorted(photos):
            found = [(n, segment.reference_of_photo(photo)) for n, segment in enumerate(published.segments)]
            places = [(number, reference) for number, reference in found if reference is not None]
            if not places:
                raise UnknownPhoto(f"snapshot {published.name} has no reference photo {photo[:64]!r}")
            for number, reference in places:
                gone = rows.setdefault(published.manifest.segments[number], [])
                gone.append(reference.row - published.segments[number].base)
                taken.add(reference.species)
        withdrawn = {name: np.unique(np.array(gone, dtype=np.int64)) for name, gone in rows.items()}
        if sum(len(rows) for rows in withdrawn.values()) == sum(segment.rows for segment in published.segments):
            raise BuildError("this would withdraw every reference; a snapshot needs at least one")
        species = np.array(sorted(taken), dtype=np.int64)
        sums = replace_sums(published.sums, sum_standing(root, published.manifest.segments, withdrawn, species))
        return continue_snapshot(root, staging, published, published.manifest.segments, withdrawn, sums)


def compact_snapshot(root: Path) -> str:
    """Put all references that may answer into one segment, without the withdrawn ones; gives the snapshot.

    Codebook and recipes stay, so that every search answers as before, to the last bit; only row numbers change.
    """
    with building(root) as staging, published_snapshot(root) as published:
        if len(published.segments) == 1 and not published.manifest.withdrawn:
            return published.name
        places: list[tuple[ReferenceEntry, int, int]] = []
        for number, segment in enumerate(published.segments):
            held = read_entries(root / "segments" / published.manifest.segments[number])
            places += [
                (entry, number, row)
                for row, entry in enumerate(held)
                if segment.withdrawn is None or not segment.withdrawn[row]
            ]
        places.sort(key=lambda place: place[0].place)
        entries = [entry for entry, _, _ in places]
        name = name_entries(entries, made_with(published.manifest.model))
        sources = np.array([(number, row) for _, number, row in places], dtype=np.int64)
        write_segment(staging / "segment", entries, GatheredRows(published, sources))
        settle(staging / "segment", root / "segments" / name)
        return continue_snapshot(root, staging, published, (name,), {}, published.sums, keep_recipes=True)


class GatheredRows:
    """Rows of several segments in a new order, read as they are asked for, so that memory stays small."""

    def __init__(self, snapshot: Snapshot, sources: NDArray[np.int64]) -> None:
        self._stores = [segment.store for segment in snapshot.segments]
        self._sources = sources  # (rows, 2): segment and row in it

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, rows: slice) -> NDArray[np.float16]:
        sources = self._sources[rows]
        gathered = np.empty((len(sources), DIM), dtype=np.float16)
        for number, store in enumerate(self._stores):
            here = sources[:, 0] == number
            gathered[here] = store.take(sources[here, 1])
        return gathered


def sum_one(folder: Path) -> SpeciesSums:
    """What prototypes are made of, from a new segment alone: what stands in the others is known."""
    segment = Segment(folder, 0)
    try:
        return sum_segments([segment])
    finally:
        segment.close()


def sum_standing(
    root: Path, segments: Sequence[str], withdrawn: Mapping[str, NDArray[np.int64]], species: NDArray[np.int64]
) -> SpeciesSums:
    """The same for some species, from what has not been withdrawn of all segments."""
    opened = [Segment(root / "segments" / name, 0, withdrawn.get(name)) for name in segments]
    try:
        return sum_segments(opened, species)
    finally:
        for segment in opened:
            segment.close()


@contextmanager
def published_snapshot(root: Path) -> Iterator[Snapshot]:
    """The published snapshot for the time of a block."""
    snapshot = open_snapshot(root)
    try:
        yield snapshot
    finally:
        snapshot.close()


def gone_rows(snapshot: Snapshot) -> dict[str, NDArray[np.int64]]:
    """The rows that each segment of a snapshot has withdrawn."""
    return {
        name: np.flatnonzero(segment.withdrawn)
        for name, segment in zip(snapshot.manifest.segments, snapshot.segments, strict=True)
        if segment.withdrawn is not None
    }


def standing_observations(
    root: Path, segments: Sequence[str], withdrawn: Mapping[str, NDArray[np.int64]]
) -> NDArray[np.int64]:
    """The observations that references which may answer belong to, ascending."""
    held = [
        np.delete(np.load(root / "segments" / name / "observations.npy"), withdrawn.get(name, np.zeros(0, np.int64)))
        for name in segments
    ]
    return np.unique(np.concatenate(held))


def continue_snapshot(
    root: Path,
    staging: Path,
    published: Snapshot,
    segments: Sequence[str],
    withdrawn: Mapping[str, NDArray[np.int64]],
    sums: SpeciesSums,
    *,
    keep_recipes: bool = False,
    licences: Mapping[str, int] | None = None,
    occasions: Sequence[Occasion] = (),
    forget: Collection[int] = (),
) -> str:
    """Assemble a snapshot that differs from the published one in its references alone.

    What was known of the occasions of the observations `forget` gives way to `occasions`.
    """
    old, folder = root / "snapshots" / published.name, staging / "snapshot"
    (folder / "floras").mkdir(parents=True)
    for own in OWN_FILES:
        shutil.copyfile(old / own, folder / own)
    for learned in LEARNED_FILES:
        if (old / learned).is_file():
            shutil.copyfile(old / learned, folder / learned)
    write_sums(folder, sums)
    listed = published.occasions.listed() if published.occasions else []
    known = [one for one in listed if one.observation not in forget]
    standing = standing_observations(root, segments, withdrawn)
    write_occasions(folder, gather_occasions([*known, *occasions]).only(standing))
    for bits in sorted((old / "floras").iterdir()):
        shutil.copyfile(bits, folder / "floras" / bits.name)
    manifest: Manifest = published.manifest
    titles = {card.id: card.title for card in manifest.floras[1:]}
    draft = replace(manifest, segments=tuple(segments))
    return assemble(
        root, staging, draft, titles, withdrawn, manifest.files, keep_recipes=keep_recipes, licences=licences
    )
