"""Species that are often taken for one another, as the evaluation found; poisonous ones are to be flagged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

OFTEN = 0.02  # share of a species' observations, from which being taken for another is worth a word
MOST = 5  # look-alikes named for a species


def confusions(pairs: Iterable[tuple[int, int]]) -> tuple[tuple[int, int, float], ...]:
    """(species, taken for, share of the species' observations) from (truth, answer) pairs, the most frequent first.

    A confusion counts from two observations: one may be a slip of whoever named the photo.
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
    """What a species is taken for, and what is taken for it: (taxon, share), the most often confused first.

    Both ways count: whoever is told "A" wants to know that B is often called A.
    """
    shares: dict[int, float] = {}
    for truth, answer, share in known:
        if species in (truth, answer):
            other = answer if truth == species else truth
            shares[other] = max(share, shares.get(other, 0.0))
    return sorted(shares.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST]
