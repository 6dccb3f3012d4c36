"""Which files were compared with their checksums, and have not been touched since: so that opening is quick.

A stamp is what the system says of a file at the moment its checksum was found right: inode, length, and the times of
its last change in nanoseconds. Whatever writes to the file moves the second of these times, which no ordinary program
can set back; a copy has another inode. Only a disk that changes bytes by itself goes unnoticed at opening, and is
found by `fungarium index verify`, which reads everything.

The number of the device is no part of it: each machine numbers what it mounts as it likes, while inode and times are
the file system's own, which NFS and its like tell every machine alike. Nothing is lost by that. Two files under one
path agree in all else only where a whole file system was copied block by block, and then their bytes agree too. Where
inodes are made up anew at each mount, as by folders over object stores, no stamp fits and everything is read.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAMPS = "STAMPS.json"
TICK = 0.05  # seconds: file times move in steps of some milliseconds, and a stamp must be older than the next write


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """A file as it was when its checksum was compared."""

    sha256: str
    inode: int
    length: int
    modified: int  # nanoseconds
    changed: int  # nanoseconds


def describe_file(path: Path, sha256: str) -> VerifiedFile:
    """The stamp of a file as it is now, for a checksum known to be its."""
    found = path.stat()
    return VerifiedFile(sha256, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def wait_for_clock_tick(path: Path) -> None:
    """Wait until a file just written is older than a tick, so that no later write can bear the same time."""
    age = time.time() - path.stat().st_ctime
    if 0 <= age < TICK:
        time.sleep(TICK - age)


def read_verified_files(root: Path) -> dict[str, VerifiedFile]:
    """All stamps under the folder, by path; none where the file is absent or no sense can be made of it."""
    try:
        entries = json.loads((root / STAMPS).read_text(encoding="utf-8"))
        return {str(path): _read_stamp(**entry) for path, entry in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _read_stamp(device: int = 0, **rest: Any) -> VerifiedFile:
    """A stamp of a file; older ones have the device number too."""
    return VerifiedFile(**rest)


def write_verified_files(root: Path, verified: Mapping[str, VerifiedFile]) -> None:
    """Keep the stamps; those of files that are gone are dropped. A folder that cannot be written to goes without."""
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
        return
