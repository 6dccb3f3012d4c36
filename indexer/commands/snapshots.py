"""embed, build, publish, rollback, compact, list, verify: from photos to a snapshot that readers open."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from database.collection.snapshots import log_built, log_published
from database.errors import DatabaseError
from database.field.photo_files import PhotoFiles
from database.session import open_database
from indexer.building.adopting import adopt_observations
from indexer.building.build import build_snapshot, describe_tools
from indexer.building.catalogue import PhotosToEmbed, read_catalogue
from indexer.building.grow import compact_snapshot
from indexer.commands.atlases import add_atlas_choice, lay_out_published
from indexer.commands.embedding import embed_where_set
from indexer.commands.progress import StageBars
from indexer.embedding.embeddings import EmbeddingStore
from indexer.photos.finding import PhotoStore
from retrieval.errors import BuildError
from retrieval.models.handles import HANDLES, open_model
from retrieval.photos.crops import AUGMENTATIONS
from retrieval.photos.views import CURATED
from retrieval.search.recipes import RECALL_BAR
from retrieval.snapshots.card import describe_calibration
from retrieval.snapshots.manifest import read_current, read_manifest
from retrieval.snapshots.publishing import list_snapshots, publish_snapshot, roll_back, verify_snapshot
from settings import Settings


def register(commands: Any) -> None:
    """Add the commands to the parser."""
    handles = "; ".join(f"{handle}: {does}" for handle, does in HANDLES.items())
    for name, does, function in (
        ("embed", "embed every photo that has not been embedded with the model yet", embed),
        ("build", "build a snapshot from what has been embedded, without publishing it", build),
    ):
        command = commands.add_parser(name, help=does, description=does)
        command.add_argument("--model", help=f"model handle ({handles}); default: the setting")
        command.add_argument("--card", type=Path, help="file with the model's preprocessing, if not beside the model")
        command.add_argument(
            "--views",
            choices=AUGMENTATIONS,
            default="none",
            help="crops that a photo's row is averaged of (default: %(default)s)",
        )
        command.set_defaults(func=function)
        if name == "embed":
            command.add_argument("--retry", action="store_true", help="try photos again that failed before")
    publish_command = commands.add_parser("publish", help="verify a built snapshot and point readers at it")
    publish_command.add_argument("snapshot", nargs="?", help="its name (default: the one built last)")
    publish_command.add_argument(
        "--recall-bar",
        type=float,
        default=RECALL_BAR,
        help="least recall@10 against exact search, measured when it was built, of any flora (default: %(default)s)",
    )
    add_atlas_choice(publish_command)
    publish_command.set_defaults(func=publish)
    rollback_command = commands.add_parser("rollback", help="go back to the snapshot published before")
    rollback_command.set_defaults(func=rollback)
    verify_command = commands.add_parser("verify", help="check every byte of a snapshot, and its answers")
    verify_command.add_argument("snapshot", nargs="?", help="its name (default: the published one)")
    verify_command.set_defaults(func=verify)
    compact_command = commands.add_parser(
        "compact", help="put all references into one segment, without the withdrawn ones, and publish; answers stay"
    )
    add_atlas_choice(compact_command)
    compact_command.set_defaults(func=compact)
    does = "list the snapshots, the newest first, by their manifests; `verify` reads the rest"
    list_command = commands.add_parser("list", help=does)
    list_command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    list_command.set_defaults(func=list_all)


def embed(options: argparse.Namespace, settings: Settings) -> int:
    """Embed what is new; a second run does no work twice."""
    handle, card_file = options.model or settings.model, options.card or model_card(settings)
    embedder = open_model(handle, card_file)
    card = {**embedder.card, "views": options.views}
    kept = settings.data / "embeddings"
    with open_database(settings.database_url) as database:
        adopt_observations(database, settings.reference_licences, settings.public_url)
        with database.reading() as session:
            files = PhotoFiles(settings.photos_at)
            photos = PhotosToEmbed(session, PhotoStore(settings.data / "photos"), files, kept)
    with closing(photos), EmbeddingStore(kept, describe_tools(card)) as store:
        if options.retry:
            store.forget_failures()
        with tqdm(total=len(photos), desc="embed", unit="photo", file=sys.stderr) as bar:
            report = embed_where_set(
                settings,
                photos,
                store,
                embedder,
                handle,
                card_file,
                limits=CURATED,
                augmentation=options.views,
                advance=bar.update,
            )
        counts = f"{report.embedded} embedded, {report.already} already, {report.failed} failed"
        print(f"model {describe_tools(card)}: {counts}")
        for photo, reason in (*report.unread, *store.failures().items()):
            print(f"  {photo[:16]}: {reason}")
    return 0


def build(options: argparse.Namespace, settings: Settings) -> int:
    """Build a snapshot and print its name."""
    embedder = open_model(options.model or settings.model, options.card or model_card(settings))
    card = {**embedder.card, "views": options.views}
    with (
        ExitStack() as stack,
        open_database(settings.database_url) as database,
        EmbeddingStore(settings.data / "embeddings", describe_tools(card)) as store,
        StageBars() as bars,
    ):
        adopt_observations(database, settings.reference_licences, settings.public_url)
        with database.reading() as session:
            catalogue, missing = read_catalogue(session, store, settings.flora_indexes, advance=bars)
        stack.enter_context(closing(catalogue))
        failed = store.failures()
        waiting = [photo for photo in missing if photo not in failed]
        if len(missing) > len(waiting):
            hint = "`embed` lists them" if len(missing) - len(waiting) > 1 else "`embed` says why"
            print(
                f"{len(missing) - len(waiting)} photos could not be embedded and are left out: {hint}", file=sys.stderr
            )
        if waiting:
            print(f"{len(waiting)} photos have not been embedded and are left out: run embed first", file=sys.stderr)
        name = build_snapshot(settings.flora_indexes, catalogue, store, card, advance=bars)
        manifest = read_manifest(settings.flora_indexes, name)
        with database.writing() as writing:
            log_built(writing, name, manifest.model["model"], manifest.references, manifest.species)
    print(f"built {name}: {manifest.references} references, {manifest.species} species, {len(manifest.floras)} floras")
    for flora in manifest.floras:
        uncovered = flora.species - flora.covered
        gap = f", {uncovered} species without a photo" if uncovered else ""
        print(f"  {flora.id}: {flora.species} species, {flora.references} references{gap}")
    print(describe_calibration(manifest))
    return 0


def publish(options: argparse.Namespace, settings: Settings) -> int:
    """Publish a snapshot and print its name."""
    name = publish_snapshot(settings.flora_indexes, options.snapshot, recall_bar=options.recall_bar)
    announce(name, settings)
    return lay_out_published(settings, wanted=options.atlas)


def compact(options: argparse.Namespace, settings: Settings) -> int:
    """Compact the published snapshot and publish the result."""
    with StageBars() as bars:
        name = compact_snapshot(settings.flora_indexes, advance=bars)
    announce(publish_snapshot(settings.flora_indexes, name), settings)
    return lay_out_published(settings, wanted=options.atlas)


def rollback(options: argparse.Namespace, settings: Settings) -> int:
    """Go back one step and print where to."""
    return announce(roll_back(settings.flora_indexes), settings)


def announce(name: str, settings: Settings) -> int:
    """Say which snapshot is published now, and note it in the catalogue."""
    print(f"published {name}")
    try:
        with open_database(settings.database_url) as database, database.writing() as session:
            log_published(session, name)
    except DatabaseError as error:  # snapshots can be published where there is no catalogue
        print(f"not noted in the catalogue: {error}", file=sys.stderr)
    return 0


def verify(options: argparse.Namespace, settings: Settings) -> int:
    """Check a snapshot; the first fault found is the error."""
    name = options.snapshot or read_current(settings.flora_indexes)
    verify_snapshot(settings.flora_indexes, name)
    print(f"snapshot {name} is whole, and its indexes answer as exact search does")
    return 0


def list_all(options: argparse.Namespace, settings: Settings) -> int:
    """Print the snapshots; the published one carries a star."""
    rows = list_snapshots(settings.flora_indexes)
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
    if not rows:
        raise BuildError(f"nothing has been built under {settings.flora_indexes}: run `python -m indexer build`")
    print(f"  {'snapshot':16}  {'built':25}  {'published':25}  {'references':>10}  {'species':>7}  model")
    for row in rows:
        star = "*" if row.current else " "
        state = row.model if row.state == "whole" else row.state
        print(
            f"{star} {row.name:16}  {row.built:25}  {row.published:25}  {row.references:10}  {row.species:7}  {state}"
        )
    return 0


def model_card(settings: Settings) -> Path | None:
    """The model card that the settings name, if any."""
    return Path(settings.model_card) if settings.model_card else None
