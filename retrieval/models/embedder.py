"""The promise every model keeps: views in, unit rows of 256 out."""

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
    """A photo, or a crop of one, ready to embed: upright, RGB, its shorter side what the model asked for."""

    pixels: Pixels
    aspect: str = ""


class Embedder(Protocol):
    """A model that is open.

    `model` names weights, preprocessing and precision together: a change of any is a new name.
    """

    @property
    def model(self) -> str: ...

    @property
    def card(self) -> Mapping[str, Any]:
        """What a reader of the snapshot must know to make the same embeddings; JSON values only."""
        ...

    @property
    def short_side(self) -> int:
        """Pixels of a view's shorter side that the model wants."""
        ...

    def embed(self, views: Sequence[View]) -> Embeddings: ...


def unit_rows(rows: NDArray[Any]) -> Embeddings:
    """Scale each row to length 1, as float32, without touching the caller's array.

    The one place where embeddings are normalised. A row of zeros or of numbers
    that are not finite has no direction; it raises ValueError.
    """
    wide = np.asarray(rows, dtype=np.float64)
    lengths = np.linalg.norm(wide, axis=-1, keepdims=True)
    if not np.all(np.isfinite(lengths)) or not np.all(lengths > 0):
        raise ValueError("an embedding has no direction: it is zero or not finite")
    return np.ascontiguousarray(wide / lengths, dtype=np.float32)
