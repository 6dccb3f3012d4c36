"""Makes a backup while the server runs: a consistent dump of the database, then the files it refers to.

If a photo is removed meanwhile, the dump is repeated without it; files already copied are kept.
"""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from database.backups.dumps import copy_sqlite, dump_database
from database.backups.repository import Backup, Item, Repository
from database.collection.photos import OBSERVED, STORED, stored_path
from database.errors import BackupError
from database.field.photo_files import PhotoFiles
from retrieval.errors import NoSnapshot, SnapshotError, UnknownPhoto
from retrieval.progress import Progress, silent
from retrieval.snapshots.history import HISTORY
from retrieval.snapshots.manifest import SHARED, read_current, read_manifest, sealed_path
from retrieval.snapshots.withdrawals import FILE as WITHDRAWN

ROUNDS = 5  # largest number of dumps until no photo is removed during copying


@dataclass(frozen=True, slots=True)
class BackupSources:
    """The locations of everything that is backed up."""

    database_url: str
    observation_photos: str  # a folder or an fsspec URL
    data: Path  # with `photos` and `embeddings`
    snapshots: Path


@dataclass(frozen=True, slots=True)
class BackupReport:
    """The contents of a backup, and what is missing."""

    name: str
    files: int
    bytes: int
    copied_files: int
    copied_bytes: int
    lost: tuple[str, ...]  # in the database, but missing from the store
    elsewhere: int  # reference photos in folders of their own, which are not copied
    healed: tuple[str, ...] = ()  # damaged in the backup, and written again


def make_backup(places: BackupSources, repository: Repository, *, progress: Progress = silent) -> BackupReport:
    """Make a backup; `progress` is called for each file. Raises BackupError; SnapshotError for a damaged snapshot."""
    with repository.writing(), tempfile.TemporaryDirectory(prefix=".dump-", dir=repository.folder) as folder:
        current, items = keep_snapshots(places.snapshots, repository, progress)
        items += keep_embeddings(places.data / "embeddings", Path(folder), repository, progress)
        photos: dict[str, Item] = {}
        files = PhotoFiles(places.observation_photos)
        for _ in range(ROUNDS):
            path = Path(folder) / "database"
            path.unlink(missing_ok=True)
            dump = dump_database(places.database_url, path)
            lost = keep_observed(dump.observed, files, repository, photos, progress)
            if not lost:
                break
        stored, gone = keep_stored(dump.locations, places.data / "photos", repository, progress)
        items += [photos[sha256] for sha256 in sorted(dump.observed & photos.keys())]
        items += stored
        items.append(repository.keep_file(path, f"database/{dump.system}"))
        backup = Backup(
            datetime.now(UTC).isoformat(timespec="microseconds"),
            dump.system,
            current,
            tuple(sorted(items, key=lambda item: item.place)),
        )
        elsewhere = sum(not location.startswith((STORED, OBSERVED)) for location in dump.locations)
        return BackupReport(
            repository.finish(backup),
            len(backup.items),
            sum(item.bytes for item in backup.items),
            repository.files,
            repository.copied,
            (*lost, *gone),
            elsewhere,
            tuple(repository.healed),
        )


def keep_snapshots(root: Path, repository: Repository, progress: Progress) -> tuple[str, list[Item]]:
    """Back up all undamaged snapshots, which are immutable; returns their items and the published one's name.

    Raises SnapshotError if the published one is damaged, since the backup could then not answer.
    """
    try:
        current = read_current(root)
    except NoSnapshot:
        return "", []
    kept: dict[str, Item] = {}
    for folder in sorted((root / "snapshots").glob("*")):
        try:
            manifest = read_manifest(root, folder.name)
            found = [
                repository.keep_file(
                    sealed_path(root, folder.name, seal),
                    f"snapshots/{'' if seal.path.startswith(SHARED) else f'snapshots/{folder.name}/'}{seal.path}",
                    seal.sha256,
                )
                for seal in manifest.files
            ]
            beside = [path for path in (folder / "manifest.json", folder / "card.md") if path.exists()]
            found += [repository.keep_file(path, f"snapshots/snapshots/{folder.name}/{path.name}") for path in beside]
        except (SnapshotError, BackupError, OSError) as error:
            if folder.name == current:
                raise BackupError(f"the published snapshot cannot be kept: {error}") from error
            continue  # a damaged one that is not in use
        for item in found:
            kept[item.place] = item
            progress("backup", 1)
    items = [*kept.values()]
    for name in (HISTORY, WITHDRAWN):
        if (root / name).exists():
            items.append(repository.keep_file(root / name, f"snapshots/{name}"))
    return current, items


def keep_embeddings(folder: Path, scratch: Path, repository: Repository, progress: Progress) -> list[Item]:
    """Back up the embeddings, since recomputing them takes hours."""
    items = []
    for path in sorted(folder.glob("*.sqlite")):
        copy = scratch / path.name
        copy_sqlite(path, copy)
        items.append(repository.keep_file(copy, f"embeddings/{path.name}"))
        copy.unlink()
        progress("backup", 1)
    return items


def keep_observed(
    wanted: frozenset[str],
    files: PhotoFiles,
    repository: Repository,
    photos: dict[str, Item],
    progress: Progress,
) -> list[str]:
    """Back up photos of observations; returns those missing from the store."""
    lost = []
    for sha256 in sorted(wanted - photos.keys()):
        place = f"observations/{sha256[:2]}/{sha256}"
        try:
            if repository.has(sha256):
                photos[sha256] = Item(place, sha256, repository.path(sha256).stat().st_size)
            else:
                photos[sha256] = repository.keep(io.BytesIO(files.get(sha256)), place, sha256)
        except UnknownPhoto:
            lost.append(place)
            continue
        progress("backup", 1)
    return lost


def keep_stored(
    locations: tuple[str, ...], store: Path, repository: Repository, progress: Progress
) -> tuple[list[Item], list[str]]:
    """Back up reference photos in the data folder; returns them and those that are missing."""
    items, lost = [], []
    for sha256 in sorted({location.removeprefix(STORED) for location in locations if location.startswith(STORED)}):
        path, place = stored_path(store, sha256), f"photos/{sha256[:2]}/{sha256}"
        try:
            items.append(repository.keep_file(path, place, sha256))
        except (FileNotFoundError, BackupError):
            lost.append(place)
        progress("backup", 1)
    return items, lost
