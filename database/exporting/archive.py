"""Writes a reproducible Darwin Core Archive, and reports the changes since the previous export.

PATH.json beside the archive has a digest of every exported record, the dates on which records were removed, and how the
archive was made. The next run compares with it to find added, changed and removed records; without it every record is
new.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from database.errors import ArchiveBusy
from database.exporting.descriptors import DatasetCard, write_eml, write_meta
from database.exporting.rows import (
    LICENCES,
    OF_GBIF,
    TABLES,
    TableForm,
    freest_for_all,
    occurrence_id,
    packed_path,
    render,
)
from database.field.approved import ApprovedObservation, approved_observations
from database.field.photo_files import write_whole
from database.session import Session
from retrieval.errors import BuildError
from retrieval.snapshots.manifest import checksum
from retrieval.snapshots.staging import settle_file

EPOCH = (1980, 1, 1, 0, 0, 0)  # modification time of every member: the zip format requires one
FORMAT = "fungarium-export"
LOCK = ".exporting.lock"  # in the folder of the archives


@dataclass(frozen=True, slots=True)
class ExportReport:
    """Contents of an export, and differences from the previous one."""

    records: int
    photos: int
    added: int
    changed: int
    removed: tuple[str, ...]  # occurrence ids that only the previous export had
    left_out: tuple[tuple[str, int], ...]  # (reason, observations)
    rewritten: bool  # whether the archive's bytes changed


@dataclass(slots=True)
class Gathered:
    """Facts about the archive, accumulated while its tables are written."""

    digests: dict[str, str] = field(default_factory=dict)
    photos: dict[str, str] = field(default_factory=dict)  # path in the archive -> sha256
    licences: set[str] = field(default_factory=set)
    days: list[date] = field(default_factory=list)
    latest: date = date.min
    left_out: Counter[str] = field(default_factory=Counter)
    pictures: int = 0


def export_archive(
    session: Session,
    path: Path,
    card: DatasetCard,
    *,
    today: date,
    accepted: tuple[str, ...] = OF_GBIF,
    photo: Callable[[str], bytes] | None = None,
) -> ExportReport:
    """Write approved observations under `accepted` licences as a Darwin Core Archive, atomically.

    Photos are given by URL under `card.page`, or packed into the archive if `photo` returns their bytes. Raises
    BuildError if there is nothing to export, or neither a page nor `photo` is given.
    """
    if photo is None and not card.page:
        raise BuildError(
            "photos are exported by address, and the server has none: set FUNGARIUM_PUBLIC_URL,"
            " or pack the photos into the archive with --pack-photos"
        )
    with writing(path, wait=True):
        before = read_state(path)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
            gathered = write_tables(session, Path(folder), card, accepted, packed=photo is not None)
            if not gathered.digests:
                raise BuildError(
                    "no approved observation may be exported yet: " + (report_progress(gathered) or "there is none")
                )
            written = Path(folder) / "archive.zip"
            texts = describe(card, gathered.licences, gathered.latest, gathered.days)
            pack(written, Path(folder), texts, gathered.photos if photo is not None else {}, photo)
            rewritten = not path.exists() or checksum(written) != checksum(path)
            if rewritten:
                settle_file(written, path)
        known: dict[str, str] = before.get("records", {})
        removed = tuple(sorted(known.keys() - gathered.digests.keys()))
        gone = {one: day for one, day in before.get("deleted", {}).items() if one not in gathered.digests}
        state = {
            "format": FORMAT,
            "archive": checksum(path),
            "records": gathered.digests,
            "deleted": gone | dict.fromkeys(removed, today.isoformat()),
            "card": asdict(card),
            "licences": list(accepted),
            "packed": photo is not None,
        }
        if state != before:
            write_state(path, state)
    return ExportReport(
        records=len(gathered.digests),
        photos=gathered.pictures,
        added=len(gathered.digests.keys() - known.keys()),
        changed=sum(known.get(one, digest) != digest for one, digest in gathered.digests.items()),
        removed=removed,
        left_out=tuple(sorted(gathered.left_out.items())),
        rewritten=rewritten,
    )


@contextmanager
def writing(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock of the archive's folder, and remove what killed writers of this archive left there.

    Raises ArchiveBusy if somebody else holds it and this does not `wait`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise ArchiveBusy(f"the archive {path.name} is being written at the moment") from error
        for leftover in path.parent.glob(f".{path.name}-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield


def describe(card: DatasetCard, licences: set[str], latest: date, days: Sequence[date]) -> dict[str, bytes]:
    """Return the archive's descriptors, by file."""
    licence = freest_for_all(sorted(licences))
    return {"meta.xml": write_meta(), "eml.xml": write_eml(card, licence, latest, days)}


def write_tables(
    session: Session, folder: Path, card: DatasetCard, accepted: tuple[str, ...], *, packed: bool
) -> Gathered:
    """Write the tables observation by observation, in constant memory except for digests."""
    gathered = Gathered()
    with ExitStack() as stack:
        files = [stack.enter_context(open_table(folder / table.file)) for table in TABLES]
        for table, file in zip(TABLES, files, strict=True):
            file.write(header(table))
        for one in exportable(session, accepted, gathered):
            lines = render(one, dataset=card.title, page=card.page, packed=packed)
            for file, rows in zip(files, lines, strict=True):
                file.write(join_rows(rows))
            gathered.digests[occurrence_id(one.key)] = digest_of(lines)
            gathered.photos |= {packed_path(photo): photo.sha256 for photo in one.photos}
            gathered.pictures += len(one.photos)
            gathered.licences.add(one.licence)
            gathered.latest = max(gathered.latest, one.modified.date())
            if one.event_date is not None:
                gathered.days = [min([*gathered.days, one.event_date]), max([*gathered.days, one.event_date])]
    return gathered


def header(table: TableForm) -> str:
    """Return a table's first line."""
    return "\t".join(["id", *(term.rpartition("/")[2] for term in table.terms)]) + "\n"


def join_rows(rows: Sequence[str]) -> str:
    """Return the lines of some rows."""
    return "".join(f"{row}\n" for row in rows)


def digest_of(tables: Sequence[Sequence[str]]) -> str:
    """Return a digest of an observation's rows in all tables."""
    digest = hashlib.sha256()
    for rows in tables:
        digest.update(join_rows(rows).encode() + b"\0")
    return digest.hexdigest()[:32]


def exportable(session: Session, accepted: tuple[str, ...], gathered: Gathered) -> Iterator[ApprovedObservation]:
    """Yield the approved observations under accepted licences; count the others by reason."""
    for one in approved_observations(session):
        if one.licence in accepted:
            yield one
        elif not one.licence:
            gathered.left_out["licence-missing"] += 1
        elif one.licence in LICENCES:
            gathered.left_out["licence-not-accepted"] += 1
        else:
            gathered.left_out["licence-reserved"] += 1


def open_table(path: Path) -> TextIOWrapper:
    """Open a table for writing."""
    return path.open("w", encoding="utf-8", newline="")


def pack(
    path: Path,
    folder: Path,
    texts: dict[str, bytes],
    photos: dict[str, str],
    photo: Callable[[str], bytes] | None,
) -> None:
    """Write everything to a reproducible zip file."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in texts.items():
            archive.writestr(member(name, zipfile.ZIP_DEFLATED), content)
        for table in TABLES:
            with (folder / table.file).open("rb") as source:
                entry = member(table.file, zipfile.ZIP_DEFLATED)
                with archive.open(entry, "w", force_zip64=True) as target:
                    while block := source.read(1 << 20):
                        target.write(block)
        for name, sha256 in sorted(photos.items()):
            if photo is not None:
                archive.writestr(member(name, zipfile.ZIP_STORED), photo(sha256))  # JPEG does not compress further


def member(name: str, compression: int) -> zipfile.ZipInfo:
    """Make a zip member with fixed time, system and permissions."""
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = compression
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    return entry


def read_state(path: Path) -> dict[str, Any]:
    """Read the state of the previous export; empty if it is missing or invalid."""
    try:
        state = json.loads(state_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) and state.get("format") == FORMAT else {}


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write the state of an export."""
    write_whole(state_path(path), json.dumps(state, indent=0, sort_keys=True).encode(), durable=True)


def state_path(path: Path) -> Path:
    """Return the path of an archive's state file."""
    return path.with_name(f"{path.name}.json")


def report_progress(gathered: Gathered) -> str:
    """Format the counts of excluded observations by reason, in one line."""
    return ", ".join(f"{count} {reason}" for reason, count in sorted(gathered.left_out.items()))
