"""`python -m database COMMAND`: people, keys and what observations need, for administrators."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from database.backups.making import BackupSources
from database.commands import backups, fates, field, keys, people
from database.session import open_database, upgrade
from retrieval.command import run_guarded
from settings import Settings, read_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    parser = argparse.ArgumentParser(prog="python -m database", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (people, keys, field, fates, backups):
        module.register(commands)
    options = parser.parse_args(arguments)

    def run() -> int:
        settings = read_settings()
        if "alone" in options:  # a restore makes the database itself
            return int(options.alone(options, places_of(settings)))
        options.photos_at = settings.photos_at
        upgrade(settings.database_url)
        with open_database(settings.database_url) as database:
            return int(options.func(options, database))

    return run_guarded(run)


def places_of(settings: Settings) -> BackupSources:
    """Where everything lies that a backup keeps."""
    return BackupSources(settings.database_url, settings.photos_at, settings.data.absolute(), settings.flora_indexes)


if __name__ == "__main__":
    sys.exit(main())
