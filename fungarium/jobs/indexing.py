"""Embeds the catalogue's photos and builds snapshots; turns approved observations into references."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from database.collection.photos import OWN, references
from database.collection.snapshots import log_built
from database.field.photo_files import PhotoFiles
from database.session import create_tables, open_database
from fungarium.jobs.publishing import announce, lay_out_published
from indexer.building.adopting import AdoptionReport, adopt_observations
from indexer.building.build import build_snapshot, describe_tools
from indexer.building.catalogue import PhotosToEmbed, read_catalogue, read_contexts, reference_entry
from indexer.building.grow import published_snapshot
from indexer.building.renewing import known_species, renew_references
from indexer.embedding.embed import EmbedReport, PhotoToEmbed, embed_photos, unknown_photos
from indexer.embedding.embeddings import EmbeddingStore
from indexer.embedding.features import FeatureEmbedder, open_features
from indexer.photos.finding import PhotoStore
from retrieval.models.embedder import Embedder
from retrieval.models.handles import absolute_handle, open_model
from retrieval.photos.views import CURATED, PhotoLimits
from retrieval.progress import Progress, silent
from retrieval.snapshots.card import describe_calibration
from retrieval.snapshots.manifest import current_or_none, read_manifest
from retrieval.snapshots.publishing import publish_snapshot
from settings import Settings


def embed_catalogue(
    settings: Settings, model: str | None, card: Path | None, *, views: str, retry: bool, progress: Progress
) -> None:
    """Embed new photos; a second run repeats no work. `retry` tries failed photos again."""
    handle, card_file = model or settings.model, card or model_card(settings)
    embedder = open_model(handle, card_file)
    described = {**embedder.card, "views": views}
    with open_database(settings.database_url) as database:
        adopt_observations(database, settings.reference_licences, settings.public_url)
    tools = describe_tools(described)
    with closing(photos_to_embed(settings)) as photos, EmbeddingStore(settings.data / "embeddings", tools) as store:
        if told := store.tell_once():
            print(told, file=sys.stderr)
        if retry:
            store.forget_failures()
        report = run_embedding(
            settings,
            photos,
            store,
            embedder,
            handle,
            card_file,
            limits=CURATED,
            augmentation=views,
            progress=progress,
        )
        print(f"model {tools}: {report.embedded} embedded, {report.already} already, {report.failed} failed")
        for photo, reason in (*report.unread, *store.failures().items()):
            print(f"  {photo[:16]}: {reason}")


def build_from_catalogue(
    settings: Settings, model: str | None, card: Path | None, *, views: str, progress: Progress
) -> None:
    """Build a snapshot of the embedded photos, and print its name and contents."""
    embedder = open_model(model or settings.model, card or model_card(settings))
    described = {**embedder.card, "views": views}
    since = current_or_none(settings.flora_indexes)
    with (
        ExitStack() as stack,
        open_database(settings.database_url) as database,
        EmbeddingStore(settings.data / "embeddings", describe_tools(described)) as store,
    ):
        adopt_observations(database, settings.reference_licences, settings.public_url)
        with database.reading() as session:
            catalogue, missing = read_catalogue(session, store, settings.flora_indexes, progress=progress)
        stack.enter_context(closing(catalogue))
        failed = store.failures()
        waiting = [photo for photo in missing if photo not in failed]
        if left_out := len(missing) - len(waiting):
            hint = "`embed` lists them" if left_out > 1 else "`embed` says why"
            print(f"{left_out} photos could not be embedded and are left out: {hint}", file=sys.stderr)
        if waiting:
            print(f"{len(waiting)} photos have not been embedded and are left out: run embed first", file=sys.stderr)
        described["photo_rules"] = store.rules
        name = build_snapshot(settings.flora_indexes, catalogue, store, described, since=since, progress=progress)
        manifest = read_manifest(settings.flora_indexes, name)
        with database.writing() as writing:
            log_built(writing, name, manifest.model["model"], manifest.references, manifest.species)
    print(f"built {name}: {manifest.references} references, {manifest.species} species, {len(manifest.floras)} floras")
    for flora in manifest.floras:
        uncovered = flora.species - flora.covered
        gap = f", {uncovered} species without a photo" if uncovered else ""
        print(f"  {flora.id}: {flora.species} species, {flora.references} references{gap}")
    print(describe_calibration(manifest))


def adopt(settings: Settings, progress: Progress) -> None:
    """Update catalogue and published snapshot from the approved observations; a second run changes nothing."""
    create_tables(settings.database_url)
    with open_database(settings.database_url) as database:
        report = adopt_observations(database, settings.reference_licences, settings.public_url)
        print_report(report)
        if current_or_none(settings.flora_indexes) is None:
            print("nothing has been published yet: the first build will include them")
            return
        embedder = open_model(settings.model, model_card(settings))
        with published_snapshot(settings.flora_indexes) as published:
            published.require_model(embedder.model)
            before, species, card = published.name, known_species(published), published.manifest.model
        with EmbeddingStore(settings.data / "embeddings", describe_tools(card)) as store:
            embed_observation_photos(settings, store, embedder, str(card.get("views", "none")), progress)
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
        print(
            f"{len(missing)} photos could not be embedded and are left out: `fungarium index embed` says why",
            file=sys.stderr,
        )
    if waiting:
        print(f"{len(waiting)} photos are of species that the snapshot does not have: the next build will include them")
    if name == before:
        print(f"{name} stays published: nothing has changed")
        return
    announce(publish_snapshot(settings.flora_indexes, name), settings)
    lay_out_published(settings)


def embed_observation_photos(
    settings: Settings, store: EmbeddingStore, embedder: Embedder, views: str, progress: Progress
) -> None:
    """Embed the new photos of observations, with the views of the snapshot."""
    with closing(photos_to_embed(settings, OWN)) as photos:
        report = run_embedding(
            settings,
            photos,
            store,
            embedder,
            settings.model,
            model_card(settings),
            limits=CURATED,
            augmentation=views,
            progress=progress,
        )
    for photo, reason in report.unread:
        print(f"  {photo[:16]}: {reason}", file=sys.stderr)


def print_report(report: AdoptionReport) -> None:
    """Print what became of the photos of approved observations."""
    print(f"approved observations: {report.accepted} photos ({report.added} new), {report.removed} removed")
    for reason, count in report.refused:
        print(f"  left out, {reason}: {count}")
    if report.refused:
        print(f"  each with its reason: fungarium collection rejections {OWN}")


def photos_to_embed(settings: Settings, dataset: str = "") -> PhotosToEmbed:
    """List the photos of the catalogue, or of one dataset, on disk; the caller closes the list."""
    with open_database(settings.database_url) as database, database.reading() as session:
        store, files = PhotoStore(settings.data / "photos"), PhotoFiles(settings.photos_at)
        return PhotosToEmbed(session, store, files, settings.data / "embeddings", dataset)


def run_embedding(
    settings: Settings,
    photos: Iterable[PhotoToEmbed],
    store: EmbeddingStore,
    embedder: Embedder,
    handle: str,
    card: Path | None,
    *,
    limits: PhotoLimits,
    augmentation: str = "none",
    progress: Progress = silent,
) -> EmbedReport:
    """Embed photos missing from the store, here or on the configured cluster; the results are identical.

    `embedder` was opened by `handle` and `card`. `photos` are read twice. The cluster is only used if there is enough
    work for it, so that a daily run with a handful of new photos does not wait for it.
    """
    if not settings.cluster or next(unknown_photos(photos, store, lambda _: None), None) is None:
        return embed_photos(photos, store, embedder, limits=limits, augmentation=augmentation, progress=progress)
    from cluster.connection import connected
    from cluster.embedding import BulkRun, embed_on_cluster

    opener = open_features if isinstance(embedder, FeatureEmbedder) else open_model
    card_file = card.absolute() if card else None
    with connected(settings.cluster):
        return embed_on_cluster(
            photos,
            store,
            embedder,
            partial(opener, absolute_handle(handle), card_file),
            BulkRun(settings.cluster_storage or str((settings.data / "parts").absolute())),
            limits=limits,
            augmentation=augmentation,
            progress=progress,
        )


def model_card(settings: Settings) -> Path | None:
    """Return the path of the model card in the settings, if any."""
    return Path(settings.model_card) if settings.model_card else None
