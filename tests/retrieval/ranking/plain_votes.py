"""A readable reference implementation of voting, on neighbours as objects, for comparison with `votes.py`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from retrieval.domain import Neighbour

Shares: TypeAlias = Mapping[int, float]  # taxon id -> share of the votes; adds up to 1, or is empty


@dataclass(frozen=True, slots=True)
class Vote:
    """What one reference observation says of one view, through its closest photo."""

    species: int
    observation: int
    row: int  # the closest photo
    similarity: float
    weight: float  # exp((similarity - best similarity of the view) / temperature)


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
