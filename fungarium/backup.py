"""backup: database, photos, embeddings and snapshots, and back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fungarium.terminal import PATH, Bars, Group, with_settings

if TYPE_CHECKING:
    from database.backups.making import BackupSources
    from settings import Settings

folder_argument = click.argument("folder", type=PATH)
name_argument = click.argument("name", default="")


@click.group(cls=Group)
def backup() -> None:
    """Back up and restore everything that the server keeps.

    Database, photos, embeddings and snapshots. FOLDER is that of the backups.
    """


@backup.command()
@folder_argument
@with_settings
def make(settings: Settings, folder: Path) -> int:
    """Back up what is new since the last time; the server may go on.

    Ends with 1 where something that the database speaks of is nowhere any more.
    """
    from database.backups.making import make_backup
    from database.backups.repository import Repository

    with Bars(" files") as bars:
        report = make_backup(sources(settings), Repository(folder), progress=bars)
    print(f"{report.name}: {report.files} files, {report.bytes:,} bytes")
    print(f"  new: {report.copied_files} files, {report.copied_bytes:,} bytes")
    if report.elsewhere:
        print(f"  {report.elsewhere} reference photos lie in folders of their own and are not part of it")
    for place in report.lost:
        print(f"  lost before: {place}", file=sys.stderr)
    return 1 if report.lost else 0


@backup.command("list")
@folder_argument
def list_all(folder: Path) -> None:
    """List the backups of a folder, the oldest first."""
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
    """Read every byte of a backup.

    NAME is the latest by default. Ends with 1 where something is not what it was.
    """
    from database.backups.repository import Repository

    repository = Repository(folder)
    made = repository.read(name)
    faults = repository.check(made)
    for fault in faults:
        print(fault)
    if not faults:
        print(f"{made.name} is whole")
    return 1 if faults else 0


@backup.command()
@folder_argument
@name_argument
@with_settings
def restore(settings: Settings, folder: Path, name: str) -> None:
    """Restore a backup where there is nothing yet.

    NAME is the latest by default.
    """
    from database.backups.repository import Repository
    from database.backups.restoring import restore_backup

    with Bars(" files") as bars:
        restored = restore_backup(sources(settings), Repository(folder), name, progress=bars)
    print(f"restored {restored}")


@backup.command()
@folder_argument
@click.option("--keep", type=int, required=True, metavar="N", help="How many stay.")
def prune(folder: Path, keep: int) -> None:
    """Remove all but the latest backups, with what only they held."""
    from database.backups.repository import Repository
    from database.errors import BackupError

    if keep < 1:
        raise BackupError("--keep must be 1 or more: to remove all backups, remove the folder")
    repository = Repository(folder)
    with repository.writing():
        backups, files = repository.prune(keep)
    print(f"{backups} backups and {files} files removed")


def sources(settings: Settings) -> BackupSources:
    """Where everything lies that a backup keeps."""
    from database.backups.making import BackupSources

    return BackupSources(settings.database_url, settings.photos_at, settings.data.absolute(), settings.flora_indexes)
