"""Restores a backup into an empty installation: photos and snapshots first, then what refers to them.

An interrupted restore can be run again and continues; other existing files are never overwritten. Of a damaged backup
nothing is restored, or, if asked for, everything that is whole.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from database.backups.dumps import is_free, restore_database
from database.backups.making import BackupSources
from database.backups.repository import Backup, Item, Repository
from database.errors import BackupError
from database.field.photo_files import PhotoFiles, write_whole
from database.session import parse_url
from retrieval.errors import SnapshotError
from retrieval.progress import Progress, silent
from retrieval.snapshots.manifest import current_or_none, read_manifest, switch_current, verify_files
from retrieval.snapshots.publishing import previous_published
from retrieval.snapshots.withdrawals import FILE as WITHDRAWN
from retrieval.snapshots.withdrawals import parse_withdrawals, withdraw_photos

MARK = (
    ".restoring"  # in the data folder during a restore: the backup's name, and whether its database is being restored
)
WITHDRAWALS = f"snapshots/{WITHDRAWN}"


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """The restored backup, and what of it could not be restored: a sentence for each file."""

    name: str
    faults: tuple[str, ...] = ()


def restore_backup(
    places: BackupSources,
    repository: Repository,
    name: str = "",
    *,
    damaged: bool = False,
    progress: Progress = silent,
) -> RestoreReport:
    """Restore a backup, by default the latest.

    Raises BackupError, without any change, if a target is not empty, or if the backup is damaged: unless `damaged`,
    which restores what is whole of it. A damaged database is then replaced by that of the latest other backup with a
    whole one, together with the photos of that backup. A snapshot is published only if it is whole, and none if the
    list of withdrawn photos is lost.
    """
    backup = repository.read(name)
    mark = places.data / MARK
    begun, _, reached = mark.read_text(encoding="utf-8").partition("\n") if mark.exists() else ("", "", "")
    if begun and begun != backup.name:
        raise BackupError(f"the restore of {begun} has been interrupted here; go on with that one: restore {begun}")
    if parse_url(places.database_url).get_backend_name() != backup.system:
        raise BackupError(f"the backup is of {backup.system}; set FUNGARIUM_DATABASE to an address of that system")
    free = is_free(places.database_url)
    if not free and not reached:  # a database is restored whole or not at all: what is there then is the restored one
        raise BackupError("there is a database with tables already; nothing is restored over it")
    if not begun and (taken := first_taken(places)):
        raise BackupError(f"there is something at {taken} already; nothing is restored over it")
    faults = repository.check(backup.items)
    if faults and not damaged:
        raise BackupError(
            f"backup {backup.name} is not whole, and nothing was restored: {next(iter(faults.values()))};"
            " --damaged restores the rest"
        )
    sources, said = choose_database(repository, backup, faults)
    own = {item.place for item in backup.items}
    more = [item for other in sources for item in other.items if is_photo(item) and item.place not in own]
    faults |= repository.check(more)
    if not begun:
        write_whole(mark, f"{backup.name}\n".encode(), durable=True)
    whole = [item for item in (*backup.items, *more) if item not in faults]
    restore_files(places, repository, whole, progress)
    if free and sources:
        (database,) = sources[0].under("database")
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=places.data) as folder:
            dump = Path(folder) / "dump"
            copy_item(repository, database, dump)
            write_whole(mark, f"{backup.name}\ndatabase\n".encode(), durable=True)
            restore_database(places.database_url, dump, backup.system)
    if backup.current:
        said += point_to(places.snapshots, backup, faults)
    mark.unlink()
    return RestoreReport(backup.name, (*faults.values(), *said))


def choose_database(
    repository: Repository, backup: Backup, faults: Mapping[Item, str]
) -> tuple[list[Backup], list[str]]:
    """Return the backup whose database is restored, in a list; none if all are damaged. And what has to be said."""
    (database,) = backup.under("database")
    if database not in faults:
        return [backup], []
    for name in reversed(repository.names()):
        try:
            other = repository.read(name)
            (database,) = other.under("database")
            repository.read_item(database)
        except BackupError:
            continue
        if other.system == backup.system:
            return [other], [f"the database is that of backup {name}: what was recorded otherwise is lost"]
    return [], ["no backup has a whole database: none was restored"]


def is_photo(item: Item) -> bool:
    """Return whether a file is a photo, of references or of observations."""
    return item.place.startswith(("photos/", "observations/"))


def restore_files(places: BackupSources, repository: Repository, items: list[Item], progress: Progress) -> None:
    """Restore everything but the database."""
    files = PhotoFiles(places.observation_photos)
    roots = {"photos": places.data / "photos", "embeddings": places.data / "embeddings", "snapshots": places.snapshots}
    for item in items:
        part, _, rest = item.place.partition("/")
        if part == "database":
            continue
        if part == "observations":
            files.put(repository.read_item(item))
        elif item.place == WITHDRAWALS:  # added to the existing withdrawals, which stay in force
            withdraw_photos(roots[part], parse_withdrawals(repository.read_item(item)))
        else:
            copy_item(repository, item, roots[part] / rest)
        progress("restore", 1, len(items))


def point_to(root: Path, backup: Backup, faults: Mapping[Item, str]) -> list[str]:
    """Publish the snapshot that was published, or the latest whole one before it; returns what has to be said."""
    if current_or_none(root) is not None:  # by this restore, before it was interrupted
        return []
    if any(item.place == WITHDRAWALS for item in faults):
        return [
            "nothing is published, since withdrawn photos are not known: `fungarium index publish` asks the database"
        ]
    for name in (backup.current, *previous_published(root, backup.current)):
        try:
            manifest = read_manifest(root, name)
            if faults:
                verify_files(root, manifest)
        except SnapshotError as error:
            if not faults:
                raise BackupError(f"backup {backup.name} is no backup of ours: {error}") from error
            continue
        switch_current(root, name)
        return [] if name == backup.current else [f"snapshot {backup.current} is not whole: {name} is published"]
    return ["no whole snapshot is left to publish: build one with `fungarium index build`"]


def copy_item(repository: Repository, item: Item, target: Path) -> None:
    """Write a file of the backup, unless an interrupted restore has written it."""
    if not (target.is_file() and target.stat().st_size == item.bytes):
        write_whole(target, repository.read_item(item), durable=True)


def first_taken(places: BackupSources) -> str:
    """Return the first location that is not empty; empty text if all are free."""
    for folder in (places.data / "photos", places.data / "embeddings", places.snapshots / "snapshots"):
        if folder.exists() and any(folder.iterdir()):
            return str(folder)
    if (places.snapshots / "CURRENT").exists():
        return str(places.snapshots / "CURRENT")
    first = next(PhotoFiles(places.observation_photos).everything(), None)
    return places.observation_photos.partition("?")[0] if first is not None else ""
