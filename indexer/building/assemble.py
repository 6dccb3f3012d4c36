"""The last steps of every new snapshot: codes, counts, measured recipes, checksums, and a final check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.building.codes import CODES_FROM, codes_pay, ensure_codes
from indexer.building.recall import measure_recipes
from indexer.building.shelving import lay_out
from retrieval.domain import WORLD
from retrieval.errors import BuildError
from retrieval.progress import Progress, silent
from retrieval.ranking.prototypes import SpeciesSums
from retrieval.search.arrays import load_array
from retrieval.search.faiss_coarse import MEANS, CoarseQuantiser
from retrieval.search.faiss_codes import FaissCodes, read_codebook
from retrieval.search.recipes import Recipe, read_recipe
from retrieval.segments.segment import FILES, Segment, count_observations
from retrieval.snapshots.card import write_card
from retrieval.snapshots.flora import Flora, ReferenceShelf
from retrieval.snapshots.learned_arrays import read_sums
from retrieval.snapshots.manifest import FileSeal, FloraCard, Manifest, seal_file, verify_files
from retrieval.snapshots.snapshot import open_snapshot
from retrieval.snapshots.species_arrays import make_species_arrays, write_learned_prototypes, write_species_arrays
from retrieval.snapshots.staging import settle
from retrieval.snapshots.taxonomy import Taxonomy
from retrieval.snapshots.verified_files import read_verified_files, write_verified_files

WORLD_TITLE = "World: every species with references"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A snapshot to be assembled."""

    manifest: Manifest  # model, voting, segments, and the codebook and recipes of the previous snapshot
    titles: Mapping[str, str]  # of its floras, by their ids
    withdrawn: Mapping[str, NDArray[np.int64]]  # withdrawn rows of each segment
    verified: Iterable[FileSeal] = ()  # files that have just been verified and need not be read again
    licences: Mapping[str, int] | None = None  # references of each species; counted from the segments if None


def assemble(
    root: Path,
    staging: Path,
    contents: Draft,
    *,
    keep_recipes: bool = False,
    codes_from: int = CODES_FROM,
    progress: Progress = silent,
) -> str:
    """Complete the snapshot whose taxonomy, species and floras are in `staging`/snapshot; returns its name.

    With `keep_recipes`, floras keep their recipes, however their size has changed.
    """
    folder, draft, withdrawn = staging / "snapshot", contents.manifest, contents.withdrawn
    titles, licences = contents.titles, contents.licences
    write_withdrawn(folder, withdrawn)
    write_arrays(folder, draft)
    rows = count_rows(root, draft.segments) - sum(len(gone) for gone in withdrawn.values())
    sealed = tuple(contents.verified)
    whole = {seal.path for seal in sealed}
    codebook, codes = draft.codebook, dict[str, str]()
    if codebook or rows >= codes_from:
        species = lay_out(folder, sums_of(folder))
        if codebook or codes_pay(root, draft.segments):
            codebook, codes = ensure_codes(
                root, staging, draft.segments, codebook, draft.codes, whole, species, progress
            )
    shelf = open_shelf(root, folder, replace(draft, codebook=codebook, codes=codes), withdrawn)
    try:
        floras = [
            cut_flora(shelf, folder, WORLD, WORLD_TITLE),
            *(cut_flora(shelf, folder, flora, title) for flora, title in sorted(titles.items())),
        ]
        before = {flora: read_recipe(recipe) for flora, recipe in draft.recipes.items()}
        if codebook != draft.codebook:
            before, keep_recipes = {}, False
        recipes = before if keep_recipes else measure_recipes(floras, before, progress)
        counted = Counter(licences or {})
        for segment in shelf.segments if licences is None else ():
            counted.update(segment.licences())
        manifest = replace(
            draft,
            references=rows,
            observations=count_observations(shelf.segments),
            species=floras[0].card.covered,
            floras=tuple(flora.card for flora in floras),
            files=seal_files(root, folder, draft.segments, codebook, codes, sealed),
            licences=dict(sorted(counted.items())),
            withdrawn={segment: len(gone) for segment, gone in sorted(withdrawn.items())},
            codebook=codebook,
            recipes={flora: recipe.described() for flora, recipe in recipes.items()},
            codes=codes,
        )
    finally:
        for segment in shelf.segments:
            segment.close()
    return finish(root, folder, manifest)


def sums_of(folder: Path) -> SpeciesSums:
    """Return the prototype sums in a folder."""
    sums = read_sums(folder)
    if sums is None:
        raise BuildError(f"{folder} has no sums of species")
    return sums


def write_arrays(folder: Path, draft: Manifest) -> None:
    """Write the arrays that answers read: classification, observations and prototypes of all species."""
    sums, taxonomy = sums_of(folder), Taxonomy(folder / "taxonomy.sqlite")
    try:
        arrays = make_species_arrays(load_array(folder / "species.npy"), taxonomy, sums)
    finally:
        taxonomy.close()
    write_species_arrays(folder, arrays)
    write_learned_prototypes(folder, arrays.tree, sums, draft.calibration)


def write_withdrawn(folder: Path, withdrawn: Mapping[str, NDArray[np.int64]]) -> None:
    """Write the withdrawn rows, one file per segment."""
    for segment, rows in withdrawn.items():
        (folder / "withdrawn").mkdir(exist_ok=True)
        np.save(folder / "withdrawn" / f"{segment}.npy", np.sort(rows).astype(np.int64))


def count_rows(root: Path, segments: Iterable[str]) -> int:
    """Return the number of rows in the segments."""
    return sum(len(np.load(root / "segments" / name / "observations.npy", mmap_mode="r")) for name in segments)


def open_shelf(root: Path, folder: Path, draft: Manifest, withdrawn: Mapping[str, NDArray[np.int64]]) -> ReferenceShelf:
    """Open the draft's references as readers will."""
    book = read_codebook(root / "codebooks" / draft.codebook) if draft.codebook else None
    segments, base = [], 0
    for name in draft.segments:
        segment = Segment(root / "segments" / name, base, withdrawn.get(name))
        if book is not None:
            segment.codes = FaissCodes(root / "codebooks" / book.id / draft.codes[name], segment.offsets, book)
        segments.append(segment)
        base += segment.rows
    quantiser = CoarseQuantiser(folder) if (folder / MEANS).exists() else None
    return ReferenceShelf(np.load(folder / "species.npy"), segments, quantiser=quantiser)


def cut_flora(shelf: ReferenceShelf, folder: Path, flora: str, title: str) -> Flora:
    """Select a flora and count its contents."""
    if flora == WORLD:
        bits = shelf.counts(shelf.species) > 0
    else:
        packed = np.fromfile(folder / "floras" / f"{flora}.bits", dtype=np.uint8)
        bits = np.unpackbits(packed, count=len(shelf.species)).astype(np.bool_)
    counts = shelf.counts(shelf.species[bits])
    card = FloraCard(flora, title, int(bits.sum()), int(np.count_nonzero(counts)), int(counts.sum()))
    return shelf.cut(bits, card, Recipe(references=card.references))


def seal_files(
    root: Path,
    folder: Path,
    segments: Iterable[str],
    codebook: str,
    codes: Mapping[str, str],
    known: Iterable[FileSeal] = (),
) -> tuple[FileSeal, ...]:
    """Compute checksums of shared files, by path from the root, and of the snapshot's, by path from its folder."""
    sealed = {seal.path: seal for seal in known}
    shared = [root / "segments" / segment / file for segment in segments for file in FILES]
    if codebook:
        book = root / "codebooks" / codebook
        shared += [book / "centroids.npy", book / "rotation.npy", *(book / file for file in codes.values())]
    seals = [sealed.get(path.relative_to(root).as_posix()) or seal_file(root, path) for path in shared]
    return (*seals, *(seal_file(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()))


def finish(root: Path, folder: Path, manifest: Manifest) -> str:
    """Write manifest and card, move the snapshot into place, and verify it by opening it."""
    (folder / "manifest.json").write_text(manifest.text(), encoding="utf-8")
    (folder / "card.md").write_text(write_card(manifest), encoding="utf-8")
    settle(folder, root / "snapshots" / manifest.name)
    verified = read_verified_files(root)
    write_verified_files(root, {**verified, **verify_files(root, manifest, verified=verified)})
    open_snapshot(root, manifest.name).close()
    return manifest.name
