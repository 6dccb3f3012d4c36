"""backup make, list, verify, restore, prune: database, photos, embeddings and snapshots."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from database.backups.making import BackupSources, make_backup
from database.backups.repository import Repository
from database.backups.restoring import restore_backup
from database.errors import BackupError


def register(commands: Any) -> None:
    """Add the commands to the parser."""
    command = commands.add_parser("backup", help="back up database, photos, embeddings and snapshots, and restore them")
    verbs = command.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, does, act in (
        ("make", "back up what is new since the last time; the server may go on", make),
        ("list", "list the backups of a folder, the oldest first", list_all),
        ("verify", "read every byte of a backup", verify),
        ("restore", "restore a backup where there is nothing yet", restore),
        ("prune", "remove all but the latest backups", prune),
    ):
        one = verbs.add_parser(verb, help=does, description=does)
        one.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of backups")
        if verb in ("verify", "restore"):
            one.add_argument("name", nargs="?", default="", metavar="NAME", help="default: the latest")
        if verb == "prune":
            one.add_argument("--keep", type=int, required=True, metavar="N", help="how many stay")
        one.set_defaults(alone=act)


def make(options: argparse.Namespace, places: BackupSources) -> int:
    """Make a backup; ends with 1 where something that the database speaks of is nowhere any more."""
    repository = Repository(options.folder)
    with progress("backup") as advance:
        report = make_backup(places, repository, advance=advance)
    print(f"{report.name}: {report.files} files, {report.bytes:,} bytes")
    print(f"  new: {report.copied_files} files, {report.copied_bytes:,} bytes")
    if report.elsewhere:
        print(f"  {report.elsewhere} reference photos lie in folders of their own and are not part of it")
    for place in report.lost:
        print(f"  lost before: {place}", file=sys.stderr)
    return 1 if report.lost else 0


def list_all(options: argparse.Namespace, _: BackupSources) -> int:
    """Print one line for each backup."""
    repository = Repository(options.folder)
    for name in repository.names():
        backup = repository.read(name)
        size = sum(item.bytes for item in backup.items)
        print(f"{name}\t{backup.system}\t{len(backup.items)} files\t{size:,} bytes\tsnapshot {backup.current or '-'}")
    return 0


def verify(options: argparse.Namespace, _: BackupSources) -> int:
    """Read every byte; ends with 1 where something is not what it was."""
    repository = Repository(options.folder)
    backup = repository.read(options.name)
    faults = repository.check(backup)
    for fault in faults:
        print(fault)
    if not faults:
        print(f"{backup.name} is whole")
    return 1 if faults else 0


def restore(options: argparse.Namespace, places: BackupSources) -> int:
    """Restore a backup into the places that the settings name."""
    with progress("restore") as advance:
        name = restore_backup(places, Repository(options.folder), options.name, advance=advance)
    print(f"restored {name}")
    return 0


def prune(options: argparse.Namespace, _: BackupSources) -> int:
    """Remove old backups."""
    if options.keep < 1:
        raise BackupError("--keep must be 1 or more: to remove all backups, remove the folder")
    repository = Repository(options.folder)
    with repository.writing():
        backups, files = repository.prune(options.keep)
    print(f"{backups} backups and {files} files removed")
    return 0


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], object]]:
    """A bar that is told of files."""
    with tqdm(desc=what, unit=" files", file=sys.stderr) as bar:
        yield lambda place: bar.update(1)
