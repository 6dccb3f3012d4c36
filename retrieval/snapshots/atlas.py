"""The atlas: a two-dimensional map of a snapshot's references, for people only; answers do not depend on it.

atlases/<references>.npz   rows, species, places, strangers and doubts, as below, and the method

An atlas is named after its references, so that all snapshots with the same references share it:
calibrating or rolling back does not compute it again.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import DamagedSnapshot, SnapshotError
from retrieval.search.arrays import load_arrays
from retrieval.snapshots.manifest import Manifest, read_manifest

FOLDER = "atlases"
STALE = 3600  # seconds after which a file that was being written is left from a process that died
MAKING = 2  # raised when atlases are made in another way: those of before are made anew


@dataclass(frozen=True, slots=True)
class Atlas:
    """The position of each reference."""

    references: str  # what it is named after
    method: str  # pca or tsne
    rows: NDArray[np.int64]  # of the snapshot, ascending
    species: NDArray[np.int64]
    places: NDArray[np.float32]  # (references, 2), from -1 to 1
    strangers: NDArray[np.int64]  # taxon id of the species whose cloud a doubtful record lies in; 0 where none
    doubts: NDArray[np.float32]  # by how much it is more similar to that cloud's centre than to its own; 0 where none

    def only(self, kept: NDArray[np.bool_]) -> Atlas:
        """Return the atlas with the references of a mask, (references,)."""
        return replace(
            self,
            rows=self.rows[kept],
            species=self.species[kept],
            places=self.places[kept],
            strangers=self.strangers[kept],
            doubts=self.doubts[kept],
        )


def name_references(manifest: Manifest) -> str:
    """Return a name of the active references of a snapshot: of its segments and withdrawn rows."""
    withdrawn = sorted(f"{seal.path} {seal.sha256}" for seal in manifest.files if seal.path.startswith("withdrawn/"))
    return hashlib.sha256("\n".join([str(MAKING), *manifest.segments, *withdrawn]).encode()).hexdigest()[:16]


def atlas_path(root: Path, references: str) -> Path:
    """Return the path of the atlas of these references."""
    return root / FOLDER / f"{references}.npz"


def write_atlas(root: Path, atlas: Atlas) -> None:
    """Write an atlas atomically."""
    path = atlas_path(root, atlas.references)
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.npz")  # two processes may be at it
    np.savez(
        fresh,
        method=np.array([ord(sign) for sign in atlas.method], dtype=np.uint8),
        rows=atlas.rows,
        species=atlas.species,
        places=atlas.places,
        strangers=atlas.strangers,
        doubts=atlas.doubts,
    )
    fresh.replace(path)


def read_atlas(root: Path, references: str) -> Atlas | None:
    """Return the atlas of these references; None if there is none. Raises DamagedSnapshot."""
    path = atlas_path(root, references)
    if not path.exists():
        return None
    try:
        held = load_arrays(path)
        method = "".join(chr(sign) for sign in held["method"].tolist())
        parts = [held[part] for part in ("rows", "species", "places", "strangers", "doubts")]
        made = Atlas(references, method, *parts)
    except (OSError, ValueError, KeyError) as error:
        raise DamagedSnapshot(f"the atlas {path.name} cannot be read: make it anew with `indexer atlas`") from error
    if len({len(part) for part in parts}) != 1:
        raise DamagedSnapshot(f"the atlas {path.name} is not whole: make it anew with `indexer atlas`")
    return made


def forget_atlases(root: Path) -> None:
    """Remove atlases of references that no snapshot has any more."""
    wanted = set()
    for folder in (root / "snapshots").glob("*"):
        try:
            wanted.add(name_references(read_manifest(root, folder.name)))
        except SnapshotError:
            continue
    for path in (root / FOLDER).glob("*.npz"):
        being_written = "." in path.stem and time.time() - path.stat().st_mtime < STALE
        if path.stem not in wanted and not being_written:
            path.unlink(missing_ok=True)
