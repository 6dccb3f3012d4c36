"""Lays the references of a snapshot out in two dimensions, and finds those that lie among another species.

Written beside the snapshots, as `atlases/<references>.npz`: a snapshot is sealed, and the layout is for people to look
at and decides nothing. PCA is always there; with the extra `requirements-atlas.txt`, openTSNE goes on from it, which
separates what PCA lays one over another.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.atlas import Atlas, forget_atlases, name_references, write_atlas
from retrieval.embedder import Embeddings
from retrieval.snapshot import Snapshot

NEIGHBOURS = 15  # observations asked whether a record lies among its own species
AT_ONCE = 256  # views searched together
SEED = 20


def make_atlas(snapshot: Snapshot, *, method: str = "", advance: Callable[[int], object] = lambda _: None) -> Atlas:
    """Lay out every reference; `method` is `pca`, `tsne` or empty: the best that is installed."""
    rows, species, observations, embeddings = gather(snapshot)
    chosen = method or ("tsne" if has_tsne() else "pca")
    start = lay_out_pca(embeddings)
    places = lay_out_tsne(embeddings, start) if chosen == "tsne" and len(rows) > 3 * NEIGHBOURS else start
    strangers = find_strangers(snapshot, rows, species, observations, embeddings, advance)
    return Atlas(name_references(snapshot.manifest), chosen, rows, species, fit(places), strangers)


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


def has_tsne() -> bool:
    """Whether openTSNE is installed."""
    from importlib.util import find_spec

    return find_spec("openTSNE") is not None


def lay_out_tsne(embeddings: Embeddings, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Neighbours kept together, from the layout of PCA (openTSNE: Policar et al., 2024)."""
    from openTSNE import TSNE

    small = start / max(float(start[:, 0].std()), 1e-12) * 1e-4
    made = TSNE(metric="cosine", perplexity=30, initialization=small, n_jobs=-1, random_state=SEED).fit(embeddings)
    return np.asarray(made, dtype=np.float64)


def fit(places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Into the square from -1 to 1, at one scale for both directions."""
    centre = (places.max(axis=0) + places.min(axis=0)) / 2
    reach = float(np.abs(places - centre).max()) or 1.0
    return np.asarray((places - centre) / reach, dtype=np.float32)


def find_strangers(
    snapshot: Snapshot,
    rows: NDArray[np.int64],
    species: NDArray[np.int64],
    observations: NDArray[np.int64],
    embeddings: Embeddings,
    advance: Callable[[int], object],
) -> NDArray[np.int64]:
    """The species that most of the observations nearest to a record belong to, where it is another's.

    Each other observation counts once, through its closest photo: twenty photos of one misnamed find accuse nobody.
    (references,) taxon ids; 0 where the record lies among its own, or where no species has more than half.
    """
    strangers = np.zeros(len(rows), dtype=np.int64)
    world = snapshot.flora("world")
    for first in range(0, len(rows), AT_ONCE):
        block = slice(first, first + AT_ONCE)
        found = world.search(embeddings[block], 4 * NEIGHBOURS)
        for place, mine in enumerate(range(first, min(first + AT_ONCE, len(rows)))):
            others = (found.rows[place] >= 0) & (found.observations[place] != observations[mine])
            _, closest = np.unique(found.observations[place][others], return_index=True)
            near = found.species[place][others][np.sort(closest)][:NEIGHBOURS]
            named, votes = np.unique(near, return_counts=True)
            if len(named) and 2 * votes.max() > len(near) and named[votes.argmax()] != species[mine]:
                strangers[mine] = named[votes.argmax()]
        advance(min(AT_ONCE, len(rows) - first))
    return strangers


def build_atlas(root: Path, snapshot: Snapshot, *, method: str, advance: Callable[[int], object]) -> Atlas:
    """Make the atlas of a snapshot and keep it."""
    made = make_atlas(snapshot, method=method, advance=advance)
    write_atlas(root, made)
    forget_atlases(root)
    return made
