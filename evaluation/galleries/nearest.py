"""The highest scores of each row of a wide table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RUN, MANY = 64, 8  # similarities in a run; runs for each neighbour from which only the best runs are compared
Nearest = tuple[NDArray[np.float32], NDArray[np.int64]]  # similarities and rows, each (views, k)


def nearest_of(scores: NDArray[np.float32], k: int) -> Nearest:
    """Return the `k` highest scores of each row with their positions, best first; hidden positions are -1."""
    if scores.shape[1] >= MANY * k * RUN:  # the best are in the runs with the highest peaks
        runs = scores[:, : scores.shape[1] // RUN * RUN].reshape(len(scores), -1, RUN)
        peaks = np.argpartition(-runs.max(axis=2), k - 1, axis=1)[:, :k]
        some = (RUN * peaks[..., None] + np.arange(RUN)).reshape(len(scores), -1)
        left = np.tile(np.arange(runs.size // len(scores), scores.shape[1]), (len(scores), 1))
        some = np.concatenate([some, left], axis=1)
        chosen = np.take_along_axis(scores, some, axis=1)
        near = np.take_along_axis(some, np.argpartition(-chosen, k - 1, axis=1)[:, :k], axis=1)
    else:
        near = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    found = np.take_along_axis(scores, near, axis=1)
    order = np.lexsort((near, -found), axis=1)
    found, near = np.take_along_axis(found, order, axis=1), np.take_along_axis(near, order, axis=1)
    return found, np.where(np.isfinite(found), near, -1)


def nearest_among(scores: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> Nearest:
    """Return the same among some of the positions, ascending; -inf and -1 where they are fewer than `k`."""
    similarities = np.full((len(scores), k), -np.inf, dtype=scores.dtype)
    found = np.full((len(scores), k), -1, dtype=np.int64)
    few = min(k, len(rows))
    if few:
        similarities[:, :few], near = nearest_of(scores[:, rows], few)
        found[:, :few] = np.where(near >= 0, rows[near], -1)
    return similarities, found
