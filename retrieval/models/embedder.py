"""The `Embedder` protocol: views in, float32 rows of 256 numbers and length 1 out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

DIM = 256

Pixels: TypeAlias = NDArray[np.uint8]  # (height, width, 3), RGB, upright
Embeddings: TypeAlias = NDArray[np.float32]  # (views, 256), every row of length 1


@dataclass(frozen=True, slots=True)
class View:
    """A photo, or a crop of one, ready to embed: upright, RGB, with the shorter side that the model requires."""

    pixels: Pixels
    aspect: str = ""


class Embedder(Protocol):
    """An open embedding model.

    `model` identifies weights, preprocessing and precision together: changing any of them changes the name.
    """

    @property
    def model(self) -> str: ...

    @property
    def card(self) -> Mapping[str, Any]:
        """What is needed to reproduce the embeddings, as JSON values; stored in the snapshot."""
        ...

    @property
    def short_side(self) -> int:
        """Pixels of a view's shorter side that the model requires."""
        ...

    def embed(self, views: Sequence[View]) -> Embeddings: ...


def unit_rows(rows: NDArray[Any]) -> Embeddings:
    """Return the rows L2-normalised, as float32, without changing the caller's array.

    The only place where embeddings are normalised. Raises ValueError for a row of zeros or of numbers that are not
    finite, which has no direction.
    """
    wide = np.asarray(rows, dtype=np.float64)
    lengths = np.linalg.norm(wide, axis=-1, keepdims=True)
    if not np.all(np.isfinite(lengths)) or not np.all(lengths > 0):
        raise ValueError("an embedding has no direction: it is zero or not finite")
    return np.ascontiguousarray(wide / lengths, dtype=np.float32)
