"""How well embeddings name species, asked of the collection: by observation, each with its own photos left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.embedding.projection import Labels, Rows
from retrieval.progress import Progress, silent
from retrieval.ranking.votes import vote_shares

NEIGHBOURS = 50
MOST_ASKED = 2000  # observations; more would make an interval of two points no narrower that matters


@dataclass(frozen=True, slots=True)
class MeasuredRecall:
    """Of so many observations, the share whose species came first, and among the first five."""

    observations: int
    first: float
    five: float


def askable(labels: Labels, *, most: int = MOST_ASKED, seed: int = 1) -> NDArray[np.int64]:
    """Observations whose species has another one, ascending; of very many, a fixed draw."""
    observations, rows = np.unique(labels.observations, return_index=True)
    species, counts = np.unique(labels.species[rows], return_counts=True)
    found = observations[np.isin(labels.species[rows], species[counts > 1])]
    if len(found) > most:
        found = np.sort(np.random.default_rng(seed).choice(found, most, replace=False))
    return found.astype(np.int64)


def measure_recall(
    embeddings: Rows,
    labels: Labels,
    asked: NDArray[np.int64],
    *,
    temperature: float,
    queries: Rows | None = None,
    progress: Progress = silent,
) -> MeasuredRecall:
    """Ask all references for each of the `asked` observations, its own photos left out, as the engine would.

    50 neighbours a photo vote as `retrieval.ranking.votes` says; shares are averaged over photos. `queries` are other
    rows of the same photos to ask with, where they were made by another recipe than the references.
    """
    species, columns = np.unique(labels.species, return_inverse=True)
    first = five = 0
    for observation in asked.tolist():
        mine = labels.observations == observation
        similarity = (embeddings if queries is None else queries)[mine] @ embeddings.T
        similarity[:, mine] = -np.inf
        shares = np.zeros(len(species))
        for row in similarity:
            shares += vote_species(row, labels.observations, columns, temperature, len(species))
        truth = int(columns[np.argmax(mine)])
        better = int(np.count_nonzero(shares > shares[truth])) + int(np.count_nonzero(shares[:truth] == shares[truth]))
        found = shares[truth] > 0
        first += int(found and better == 0)
        five += int(found and better < 5)
        progress("recall", 1, len(asked))
    return MeasuredRecall(len(asked), first / max(1, len(asked)), five / max(1, len(asked)))


def vote_species(
    similarity: NDArray[np.float32],
    observations: NDArray[np.int64],
    columns: NDArray[np.int64],
    temperature: float,
    species: int,
) -> NDArray[np.float64]:
    """Shares of the species from one photo's similarities to all references, -inf for what may not answer."""
    k = min(NEIGHBOURS, int(np.count_nonzero(np.isfinite(similarity))))
    if k == 0:
        return np.zeros(species)
    near = np.argpartition(-similarity, k - 1)[:k]
    near = near[np.lexsort((near, -similarity[near]))][None]
    shares = vote_shares(similarity[near], observations[near], columns[near], species, temperature)
    return np.asarray(shares[0])
