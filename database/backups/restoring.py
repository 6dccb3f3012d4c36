"""Restores a backup into an empty installation: photos and snapshots first, then what refers to them.

An interrupted restore can be run again and continues; other existing files are never overwritten.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from database.backups.dumps import is_free, restore_database
from database.backups.making import BackupSources
from database.backups.repository import Backup, Item, Repository
from database.errors import BackupError
from database.field.photo_files import PhotoFiles, write_whole
from database.session import parse_url
from retrieval.progress import Progress, silent
from retrieval.snapshots.manifest import NAME, switch_current
from retrieval.snapshots.withdrawals import FILE as WITHDRAWN
from retrieval.snapshots.withdrawals import parse_withdrawals, withdraw_photos

MARK = ".restoring"  # in the data folder during a restore


def restore_backup(
    places: BackupSources,
    repository: Repository,
    name: str = "",
    *,
    progress: Progress = silent,
) -> str:
    """Restore a backup, by default the latest; returns its name.

    Raises BackupError, without any change, if the backup is damaged or a target is not empty.
    """
    backup = repository.read(name)
    mark = places.data / MARK
    begun = mark.read_text(encoding="utf-8").strip() if mark.exists() else ""
    if begun and begun != backup.name:
        raise BackupError(f"the restore of {begun} has been interrupted here; go on with that one: restore {begun}")
    if parse_url(places.database_url).get_backend_name() != backup.system:
        raise BackupError(f"the backup is of {backup.system}; set FUNGARIUM_DATABASE to an address of that system")
    if not is_free(places.database_url):
        raise BackupError("there is a database with tables already; nothing is restored over it")
    if not begun and (taken := first_taken(places)):
        raise BackupError(f"there is something at {taken} already; nothing is restored over it")
    if faults := repository.check(backup):
        raise BackupError(f"backup {backup.name} is not whole, and nothing was restored: {faults[0]}")
    write_whole(mark, f"{backup.name}\n".encode(), durable=True)
    files = PhotoFiles(places.observation_photos)
    for item in backup.under("observations"):
        files.put(repository.read_item(item))
        progress("restore", 1, len(backup.items))
    for part, root in (
        ("photos", places.data / "photos"),
        ("embeddings", places.data / "embeddings"),
        ("snapshots", places.snapshots),
    ):
        for item in backup.under(part):
            if item.place == f"snapshots/{WITHDRAWN}":  # added to the existing withdrawals, which stay in force
                withdraw_photos(root, parse_withdrawals(repository.read_item(item)))
                continue
            copy_item(repository, item, root / item.place.removeprefix(f"{part}/"))
            progress("restore", 1, len(backup.items))
    (database,) = backup.under("database")
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=places.data) as folder:
        dump = Path(folder) / "dump"
        copy_item(repository, database, dump)
        restore_database(places.database_url, dump, backup.system)
    if backup.current:
        point_to(places.snapshots, backup)
    mark.unlink()
    return backup.name


def point_to(root: Path, backup: Backup) -> None:
    """Publish the snapshot that was published."""
    if not NAME.fullmatch(backup.current):
        raise BackupError(f"backup {backup.name} is no backup of ours: {backup.current!r} is no name of a snapshot")
    switch_current(root, backup.current)


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
