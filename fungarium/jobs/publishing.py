"""What follows a publication: the catalogue notes it, and the atlas is made where that is quick; and withdrawing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from database.collection.snapshots import log_published
from database.errors import DatabaseError
from database.field.withdrawing import mark_photos, withdrawn_photos
from database.session import open_database
from fungarium.terminal import Bars
from indexer.building.atlas import best_method, build_atlas
from indexer.building.grow import published_snapshot
from retrieval.errors import BuildError, UnknownPhoto
from retrieval.segments.segment import Segment
from retrieval.snapshots.atlas import atlas_path, name_references
from retrieval.snapshots.manifest import current_or_none, read_current, read_manifest
from retrieval.snapshots.snapshot import open_snapshot
from retrieval.snapshots.withdrawals import readmit_photos, withdraw_photos
from settings import Settings

AT_PUBLISH = {"pca": 100_000, "tsne": 20_000}  # references laid out with publishing: in ten seconds, in a minute


def announce(name: str, settings: Settings) -> None:
    """Say which snapshot is published now, and note it in the catalogue."""
    print(f"published {name}")
    try:
        with open_database(settings.database_url) as database, database.writing() as session:
            log_published(session, name)
            withdraw_photos(settings.flora_indexes, withdrawn_photos(session))  # marked before there was a list
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
    with closing(open_snapshot(settings.flora_indexes, with_withdrawn=True)) as snapshot:
        with Bars("reference") as bars:
            made = build_atlas(settings.flora_indexes, snapshot, method=method, progress=bars)
        doubtful = int((made.strangers > 0).sum())
        print(f"atlas of {snapshot.name}: {len(made.rows)} references by {made.method}, {doubtful} doubtful")


def withdraw(settings: Settings, photos: Sequence[str], *, dataset: str, observation: str) -> None:
    """Put photos on the list that every snapshot obeys, and mark them in the catalogue.

    Raises BuildError where none are named, UnknownPhoto for one that is nowhere.
    """
    require_some(photos, dataset, observation)
    root, meant = settings.flora_indexes, set[str]()

    def put_on_list(marked: Sequence[str]) -> None:
        meant.update(marked, photos)
        if strangers := sorted(set(photos) - set(marked) - find_held(root, photos)):
            raise UnknownPhoto(f"neither the catalogue nor a snapshot has a reference photo {strangers[0][:64]!r}")
        withdraw_photos(root, meant)

    marked = mark(settings, photos, put_on_list, dataset=dataset, observation=observation)
    shown = 0
    if current_or_none(root) is not None:
        with published_snapshot(root) as published:
            shown = sum(len(segment.rows_of_photos(meant)) for segment in published.segments)
    print(f"{len(marked)} photos withdrawn from the catalogue, {shown} from the published snapshot")


def readmit(settings: Settings, photos: Sequence[str], *, dataset: str, observation: str) -> None:
    """Take photos off the list and unmark them; raises BuildError where none are named."""
    require_some(photos, dataset, observation)
    marked = mark(settings, photos, dataset=dataset, observation=observation, undo=True)
    back = readmit_photos(settings.flora_indexes, {*marked, *photos})
    print(
        f"{len(marked)} photos may be references again, {back} of them were withdrawn from all snapshots; what the "
        "published one does not hold comes with the next `fungarium index build` and `publish`"
    )


def require_some(photos: Sequence[str], dataset: str, observation: str) -> None:
    """Raise BuildError where nothing is named."""
    if not (photos or dataset or observation):
        raise BuildError("say what to withdraw: PHOTO..., --dataset ID or --observation DATASET:KEY")


def find_held(root: Path, photos: Sequence[str]) -> set[str]:
    """Those of the photos that any snapshot holds, published or not."""
    held = set()
    for folder in sorted((root / "segments").glob("*")) if photos else ():
        with closing(Segment(folder, 0)) as segment:
            held |= {segment.reference(int(row)).photo for row in segment.rows_of_photos(photos)}
    return held


def mark(
    settings: Settings,
    photos: Sequence[str],
    settle: Callable[[Sequence[str]], object] = lambda marked: None,
    *,
    dataset: str,
    observation: str,
    undo: bool = False,
) -> list[str]:
    """Mark the photos in the catalogue; snapshots can be served, and cleaned, where there is none.

    `settle` is told which ones before this is final: a photo that it could not deal with is not marked.
    """
    try:
        with open_database(settings.database_url) as database, database.writing() as session:
            marked = mark_photos(session, photos=photos, dataset=dataset, observation=observation, withdrawn=not undo)
            settle(marked)
            return marked
    except DatabaseError as error:
        if undo or dataset or observation:
            raise
        settle([])
        print(f"not noted in the catalogue: {error}", file=sys.stderr)
        return []
