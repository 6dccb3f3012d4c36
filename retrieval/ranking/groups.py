"""Which references belong together, so that none of them may judge what another of them taught.

A group is joined from observations that share a near-identical photo, and from those of one outing: of one person, time
and place. A find that was filed twice, photos that were taken again from another archive, and the mushrooms of one ring
named apart are one group: whoever leaves out one of them leaves out all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DUPLICATE = 0.98  # cosine from which two photos of different observations are taken for one
BLOCK = 2_048  # rows that are compared together


def group_observations(
    observations: NDArray[np.int64], embeddings: NDArray[np.float32], outings: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """The group of each row: (rows,), named by the least observation in it.

    `observations` (rows,), `embeddings` (rows, dim) of length 1. `outings` (rows,) number person, time and
    place together; 0 where one of them is not known.
    """
    listed, numbers = np.unique(observations, return_inverse=True)
    pairs = [near_identical(embeddings)]
    if outings is not None:
        told = np.flatnonzero(outings != 0)
        _, firsts, of = np.unique(outings[told], return_index=True, return_inverse=True)
        pairs.append(np.stack([told, told[firsts][of]], axis=1))
    joined = np.unique(np.sort(numbers[np.concatenate(pairs)], axis=1), axis=0)
    least = np.arange(len(listed))
    for _ in range(len(listed)):  # until no name gives way to a lower one
        before = least.copy()
        np.minimum.at(least, joined[:, 0], least[joined[:, 1]])
        np.minimum.at(least, joined[:, 1], least[joined[:, 0]])
        least = least[least]
        if np.array_equal(least, before):
            break
    return np.asarray(listed[least][numbers], dtype=np.int64)


def near_identical(embeddings: NDArray[np.float32], cosine: float = DUPLICATE) -> NDArray[np.int64]:
    """Pairs of rows whose cosine is at least so much, (pairs, 2), the lower row first.

    On the demo's drawings 0.3 % of the photos have such a twin in another find; a photo that is saved again, in half
    the size or with 3 % cut off, stays above 0.985.
    """
    found = [np.zeros((0, 2), dtype=np.int64)]
    for start in range(0, len(embeddings), BLOCK):
        block = embeddings[start : start + BLOCK]
        one, other = np.nonzero(block @ embeddings[start:].T >= cosine)
        kept = one < other
        found.append(np.stack([one[kept], other[kept]], axis=1) + start)
    return np.concatenate(found)
