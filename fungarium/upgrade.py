"""upgrade: bring the database up to date with the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fungarium.terminal import with_settings

if TYPE_CHECKING:
    from settings import Settings


@click.command()
@with_settings
def upgrade(settings: Settings) -> int:
    """Bring the database's tables up to date.

    Says whether the published snapshot can still be read. All other commands refuse a database of an older version.
    Make a backup first, with the version that made it. Ends with 1 if the snapshot has to be built again.
    """
    from database.session import latest_revision, read_revision
    from database.session import upgrade as upgrade_tables
    from retrieval.errors import DamagedSnapshot, SnapshotMismatch
    from retrieval.snapshots.manifest import current_or_none, read_manifest

    before = read_revision(settings.database_url)
    upgrade_tables(settings.database_url)
    after = latest_revision()
    if before in ("", after):
        print(f"the tables are up to date ({after})")
    else:
        print(f"the tables are up to date: {before} became {after}")
    try:
        name = current_or_none(settings.flora_indexes)
        if name is not None:
            read_manifest(settings.flora_indexes, name)
    except (DamagedSnapshot, SnapshotMismatch) as error:
        print(f"{error}: run `fungarium index build` and `fungarium index publish`")
        return 1
    return 0
