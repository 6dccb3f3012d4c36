"""Projection heads: a linear map from a network's output width to 256, in one file beside the model's card."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import ModelError
from retrieval.models.embedder import DIM, unit_rows

FORMAT = 1
TEMPERATURE = 0.08  # of the votes' kernel that suits rows which a head has projected, where its facts say nothing else


@dataclass(frozen=True)
class Head:
    """A linear projection: features are L2-normalised, centred and multiplied. The embedder normalises the result."""

    mean: NDArray[np.float32]  # (width,)
    matrix: NDArray[np.float32]  # (width, 256)
    facts: Mapping[str, Any] = field(default_factory=dict)  # how it was made, its measured quality, its temperature

    @property
    def width(self) -> int:
        """Number of input features per view."""
        return len(self.mean)

    @property
    def digest(self) -> str:
        """SHA-256 of format and arrays; `facts` are not included."""
        digest = hashlib.sha256(f"head {FORMAT} {self.width}".encode())
        for array in (self.mean, self.matrix):
            digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        return digest.hexdigest()

    @property
    def name(self) -> str:
        """What the model is named by: the digest, or the recipe of a head that the network's own weights determine.

        The bytes of such a head differ between processors in the last digits, which changes no embedding to speak of.
        """
        return str(self.facts.get("recipe") or self.digest)

    def project(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """Project features (views, width) to (views, 256); raises ValueError for a row of zeros or not finite."""
        centred = unit_rows(features) - self.mean
        # Row by row: a product of many rows adds in another order, and a photo's embedding must not depend on what else
        # is in its batch.
        projected = np.stack([row @ self.matrix for row in centred]) if len(centred) else centred @ self.matrix
        return np.asarray(projected, dtype=np.float32)


def write_head(path: Path, head: Head) -> None:
    """Write a head to a temporary file and rename it, so that readers never see half a file."""
    draft = path.with_name(f".{path.name}.new.npz")
    facts = json.dumps({"format": FORMAT, "digest": head.digest, **head.facts}, sort_keys=True)
    np.savez(
        draft,
        mean=np.asarray(head.mean, dtype="<f4"),
        matrix=np.asarray(head.matrix, dtype="<f4"),
        facts=np.frombuffer(facts.encode(), dtype=np.uint8),
    )
    draft.replace(path)


def read_head(path: Path) -> Head:
    """Read a head; raises ModelError where it is missing, damaged, or of another format or output width."""
    if not path.is_file():
        raise ModelError(f"there is no head at {path}: its card names it; `fungarium model fit-head` writes one")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            mean, matrix = file["mean"], file["matrix"]
            facts = json.loads(file["facts"].tobytes())
        head = Head(mean, matrix, {name: fact for name, fact in facts.items() if name not in {"format", "digest"}})
        whole = facts["format"] == FORMAT and matrix.shape == (len(mean), DIM) and facts["digest"] == head.digest
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"the head {path} is damaged: fit it again with `fungarium model fit-head`") from error
    if not whole:
        raise ModelError(f"the head {path} is damaged or has another format: fit it again")
    return head
