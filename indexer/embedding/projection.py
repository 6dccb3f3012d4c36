"""Fits projection heads on frozen features: PCA with whitening, and a supervised projection.

The supervised projection is initialised by PCA and optimises the engine's own vote: the neighbours of a photo, without
its own observation, vote with weight exp(similarity / T) (decision 4), and the share of the true species is maximised.
This is neighbourhood components analysis (Goldberger et al. 2005) on normalised rows, regularised by weight decay
towards the initial matrix, with early stopping on held-out observations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.models.embedder import DIM
from retrieval.models.head import TEMPERATURE, Head
from retrieval.progress import Progress, silent

Rows: TypeAlias = NDArray[np.float32]  # (photos, width), every row of length 1
Ids: TypeAlias = NDArray[np.int64]  # (photos,)

WHITENING = 0.5  # components are divided by their standard deviation to this power; 1 is full whitening
RATE = 0.01  # learning rate of Adam, relative to the root mean square of the matrix
DECAY = 0.005  # weight decay per step, towards the initial matrix
STEPS = 300
LOOK = 10  # steps between two evaluations on held-out observations
PATIENCE = 5  # evaluations without improvement before stopping
GALLERY = 6000  # most references of a step; larger sets are sampled at each step
QUERIES = 1500  # most queries of a step


@dataclass(frozen=True)
class Labels:
    """Species and observation of each row, and its outing: person, day and place together, 0 where one is unknown."""

    species: Ids
    observations: Ids
    outings: Ids | None = None

    def pick(self, rows: NDArray[np.int64]) -> Labels:
        """Return the labels of some rows."""
        outings = None if self.outings is None else self.outings[rows]
        return Labels(self.species[rows], self.observations[rows], outings)


def fit_pca(features: Rows, *, whitening: float = WHITENING) -> Head:
    """Fit 256 principal components, each divided by its standard deviation to the power of `whitening`.

    Where there are fewer components (few photos, or a narrow network), the remaining columns are zero, which changes
    no similarity.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features.astype(np.float64) - mean
    if len(features) < features.shape[1]:  # fewer photos than features: use the smaller Gram matrix
        variance, mixtures = np.linalg.eigh(centred @ centred.T / len(features))
        directions = centred.T @ mixtures / np.sqrt(np.maximum(variance * len(features), 1e-30))
    else:
        variance, directions = np.linalg.eigh(centred.T @ centred / len(features))
    order = np.argsort(-variance, kind="stable")[:DIM]
    kept = order[variance[order] > 1e-9 * variance.max()]
    matrix = np.zeros((features.shape[1], DIM), dtype=np.float64)
    columns = directions[:, kept]
    columns = columns * np.sign(columns[np.abs(columns).argmax(axis=0), np.arange(len(kept))])  # fix the sign
    matrix[:, : len(kept)] = columns * variance[kept] ** (-whitening / 2)
    return Head(mean.astype(np.float32), (matrix / np.abs(matrix).max()).astype(np.float32), {"kind": "pca"})


def learn_projection(
    features: Rows,
    labels: Labels,
    start: Head,
    *,
    held_out: NDArray[np.bool_] | None = None,
    steps: int = STEPS,
    seed: int = 1,
    progress: Progress = silent,
) -> tuple[Head, int]:
    """Fit a supervised projection, initialised by `start`; returns the head and its number of steps.

    `held_out` masks rows (of whole observations) that are not trained on; the head is the one with the lowest loss on
    them. Without it, all `steps` are taken.
    """
    noise = np.random.default_rng(seed)
    seen = np.flatnonzero(~held_out) if held_out is not None else np.arange(len(features))
    asking = np.flatnonzero(held_out) if held_out is not None else np.zeros(0, dtype=np.int64)
    centred = features - start.mean
    matrix: Rows = start.matrix.astype(np.float32).copy()
    scale = float(np.sqrt(np.mean(np.square(matrix))))
    first: Rows = np.zeros_like(matrix)
    second: Rows = np.zeros_like(matrix)
    best, best_loss, best_step = matrix.copy(), np.inf, 0
    for step in range(steps + 1):
        if held_out is not None and step % LOOK == 0:
            loss = compare_batch(centred, matrix, labels, asking, noise_of(seed))
            if loss < best_loss - 1e-5:
                best, best_loss, best_step = matrix.copy(), loss, step
            elif step - best_step >= PATIENCE * LOOK:
                break
        if step == steps:
            break
        gallery = seen if len(seen) <= GALLERY else np.sort(noise.choice(seen, GALLERY, replace=False))
        queries = np.arange(len(gallery))
        if len(gallery) > QUERIES:
            queries = np.sort(noise.choice(len(gallery), QUERIES, replace=False))
        _, slope = vote_loss(centred[gallery], matrix, labels.pick(gallery), queries)
        first = np.float32(0.9) * first + np.float32(0.1) * slope
        second = np.asarray(np.float32(0.99) * second + np.float32(0.01) * np.square(slope), dtype=np.float32)
        along, size = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.99 ** (step + 1))  # Adam, unbiased
        moved = matrix - RATE * scale * along / (np.sqrt(size) + 1e-12)
        matrix = np.asarray(moved - DECAY * (moved - start.matrix), dtype=np.float32)
        progress("fit", 1, steps)
    if held_out is None:
        best, best_step = matrix, steps
    return Head(start.mean, best.astype(np.float32), {"kind": "learned", "steps": best_step}), best_step


def noise_of(seed: int) -> np.random.Generator:
    """Make the generator of evaluations: the same sample each time, so that losses are comparable."""
    return np.random.default_rng([seed, 1])


def compare_batch(
    centred: Rows, matrix: Rows, labels: Labels, asking: NDArray[np.int64], noise: np.random.Generator
) -> float:
    """Return the mean loss of held-out queries against all other rows; large sets are sampled."""
    others = np.setdiff1d(np.arange(len(centred)), asking)
    if len(asking) > QUERIES:
        asking = noise.choice(asking, QUERIES, replace=False)
    if len(others) > GALLERY:
        others = noise.choice(others, GALLERY, replace=False)
    rows = np.concatenate([np.sort(asking), np.sort(others)])
    loss, _ = vote_loss(centred[rows], matrix, labels.pick(rows), np.arange(len(asking)), slope=False)
    return loss


def vote_loss(
    centred: Rows, matrix: Rows, labels: Labels, queries: NDArray[np.int64], *, slope: bool = True
) -> tuple[float, Rows]:
    """Return the mean of -log(share of the true species), and its gradient with respect to the matrix.

    Every row is a reference; each of the `queries` (row numbers) is compared with all rows except those of its own
    observation. Queries without another observation of their species do not count.
    """
    projected = centred @ matrix
    lengths = np.linalg.norm(projected, axis=1, keepdims=True) + 1e-12
    units = projected / lengths
    same = labels.species[queries, None] == labels.species[None, :]
    own = labels.observations[queries, None] == labels.observations[None, :]
    has = np.any(same & ~own, axis=1)
    queries, same, own = queries[has], same[has], own[has]
    if not len(queries):
        return 0.0, np.zeros_like(matrix)
    weights = np.exp((units[queries] @ units.T - 1.0) / TEMPERATURE)
    weights[own] = 0.0
    total = weights.sum(axis=1, keepdims=True)
    right = np.where(same, weights, 0.0)
    right_total = right.sum(axis=1, keepdims=True) + 1e-30
    loss = float(np.mean(np.log(total) - np.log(right_total)))
    if not slope:
        return loss, np.zeros((0, 0), dtype=np.float32)
    by_similarity = ((weights / total - right / right_total) / (TEMPERATURE * len(queries))).astype(np.float32)
    by_unit = by_similarity.T @ units[queries]
    by_unit[queries] += by_similarity @ units
    by_projected = (by_unit - units * np.sum(by_unit * units, axis=1, keepdims=True)) / lengths
    return loss, np.asarray(centred.T @ by_projected, dtype=np.float32)
