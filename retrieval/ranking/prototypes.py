"""A species' prototype: the mean direction of its observations, shrunk towards its genus if they are few.

Similarity to prototypes helps the long tail: a species with two photos is seldom the nearest neighbour, but its mean,
shrunk towards the mean of its genus, is a fair estimate of its appearance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.float64]  # (rows, dim)
Metric: TypeAlias = NDArray[np.float32]  # (dim, dim): rows times the metric are whitened within species

SHORT = 8  # longest runs summed together; NumPy sums longer ones in another order
CACHED = 512  # prototypes compared with all views together: half a megabyte at float32
BLOCK = 8_192  # species whose prototypes are made together: 16 MB


@dataclass(frozen=True, slots=True)
class SpeciesSums:
    """The input of prototypes: for each species the sum of its observations' mean embeddings."""

    species: NDArray[np.int64]  # (species,) taxon ids, ascending
    sums: Rows  # (species, dim)
    observations: NDArray[np.int64]  # (species,)

    @property
    def centre(self) -> NDArray[np.float64]:
        """Return the mean of all observations, (dim,), which all photos of the collection have in common."""
        return np.asarray(self.sums.sum(axis=0) / max(1, int(self.observations.sum())))


def sum_observations(
    embeddings: NDArray[np.floating], columns: NDArray[np.int64], observations: NDArray[np.int64], width: int
) -> tuple[Rows, NDArray[np.int64]]:
    """Sum the observations of each column, each as the mean of its photos: sums (width, dim) and counts (width,).

    Thus twelve photos of one fungus weigh as much as one.
    """
    sums, counts = np.zeros((width, embeddings.shape[1]), dtype=np.float64), np.zeros(width, dtype=np.int64)
    if not len(observations):
        return sums, counts
    order, firsts = find_runs(observations)
    means = add_runs(embeddings if order is None else embeddings[order], firsts)
    several = np.diff(np.append(firsts, len(observations)))
    means /= several[:, None]
    column = columns[firsts if order is None else order[firsts]]
    order, firsts = find_runs(column)
    listed = column[firsts if order is None else order[firsts]]
    sums[listed] = add_runs(means if order is None else means[order], firsts)
    counts[listed] = np.diff(np.append(firsts, len(column)))
    return sums, counts


def find_runs(values: NDArray[np.int64]) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Return the stable sorting order, None if already sorted, and the start of each value's run in it."""
    steps = np.diff(values)
    order = None if (steps >= 0).all() else np.argsort(values, kind="stable")
    if order is not None:
        steps = np.diff(values[order])
    return order, np.append(0, np.flatnonzero(steps) + 1)


def add_runs(rows: NDArray[np.floating], firsts: NDArray[np.int64]) -> Rows:
    """Sum runs of rows at float64, (runs, dim), bit-identical to `np.add.reduceat`.

    Most runs have one or two rows, and `reduceat` has a high cost per run. Here the third rows of all short runs are
    added to the second ones together, then the fourth, and so on, and finally all to the first rows.
    """
    sums = rows[firsts].astype(np.float64)
    sizes = np.diff(np.append(firsts, len(rows)))
    several = np.flatnonzero((sizes > 1) & (sizes <= SHORT))
    others = rows[firsts[several] + 1].astype(np.float64)
    for place in range(2, int(sizes[several].max(initial=0))):
        longer = np.flatnonzero(sizes[several] > place)
        others[longer] += rows[firsts[several[longer]] + place]
    sums[several] += others
    long = sizes > SHORT
    if long.any():
        own = rows[np.repeat(long, sizes)].astype(np.float64)
        sums[long] = np.add.reduceat(own, np.cumsum(sizes[long]) - sizes[long], axis=0)
    return sums


def make_prototypes(
    sums: Rows,
    counts: NDArray[np.int64],
    genera: NDArray[np.int64],
    *,
    shrinkage: float,
    centre: NDArray[np.float64],
    metric: Metric | None,
    out: NDArray[np.floating] | None = None,
) -> NDArray[Any]:
    """Return prototypes of length 1, (species, dim), in the metric.

    (sum of the species' observations + shrinkage x mean of its genus' species) / (their number): the posterior mean of
    a normal species mean under a normal genus (James and Stein 1961; empirical Bayes). `genera` numbers each species'
    genus from 0, -1 if unknown. A species without observations has the prototype of its genus. They are written to
    `out` if given.
    """
    made = np.zeros_like(sums) if out is None else out
    for block, rows in prototype_blocks(sums, counts, genera, shrinkage=shrinkage, centre=centre, metric=metric):
        made[block] = rows
    return made


def prototype_blocks(
    sums: Rows,
    counts: NDArray[np.int64],
    genera: NDArray[np.int64],
    *,
    shrinkage: float,
    centre: NDArray[np.float64],
    metric: Metric | None,
) -> Iterator[tuple[slice, Rows]]:
    """Yield the prototypes of BLOCK species at a time, with their places: all of very many need not be held."""
    genus = mean_genera(sums, counts, genera, centre)
    turn = square(metric, sums.shape[1])
    for start in range(0, len(sums), BLOCK):
        block = slice(start, start + BLOCK)
        leaning = shrinkage * np.where(genera[block, None] >= 0, genus[genera[block]], 0.0)
        own = np.where(counts[block, None] > 0, sums[block] - counts[block, None] * centre, 0.0)
        yield block, unit_or_zero((own + leaning) @ turn)


def mean_genera(
    sums: Rows, counts: NDArray[np.int64], genera: NDArray[np.int64], centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the centred mean over the species with observations of each genus, (genera + 1, dim).

    The last row, for an unknown genus, is 0, as are those of genera without observed species.
    """
    means = np.zeros((int(genera.max(initial=-1)) + 2, sums.shape[1]))
    grouped = np.flatnonzero((counts > 0) & (genera >= 0))
    grouped = grouped[np.argsort(genera[grouped], kind="stable")]
    for start in range(0, len(grouped), BLOCK):
        some = grouped[start : start + BLOCK]
        listed, firsts = np.unique(genera[some], return_index=True)
        means[listed] += np.add.reduceat(sums[some] / counts[some, None] - centre, firsts, axis=0)
    members = np.bincount(genera[grouped], minlength=len(means))
    means /= np.maximum(1, members)[:, None]
    return means


def project(embeddings: NDArray[np.floating], centre: NDArray[np.float64], metric: Metric | None) -> Rows:
    """Transform embeddings for comparison with prototypes: centred, in the metric, of length 1."""
    return unit_or_zero((embeddings - centre) @ square(metric, embeddings.shape[1]))


def compare_rows(prototypes: NDArray[np.floating], views: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the products of each view with each prototype, (views, species).

    Many prototypes are processed in blocks that fit the cache, each compared with all views: a single matrix product
    with so few columns takes a third longer. Very many, at float32, are compared by FAISS (`faiss_products`).
    """
    if len(prototypes) <= CACHED:
        return np.asarray((prototypes @ np.ascontiguousarray(views.T)).T)
    found = np.empty((len(views), len(prototypes)), dtype=np.result_type(prototypes, views))
    for start in range(0, len(prototypes), CACHED):
        some = prototypes[start : start + CACHED]
        for line, view in zip(found, views, strict=True):
            np.dot(some, view, out=line[start : start + CACHED])
    return found


def whiten_within(scatter: Rows, shrinkage: float) -> Metric:
    """Return the metric that whitens within species: the root of the inverse of their pooled covariance.

    Fisher's discriminant (1936), known as within-class covariance normalisation in speaker recognition (Hatch et al.
    2006). The covariance is shrunk towards a multiple of the identity by `shrinkage`, from 0 (not at all) to 1
    (entirely; the metric is then cosine), since it has more entries than there are photos (Ledoit and Wolf 2004).
    """
    dim = len(scatter)
    size = float(np.trace(scatter)) / dim
    if size <= 0:
        return np.eye(dim, dtype=np.float32)
    values, vectors = np.linalg.eigh((1 - shrinkage) * scatter / size + shrinkage * np.eye(dim))
    return np.asarray((vectors / np.sqrt(np.maximum(values, 1e-6))) @ vectors.T, dtype=np.float32)


def unit_or_zero(rows: Rows) -> Rows:
    """Scale rows to length 1; zero rows, of species without data, are kept."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 1e-9))


def square(metric: Metric | None, dim: int) -> NDArray[np.floating]:
    """Return the metric, or the identity without one."""
    return np.eye(dim) if metric is None else metric
