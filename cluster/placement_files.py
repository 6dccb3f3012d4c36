"""Placements on disk, beside the snapshots: `placements/ID.npz`, and `placements/SNAPSHOT-SHARDS` that names one.

Whoever adopts a snapshot first places its lists; everybody else reads what that one wrote.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from cluster.placement import CONFUSION, Lists, Placement, place, rebalance
from retrieval.errors import ClusterError
from retrieval.snapshots.manifest import sync_folder
from retrieval.snapshots.snapshot import Snapshot

FOLDER: Final = "placements"
ID: Final = re.compile(r"[0-9a-f]{16}")
UNREADABLE: Final = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)  # of a file cut short
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
    """The placement of a snapshot on so many shards, made if there is none; from the last one where there is one.

    Raises ClusterError where it cannot be read or written.
    """
    pointer = root / FOLDER / f"{snapshot.name}-{shards}"
    try:
        if not pointer.exists():
            old = latest(root, shards)
            lists = lists_of(snapshot)
            point(root, pointer, place(lists, shards, method) if old is None else rebalance(old, lists))
        name = pointer.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ClusterError(f"{pointer} cannot be read, which names the placement of a snapshot: {error}") from error
    return read_placement(root, name)


def make_anew(root: Path, snapshot: Snapshot, shards: int, method: str) -> Placement:
    """Place a snapshot's lists anew, whatever was there. Servers that have it open go on with what they read."""
    made = place(lists_of(snapshot), shards, method)
    point(root, root / FOLDER / f"{snapshot.name}-{shards}", made, anew=True)
    return made


def point(root: Path, pointer: Path, made: Placement, *, anew: bool = False) -> None:
    """Write a placement and let the pointer name it, unless somebody was first; `anew` whoever was."""
    try:
        write_placement(root, made)
        written = write_aside(pointer.parent, f"{made.id}\n".encode("ascii"))
        if anew:
            written.replace(pointer)
            return
        try:
            os.link(written, pointer)  # fails where somebody was first
        except FileExistsError:
            pass
        finally:
            written.unlink()
    except OSError as error:
        raise ClusterError(
            f"{root / FOLDER} cannot be written to ({error.strerror}), where it is kept which shard holds what; "
            "let this process write there, or run `fungarium cluster place` as somebody who may"
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
    """Write a placement under its id, unless it is there and whole."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{placement.id}.npz"
    try:
        _read.__wrapped__(path, placement.id)  # from the disk, whatever was read before
    except UNREADABLE:
        content = io.BytesIO()
    else:
        return
    np.savez(
        content,
        shards=placement.shards,
        species=placement.species,
        first=placement.first,
        last=placement.last,
        shard=placement.shard,
    )
    write_aside(folder, content.getvalue()).replace(path)
    sync_folder(folder)


def write_aside(folder: Path, content: bytes) -> Path:
    """A new file under a name that nobody else has, on any machine, readable as others are and safely on the disk."""
    handle, name = tempfile.mkstemp(prefix=".unfinished-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(handle, 0o644)
            stream.write(content)
            stream.flush()
            os.fsync(handle)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def read_placement(root: Path, name: str) -> Placement:
    """The placement of an id; raises ClusterError where it is missing or not what its id says."""
    try:
        return _read(root / FOLDER / f"{name}.npz", name)
    except UNREADABLE as error:
        raise ClusterError(
            f"the placement {name} cannot be read under {root / FOLDER}: "
            "run `fungarium cluster place --anew confusion`, which writes it again"
        ) from error


@lru_cache(maxsize=8)
def _read(path: Path, name: str) -> Placement:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as columns:
        read = Placement(
            int(columns["shards"]), columns["species"], columns["first"], columns["last"], columns["shard"]
        )
    if not ID.fullmatch(name) or read.id != name:
        raise ValueError(f"{path.name} holds another placement than its name says")
    return read
