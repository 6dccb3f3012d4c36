"""Withdrawn photos: one list beside the snapshots, which all readers obey.

    WITHDRAWN    a line with the format and the number of photos, then the SHA-256 of each, ascending

A withdrawal applies to a photo, not to a snapshot: new, old and rolled-back snapshots obey it from
the moment the list is written until the photo is removed from it. The list is replaced atomically, and flushed to disk
before a writer returns. It has its own lock, so that withdrawing a photo does not wait for a build.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from retrieval.errors import BuildError, DamagedSnapshot
from retrieval.snapshots.manifest import sync_folder

FILE = "WITHDRAWN"
FORMAT = "fungarium-withdrawn-1"
FileState: TypeAlias = tuple[int, int, int] | None  # inode, time of the last change (ns) and length; None: no file


def read_withdrawals(root: Path) -> frozenset[str]:
    """Return the SHA-256 of all withdrawn photos; empty without a list.

    Raises DamagedSnapshot for an incomplete list, since the photos that it lacks must not be found.
    """
    try:
        return parse_withdrawals((root / FILE).read_bytes())
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError) as error:
        raise DamagedSnapshot(
            f"the list of withdrawn photos cannot be read ({error}): take {root / FILE} from a backup"
        ) from error


def parse_withdrawals(content: bytes) -> frozenset[str]:
    """Return the photos of a list; raises ValueError if it is incomplete."""
    head, *photos = content.decode("utf-8").split("\n")
    if head != f"{FORMAT} {len(photos) - 1}" or photos.pop() != "":
        raise ValueError("it is not whole, or was written by a later version")
    return frozenset(photos)


def withdrawals_state(root: Path) -> FileState:
    """Return a state that changes whenever the list does, without reading it."""
    try:
        found = (root / FILE).stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def withdraw_photos(root: Path, photos: Iterable[str]) -> int:
    """Add photos to the list; returns how many were new."""
    with _changing(root):
        known, wanted = read_withdrawals(root), frozenset(photos)
        if strange := sorted(photo for photo in wanted if photo.split() != [photo]):
            raise BuildError(f"{strange[0][:64]!r} is no digest of a photo")
        if wanted - known:
            _write(root, known | wanted)
        return len(wanted - known)


def readmit_photos(root: Path, photos: Iterable[str]) -> int:
    """Remove photos from the list; returns how many were on it. Snapshots that still contain them find them again."""
    with _changing(root):
        known = read_withdrawals(root)
        back = known & frozenset(photos)
        if back:
            _write(root, known - back)
        return len(back)


def _write(root: Path, photos: frozenset[str]) -> None:
    fresh = root / f".{FILE}.new"
    with fresh.open("w", encoding="utf-8") as file:
        file.write("\n".join([f"{FORMAT} {len(photos)}", *sorted(photos)]) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(root / FILE)
    sync_folder(root)


@contextmanager
def _changing(root: Path) -> Iterator[None]:
    """Hold the list's own lock."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".{FILE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
