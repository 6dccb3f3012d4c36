"""A head of the collection's own: says whether it would help, fits it, and builds a snapshot with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from database.collection.photos import CataloguePhoto, count_references, references
from database.session import Session, open_database
from evaluation.learning.calibrate import calibrate_snapshot
from fungarium.jobs.indexing import build_from_catalogue, embed_catalogue, model_card, open_store, run_embedding
from fungarium.jobs.models import LIMITS, label_photos, open_network, read_photos
from indexer.embedding import fit_head as heads
from indexer.embedding.advice import ADVICE, PHOTOS, HeadAdvice, judge_advice, read_advice, write_advice
from indexer.embedding.embeddings import EmbeddingStore
from indexer.embedding.features import FeatureEmbedder, has_features, open_feature_store
from indexer.embedding.held_out import sample_species
from indexer.embedding.projection import Labels, Rows
from retrieval.errors import BuildError, FungariumError
from retrieval.models.embedder import DIM
from retrieval.models.handles import open_model
from retrieval.models.head import Head, read_head
from retrieval.models.network import Backbone, NetworkEmbedder
from retrieval.progress import Progress
from retrieval.snapshots.snapshot import open_snapshot
from settings import Settings


@dataclass(frozen=True, slots=True)
class HeadOptions:
    """How a head is fitted."""

    kind: str = "best"
    held_out: float = heads.HELD_OUT  # share of the observations that it is not fitted on, so that they can judge it
    seed: int = 1


def advise_on_head(settings: Settings, model: str | None, card: Path | None, *, progress: Progress) -> None:
    """Say whether a head fitted to the collection would help, where it has enough observations and their features.

    Measured once, and again when the collection has changed by a tenth; nothing is decoded for it.
    """
    embedder = open_model(model or settings.model, card or model_card(settings))
    if not isinstance(embedder, NetworkEmbedder) or (embedder.head and "fitted" in embedder.head.facts):
        return
    folder, name = settings.data / "embeddings", embedder.backbone.name
    if embedder.head is not None and not has_features(folder, embedder.backbone):
        return
    with open_database(settings.database_url) as database, database.reading() as session:
        total, advice = count_references(session), read_advice(folder, name)
        chosen = [] if advice and advice.still_holds(total) else sample_references(session, PHOTOS)
    if chosen:
        with open_rows(settings, embedder.backbone, embedder.head) as store:
            missing = set(store.missing(photo.sha256 for photo in chosen))
            chosen = [photo for photo in chosen if photo.sha256 not in missing]
            features, kept = heads.unit_features(store.read([photo.sha256 for photo in chosen]))
        labels = label_photos(chosen).pick(np.flatnonzero(kept))
        found = judge_advice(features, labels, own=embedder.head, progress=progress) if len(features) else None
        if found is None:
            return
        advice = HeadAdvice(name, total, **found)
        write_advice(folder, advice)
    if advice is not None and advice.pays:
        print(f"{advice.describe()}: {ADVICE}")


def sample_references(session: Session, most: int) -> list[CataloguePhoto]:
    """Return the photos of whole species, drawn at random, up to `most`. Reads the catalogue twice, to save memory."""
    species = np.fromiter((photo.species for photo in references(session)), dtype=np.int64)
    chosen = set(species[sample_species(Labels(species, species), most)].tolist())
    return [photo for photo in references(session) if photo.species in chosen]


def fit_head(
    settings: Settings,
    handle: str,
    card: Path | None,
    out: Path | None,
    options: HeadOptions,
    *,
    build: bool,
    progress: Progress,
) -> None:
    """Compare both kinds of head on the catalogue's features, write the better one with its card, and perhaps `build`.

    A share of the observations is held out of fitting, for evaluation. Features that are not stored yet are computed.
    """
    backbone, card_file = open_network(settings, handle, card)
    named = backbone.preprocessing.head
    head_there = read_head(card_file.parent / named) if card_file and named else None
    own = head_there if head_there and "fitted" not in head_there.facts else None  # a fitted head knows these photos
    features, labels, photos = read_features(settings, backbone, head_there, handle, card, progress)
    labels = heads.join_groups(features, labels)
    progress(f"{len(features)} photos, {features.shape[1]} numbers each")
    verdict = heads.judge_heads(features, labels, own=own, seed=options.seed, progress=progress)
    print_verdict(verdict)
    if verdict.needless and options.kind == "best":
        raise BuildError(
            "the network's own numbers name more species than either head: nothing was written; use the network as it "
            "is, or give --kind learned or --kind pca"
        )
    chosen = options.kind if options.kind != "best" else verdict.best
    rows = np.flatnonzero(~heads.hold_out(labels, options.held_out, options.seed))
    shown = [photos[row] for row in rows.tolist()]
    head = heads.fit_head(
        features[rows], labels.pick(rows), chosen, verdict, photos=shown, seed=options.seed, progress=progress
    )
    place = out or settings.data / "heads" / f"{backbone.identity.name}-{head.digest[:8]}"
    written = heads.write_model(place, head, replace(backbone.preprocessing, head=""))
    print(f"wrote {written}: model {NetworkEmbedder(backbone, head).model}, a head of kind {chosen}")
    if chosen == "learned":
        print(
            f"{len(rows)} photos were used for fitting, and are left out by calibrate and report; "
            f"{len(features) - len(rows)} were held out and evaluate it"
        )
    if not build:
        print(f"use it with --model {handle} --card {written}")
        return
    build_with_head(settings, handle, written, seed=options.seed, progress=progress)


def build_with_head(settings: Settings, handle: str, card: Path, *, seed: int, progress: Progress) -> None:
    """Embed the catalogue with a head from the stored features, build a snapshot, calibrate it; publish nothing."""
    embed_catalogue(settings, handle, card, views="none", retry=False, progress=progress)
    name = build_from_catalogue(settings, handle, card, views="none", progress=progress)
    try:
        name = calibrate_snapshot(
            settings.flora_indexes, open_snapshot(settings.flora_indexes, name), seed=seed, progress=progress
        )
        print(f"calibrated: {name}")
    except FungariumError as error:
        print(f"not calibrated: {error}")
    print(
        f"to use it, set FUNGARIUM_MODEL={handle} and FUNGARIUM_MODEL_CARD={card}, then run "
        f"`fungarium index publish {name}`; servers that run need the same settings and a restart"
    )


def print_verdict(verdict: heads.HeadComparison) -> None:
    """Print the recall on held-out observations, and the gain of the better head."""
    rows = [("principal components", verdict.pca), ("learned", verdict.learned)]
    for name, recall in rows if verdict.own is None else [("the network's own", verdict.own), *rows]:
        print(
            f"{name:22} recall@1 {recall.first:.3f}  recall@5 {recall.five:.3f}  "
            f"over {recall.observations} held-out observations"
        )
    if gain := verdict.gain:
        points = f"{100 * gain.gain:+.1f} points ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
        print(f"the better head gains {points} of recall@1 over the network's own")


def read_features(
    settings: Settings, backbone: Backbone, head: Head | None, handle: str, card: Path | None, progress: Progress
) -> tuple[Rows, Labels, list[str]]:
    """Return the frozen features of the catalogue, (photos, width) of length 1, with labels and SHA-256 of the photos.

    Those that are not stored are computed; an interrupted run is resumed.
    """
    photos, labels = read_photos(settings)
    with open_rows(settings, backbone, head) as store:
        wide = store.width != DIM or head is not None
        run_embedding(
            settings,
            photos,
            store,
            FeatureEmbedder(backbone) if wide else NetworkEmbedder(backbone),
            handle,
            card or model_card(settings),
            limits=LIMITS,
            progress=progress,
        )
        missing = set(store.missing(photo.photo for photo in photos))
        there = np.array([place for place, photo in enumerate(photos) if photo.photo not in missing], dtype=np.int64)
        if not len(there):
            raise BuildError("no photo of the catalogue could be embedded: `fungarium index embed` says why")
        rows = store.read([photos[place].photo for place in there.tolist()])
    features, kept = heads.unit_features(rows)
    return features, labels.pick(there[kept]), [photos[place].photo for place in there[kept].tolist()]


def open_rows(settings: Settings, backbone: Backbone, head: Head | None) -> EmbeddingStore:
    """Open the store of a network's features: of 256 numbers and no head, its embeddings are as good."""
    if backbone.width == DIM and head is None:
        return open_store(settings, NetworkEmbedder(backbone), {"model": backbone.name})
    return open_feature_store(settings.data / "embeddings", backbone)
