"""Publishing and rolling back from a page: runs in the background, with a status that any worker can read.

A publication is a file beside the snapshots, with a lock file that its worker holds while it runs. The system releases
the lock when the worker ends for any reason: a publication that is marked as running but not locked was interrupted.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from database.field.photo_files import write_whole
from retrieval.errors import FungariumError, SnapshotError
from retrieval.snapshots.manifest import read_current, read_manifest
from retrieval.snapshots.publishing import publish_snapshot, roll_back

FOLDER: Final = "publications"
NAME: Final = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")
KEPT: Final = 20  # the latest; older ones are removed, and HISTORY.jsonl has the record
PAUSE: Final = 0.5  # seconds between updates of the progress

RUNNING, DONE, REFUSED, BROKEN = "running", "done", "refused", "broken off"

log = logging.getLogger(__name__)


class UnknownPublication(FungariumError):
    """There is no such publication, or it has been removed."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication: the request, its progress and its result."""

    id: str
    act: str  # publish or roll back
    snapshot: str
    began: str  # UTC, ISO 8601
    total: int  # bytes to compare with their checksums
    read: int = 0  # of them, until now
    state: str = RUNNING
    words: str = ""  # why it was refused, in the engine's words
    ended: str = ""

    @property
    def share(self) -> float:
        """The share of bytes read."""
        return min(1.0, self.read / self.total) if self.total else 0.0


def begin_publication(root: Path, act: str, snapshot: str, note: Callable[[str], None]) -> Publication:
    """Start publishing a snapshot, or rolling back to one, in a thread of this worker. Returns its first state.

    `note` receives the name of the snapshot published afterwards. A worker that is asked to stop waits for the thread.
    If it is killed, the state is the one before or after the switch, and nothing in between.
    """
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    remove_old(folder)
    total = count_bytes(root, act, snapshot)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    begun = Publication(name, act, snapshot, now(), total)
    lock = os.open(folder / f"{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_record(folder, begun)
        threading.Thread(target=run_publication, args=(root, begun, lock, note), name=f"publication {name}").start()
    except BaseException:  # a full disk, or no more threads: nothing has begun
        os.close(lock)
        for path in (folder / f"{name}.lock", folder / f"{name}.json"):
            path.unlink(missing_ok=True)
        raise
    return begun


def count_bytes(root: Path, act: str, snapshot: str) -> int:
    """Return the bytes to compare with checksums; 0 for an unreadable snapshot, which rolling back will skip."""
    try:
        return sum(seal.bytes for seal in read_manifest(root, snapshot).files)
    except SnapshotError:
        if act == "publish":
            raise
        return 0


def run_publication(root: Path, begun: Publication, lock: int, note: Callable[[str], None]) -> None:
    """Run the publication, and write its result before the lock is released."""
    folder = root / FOLDER
    progress = PublicationProgress(folder, begun)
    before = current_name(root)
    try:
        done = (
            roll_back(root, progress=progress)
            if begun.act == "roll back"
            else publish_snapshot(root, begun.snapshot, progress=progress)
        )
        ended = replace(begun, snapshot=done, read=begun.total, state=DONE, ended=now())
    except FungariumError as error:
        ended = replace(begun, read=progress.read, state=REFUSED, words=str(error), ended=now())
    except Exception as error:
        log.exception("publication %s failed", begun.id)
        words = f"{type(error).__name__}; see the server's log"
        stopping = not threading.main_thread().is_alive()  # the worker was asked to stop: no new threads then
        state, words = (BROKEN, "") if stopping else (REFUSED, words)
        after = current_name(root)
        if not stopping and after not in ("", before):  # readers have switched: only the record failed
            state, begun = DONE, replace(begun, snapshot=after)
        ended = replace(begun, read=progress.read, state=state, words=words, ended=now())
    try:
        write_record(folder, ended)
        if ended.state == DONE:
            note(ended.snapshot)
    except Exception:  # for example a full disk: the switch is done, and HISTORY.jsonl has it
        log.exception("publication %s could not be recorded", begun.id)
    finally:
        os.close(lock)  # also releases the lock


def current_name(root: Path) -> str:
    """Return the name of the published snapshot; empty if there is none."""
    try:
        return read_current(root)
    except (SnapshotError, OSError):
        return ""


class PublicationProgress:
    """Records the number of bytes read, from several threads."""

    def __init__(self, folder: Path, begun: Publication) -> None:
        self.read = 0
        self._folder = folder
        self._begun = begun
        self._noted = time.monotonic()
        self._guard = threading.Lock()

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Add `done` bytes."""
        with self._guard:
            self.read += done
            if time.monotonic() - self._noted >= PAUSE:
                self._noted = time.monotonic()
                try:
                    write_record(self._folder, replace(self._begun, read=self.read))
                except OSError as error:  # a failed progress update must not fail the publication
                    log.warning("the progress of publication %s could not be recorded: %s", self._begun.id, error)


def read_publication(root: Path, name: str) -> Publication:
    """Return the current state of a publication; raises UnknownPublication."""
    folder = root / FOLDER
    found = read_record(folder, name)
    if found.state != RUNNING or is_locked(folder / f"{name}.lock"):
        return found
    found = read_record(folder, name)  # it may have ended between the two reads
    return found if found.state != RUNNING else replace(found, state=BROKEN)


def list_publications(root: Path, most: int = 5) -> list[Publication]:
    """Return the latest publications, newest first."""
    names = sorted((path.stem for path in (root / FOLDER).glob("*.json") if NAME.fullmatch(path.stem)), reverse=True)
    found = []
    for name in names[:most]:
        try:
            found.append(read_publication(root, name))
        except UnknownPublication:  # removed meanwhile
            continue
    return found


def read_record(folder: Path, name: str) -> Publication:
    """Read the record of a publication; raises UnknownPublication."""
    try:
        if not NAME.fullmatch(name):
            raise FileNotFoundError(name)
        return Publication(**json.loads((folder / f"{name}.json").read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise UnknownPublication("there is no such publication, or it is too old") from error


def is_locked(path: Path) -> bool:
    """Return whether a worker holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def remove_old(folder: Path) -> None:
    """Remove all but the latest finished publications."""
    paths = sorted(path for path in folder.glob("*.json") if NAME.fullmatch(path.stem))
    for path in paths[: -KEPT + 1]:
        if not is_locked(path.with_suffix(".lock")):
            path.unlink(missing_ok=True)
            path.with_suffix(".lock").unlink(missing_ok=True)


def write_record(folder: Path, publication: Publication) -> None:
    """Write the record of a publication atomically."""
    write_whole(folder / f"{publication.id}.json", json.dumps(asdict(publication)).encode())


def now() -> str:
    """Return the current time in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
