"""Groups of references that must be held out together.

A group joins observations that share a near-identical photo, and those of one outing: the same person, time and place.
Thus duplicate records, photos of one observation in several archives, and observations of one fairy ring are held out
together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DUPLICATE = 0.98  # cosine from which photos of different observations count as the same
BLOCK = 2_048  # rows compared together
AXES = 32  # principal axes on which rows are compared first
SLACK = 1e-4  # what rounding may take from a cosine on them


def group_observations(
    observations: NDArray[np.int64], embeddings: NDArray[np.float32], outings: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return the group of each row, (rows,), named by its lowest observation.

    `observations` (rows,), `embeddings` (rows, dim) of length 1. `outings` (rows,) are ids of person, time and
    place together; 0 if one of them is unknown.
    """
    listed, numbers = np.unique(observations, return_inverse=True)
    pairs = [near_identical(embeddings)]
    if outings is not None:
        told = np.flatnonzero(outings != 0)
        _, firsts, of = np.unique(outings[told], return_index=True, return_inverse=True)
        pairs.append(np.stack([told, told[firsts][of]], axis=1))
    joined = np.unique(np.sort(numbers[np.concatenate(pairs)], axis=1), axis=0)
    least = np.arange(len(listed))
    for _ in range(len(listed)):  # until no label is replaced by a lower one
        before = least.copy()
        np.minimum.at(least, joined[:, 0], least[joined[:, 1]])
        np.minimum.at(least, joined[:, 1], least[joined[:, 0]])
        least = least[least]
        if np.array_equal(least, before):
            break
    return np.asarray(listed[least][numbers], dtype=np.int64)


def near_identical(embeddings: NDArray[np.float32], cosine: float = DUPLICATE) -> NDArray[np.int64]:
    """Return the pairs of rows whose cosine is at least `cosine`, (pairs, 2), the lower row first.

    On the demo's drawings, 0.3 % of the photos have such a pair in another observation; a photo that is saved again, at
    half the size or with 3 % cropped, stays above 0.985.
    """
    short = shorten(embeddings)
    found = [np.zeros((0, 2), dtype=np.int64)]
    for start in range(0, len(short), BLOCK):
        for across in range(start, len(short), BLOCK):
            products = short[start : start + BLOCK] @ short[across : across + BLOCK].T
            if products.max() < cosine - SLACK:
                continue
            one, other = np.nonzero(products >= cosine - SLACK)
            one, other = one + start, other + across
            kept = one < other
            one, other = one[kept], other[kept]
            alike = np.einsum("ij,ij->i", embeddings[one], embeddings[other]) >= cosine
            found.append(np.stack([one[alike], other[alike]], axis=1))
    return np.concatenate(found)


def shorten(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows whose products are upper bounds of the embeddings' products, (rows, AXES + 1) or the embeddings.

    They are the coordinates on the first principal axes, and the length of what is left: the product of two remainders
    is at most that of their lengths (Cauchy and Schwarz).
    """
    if len(embeddings) <= BLOCK or embeddings.shape[1] <= AXES:
        return embeddings
    _, axes = np.linalg.eigh(embeddings.T @ embeddings)
    on_axes = embeddings @ axes[:, -AXES:]
    left = np.einsum("ij,ij->i", embeddings, embeddings) - np.einsum("ij,ij->i", on_axes, on_axes)
    return np.column_stack([on_axes, np.sqrt(np.maximum(left, 0.0))])
