"""A content-addressed repository of backups, in one folder.

    objects/ab/SHA256       every file of any backup, stored once under its SHA-256
    backups/NAME.json       the manifest of one backup: path and checksum of each file; NAME ends in its own checksum
    copies/NAME.json        the same again, since nothing can be restored without it
    STAMPS.json             size, times and inode of files whose checksums were compared on this machine

The manifest is written last. A backup that was interrupted leaves objects that the next one reuses. An object is reused
only while its content is what it was: its stamp is compared each time, its bytes every thirtieth day, since a disk
that loses a bit changes no stamp. What is damaged is written again by a backup whose source still has it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import BinaryIO

from database.errors import BackupError
from database.field.photo_files import write_whole
from retrieval.snapshots.manifest import sync_folder
from retrieval.snapshots.verified_files import (
    describe_file,
    read_verified_files,
    wait_for_clock_tick,
    write_verified_files,
)

FORMAT = "fungarium-backup"
VERSION = 1
BLOCK = 1 << 20
MANIFESTS = ("backups", "copies")  # folders of the manifests
CYCLE = 30  # days after which every object has been read again
WITHOUT_MARKS = str.maketrans("", "", "-:")


@dataclass(frozen=True, slots=True)
class Item:
    """A file of a backup. `place` is its relative path, beginning with a part such as `photos/`, without `..`."""

    place: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Backup:
    """The manifest of one backup."""

    time: str  # UTC, ISO 8601, to the microsecond (to the second in older backups)
    system: str  # sqlite or postgresql: a dump can be restored to the same system only
    current: str  # the published snapshot; empty without one
    items: tuple[Item, ...]

    def text(self) -> str:
        """Return the manifest's JSON, byte for byte."""
        body = {"format": FORMAT, "version": VERSION, **asdict(self)}
        return json.dumps(body, indent=0, sort_keys=True, ensure_ascii=False) + "\n"

    @property
    def name(self) -> str:
        """Its time, so that names sort by age, and part of its checksum, so that a changed manifest is detected."""
        stamp = self.time.translate(WITHOUT_MARKS).replace("+0000", "Z")
        return f"{stamp}-{hashlib.sha256(self.text().encode()).hexdigest()[:16]}"

    def under(self, part: str) -> list[Item]:
        """Return the files of one part."""
        return [item for item in self.items if item.place.startswith(f"{part}/")]


class Repository:
    """The folder of backups, with one writer at a time."""

    def __init__(self, folder: Path, today: date | None = None) -> None:
        """Open a folder; `today` decides which of its objects are read again."""
        self.folder = folder
        self.copied = 0  # bytes that this backup had to copy
        self.files = 0
        self.read_again = 0  # files of earlier backups whose bytes were compared
        self.healed: list[str] = []  # damaged files that were written again, by their place
        self._day = (today or datetime.now(UTC).date()).toordinal()
        self._verified = read_verified_files(folder)

    @contextmanager
    def writing(self) -> Iterator[Repository]:
        """Hold the file lock, which the system releases if the process dies. Raises BackupError if it is taken.

        What a killed writer left behind is removed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BackupError(f"another backup is being made in {self.folder}; wait for it to end") from error
            for leftover in (*self.folder.glob(".dump-*"), *self.folder.glob("*/.unfinished-*")):
                remove(leftover)
            try:
                yield self
            finally:
                write_verified_files(self.folder, self._verified)

    def path(self, sha256: str) -> Path:
        """Return the path of an object, whether or not it exists."""
        return self.folder / "objects" / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Return whether an object is stored undamaged. Reads it if its stamp is not known, or every thirtieth day."""
        return self._is_whole(self.path(sha256), sha256)

    def _is_whole(self, path: Path, expected: str) -> bool:
        """Return whether a file's SHA-256 begins with `expected`, reading it only if it may have changed."""
        place = path.relative_to(self.folder).as_posix()
        known = self._verified.pop(place, None)
        due = (int(expected[:8], 16) - self._day) % CYCLE == 0
        try:
            if known is None or due or known != describe_file(path, known.sha256):
                wait_for_clock_tick(path)
                self.read_again += 1
                before = describe_file(path, "")
                known = describe_file(path, digest_file(path))
                if (before.changed, before.length) != (known.changed, known.length):
                    return False  # it is being written to
        except OSError:  # there is none, or the disk cannot read it
            return False
        if not known.sha256.startswith(expected):
            return False
        self._verified[place] = known
        return True

    def keep(self, stream: BinaryIO, place: str, expected: str = "") -> Item:
        """Store a stream as an object; raises BackupError if its checksum is not `expected`."""
        objects = self.folder / "objects"
        objects.mkdir(exist_ok=True)
        handle, unfinished = tempfile.mkstemp(prefix=".unfinished-", dir=objects)
        digest, size = hashlib.sha256(), 0
        try:
            with os.fdopen(handle, "wb") as copy:
                while block := stream.read(BLOCK):
                    digest.update(block)
                    size += len(block)
                    copy.write(block)
                copy.flush()
                os.fsync(copy.fileno())
            sha256 = digest.hexdigest()
            if expected and sha256 != expected:
                raise BackupError(f"{place} is damaged: its checksum is not what it was")
            if not self.has(sha256):
                self._put(Path(unfinished), sha256, place, size)
        finally:
            Path(unfinished).unlink(missing_ok=True)
        return Item(place, sha256, size)

    def _put(self, written: Path, sha256: str, place: str, size: int) -> None:
        """Move a written file to its name, in place of a damaged one if there is any."""
        path = self.path(sha256)
        if path.exists():
            self.healed.append(place)
            if path.is_dir():
                remove(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        written.replace(path)
        sync_folder(path.parent)
        self._verified[path.relative_to(self.folder).as_posix()] = describe_file(path, sha256)
        self.copied += size
        self.files += 1

    def keep_file(self, path: Path, place: str, expected: str = "") -> Item:
        """Store a file; one whose `expected` checksum is stored already is not read. Raises BackupError."""
        if expected and self.has(expected):
            return Item(place, expected, self.path(expected).stat().st_size)
        with path.open("rb") as stream:
            return self.keep(stream, place, expected)

    def finish(self, backup: Backup) -> str:
        """Write the manifest twice, which completes the backup, and heal those of others; returns its name."""
        objects = self.folder / "objects"
        objects.mkdir(parents=True, exist_ok=True)
        sync_folder(objects)
        sync_folder(self.folder.absolute().parent)
        for folder in MANIFESTS:
            write_whole(self.folder / folder / f"{backup.name}.json", backup.text().encode(), durable=True)
        for name in self.names():
            paths = [self.folder / folder / f"{name}.json" for folder in MANIFESTS]
            whole = [self._is_whole(path, name.rpartition("-")[2]) for path in paths]
            for path, fine in zip(paths, whole, strict=True):
                if any(whole) and not fine:
                    if path.exists():  # backups of before have no copy
                        self.healed.append(path.relative_to(self.folder).as_posix())
                    write_whole(path, paths[whole.index(True)].read_bytes(), durable=True)
        wait_for_clock_tick(self.folder / "backups" / f"{backup.name}.json")  # later changes have later times
        return backup.name

    def names(self) -> list[str]:
        """Return the names of all backups, oldest first."""
        return sorted({path.stem for folder in MANIFESTS for path in (self.folder / folder).glob("*.json")})

    def read(self, name: str = "") -> Backup:
        """Read the manifest of a backup, by default the latest. Raises BackupError for a missing or damaged one."""
        names = self.names()
        chosen = name or (names[-1] if names else "")
        if chosen not in names:
            raise BackupError(f"there is no backup {name} in {self.folder}" if name else f"{self.folder} has no backup")
        backup = next(filter(None, (self._parse(chosen, folder) for folder in MANIFESTS)), None)
        if backup is None:
            raise BackupError(f"backup {chosen} is damaged: its list of files cannot be read or has been changed")
        for item in backup.items:
            if item.place.startswith("/") or ".." in Path(item.place).parts:
                raise BackupError(f"backup {chosen} is not valid: {item.place} is outside its folder")
        return backup

    def _parse(self, name: str, folder: str) -> Backup | None:
        """Read one copy of a manifest; None if it is missing or damaged. Raises BackupError for another version."""
        try:
            written = (self.folder / folder / f"{name}.json").read_bytes()
            if hashlib.sha256(written).hexdigest()[:16] != name.rpartition("-")[2]:
                return None
            body = json.loads(written)
            if (body.pop("format"), body.pop("version")) != (FORMAT, VERSION):
                raise BackupError(f"backup {name} is of another version than this program reads")
            backup = Backup(**{**body, "items": tuple(Item(**item) for item in body["items"])})
        except (ValueError, KeyError, TypeError, AttributeError, OSError):
            return None
        return backup if backup.name == name else None

    def read_item(self, item: Item) -> bytes:
        """Read a file's bytes; raises BackupError if the object is missing or its checksum differs."""
        try:
            content = self.path(item.sha256).read_bytes()
        except FileNotFoundError as error:
            raise BackupError(f"the backup lacks {item.place}") from error
        except OSError as error:
            raise BackupError(f"the backup of {item.place} cannot be read ({error.strerror})") from error
        if hashlib.sha256(content).hexdigest() != item.sha256:
            raise BackupError(f"the backup of {item.place} is damaged")
        return content

    def check(self, items: Iterable[Item]) -> dict[Item, str]:
        """Verify every byte of these files; returns a sentence for each missing or damaged one."""
        faults = {}
        for item in items:
            try:
                if digest_file(self.path(item.sha256)) != item.sha256:
                    faults[item] = f"{item.place} is damaged"
            except FileNotFoundError:
                faults[item] = f"{item.place} is lost"
            except OSError as error:
                faults[item] = f"{item.place} cannot be read ({error.strerror})"
        return faults

    def check_manifest(self, backup: Backup) -> list[str]:
        """Return a sentence for each of the two copies of a backup's manifest that is missing or damaged."""
        places = [f"{folder}/{backup.name}.json" for folder in MANIFESTS if self._parse(backup.name, folder) is None]
        return [f"{place} is damaged or lost; its copy is whole" for place in places]

    def prune(self, keep: int) -> tuple[int, int]:
        """Delete all but the latest `keep` backups, and unreferenced objects; returns the numbers of both."""
        names = self.names()
        going = names[: max(0, len(names) - keep)]
        held = {item.sha256 for name in names[len(going) :] for item in self.read(name).items}
        for name in going:
            for folder in MANIFESTS:
                (self.folder / folder / f"{name}.json").unlink(missing_ok=True)
        removed = 0
        for path in (self.folder / "objects").glob("*/*"):
            if path.name not in held:
                remove(path)
                removed += 1
        return len(going), removed


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remove(path: Path) -> None:
    """Remove a file, or a folder with everything in it."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError):
            path.unlink()
