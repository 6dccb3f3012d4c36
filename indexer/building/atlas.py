"""Lays the references of a snapshot out in two dimensions, and finds those that lie among another species.

Written beside the snapshots, as `atlases/<references>.npz`: a snapshot is sealed, and the layout is for people to look
at and decides nothing. PCA is always there; with the extra `requirements-atlas.txt`, openTSNE goes on from it, which
separates what PCA lays one over another.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.models.embedder import Embeddings, unit_rows
from retrieval.progress import Progress, silent
from retrieval.snapshots.atlas import Atlas, forget_atlases, name_references, write_atlas
from retrieval.snapshots.snapshot import Snapshot

CLOUD = 2  # observations that make a cloud, at least
OUTLYING = 3.5  # of the modified z-score, as its authors have it
PERPLEXITY = 30  # neighbours that openTSNE keeps together, about
AT_ONCE = 256  # records compared with all centres together
SEED = 20


def make_atlas(snapshot: Snapshot, *, method: str = "", progress: Progress = silent) -> Atlas:
    """Lay out every reference; `method` is `pca`, `tsne` or empty: the best that is installed."""
    rows, species, observations, embeddings = gather(snapshot)
    chosen = method or best_method()
    start = lay_out_pca(embeddings)
    places = lay_out_tsne(embeddings, start) if chosen == "tsne" and len(rows) > 3 * PERPLEXITY else start
    strangers, doubts = find_strangers(species, observations, embeddings, progress)
    return Atlas(name_references(snapshot.manifest), chosen, rows, species, fit(places), strangers, doubts)


def gather(snapshot: Snapshot) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Embeddings]:
    """Row, species, observation and embedding of every reference that answers, by row."""
    parts = []
    for segment in snapshot.segments:
        here = np.arange(segment.rows, dtype=np.int64)
        if segment.withdrawn is not None:
            here = here[~segment.withdrawn]
        found = np.asarray(segment.store.take(here), dtype=np.float32)
        parts.append((here + segment.base, segment.species_of(here), np.asarray(segment.observations)[here], found))
    rows, species, observations, embeddings = (np.concatenate(part) for part in zip(*parts, strict=True))
    return rows, species, observations, embeddings


def lay_out_pca(embeddings: Embeddings) -> NDArray[np.float64]:
    """The two directions in which the references differ most; signs settled, so that the same gives the same."""
    centred = embeddings - embeddings.mean(axis=0)
    _, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    axes = directions[:, -1:-3:-1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    return np.asarray(centred @ axes)


def best_method() -> str:
    """The better of the methods that are installed."""
    return "tsne" if has_tsne() else "pca"


def has_tsne() -> bool:
    """Whether openTSNE is installed."""
    from importlib.util import find_spec

    return find_spec("openTSNE") is not None


def lay_out_tsne(embeddings: Embeddings, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Neighbours kept together, from the layout of PCA (openTSNE: Policar et al., 2024)."""
    from openTSNE import TSNE

    small = start / max(float(start[:, 0].std()), 1e-12) * 1e-4
    made = TSNE(metric="cosine", perplexity=PERPLEXITY, initialization=small, n_jobs=-1, random_state=SEED).fit(
        embeddings
    )
    return np.asarray(made, dtype=np.float64)


def fit(places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Into the square from -1 to 1, at one scale for both directions."""
    centre = (places.max(axis=0) + places.min(axis=0)) / 2
    reach = float(np.abs(places - centre).max()) or 1.0
    return np.asarray((places - centre) / reach, dtype=np.float32)


def find_strangers(
    species: NDArray[np.int64],
    observations: NDArray[np.int64],
    embeddings: Embeddings,
    progress: Progress = silent,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The species in whose cloud a record lies, where that is not its own, and by how much it is nearer to it.

    Two arrays over the references: taxon ids, 0 where the record lies where it should, and differences of similarity.
    A cloud is the mean direction of a species' observations, each counting once, and that of a record is looked at
    without its own. Nearer to another's centre are many, photos of unusual parts above all; told are those whose
    difference is an outlier among all records by the modified z-score (Iglewicz and Hoaglin, 1993).
    """
    finds, of_record = np.unique(observations, return_inverse=True)
    kinds, of_species = np.unique(species, return_inverse=True)
    find_means = np.zeros((len(finds), embeddings.shape[1]), dtype=np.float32)
    np.add.at(find_means, of_record, embeddings)
    find_means = unit_rows(find_means)
    species_of_find = np.zeros(len(finds), dtype=np.int64)
    species_of_find[of_record] = of_species
    sums = np.zeros((len(kinds), embeddings.shape[1]), dtype=np.float32)
    np.add.at(sums, species_of_find, find_means)
    is_cloud = np.bincount(species_of_find, minlength=len(kinds)) >= CLOUD
    centres = unit_rows(sums)
    margins = np.full(len(species), -np.inf, dtype=np.float32)
    nearest = np.zeros(len(species), dtype=np.int64)
    for first in range(0, len(species), AT_ONCE):
        block = slice(first, first + AT_ONCE)
        rows, own = embeddings[block], of_species[block]
        others = is_cloud[own][:, None]  # a find that is alone would leave nothing
        rest = unit_rows(np.where(others, sums[own] - find_means[of_record[block]], sums[own]))
        similar = np.where(is_cloud, rows @ centres.T, -np.inf)
        similar[np.arange(len(rows)), own] = -np.inf
        nearest[block] = similar.argmax(axis=1)
        margin = similar.max(axis=1) - np.einsum("rd,rd->r", rows, rest)
        margins[block] = np.where(is_cloud[own], margin, -np.inf)  # without others of its own nobody knows
        progress("atlas", len(rows), len(species))
    strange = find_outliers(margins)
    return np.where(strange, kinds[nearest], 0), np.where(strange, margins, 0).astype(np.float32)


def find_outliers(margins: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which differences are above zero and far above most others; those that are not known are none."""
    known = margins[np.isfinite(margins)]
    if not len(known):
        return np.zeros(len(margins), dtype=bool)
    middle = float(np.median(known))
    spread = float(np.median(np.abs(known - middle)))
    return np.asarray((margins > 0) & (0.6745 * (margins - middle) > OUTLYING * spread))


def build_atlas(root: Path, snapshot: Snapshot, *, method: str, progress: Progress = silent) -> Atlas:
    """Make the atlas of a snapshot and keep it."""
    made = make_atlas(snapshot, method=method, progress=progress)
    write_atlas(root, made)
    forget_atlases(root)
    return made
