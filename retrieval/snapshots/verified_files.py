"""The list of verified files: files whose checksums were compared and that have not changed since, to open quickly.

An entry has the file's inode, length, and modification and status change times (mtime and ctime, in nanoseconds) at
the time its checksum was verified. Every write changes the ctime, which ordinary programs cannot reset; a copy has
another inode. Only silent corruption of the disk goes unnoticed at opening; `fungarium index verify`, which reads
every file, detects it.

The device number is not included, since each machine assigns its own, while inode and times belong to the file system
and are the same on every machine that mounts it by NFS. Two files under one path agree in all of them only where a
whole file system was copied block by block, and then their bytes agree too. Where inodes are assigned anew at each
mount, as by file systems over object stores, no entry matches and every file is read.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAMPS = "STAMPS.json"
TICK = 0.05  # seconds: file times have a resolution of milliseconds, and the next write must have a later time


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """The metadata of a file when its checksum was verified."""

    sha256: str
    inode: int
    length: int
    modified: int  # mtime in nanoseconds
    changed: int  # ctime in nanoseconds


def describe_file(path: Path, sha256: str) -> VerifiedFile:
    """Describe a file as it is now, with its verified checksum."""
    found = path.stat()
    return VerifiedFile(sha256, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def wait_for_clock_tick(path: Path) -> None:
    """Wait until a file is older than one clock tick, so that no later write can have the same time."""
    age = time.time() - path.stat().st_ctime
    if 0 <= age < TICK:
        time.sleep(TICK - age)


def read_verified_files(root: Path) -> dict[str, VerifiedFile]:
    """Read the verified files of a folder, by path; empty where the list is missing or invalid."""
    try:
        entries = json.loads((root / STAMPS).read_text(encoding="utf-8"))
        return {str(path): _read_stamp(**entry) for path, entry in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _read_stamp(device: int = 0, **rest: Any) -> VerifiedFile:
    """Make an entry, dropping the device number of older lists."""
    return VerifiedFile(**rest)


def write_verified_files(root: Path, verified: Mapping[str, VerifiedFile]) -> None:
    """Write the list, without files that no longer exist. Does nothing where the folder is not writable."""
    kept = [
        f"{json.dumps(path)}: {json.dumps({name: getattr(stamp, name) for name in VerifiedFile.__slots__})}"
        for path, stamp in sorted(verified.items())
        if os.path.exists(os.path.join(root, path))  # noqa: PTH110, PTH118 - there may be thousands
    ]
    new = root / f".{STAMPS}.new"
    try:
        new.write_text("{\n" + ",\n".join(kept) + "\n}\n", encoding="utf-8")
        os.replace(new, root / STAMPS)  # noqa: PTH105 - the pair of names reads better
    except OSError:
        with suppress(OSError):
            new.unlink(missing_ok=True)  # half of it, on a full disk
