"""What a snapshot says of itself, and how a reader finds out whether it is true.

    flora_indexes/
        CURRENT                      the name of the published snapshot
        lines/<line>                 the same of each further published line (retrieval/snapshots/lines.py)
        HISTORY.jsonl                what was built, published and rolled back, when, and what it was made from
        WITHDRAWN                    photos that no snapshot answers with (retrieval/snapshots/withdrawals.py)
        STAMPS.json                  size, time and place of files whose checksums were compared on this machine
        segments/<id>/               immutable; shared by the snapshots that name them
        codebooks/<id>/              what short codes mean, and <segment>-<order>.codes for each segment that has them
        snapshots/<name>/
            manifest.json            this file: format, model, segments, floras, checksums
            card.md                  the same for people; read by no program
            taxonomy.sqlite
            species.npy              ids of all species, ascending; the bits of a flora stand for these
            floras/<id>.bits         one bit a species
            guide.npy                mean direction of each species; guide_species.npy says of which
            prototypes.npz           sums of the species' embeddings
            species_arrays.npz, species_prototypes.npy  what an answer reads of every species
            occurrences.npz          records of each species by month and by H3 cell
            occasions.npz            month and H3 cell of each observation, to learn from; nothing finer
            metric.npy, typical.npz, aspects.npz  what calibration learned beside the numbers in the manifest
            withdrawn/<segment>.npy  rows of the segment that answer nothing any more

A snapshot is written beside the others, checked, and then pointed at; nothing is ever changed in place.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from retrieval.errors import DamagedSnapshot, NoSnapshot, SnapshotMismatch, UnknownLine
from retrieval.progress import Progress, silent
from retrieval.snapshots.verified_files import VerifiedFile, describe_file, wait_for_clock_tick

FORMAT = "fungarium-snapshot"
VERSION = 1
CURRENT = "CURRENT"
STABLE = "stable"  # the line that CURRENT points at
LINES = "lines"  # folder of the pointers of all others
PORTION = 1 << 18  # bytes read at a time
SHARED = ("segments/", "codebooks/")  # folders under the root whose files several snapshots name
NAME = re.compile(r"[0-9a-f]{16}")
LINE = re.compile(r"(?!stable$|[0-9a-f]{16}$)[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class FloraCard:
    """A flora as the manifest lists it."""

    id: str
    title: str
    species: int  # on the checklist
    covered: int  # of them with references
    references: int


@dataclass(frozen=True, slots=True)
class FileSeal:
    """Length and checksum of a file.

    A segment's file is named from the root of all snapshots, one of the snapshot's own from its folder:
    the snapshot is named after its manifest, which therefore cannot hold the name.
    """

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The whole of a snapshot in one small file."""

    model: dict[str, Any]  # the model's card; its `model` entry is the name that queries must match
    segments: tuple[str, ...]
    references: int
    observations: int
    species: int  # with references
    floras: tuple[FloraCard, ...]
    files: tuple[FileSeal, ...]
    voting: dict[str, float] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)  # retrieval.ranking.calibration.Calibration; empty: none
    licences: dict[str, int] = field(default_factory=dict)  # references under each licence
    withdrawn: dict[str, int] = field(default_factory=dict)  # rows of each segment that answer nothing any more
    codebook: str = ""  # of the first stage; empty where all floras are searched exactly
    recipes: dict[str, dict[str, Any]] = field(default_factory=dict)  # how each flora is searched; exactly if not here
    codes: dict[str, str] = field(default_factory=dict)  # of each segment, the name of its file under the codebook

    @property
    def name(self) -> str:
        """Named after its content: what is the same has the same name."""
        return hashlib.sha256(self.text().encode()).hexdigest()[:16]

    def text(self) -> str:
        """The manifest file, byte for byte."""
        body = {"format": FORMAT, "version": VERSION, **asdict(self)}
        if not self.calibration:
            del body["calibration"]  # so that snapshots from before there was any keep their names
        if not self.codes:
            del body["codes"]  # for the same reason; codes of before are not read, and their floras searched exactly
        return json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def read_manifest(root: Path, name: str) -> Manifest:
    """Read the manifest of the snapshot `name`; refuse what is damaged, foreign or renamed."""
    if not NAME.fullmatch(name):
        raise DamagedSnapshot(f"{name!r} is no name of a snapshot")
    path = root / "snapshots" / name / "manifest.json"
    try:
        written = path.read_bytes()
        body = json.loads(written)
    except FileNotFoundError as error:
        raise NoSnapshot(f"there is no snapshot {name} under {root}") from error
    except (OSError, ValueError) as error:
        raise DamagedSnapshot(f"the manifest of snapshot {name} cannot be read: {path}") from error
    if not isinstance(body, dict) or body.pop("format", None) != FORMAT:
        raise SnapshotMismatch(f"{path.name} of snapshot {name} is not the manifest of a Fungarium snapshot")
    version = body.pop("version", None)
    if version != VERSION:
        raise SnapshotMismatch(f"snapshot {name} has format version {version}; this program reads version {VERSION}")
    if hashlib.sha256(written).hexdigest()[:16] != name:
        raise DamagedSnapshot(f"the manifest of snapshot {name} has been changed: {path}")
    try:
        return Manifest(
            **{
                **body,
                "segments": tuple(body["segments"]),
                "floras": tuple(FloraCard(**flora) for flora in body["floras"]),
                "files": tuple(FileSeal(**seal) for seal in body["files"]),
            }
        )
    except (KeyError, TypeError) as error:
        raise SnapshotMismatch(f"the manifest of snapshot {name} has other fields than this program knows") from error


def seal_file(root: Path, path: Path) -> FileSeal:
    """Measure a file for the manifest, which will name it from `root`."""
    return FileSeal(path.relative_to(root).as_posix(), path.stat().st_size, checksum(path))


def sealed_path(root: Path, name: str, seal: FileSeal) -> Path:
    """Where a file of the snapshot `name` lies: what is shared, under the root; all else in its own folder."""
    return (root if seal.path.startswith(SHARED) else root / "snapshots" / name) / seal.path


def checksum(path: Path, progress: Progress = silent, total: int = 0) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; `progress` is told how many of `total` were read."""
    digest, portion = hashlib.sha256(), memoryview(bytearray(PORTION))
    with path.open("rb", buffering=0) as file:
        while (read := file.readinto(portion)) > 0:
            digest.update(portion[:read])
            progress("verify", read, total)
    return digest.hexdigest()


def verify_files(
    root: Path,
    manifest: Manifest,
    *,
    verified: Mapping[str, VerifiedFile] | None = None,
    progress: Progress = silent,
) -> dict[str, VerifiedFile]:
    """Compare every file with its seal; raise DamagedSnapshot at the first that differs, by name.

    A file that has not been touched since its checksum was last compared, as its stamp says, is not read again.
    Gives the stamps of all files. Two threads read, since hashing is all that this waits for; both tell `progress`.
    """
    name = manifest.name  # worked out once: it is a hash of the whole
    total = sum(seal.bytes for seal in manifest.files)

    def verify(seal: FileSeal) -> tuple[str, VerifiedFile]:
        path = sealed_path(root, name, seal)
        if not path.is_file():
            raise DamagedSnapshot(f"a file of snapshot {name} is missing: {path}")
        if path.stat().st_size != seal.bytes:
            raise DamagedSnapshot(f"a file of snapshot {name} has another length than when it was built: {path}")
        place = path.relative_to(root).as_posix()
        known = (verified or {}).get(place)
        if known is not None and known == describe_file(path, seal.sha256):
            return place, known
        wait_for_clock_tick(path)
        stamp = describe_file(path, checksum(path, progress, total))
        if stamp.sha256 != seal.sha256:
            raise DamagedSnapshot(f"a file of snapshot {name} has been changed since it was built: {path}")
        return place, stamp

    with ThreadPoolExecutor(2) as readers:
        return dict(readers.map(verify, manifest.files))


def pointer_path(root: Path, line: str = STABLE) -> Path:
    """The file that names the published snapshot of a line; raises UnknownLine for what is no name of one."""
    if line == STABLE:
        return root / CURRENT
    if not LINE.fullmatch(line):
        raise UnknownLine(
            f"{line[:64]!r} is no name of a published line: a small letter, then small letters, digits and hyphens"
        )
    return root / LINES / line


def read_current(root: Path, line: str = STABLE) -> str:
    """The name of a line's published snapshot; raises NoSnapshot where none is, UnknownLine where there is no line."""
    path = pointer_path(root, line)
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        if line != STABLE:
            raise UnknownLine(f"there is no published line {line!r}") from error
        raise NoSnapshot(f"nothing has been published under {root}: run `fungarium index publish`") from error
    except (OSError, ValueError) as error:
        raise DamagedSnapshot(f"{path} cannot be read: run `fungarium index publish`") from error


def current_or_none(root: Path, line: str = STABLE) -> str | None:
    """The name of a line's published snapshot, if there is one."""
    try:
        return read_current(root, line)
    except NoSnapshot:
        return None


def find_snapshot(root: Path, name: str | None = None) -> str:
    """The snapshot that a person named: by its own name, by a line's, or by None for the published one."""
    if name is None:
        return read_current(root)
    if NAME.fullmatch(name):
        return name
    try:
        return read_current(root, name)
    except UnknownLine as error:
        raise DamagedSnapshot(f"{name!r} is no name of a snapshot, nor of a published line") from error


def switch_current(root: Path, name: str, line: str = STABLE) -> None:
    """Point a line at a finished snapshot. A rename is atomic on one disk: readers see the old name or the new one."""
    path = pointer_path(root, line)
    path.parent.mkdir(exist_ok=True)
    pointer = path.with_name(f".{path.name}.new")
    with pointer.open("w", encoding="utf-8") as file:
        file.write(name + "\n")
        file.flush()
        os.fsync(file.fileno())
    pointer.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
