"""What follows a publication: the catalogue notes it, and the atlas is made where that is quick; and withdrawing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing

from database.collection.snapshots import log_published
from database.errors import DatabaseError
from database.field.withdrawing import mark_photos
from database.session import open_database
from fungarium.terminal import Bars
from indexer.building.atlas import best_method, build_atlas
from indexer.building.grow import published_snapshot, withdraw_references
from retrieval.errors import BuildError, UnknownPhoto
from retrieval.snapshots.atlas import atlas_path, name_references
from retrieval.snapshots.manifest import read_current, read_manifest
from retrieval.snapshots.publishing import current_or_none, publish_snapshot
from retrieval.snapshots.snapshot import open_snapshot
from settings import Settings

AT_PUBLISH = {"pca": 100_000, "tsne": 20_000}  # references laid out with publishing: in ten seconds, in a minute


def announce(name: str, settings: Settings) -> None:
    """Say which snapshot is published now, and note it in the catalogue."""
    print(f"published {name}")
    try:
        with open_database(settings.database_url) as database, database.writing() as session:
            log_published(session, name)
    except DatabaseError as error:  # snapshots can be published where there is no catalogue
        print(f"not noted in the catalogue: {error}", file=sys.stderr)


def lay_out_published(settings: Settings, *, wanted: bool | None = None) -> None:
    """Make the atlas of what was just published, unless its references have one; None: where it is quick.

    Readers have gone over to the snapshot already, and whoever breaks this off loses the atlas alone.
    """
    root = settings.flora_indexes
    manifest = read_manifest(root, read_current(root))
    if wanted is False or (wanted is None and atlas_path(root, name_references(manifest)).exists()):
        return
    if wanted is None and manifest.references > AT_PUBLISH[best_method()]:
        print(
            f"no atlas yet: {manifest.references:,} references take a while; `fungarium index atlas` lays them out",
            file=sys.stderr,
        )
        return
    try:
        lay_out(settings, "")
    except Exception as error:  # whatever it is: readers have gone over, and no answer depends on the atlas
        print(f"no atlas: {error or type(error).__name__}; `fungarium index atlas` makes it", file=sys.stderr)


def lay_out(settings: Settings, method: str) -> None:
    """Make the atlas of the published snapshot, whatever its size, and say what is in it."""
    with closing(open_snapshot(settings.flora_indexes)) as snapshot:
        with Bars("reference") as bars:
            made = build_atlas(settings.flora_indexes, snapshot, method=method, progress=bars)
        doubtful = int((made.strangers > 0).sum())
        print(f"atlas of {snapshot.name}: {len(made.rows)} references by {made.method}, {doubtful} doubtful")


def withdraw_photos(settings: Settings, photos: Sequence[str], *, dataset: str, observation: str, undo: bool) -> None:
    """Mark photos in the catalogue and publish without them; with `undo`, unmark them.

    Raises BuildError where none are named, UnknownPhoto for one that is nowhere.
    """
    if not (photos or dataset or observation):
        raise BuildError("say what to withdraw: PHOTO..., --dataset ID or --observation DATASET:KEY")
    marked = mark(settings, photos, dataset=dataset, observation=observation, undo=undo)
    if undo:
        print(f"{len(marked)} photos may be references again: run `fungarium index build` and `publish`")
        return
    root = settings.flora_indexes
    shown = set()
    if current_or_none(root) is not None:
        with published_snapshot(root) as published:
            meant = {*marked, *photos}
            shown = {
                photo for photo in meant if any(s.reference_of_photo(photo) is not None for s in published.segments)
            }
    if strangers := [photo for photo in photos if photo not in shown and photo not in marked]:
        raise UnknownPhoto(f"neither catalogue nor published snapshot has a reference photo {strangers[0][:64]!r}")
    print(f"{len(marked)} photos withdrawn from the catalogue, {len(shown)} from the published snapshot")
    if shown:
        announce(publish_snapshot(root, withdraw_references(root, shown)), settings)
        lay_out_published(settings)


def mark(settings: Settings, photos: Sequence[str], *, dataset: str, observation: str, undo: bool) -> list[str]:
    """Mark the photos in the catalogue; snapshots can be served, and cleaned, where there is none."""
    try:
        with open_database(settings.database_url) as database, database.writing() as session:
            return mark_photos(session, photos=photos, dataset=dataset, observation=observation, withdrawn=not undo)
    except DatabaseError as error:
        if undo or dataset or observation:
            raise
        print(f"not noted in the catalogue: {error}", file=sys.stderr)
        return []
