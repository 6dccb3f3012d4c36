"""A content-addressed repository of backups, in one folder.

    objects/ab/SHA256       every file of any backup, stored once under its SHA-256
    backups/NAME.json       the manifest of one backup: path and checksum of each file; NAME ends in its own checksum

The manifest is written last. A backup that was interrupted leaves objects that the next one reuses.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from database.errors import BackupError
from database.field.photo_files import write_whole

FORMAT = "fungarium-backup"
VERSION = 1
BLOCK = 1 << 20
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

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.copied = 0  # bytes that this backup had to copy
        self.files = 0

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the file lock, which the system releases if the process dies. Raises BackupError if it is taken."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BackupError(f"another backup is being made in {self.folder}; wait for it to end") from error
            yield

    def path(self, sha256: str) -> Path:
        """Return the path of an object, whether or not it exists."""
        return self.folder / "objects" / sha256[:2] / sha256

    def has(self, sha256: str, size: int | None = None) -> bool:
        """Return whether an object exists, with this size if given."""
        try:
            found = self.path(sha256).stat().st_size
        except FileNotFoundError:
            return False
        return size is None or found == size

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
            if not self.has(sha256, size):
                self.path(sha256).parent.mkdir(parents=True, exist_ok=True)
                Path(unfinished).replace(self.path(sha256))
                self.copied += size
                self.files += 1
        finally:
            Path(unfinished).unlink(missing_ok=True)
        return Item(place, sha256, size)

    def keep_file(self, path: Path, place: str, expected: str = "", size: int | None = None) -> Item:
        """Store a file; one whose `expected` checksum and size are stored already is not read. Raises BackupError."""
        if expected and size is not None and self.has(expected, size):
            return Item(place, expected, size)
        with path.open("rb") as stream:
            return self.keep(stream, place, expected)

    def finish(self, backup: Backup) -> str:
        """Write the manifest, which completes the backup; returns its name."""
        write_whole(self.folder / "backups" / f"{backup.name}.json", backup.text().encode(), durable=True)
        return backup.name

    def names(self) -> list[str]:
        """Return the names of all backups, oldest first."""
        return sorted(path.stem for path in (self.folder / "backups").glob("*.json"))

    def read(self, name: str = "") -> Backup:
        """Read the manifest of a backup, by default the latest. Raises BackupError for a missing or damaged one."""
        names = self.names()
        chosen = name or (names[-1] if names else "")
        if chosen not in names:
            raise BackupError(f"there is no backup {name} in {self.folder}" if name else f"{self.folder} has no backup")
        try:
            body = json.loads((self.folder / "backups" / f"{chosen}.json").read_bytes())
            if body.pop("format") != FORMAT or body.pop("version") != VERSION:
                raise BackupError(f"backup {chosen} is of another version than this program reads")
            backup = Backup(**{**body, "items": tuple(Item(**item) for item in body["items"])})
            intact = backup.name == chosen
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise BackupError(f"backup {chosen} is damaged: it cannot be read") from error
        if not intact:
            raise BackupError(f"backup {chosen} is damaged: its list of files has been changed")
        for item in backup.items:
            if item.place.startswith("/") or ".." in Path(item.place).parts:
                raise BackupError(f"backup {chosen} is not valid: {item.place} is outside its folder")
        return backup

    def read_item(self, item: Item) -> bytes:
        """Read a file's bytes; raises BackupError if the object is missing or its checksum differs."""
        try:
            content = self.path(item.sha256).read_bytes()
        except FileNotFoundError as error:
            raise BackupError(f"the backup lacks {item.place}") from error
        if hashlib.sha256(content).hexdigest() != item.sha256:
            raise BackupError(f"the backup of {item.place} is damaged")
        return content

    def check(self, backup: Backup) -> list[str]:
        """Verify every byte of a backup; returns a sentence for each missing or damaged file."""
        faults = []
        for item in backup.items:
            try:
                with self.path(item.sha256).open("rb") as stream:
                    if hashlib.file_digest(stream, "sha256").hexdigest() != item.sha256:
                        faults.append(f"{item.place} is damaged")
            except FileNotFoundError:
                faults.append(f"{item.place} is lost")
        return faults

    def prune(self, keep: int) -> tuple[int, int]:
        """Delete all but the latest `keep` backups, and unreferenced objects; returns the numbers of both."""
        names = self.names()
        going = names[: max(0, len(names) - keep)]
        held = {item.sha256 for name in names[len(going) :] for item in self.read(name).items}
        for name in going:
            (self.folder / "backups" / f"{name}.json").unlink()
        removed = 0
        for path in (self.folder / "objects").glob("*/*"):
            if path.name not in held:
                path.unlink()
                removed += 1
        for path in (self.folder / "objects").glob(".unfinished-*"):
            path.unlink()
        return len(going), removed
