"""adopt, withdraw: what people confirm becomes references at once, and what must go goes at once."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from typing import Any

from tqdm import tqdm

from database.collection.photos import OWN, references
from database.errors import DatabaseError
from database.field.photo_files import PhotoFiles
from database.field.withdrawing import mark_photos
from database.session import open_database
from database.session import upgrade as upgrade_tables
from indexer.building.adopting import AdoptionReport, adopt_observations
from indexer.building.build import describe_tools
from indexer.building.catalogue import PhotosToEmbed, read_contexts, reference_entry
from indexer.building.grow import published_snapshot, withdraw_references
from indexer.building.renewing import known_species, renew_references
from indexer.commands.atlases import lay_out_published
from indexer.commands.embedding import embed_where_set
from indexer.commands.snapshots import announce, model_card
from indexer.embedding.embeddings import EmbeddingStore
from indexer.photos.finding import PhotoStore
from retrieval.errors import BuildError, UnknownPhoto
from retrieval.models.embedder import Embedder
from retrieval.models.handles import open_model
from retrieval.photos.views import CURATED
from retrieval.snapshots.publishing import current_or_none, publish_snapshot
from settings import Settings


def register(commands: Any) -> None:
    """Add the commands to the parser."""
    does = "let approved observations be references, take out what is approved no more, and publish; run it every day"
    adopting = commands.add_parser("adopt", help=does, description=does)
    adopting.set_defaults(func=adopt)
    withdrawing = commands.add_parser(
        "withdraw", help="let reference photos answer nothing any more, and publish; no build brings them back"
    )
    withdrawing.add_argument("photos", nargs="*", metavar="PHOTO", help="digest of a reference's photo")
    withdrawing.add_argument("--dataset", default="", metavar="ID", help="all photos of a dataset")
    withdrawing.add_argument("--observation", default="", metavar="DATASET:KEY", help="all photos of an observation")
    withdrawing.add_argument("--undo", action="store_true", help="let them in again; they come with the next build")
    withdrawing.set_defaults(func=withdraw)


def adopt(_: argparse.Namespace, settings: Settings) -> int:
    """Bring catalogue and published snapshot in step with the observations; run twice, it changes nothing."""
    upgrade_tables(settings.database_url)
    with open_database(settings.database_url) as database:
        report = adopt_observations(database, settings.reference_licences, settings.public_url)
        print_report(report)
        if current_or_none(settings.flora_indexes) is None:
            print("nothing has been published yet: they come with the first build")
            return 0
        embedder = open_model(settings.model, model_card(settings))
        with published_snapshot(settings.flora_indexes) as published:
            published.require_model(embedder.model)
            before, species, card = published.name, known_species(published), published.manifest.model
        with EmbeddingStore(settings.data / "embeddings", describe_tools(card)) as store:
            embed_own(settings, store, embedder, str(card.get("views", "none")))
            with database.reading() as session:
                photos = list(references(session, OWN))
            missing = set(store.missing(photo.sha256 for photo in photos))
            ready = [photo for photo in photos if photo.sha256 not in missing and photo.species in species]
            waiting = [photo for photo in photos if photo.species not in species]
            name = renew_references(
                settings.flora_indexes,
                OWN,
                [reference_entry(photo) for photo in ready],
                store.read,
                [context for _, context in read_contexts(ready).values()],
            )
    if missing:
        print(f"{len(missing)} photos could not be embedded and are left out: `embed` says why", file=sys.stderr)
    if waiting:
        print(f"{len(waiting)} photos are of species that the snapshot does not know: they come with the next `build`")
    if name == before:
        print(f"{name} stays published: nothing has changed")
        return 0
    announce(publish_snapshot(settings.flora_indexes, name), settings)
    return lay_out_published(settings)


def embed_own(settings: Settings, store: EmbeddingStore, embedder: Embedder, views: str) -> None:
    """Embed the photos of observations that the model has not seen yet, in the views that the snapshot is made of."""
    with open_database(settings.database_url) as database, database.reading() as session:
        files = PhotoFiles(settings.photos_at)
        photos = PhotosToEmbed(session, PhotoStore(settings.data / "photos"), files, settings.data / "embeddings", OWN)
    with closing(photos), tqdm(total=len(photos), desc="embed", unit="photo", file=sys.stderr) as bar:
        report = embed_where_set(
            settings,
            photos,
            store,
            embedder,
            settings.model,
            model_card(settings),
            limits=CURATED,
            augmentation=views,
            advance=bar.update,
        )
    for photo, reason in report.unread:
        print(f"  {photo[:16]}: {reason}", file=sys.stderr)


def print_report(report: AdoptionReport) -> None:
    """Say what became of the photos of approved observations."""
    print(f"approved observations: {report.accepted} photos ({report.added} new), {report.removed} taken out")
    for reason, count in report.refused:
        print(f"  left out, {reason}: {count}")
    if report.refused:
        print(f"  each with its reason: python -m indexer rejections {OWN}")


def withdraw(options: argparse.Namespace, settings: Settings) -> int:
    """Mark photos in the catalogue and publish without them; with --undo, unmark them."""
    if not (options.photos or options.dataset or options.observation):
        raise BuildError("say what to withdraw: PHOTO..., --dataset ID or --observation DATASET:KEY")
    marked = mark(options, settings)
    if options.undo:
        print(f"{len(marked)} photos may be references again: run `python -m indexer build` and `publish`")
        return 0
    root = settings.flora_indexes
    shown = set()
    if current_or_none(root) is not None:
        with published_snapshot(root) as published:
            meant = {*marked, *options.photos}
            shown = {
                photo for photo in meant if any(s.reference_of_photo(photo) is not None for s in published.segments)
            }
    if strangers := [photo for photo in options.photos if photo not in shown and photo not in marked]:
        raise UnknownPhoto(f"neither catalogue nor published snapshot has a reference photo {strangers[0][:64]!r}")
    print(f"{len(marked)} photos withdrawn from the catalogue, {len(shown)} from the published snapshot")
    if not shown:
        return 0
    announce(publish_snapshot(root, withdraw_references(root, shown)), settings)
    return lay_out_published(settings)


def mark(options: argparse.Namespace, settings: Settings) -> list[str]:
    """Mark the photos in the catalogue; snapshots can be served, and cleaned, where there is none."""
    try:
        with open_database(settings.database_url) as database, database.writing() as session:
            return mark_photos(
                session,
                photos=options.photos,
                dataset=options.dataset,
                observation=options.observation,
                withdrawn=not options.undo,
            )
    except DatabaseError as error:
        if options.undo or options.dataset or options.observation:
            raise
        print(f"not noted in the catalogue: {error}", file=sys.stderr)
        return []
