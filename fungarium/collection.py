"""collection: import archives, checklists, regions and floras into the catalogue, and list what was rejected."""

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
    """A command whose help lists the kinds of archive."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from indexer.archives import KINDS

        with formatter.section("Kinds of archive"):
            formatter.write_dl([*KINDS.items(), ("auto", "detected from the archive")])


@collection.command("import", cls=ImportCommand)
@click.argument("kind", type=OneOf("indexer.archives:KINDS", "auto"), metavar="KIND")
@click.argument("path", type=PATH)
@click.option("--dataset", required=True, metavar="ID", help="The dataset of its observations.")
@click.option("--title", default="", help="The dataset's title.")
@click.option(
    "--licences",
    type=click.Choice(["open", "noncommercial", "any"]),
    default="open",
    show_default=True,
    help="Licences to accept; any: unknown and all-rights-reserved ones too, for private use.",
)
@click.option("--photos", type=PATH, metavar="FOLDER", help="Base folder of relative photo paths.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="FIELD=HEADER",
    help="Name of a column in this archive; FIELD==TEXT sets TEXT where the archive has no value.",
)
@click.option("--uncertain", is_flag=True, help="Accept doubtful identifications too: cf., aff., ?, not verified.")
@click.option("--encoding", default="", help="Encoding of its tables, such as cp1250; detected by default.")
@click.option("--base-url", default="", metavar="URL", help="Base URL of relative photo paths.")
@click.option("--copy", is_flag=True, help="Keep a copy of local photos in the data folder.")
@click.option("--offline", is_flag=True, help="Reject photos given by URL instead of fetching them.")
@with_settings
def import_photos(settings: Settings, **options: Any) -> None:
    """Import an archive of photos: a file or a folder.

    Run again, it resumes an interrupted import, and leaves imported photos unchanged.
    """
    from fungarium.jobs.importing import import_photos

    import_photos(settings, options)


@collection.command()
@click.argument("dataset")
@click.option("--reason", default="", help="Only rejections with this reason.")
@with_settings
def rejections(settings: Settings, dataset: str, reason: str) -> None:
    """List the rejections of a dataset's imports, with reasons."""
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
