"""After publication: record it in the catalogue, and make the atlas if that is quick. Also withdraws photos."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import click

from database.collection.snapshots import log_published
from database.errors import DatabaseError
from database.field.withdrawing import mark_photos, withdrawn_photos
from database.session import open_database
from fungarium.jobs.opening import open_models
from fungarium.terminal import ProgressBars
from indexer.building.atlas import best_method, build_atlas
from indexer.building.grow import published_snapshot
from retrieval.errors import BuildError, FungariumError, SnapshotError, UnknownPhoto
from retrieval.segments.segment import Segment
from retrieval.snapshots.atlas import atlas_path, name_references
from retrieval.snapshots.manifest import STABLE, current_or_none, read_current, read_manifest
from retrieval.snapshots.snapshot import open_snapshot
from retrieval.snapshots.withdrawals import readmit_photos, withdraw_photos
from settings import Settings

AT_PUBLISH = {"pca": 100_000, "tsne": 20_000}  # references laid out when publishing: ten seconds and one minute


def announce(name: str, settings: Settings, line: str = STABLE) -> None:
    """Print the published snapshot's name, and record it in the catalogue."""
    print(f"published {name}" if line == STABLE else f"published {name} as {line}")
    try:
        with open_database(settings.database_url) as database, database.writing() as session:
            if line == STABLE:
                log_published(session, name)
            withdraw_photos(settings.flora_indexes, withdrawn_photos(session))  # marked before there was a list
    except DatabaseError as error:  # snapshots can be published without a catalogue
        print(f"not recorded in the catalogue: {error}", file=sys.stderr)


def require_served(settings: Settings, name: str) -> None:
    """Raise BuildError where no model of the settings is that of a snapshot: servers would refuse to open it."""
    manifest, configured = read_manifest(settings.flora_indexes, name), []
    for opened in open_models(settings):
        if opened.model == manifest.model["model"]:
            return
        configured.append(opened.model)
    raise BuildError(
        f"{name} was built with the model {manifest.model['model']}, and the settings name {', '.join(configured)}: "
        "name its handle in FUNGARIUM_LINE_MODELS or FUNGARIUM_MODEL, for servers too"
    )


def agree_to_model(settings: Settings, name: str, *, is_agreed: bool = False) -> None:
    """Say what a snapshot made with another model than the published one asks of servers, and ask a person.

    Where there is no terminal, such as in cron, the command itself is the consent. Raises BuildError if it is refused.
    """
    current = current_or_none(settings.flora_indexes)
    try:
        models = [read_manifest(settings.flora_indexes, one).model["model"] for one in (current, name) if one]
    except SnapshotError:  # a damaged snapshot answers nobody, and verification refuses to publish one
        return
    if len(set(models)) < 2:
        return
    before, after = models
    print(
        f"{name} was made with the model {after}, and {current}, which is published, with {before}: servers open it "
        f"only if FUNGARIUM_MODEL or FUNGARIUM_LINE_MODELS names {after}; {describe_models(settings, after)}",
        file=sys.stderr,
    )
    if not is_agreed and sys.stdin.isatty() and not click.confirm("Change the model?", default=False, err=True):
        raise BuildError(f"nothing was changed: {current} stays published")


def describe_models(settings: Settings, wanted: str) -> str:
    """Say whether the settings of this command name a model."""
    try:
        named = [opened.model for opened in open_models(settings)]
    except FungariumError as error:
        return f"the model of the settings here cannot be opened ({error})"
    if wanted in named:
        return "the settings here do"
    return f"the settings here name {', '.join(named)}, so change them before servers are asked"


def lay_out_published(settings: Settings, *, wanted: bool | None = None) -> None:
    """Make the atlas of the snapshot just published unless it has one; `wanted` None: if that is quick.

    Readers already use the snapshot; interrupting this loses only the atlas.
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
    except Exception as error:  # any error: readers already use the snapshot, and no answer depends on the atlas
        print(f"no atlas: {error or type(error).__name__}; `fungarium index atlas` makes it", file=sys.stderr)


def lay_out(settings: Settings, method: str) -> None:
    """Make the atlas of the published snapshot, whatever its size, and print its figures."""
    with closing(open_snapshot(settings.flora_indexes, with_withdrawn=True)) as snapshot:
        with ProgressBars("reference") as bars:
            made = build_atlas(settings.flora_indexes, snapshot, method=method, progress=bars)
        doubtful = int((made.strangers > 0).sum())
        print(f"atlas of {snapshot.name}: {len(made.rows)} references by {made.method}, {doubtful} doubtful")


def withdraw(settings: Settings, photos: Sequence[str], *, dataset: str, observation: str) -> None:
    """Add photos to the list of withdrawals of all snapshots, and mark them in the catalogue.

    Raises BuildError if none are named, UnknownPhoto for one that does not exist.
    """
    require_selection(photos, dataset, observation)
    root, pending = settings.flora_indexes, set[str]()

    def add_to_list(marked: Sequence[str]) -> None:
        pending.update(marked, photos)
        if unknown := sorted(set(photos) - set(marked) - find_in_snapshots(root, photos)):
            raise UnknownPhoto(f"neither the catalogue nor a snapshot has a reference photo {unknown[0][:64]!r}")
        withdraw_photos(root, pending)

    marked = mark(settings, photos, add_to_list, dataset=dataset, observation=observation)
    shown = 0
    if current_or_none(root) is not None:
        with published_snapshot(root) as published:
            shown = sum(len(segment.rows_of_photos(pending)) for segment in published.segments)
    print(f"{len(marked)} photos withdrawn from the catalogue, {shown} from the published snapshot")


def readmit(settings: Settings, photos: Sequence[str], *, dataset: str, observation: str) -> None:
    """Remove photos from the list and unmark them; raises BuildError if none are named."""
    require_selection(photos, dataset, observation)
    marked = mark(settings, photos, dataset=dataset, observation=observation, undo=True)
    back = readmit_photos(settings.flora_indexes, {*marked, *photos})
    print(
        f"{len(marked)} photos may be references again, {back} of them were withdrawn from all snapshots; those "
        "that the published one lacks come with the next `fungarium index build` and `publish`"
    )


def require_selection(photos: Sequence[str], dataset: str, observation: str) -> None:
    """Raise BuildError if nothing is named."""
    if not (photos or dataset or observation):
        raise BuildError("say what to withdraw: PHOTO..., --dataset ID or --observation DATASET:KEY")


def find_in_snapshots(root: Path, photos: Sequence[str]) -> set[str]:
    """Return those of the photos that are in any snapshot, published or not."""
    held = set()
    for folder in sorted((root / "segments").glob("*")) if photos else ():
        with closing(Segment(folder, 0)) as segment:
            held |= {segment.reference(int(row)).photo for row in segment.rows_of_photos(photos)}
    return held


def mark(
    settings: Settings,
    photos: Sequence[str],
    before_commit: Callable[[Sequence[str]], object] = lambda marked: None,
    *,
    dataset: str,
    observation: str,
    undo: bool = False,
) -> list[str]:
    """Mark the photos in the catalogue; snapshots can be used without one.

    `before_commit` is called with the photos before the transaction is committed: if it raises, none is marked.
    """
    try:
        with open_database(settings.database_url) as database, database.writing() as session:
            marked = mark_photos(session, photos=photos, dataset=dataset, observation=observation, withdrawn=not undo)
            before_commit(marked)
            return marked
    except DatabaseError as error:
        if undo or dataset or observation:
            raise
        before_commit([])
        print(f"not recorded in the catalogue: {error}", file=sys.stderr)
        return []
