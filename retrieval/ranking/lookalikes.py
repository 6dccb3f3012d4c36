"""Look-alikes: pairs of species that the evaluation found to be confused often, so that poisonous ones are flagged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

OFTEN = 0.02  # smallest share of a species' observations that counts as a confusion
MOST = 5  # look-alikes listed for a species


def confusions(pairs: Iterable[tuple[int, int]]) -> tuple[tuple[int, int, float], ...]:
    """Return (species, confused with, share of the species' observations), most frequent first.

    `pairs` are (true species, predicted species), 0 for none predicted. A confusion needs two observations, since a
    single one may be a mislabelled photo.
    """
    listed = list(pairs)
    occurs = Counter(truth for truth, _ in listed)
    wrong = Counter((truth, answer) for truth, answer in listed if answer not in {truth, 0})
    found = [
        (truth, answer, count / occurs[truth])
        for (truth, answer), count in wrong.items()
        if count >= 2 and count / occurs[truth] >= OFTEN
    ]
    return tuple(sorted(found, key=lambda pair: (-pair[2], pair[0], pair[1])))


def lookalikes_of(species: int, known: Sequence[tuple[int, int, float]]) -> list[tuple[int, float]]:
    """Return the species most often confused with one, in either direction, as (taxon, share), at most MOST.

    Both directions matter: an answer "A" should mention that B is often identified as A.
    """
    shares: dict[int, float] = {}
    for truth, answer, share in known:
        if species in (truth, answer):
            other = answer if truth == species else truth
            shares[other] = max(share, shares.get(other, 0.0))
    return sorted(shares.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST]
