"""Placements on disk, beside the snapshots: `placements/ID.npz`, and `placements/SNAPSHOT-SHARDS` that names one.

Whoever adopts a snapshot first places its lists; everybody else reads what that one wrote.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from cluster.placement import CONFUSION, Lists, Placement, place, rebalance
from retrieval.errors import ClusterError
from retrieval.snapshot import Snapshot

FOLDER: Final = "placements"
ID: Final = re.compile(r"[0-9a-f]{16}")
GENUS: Final = 5  # column of a genus in a table of lineages


def lists_of(snapshot: Snapshot) -> Lists:
    """The lists of a snapshot: species with references, their sizes, genera and means."""
    sums = snapshot.sums
    sizes = snapshot.count_references(sums.species)
    held = sizes > 0
    means = sums.sums[held].astype(np.float32)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    species = sums.species[held]
    return Lists(species, sizes[held], snapshot.lineages(species)[:, GENUS], means)


def placement_of(root: Path, snapshot: Snapshot, shards: int, method: str = CONFUSION) -> Placement:
    """The placement of a snapshot on so many shards, made if there is none; from the last one where there is one."""
    pointer = root / FOLDER / f"{snapshot.name}-{shards}"
    if not pointer.exists():
        old = latest(root, shards)
        lists = lists_of(snapshot)
        point(root, pointer, place(lists, shards, method) if old is None else rebalance(old, lists))
    return read_placement(root, pointer.read_text(encoding="ascii").strip())


def make_anew(root: Path, snapshot: Snapshot, shards: int, method: str) -> Placement:
    """Place a snapshot's lists anew, whatever was there. Servers that have it open go on with what they read."""
    made = place(lists_of(snapshot), shards, method)
    (root / FOLDER / f"{snapshot.name}-{shards}").unlink(missing_ok=True)
    point(root, root / FOLDER / f"{snapshot.name}-{shards}", made)
    return made


def point(root: Path, pointer: Path, made: Placement) -> None:
    """Write a placement and let the pointer name it, unless somebody was first."""
    try:
        write_placement(root, made)
        written = pointer.with_name(f".{pointer.name}.{os.getpid()}")
        written.write_text(made.id + "\n", encoding="ascii")
        try:
            os.link(written, pointer)  # fails where somebody was first
        except FileExistsError:
            pass
        finally:
            written.unlink()
    except OSError as error:
        raise ClusterError(
            f"{root / FOLDER} cannot be written to ({error.strerror}), where it is kept which shard holds what; "
            "let this process write there, or run `python -m cluster place` as somebody who may"
        ) from error


def latest(root: Path, shards: int) -> Placement | None:
    """The placement made last for so many shards, if any can be read."""
    pointers = sorted((root / FOLDER).glob(f"[0-9a-f]*-{shards}"), key=lambda path: path.stat().st_mtime_ns)
    for pointer in reversed(pointers):
        try:
            return read_placement(root, pointer.read_text(encoding="ascii").strip())
        except (ClusterError, OSError):
            continue
    return None


def write_placement(root: Path, placement: Placement) -> None:
    """Write a placement under its id, unless it is there."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{placement.id}.npz"
    if path.exists():
        return
    written = folder / f".{placement.id}.{os.getpid()}.npz"
    np.savez(
        written,
        shards=placement.shards,
        species=placement.species,
        first=placement.first,
        last=placement.last,
        shard=placement.shard,
    )
    written.replace(path)


def read_placement(root: Path, name: str) -> Placement:
    """The placement of an id; raises ClusterError where it is missing or not what its id says."""
    try:
        return _read(root / FOLDER / f"{name}.npz", name)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ClusterError(f"the placement {name} cannot be read under {root / FOLDER}") from error


@lru_cache(maxsize=8)
def _read(path: Path, name: str) -> Placement:
    with np.load(path, allow_pickle=False) as columns:
        read = Placement(
            int(columns["shards"]), columns["species"], columns["first"], columns["last"], columns["shard"]
        )
    if not ID.fullmatch(name) or read.id != name:
        raise ValueError(f"{path.name} holds another placement than its name says")
    return read
