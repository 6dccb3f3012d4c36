"""Where snapshots are put together before they get their names: one writer at a time, nothing half-written seen."""

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
    """A staging folder on the same disk; one builder or publisher at a time, and what a killed one left is removed."""
    with writing(root), staged(root) as staging:
        yield staging


@contextmanager
def staged(root: Path) -> Iterator[Path]:
    """The staging folder, empty, for whoever holds the lock."""
    staging = root / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Hold the lock of the folder; the system lets go of it if the process dies."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BuildError(f"another build or publish is running in {root}; wait for it to end") from error
        yield


def settle(written: Path, place: Path) -> None:
    """Flush a written folder to disk and give it its name, which stands for its content.

    Where the same is there already it stays, so that nothing published is touched; what
    bears the name with other bytes has been damaged, and makes way.
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
    """Checksums of all files of a folder, by name."""
    return {p.relative_to(folder).as_posix(): checksum(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def settle_file(written: Path, place: Path) -> None:
    """Flush one written file to disk and give it its place in a folder that is there."""
    with written.open("rb") as file:
        os.fsync(file.fileno())
    written.replace(place)
    sync_folder(place.parent)
