"""Voting: from neighbours to shares of votes. Pure functions on arrays, independent of their order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Voting:
    """Parameters of voting. The defaults were measured on real photographs (docs/decisions/0004-kernel-votes.md)."""

    neighbours: int = 50  # rows retrieved for each view
    temperature: float = 0.05  # of the kernel: the lower, the more the closest photo dominates


def vote(
    similarities: NDArray[np.floating], observations: NDArray[np.int64], temperature: float
) -> NDArray[np.float64]:
    """Return each neighbour's share of its view's votes, (views, k); 0 for a neighbour that does not vote.

    Each reference observation votes once, through its closest photo, with weight exp(similarity / temperature):
    twelve photos of one fungus count as one. Neighbours are sorted, best first; missing ones have the
    observation -1. Weights are relative to the best similarity, which changes no share and cannot overflow.
    Each row sums to 1, or to 0 without votes.
    """
    order = np.argsort(observations, axis=1, kind="stable")  # stable: the closest photo of an observation is first
    ordered = np.take_along_axis(observations, order, axis=1)
    leads = np.ones(ordered.shape, dtype=bool)
    leads[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    counted = np.zeros_like(leads)
    np.put_along_axis(counted, order, leads, axis=1)
    counted &= observations >= 0
    wide = np.where(counted, similarities.astype(np.float64), -np.inf)
    best = np.where(counted.any(axis=1), wide.max(axis=1, initial=-np.inf), 0.0)[:, None]
    weights = np.exp((wide - best) / temperature)
    totals = weights.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0))


def voted_shares(
    similarities: NDArray[np.floating],
    observations: NDArray[np.int64],
    columns: NDArray[np.int64],
    width: int,
    temperature: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the views, the columns and the shares of the species with votes, three (voted,) arrays.

    They are the entries of `vote_shares` above 0, by view and column.
    """
    shares = vote(similarities, np.where(columns >= 0, observations, -1), temperature)
    cells = np.arange(len(columns))[:, None] * width + columns
    voted, places = np.unique(cells[columns >= 0], return_inverse=True)
    sums = np.bincount(places, weights=shares[columns >= 0], minlength=len(voted))
    of_view, column = np.divmod(voted, max(1, width))
    return of_view, column, np.asarray(sums, dtype=np.float64)


def vote_shares(
    similarities: NDArray[np.floating],
    observations: NDArray[np.int64],
    columns: NDArray[np.int64],
    width: int,
    temperature: float,
) -> NDArray[np.float64]:
    """Return the share of votes of each species for each view: three (views, k) arrays to (views, width).

    `columns` are the columns of the neighbours' species, -1 for missing neighbours.
    """
    if not width:  # no species has a reference
        return np.zeros((len(columns), 0))
    of_view, column, sums = voted_shares(similarities, observations, columns, width, temperature)
    shares = np.zeros((len(columns), width))
    shares[of_view, column] = sums
    return shares
