"""Placements on disk, beside the snapshots: `placements/ID.npz`, and a pointer file `placements/SNAPSHOT-SHARDS`.

The first process to adopt a snapshot computes its placement; all others read that one.
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
UNREADABLE: Final = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)  # e.g. a truncated file
GENUS: Final = 5  # column of the genus in a table of lineages


def read_lists(snapshot: Snapshot) -> Lists:
    """Return the lists of a snapshot: species with references, their sizes, genera and means."""
    sums = snapshot.sums
    sizes = snapshot.count_references(sums.species)
    held = sizes > 0
    means = sums.sums[held].astype(np.float32)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    species = sums.species[held]
    return Lists(species, sizes[held], snapshot.lineages(species)[:, GENUS], means)


def ensure_placement(root: Path, snapshot: Snapshot, shards: int, method: str = CONFUSION) -> Placement:
    """Return the placement of a snapshot on `shards` shards; if there is none, make it, from the latest if possible.

    Raises ClusterError if it cannot be read or written.
    """
    pointer = root / FOLDER / f"{snapshot.edition}-{shards}"
    try:
        if not pointer.exists():
            old = find_latest(root, shards)
            lists = read_lists(snapshot)
            write_pointer(root, pointer, place(lists, shards, method) if old is None else rebalance(old, lists))
        name = pointer.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ClusterError(f"{pointer}, which names a snapshot's placement, cannot be read: {error}") from error
    return read_placement(root, name)


def find_placement(root: Path, snapshot: Snapshot, shards: int) -> str:
    """Return the id of the placement of a snapshot that is in use; empty if there is none."""
    try:
        return (root / FOLDER / f"{snapshot.edition}-{shards}").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def replace_placement(root: Path, snapshot: Snapshot, shards: int, method: str) -> Placement:
    """Replace a snapshot's placement by a new one. Servers that have it open keep the placement they read."""
    made = place(read_lists(snapshot), shards, method)
    write_pointer(root, root / FOLDER / f"{snapshot.edition}-{shards}", made, anew=True)
    return made


def write_pointer(root: Path, pointer: Path, made: Placement, *, anew: bool = False) -> None:
    """Write a placement and point to it; an existing pointer is kept unless `anew`."""
    try:
        write_placement(root, made)
        written = write_temporary(pointer.parent, f"{made.id}\n".encode("ascii"))
        if anew:
            written.replace(pointer)
            return
        try:
            os.link(written, pointer)  # fails if another process was first
        except FileExistsError:
            pass
        finally:
            written.unlink()
    except OSError as error:
        raise ClusterError(
            f"placements cannot be written to {root / FOLDER} ({error.strerror}): "
            "give this process write access, or run `fungarium cluster place` as a user who has it"
        ) from error


def find_latest(root: Path, shards: int) -> Placement | None:
    """Return the latest readable placement on this number of shards, if any."""
    pointers = sorted((root / FOLDER).glob(f"[0-9a-f]*-{shards}"), key=lambda path: path.stat().st_mtime_ns)
    for pointer in reversed(pointers):
        try:
            return read_placement(root, pointer.read_text(encoding="ascii").strip())
        except (ClusterError, OSError):
            continue
    return None


def write_placement(root: Path, placement: Placement) -> None:
    """Write a placement under its id, unless an intact one exists."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{placement.id}.npz"
    try:
        _read.__wrapped__(path, placement.id)  # bypass the cache: check the file on disk
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
    write_temporary(folder, content.getvalue()).replace(path)
    sync_folder(folder)


def write_temporary(folder: Path, content: bytes) -> Path:
    """Write and fsync a temporary file under a name that is unique across machines, with the usual permissions."""
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
    """Read the placement of an id; raises ClusterError if it is missing, damaged, or does not match its id."""
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
