"""How well embeddings name species, asked of the collection: by observation, each with its own photos left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.embedding.projection import Labels, Rows
from retrieval.progress import Progress, silent
from retrieval.ranking.votes import vote_shares

NEIGHBOURS = 50
RESAMPLES = 1000  # of the bootstrap
MOST_ASKED = 2000  # observations; more would make an interval of two points no narrower that matters


@dataclass(frozen=True, slots=True)
class MeasuredRecall:
    """Of so many observations, the share whose species came first, and among the first five."""

    observations: int
    first: float
    five: float


@dataclass(frozen=True, slots=True)
class RecallGain:
    """What one recipe's recall@1 is above another's, as a share, with the 95 % interval over the same observations."""

    before: float
    after: float
    gain: float
    low: float
    high: float


def measure_gain(before: NDArray[np.int64], after: NDArray[np.int64], *, seed: int = 1) -> RecallGain:
    """Return the gain of recall@1 between the ranks of the same observations, by paired bootstrap (Efron 1979)."""
    first = [(ranks == 1).astype(np.float64) for ranks in (before, after)]
    apart = first[1] - first[0]
    rng = np.random.default_rng([seed, 4])
    means = [float(apart[rng.integers(0, len(apart), len(apart))].mean()) for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5]).tolist()
    return RecallGain(float(first[0].mean()), float(first[1].mean()), float(apart.mean()), low, high)


def askable(labels: Labels, *, most: int = MOST_ASKED, seed: int = 1) -> NDArray[np.int64]:
    """Observations whose species has another one, ascending; of very many, a fixed draw."""
    observations, rows = np.unique(labels.observations, return_index=True)
    species, counts = np.unique(labels.species[rows], return_counts=True)
    found = observations[np.isin(labels.species[rows], species[counts > 1])]
    if len(found) > most:
        found = np.sort(np.random.default_rng(seed).choice(found, most, replace=False))
    return found.astype(np.int64)


def sample_species(labels: Labels, most: int, *, seed: int = 1) -> NDArray[np.int64]:
    """Return the rows of whole species, drawn at random, up to `most` rows; ascending, all rows where they are as few.

    A species is taken with all its photos, since half of them would be harder to name than all are.
    """
    species, of_row, counts = np.unique(labels.species, return_inverse=True, return_counts=True)
    if len(of_row) <= most:
        return np.arange(len(of_row))
    order = np.random.default_rng([seed, 3]).permutation(len(species))
    taken = order[np.cumsum(counts[order]) <= most]
    return np.flatnonzero(np.isin(of_row, taken)).astype(np.int64)


def measure_recall(
    embeddings: Rows, labels: Labels, asked: NDArray[np.int64], *, temperature: float, progress: Progress = silent
) -> MeasuredRecall:
    """Ask all references for each of the `asked` observations, and return the recall; see `rank_observations`."""
    return count_recall(rank_observations(embeddings, labels, asked, temperature=temperature, progress=progress))


def count_recall(ranks: NDArray[np.int64]) -> MeasuredRecall:
    """Return the recall of some ranks; 0 is a species that was not found."""
    found = ranks > 0
    shares = (float(np.count_nonzero(found & (ranks <= k))) / max(1, len(ranks)) for k in (1, 5))
    return MeasuredRecall(len(ranks), *shares)


def rank_observations(
    embeddings: Rows, labels: Labels, asked: NDArray[np.int64], *, temperature: float, progress: Progress = silent
) -> NDArray[np.int64]:
    """Return the rank of each asked observation's species, its own photos left out, as the engine would; 0: not found.

    50 neighbours a photo vote as `retrieval.ranking.votes` says; shares are averaged over photos.
    """
    species, columns = np.unique(labels.species, return_inverse=True)
    ranks = []
    for observation in asked.tolist():
        mine = labels.observations == observation
        similarity = embeddings[mine] @ embeddings.T
        similarity[:, mine] = -np.inf
        shares = np.zeros(len(species))
        for row in similarity:
            shares += vote_species(row, labels.observations, columns, temperature, len(species))
        truth = int(columns[np.argmax(mine)])
        better = int(np.count_nonzero(shares > shares[truth])) + int(np.count_nonzero(shares[:truth] == shares[truth]))
        ranks.append(better + 1 if shares[truth] > 0 else 0)
        progress("recall", 1, len(asked))
    return np.array(ranks, dtype=np.int64)


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
