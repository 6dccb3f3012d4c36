"""From neighbours to ranked species. Pure rules: values in, values out, in any order the same."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import Neighbour, Vote

Shares: TypeAlias = Mapping[int, float]  # taxon id -> share of the votes; adds up to 1, or is empty


@dataclass(frozen=True, slots=True)
class Voting:
    """How neighbours vote. The defaults were measured on real photographs (docs/decisions/0004-kernel-votes.md)."""

    neighbours: int = 50  # rows of the index that each view asks for
    temperature: float = 0.05  # of the kernel: the lower, the more the closest photo decides


def cast_votes(neighbours: Iterable[Neighbour], *, temperature: float) -> list[Vote]:
    """Let each reference observation vote once, through its closest photo, with weight exp(similarity / temperature).

    Twelve photos of one mushroom are one witness, not twelve. Weights are relative to the best
    similarity, which changes no share and cannot overflow. Sorted by weight; ties by row.
    """
    closest: dict[int, Neighbour] = {}
    for neighbour in neighbours:
        known = closest.get(neighbour.observation)
        if known is None or (-neighbour.similarity, neighbour.row) < (-known.similarity, known.row):
            closest[neighbour.observation] = neighbour
    best = max((neighbour.similarity for neighbour in closest.values()), default=0.0)
    votes = [
        Vote(n.species, n.observation, n.row, n.similarity, math.exp((n.similarity - best) / temperature))
        for n in closest.values()
    ]
    return sorted(votes, key=lambda vote: (-vote.similarity, vote.row))


def share_votes(votes: Iterable[Vote]) -> dict[int, float]:
    """Add up the votes per species and divide by all of them. No votes, no shares.

    `math.fsum` rounds once, so that the order of votes cannot show in the last digit.
    """
    weights: dict[int, list[float]] = defaultdict(list)
    for vote in votes:
        weights[vote.species].append(vote.weight)
    sums = {species: math.fsum(weight) for species, weight in weights.items()}
    total = math.fsum(sums.values())
    return {species: weight / total for species, weight in sums.items()}


def fuse_shares(per_view: Sequence[Shares]) -> dict[int, float]:
    """Average the shares over the views of one observation: each photo speaks with the same voice.

    The mean over photos is the largest known gain in this field (docs/decisions/0004-kernel-votes.md).
    """
    speaking = [shares for shares in per_view if shares]
    species = {taxon for shares in speaking for taxon in shares}
    return {taxon: math.fsum(shares.get(taxon, 0.0) for shares in speaking) / len(speaking) for taxon in species}


def sum_shares(shares: Shares, parent: Mapping[int, int]) -> dict[int, float]:
    """Add up shares under the parents given; a taxon without one is left out."""
    parts: dict[int, list[float]] = defaultdict(list)
    for taxon, share in shares.items():
        if taxon in parent:
            parts[parent[taxon]].append(share)
    return {taxon: math.fsum(part) for taxon, part in parts.items()}


def rank_taxa(shares: Shares, names: Mapping[int, str]) -> list[int]:
    """Order taxa by share, best first; ties by name, which means the same in every snapshot, then by id."""
    return sorted(shares, key=lambda taxon: (-shares[taxon], names.get(taxon, ""), taxon))


def share_rows(votes: Sequence[Iterable[Vote]], columns: Mapping[int, int], width: int) -> NDArray[np.float64]:
    """The shares of each view as a row: (views, width), where `columns` says which column a species has.

    What `share_votes` gives, in the form that the further rules take. A view without votes is a row of zeros.
    """
    rows = np.zeros((len(votes), width), dtype=np.float64)
    for row, ballot in zip(rows, votes, strict=True):
        for species, share in share_votes(ballot).items():
            row[columns[species]] = share
    return rows


def vote_shares(
    similarities: NDArray[np.floating],
    observations: NDArray[np.int64],
    columns: NDArray[np.int64],
    width: int,
    temperature: float,
) -> NDArray[np.float64]:
    """`cast_votes` and `share_votes` for very many views at once: three (views, k) arrays in, (views, width) out.

    Neighbours come best first; where there are fewer than k, columns are -1. A test holds this to its plain twin.
    """
    order = np.argsort(observations, axis=1, kind="stable")  # stable: of one observation, the closest photo leads
    ordered = np.take_along_axis(observations, order, axis=1)
    leads = np.ones(ordered.shape, dtype=bool)
    leads[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    counted = np.zeros_like(leads)
    np.put_along_axis(counted, order, leads, axis=1)
    counted &= columns >= 0
    wide = np.where(counted, similarities.astype(np.float64), -np.inf)
    best = np.where(counted[:, :1], wide[:, :1], 0.0)
    weights = np.exp((wide - best) / temperature)
    cells = np.arange(len(columns))[:, None] * width + np.maximum(columns, 0)
    sums = np.bincount(cells.ravel(), weights=weights.ravel(), minlength=len(columns) * width)
    shares = sums.reshape(len(columns), width)
    totals = shares.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(shares, totals, out=np.zeros_like(shares), where=totals > 0))
