"""collection: archives, checklists, regions and floras into the catalogue, and what was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fungarium.floras import checklist, flora, region
from fungarium.terminal import PATH, Group, OneOf, with_settings

if TYPE_CHECKING:
    from settings import Settings


@click.group(cls=Group)
def collection() -> None:
    """Import archives of photos, checklists, regions and floras."""


class ImportCommand(click.Command):
    """Its help lists the kinds of archive that there are."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from indexer.archives import KINDS

        with formatter.section("Kinds of archive"):
            formatter.write_dl([*KINDS.items(), ("auto", "found out from the archive itself")])


@collection.command("import", cls=ImportCommand)
@click.argument("kind", type=OneOf("indexer.archives:KINDS", "auto"), metavar="KIND")
@click.argument("path", type=PATH)
@click.option("--dataset", required=True, metavar="ID", help="The dataset its observations belong to.")
@click.option("--title", default="", help="The dataset's title.")
@click.option(
    "--licences",
    type=click.Choice(["open", "noncommercial", "any"]),
    default="open",
    show_default=True,
    help="Which licences are accepted; any: unknown and reserved ones too, for use in private.",
)
@click.option("--photos", type=PATH, metavar="FOLDER", help="Folder that photo paths are relative to.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="FIELD=HEADER",
    help="How a column is called in this archive; FIELD==TEXT gives TEXT where the archive says nothing.",
)
@click.option("--uncertain", is_flag=True, help="Take doubtful identifications too: cf., aff., ?, not verified.")
@click.option("--encoding", default="", help="Of its tables, such as cp1250; found out where nothing is said.")
@click.option("--base-url", default="", metavar="URL", help="Address that photo paths are relative to.")
@click.option("--copy", is_flag=True, help="Keep a copy of local photos in the data folder.")
@click.option("--offline", is_flag=True, help="Reject photos behind addresses instead of fetching.")
@with_settings
def import_photos(settings: Settings, **options: Any) -> None:
    """Import an archive of photos: a file or a folder.

    Run again, it goes on where it was cut short and changes nothing that is there.
    """
    from fungarium.jobs.importing import import_photos

    import_photos(settings, options)


@collection.command()
@click.argument("dataset")
@click.option("--reason", default="", help="Only those with this reason.")
@with_settings
def rejections(settings: Settings, dataset: str, reason: str) -> None:
    """List what imports of a dataset left out, and why."""
    from itertools import chain

    from database.collection import imports
    from database.session import open_database

    with open_database(settings.database_url) as database, database.reading() as session:
        left_out = (imports.rejections, imports.dropped_values)
        for entry in chain.from_iterable(listed(session, dataset, reason) for listed in left_out):
            place = f"{entry.file}, line {entry.line}" if entry.line else entry.file or entry.photo
            print(f"{entry.reason}\t{place}\t{entry.detail}")


collection.add_command(checklist)
collection.add_command(region)
collection.add_command(flora)


@collection.command()
@with_settings
def upgrade(settings: Settings) -> None:
    """Make the database's tables, or bring them up to date."""
    from database.session import upgrade as upgrade_tables

    upgrade_tables(settings.database_url)
    print("the tables are up to date")
