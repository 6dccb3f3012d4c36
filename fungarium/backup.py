"""backup: back up and restore database, photos, embeddings and snapshots."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fungarium.terminal import PATH, Group, ProgressBars, with_settings

if TYPE_CHECKING:
    from database.backups.making import BackupSources
    from settings import Settings

folder_argument = click.argument("folder", type=PATH)
name_argument = click.argument("name", default="")


@click.group(cls=Group)
def backup() -> None:
    """Back up and restore all data of the server.

    Database, photos, embeddings and snapshots. FOLDER is that of the backups.
    """


@backup.command()
@folder_argument
@with_settings
def make(settings: Settings, folder: Path) -> int:
    """Back up what is new since the last backup.

    The server may run meanwhile. Ends with 1 if a file that the database names is missing.
    """
    from database.backups.making import make_backup
    from database.backups.repository import Repository

    with ProgressBars(" files") as bars:
        report = make_backup(sources(settings), Repository(folder), progress=bars)
    print(f"{report.name}: {report.files} files, {report.bytes:,} bytes")
    print(f"  new: {report.copied_files} files, {report.copied_bytes:,} bytes")
    if report.elsewhere:
        print(f"  {report.elsewhere} reference photos are in other folders and are not included")
    if report.healed:
        print(f"  {len(report.healed)} damaged files of earlier backups were written again")
    for place in report.lost:
        print(f"  missing since an earlier backup: {place}", file=sys.stderr)
    return 1 if report.lost else 0


@backup.command("list")
@folder_argument
def list_all(folder: Path) -> None:
    """List the backups in a folder, oldest first."""
    from database.backups.repository import Repository

    repository = Repository(folder)
    for name in repository.names():
        made = repository.read(name)
        size = sum(item.bytes for item in made.items)
        print(f"{name}\t{made.system}\t{len(made.items)} files\t{size:,} bytes\tsnapshot {made.current or '-'}")


@backup.command()
@folder_argument
@name_argument
def verify(folder: Path, name: str) -> int:
    """Read every byte of a backup and compare checksums.

    NAME is the latest by default. Ends with 1 if anything is damaged.
    """
    from database.backups.repository import Repository

    repository = Repository(folder)
    made = repository.read(name)
    faults = [*repository.check_manifest(made), *repository.check(made.items).values()]
    for fault in faults:
        print(fault)
    if not faults:
        print(f"{made.name} is whole")
    return 1 if faults else 0


@backup.command()
@folder_argument
@name_argument
@click.option("--damaged", is_flag=True, help="Restore what is whole of a damaged backup.")
@with_settings
def restore(settings: Settings, folder: Path, name: str, damaged: bool) -> int:
    """Restore a backup to an empty location.

    NAME is the latest by default. With --damaged, lists what could not be restored, and then ends with 1.
    """
    from database.backups.repository import Repository
    from database.backups.restoring import restore_backup

    with ProgressBars(" files") as bars:
        report = restore_backup(sources(settings), Repository(folder), name, damaged=damaged, progress=bars)
    print(f"restored {report.name}")
    for fault in report.faults:
        print(f"  {fault}", file=sys.stderr)
    return 1 if report.faults else 0


@backup.command()
@folder_argument
@click.option("--keep", type=int, required=True, metavar="N", help="Number of backups to keep.")
def prune(folder: Path, keep: int) -> None:
    """Remove all but the latest backups, with their files."""
    from database.backups.repository import Repository
    from database.errors import BackupError

    if keep < 1:
        raise BackupError("--keep must be 1 or more: to remove all backups, remove the folder")
    repository = Repository(folder)
    with repository.writing():
        backups, files = repository.prune(keep)
    print(f"{backups} backups and {files} files removed")


def sources(settings: Settings) -> BackupSources:
    """Return the locations of everything that a backup includes."""
    from database.backups.making import BackupSources

    return BackupSources(settings.database_url, settings.photos_at, settings.data.absolute(), settings.flora_indexes)
