"""Staging of snapshots before they are published: one writer at a time, and no incomplete files."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval.errors import BuildError
from retrieval.snapshots.manifest import checksum, sync_folder

STAGING = ".building"


@contextmanager
def building(root: Path) -> Iterator[Path]:
    """Yield an empty staging folder on the same disk, for one builder or publisher at a time."""
    with writing(root), staged(root) as staging:
        yield staging


@contextmanager
def staged(root: Path) -> Iterator[Path]:
    """Yield the empty staging folder, for a caller that holds the lock."""
    staging = root / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system releases if the process ends."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BuildError(f"another build or publish is running in {root}; wait for it to end") from error
        yield


def settle(written: Path, place: Path) -> None:
    """Flush a written folder to disk and move it to its final name, a digest of its content.

    An identical folder of this name is kept, so that nothing published is touched; one with other
    content is damaged, and is replaced.
    """
    for path in sorted(written.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            sync_folder(path)
    sync_folder(written)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        if fingerprint(place) == fingerprint(written):
            shutil.rmtree(written)
            return
        place.rename(written.with_name(f"{written.name}-damaged"))  # in the staging folder, which is removed
    written.rename(place)
    sync_folder(place.parent)


def fingerprint(folder: Path) -> dict[str, str]:
    """Return the checksums of all files of a folder, by name."""
    return {p.relative_to(folder).as_posix(): checksum(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def settle_file(written: Path, place: Path) -> None:
    """Flush a written file to disk and move it into an existing folder."""
    with written.open("rb") as file:
        os.fsync(file.fileno())
    written.replace(place)
    sync_folder(place.parent)
