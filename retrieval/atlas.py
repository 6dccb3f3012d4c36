"""The references of a snapshot laid out in two dimensions: for people to look at; no answer depends on it.

atlases/<snapshot>.npz   rows, species, places and strangers, as below, and how they were laid out
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.arrays import load_arrays
from retrieval.errors import DamagedSnapshot

FOLDER = "atlases"


@dataclass(frozen=True, slots=True)
class Atlas:
    """Where each reference lies."""

    snapshot: str
    method: str  # pca or tsne
    rows: NDArray[np.int64]  # of the snapshot, ascending
    species: NDArray[np.int64]
    places: NDArray[np.float32]  # (references, 2), from -1 to 1
    strangers: NDArray[np.int64]  # taxon id of the species whose cloud a doubtful record lies in; 0 where none


def atlas_path(root: Path, snapshot: str) -> Path:
    """Where the atlas of a snapshot is."""
    return root / FOLDER / f"{snapshot}.npz"


def write_atlas(root: Path, atlas: Atlas) -> None:
    """Write an atlas, beside and then in place."""
    path = atlas_path(root, atlas.snapshot)
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_suffix(".new.npz")
    np.savez(
        fresh,
        method=np.array([ord(sign) for sign in atlas.method], dtype=np.uint8),
        rows=atlas.rows,
        species=atlas.species,
        places=atlas.places,
        strangers=atlas.strangers,
    )
    fresh.replace(path)


def read_atlas(root: Path, snapshot: str) -> Atlas | None:
    """The atlas of a snapshot; None where nobody has made one. Raises DamagedSnapshot."""
    path = atlas_path(root, snapshot)
    if not path.exists():
        return None
    try:
        held = load_arrays(path)
        method = "".join(chr(sign) for sign in held["method"].tolist())
        made = Atlas(snapshot, method, held["rows"], held["species"], held["places"], held["strangers"])
    except (OSError, ValueError, KeyError) as error:
        raise DamagedSnapshot(f"the atlas {path.name} cannot be read: make it anew with `indexer atlas`") from error
    if not len(made.rows) == len(made.species) == len(made.places) == len(made.strangers):
        raise DamagedSnapshot(f"the atlas {path.name} is not whole: make it anew with `indexer atlas`")
    return made
