"""The atlas: a two-dimensional layout of a snapshot's references, with those that may be mislabelled.

Written beside the snapshots, as `atlases/<references>.npz`, since a snapshot is immutable and the layout affects no
answer. PCA is always available; with `requirements-atlas.txt` installed, openTSNE refines it and separates species
that overlap in PCA.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.models.embedder import Embeddings, unit_rows
from retrieval.progress import Progress, silent
from retrieval.snapshots.atlas import Atlas, forget_atlases, name_references, write_atlas
from retrieval.snapshots.snapshot import Snapshot

CLOUD = 2  # fewest observations of a species with a centre
OUTLYING = 3.5  # threshold of the modified z-score that its authors recommend
PERPLEXITY = 30  # openTSNE's effective number of neighbours
AT_ONCE = 256  # references compared with all centres at once
SEED = 20


def make_atlas(snapshot: Snapshot, *, method: str = "", progress: Progress = silent) -> Atlas:
    """Lay out every reference; `method` is `pca`, `tsne`, or empty for the best one installed."""
    rows, species, observations, embeddings = gather(snapshot)
    chosen = method or best_method()
    start = lay_out_pca(embeddings)
    places = lay_out_tsne(embeddings, start) if chosen == "tsne" and len(rows) > 3 * PERPLEXITY else start
    strangers, doubts = find_strangers(species, observations, embeddings, progress)
    return Atlas(name_references(snapshot.manifest), chosen, rows, species, fit(places), strangers, doubts)


def gather(snapshot: Snapshot) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Embeddings]:
    """Return row, species, observation and embedding of every active reference, in order of rows."""
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
    """Project onto the first two principal components, (references, 2); signs are fixed for reproducibility."""
    centred = embeddings - embeddings.mean(axis=0)
    _, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    axes = directions[:, -1:-3:-1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    return np.asarray(centred @ axes)


def best_method() -> str:
    """Return `tsne` if openTSNE is installed, otherwise `pca`."""
    return "tsne" if has_tsne() else "pca"


def has_tsne() -> bool:
    """Return whether openTSNE is installed."""
    from importlib.util import find_spec

    return find_spec("openTSNE") is not None


def lay_out_tsne(embeddings: Embeddings, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lay out with t-SNE, initialised by PCA (openTSNE: Policar et al., 2024); (references, 2)."""
    from openTSNE import TSNE

    small = start / max(float(start[:, 0].std()), 1e-12) * 1e-4
    made = TSNE(metric="cosine", perplexity=PERPLEXITY, initialization=small, n_jobs=-1, random_state=SEED).fit(
        embeddings
    )
    return np.asarray(made, dtype=np.float64)


def fit(places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scale to the square from -1 to 1, with one scale for both axes."""
    centre = (places.max(axis=0) + places.min(axis=0)) / 2
    reach = float(np.abs(places - centre).max()) or 1.0
    return np.asarray((places - centre) / reach, dtype=np.float32)


def find_strangers(
    species: NDArray[np.int64],
    observations: NDArray[np.int64],
    embeddings: Embeddings,
    progress: Progress = silent,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find references that are much more similar to another species' centre than to their own.

    Returns two arrays over the references: the other species' taxon id (0 for none), and the difference of the two
    similarities (margin). A centre is the mean direction of a species' observations, each counted once; a reference is
    compared with its own centre without its observation. Positive margins are common, above all for photos of unusual
    parts, so only outliers of the modified z-score are reported (Iglewicz and Hoaglin, 1993).
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
        others = is_cloud[own][:, None]  # a single observation would leave no mean
        rest = unit_rows(np.where(others, sums[own] - find_means[of_record[block]], sums[own]))
        similar = np.where(is_cloud, rows @ centres.T, -np.inf)
        similar[np.arange(len(rows)), own] = -np.inf
        nearest[block] = similar.argmax(axis=1)
        margin = similar.max(axis=1) - np.einsum("rd,rd->r", rows, rest)
        margins[block] = np.where(is_cloud[own], margin, -np.inf)  # undefined without other observations
        progress("atlas", len(rows), len(species))
    strange = find_outliers(margins)
    return np.where(strange, kinds[nearest], 0), np.where(strange, margins, 0).astype(np.float32)


def find_outliers(margins: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return a mask of positive margins that are outliers; unknown margins (-inf) are not."""
    known = margins[np.isfinite(margins)]
    if not len(known):
        return np.zeros(len(margins), dtype=bool)
    middle = float(np.median(known))
    spread = float(np.median(np.abs(known - middle)))
    return np.asarray((margins > 0) & (0.6745 * (margins - middle) > OUTLYING * spread))


def build_atlas(root: Path, snapshot: Snapshot, *, method: str, progress: Progress = silent) -> Atlas:
    """Make the atlas of a snapshot, write it, and delete those of older snapshots."""
    made = make_atlas(snapshot, method=method, progress=progress)
    write_atlas(root, made)
    forget_atlases(root)
    return made
