"""models, fit-head: which models there are, whether one can be trusted, and a head or a precision of your own."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from database.collection.photos import references
from database.field.photo_files import PhotoFiles
from database.session import open_database
from indexer.building.catalogue import PhotosToEmbed
from indexer.commands.embedding import embed_where_set
from indexer.embedding.embed import PhotoToEmbed
from indexer.embedding.embeddings import EmbeddingStore
from indexer.embedding.features import FeatureEmbedder
from indexer.embedding.fit_head import KINDS, HeadComparison, fit_head, judge_heads, unit_features, write_model
from indexer.embedding.projection import Labels
from indexer.embedding.quantise import CALIBRATION, judge_precision, spread_evenly, write_int8, write_lower_card
from indexer.photos.finding import PhotoStore
from retrieval.errors import BuildError, ModelError, UnreadablePhoto
from retrieval.models.card import Preprocessing, card_path
from retrieval.models.embedder import Embeddings, Pixels
from retrieval.models.handles import HANDLES, open_backbone, open_model
from retrieval.models.head import read_head
from retrieval.models.network import Backbone, NetworkEmbedder, crop_square
from retrieval.models.openvino import OpenVinoNetwork
from retrieval.photos.views import PhotoLimits, decode_view
from settings import Settings

LIMITS = PhotoLimits(bytes=50_000_000, pixels=170_000_000)
CHECKS = 5  # times that a view is embedded to time it


def register(commands: Any) -> None:
    """Add the commands to the parser."""
    models = commands.add_parser("models", help="list, describe and check models; bring one to a lower precision")
    verbs = models.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="list the kinds of handles").set_defaults(func=list_models)
    describe_command = verbs.add_parser("describe", help="print a model's card as JSON")
    describe_command.set_defaults(func=describe)
    check_command = verbs.add_parser("check", help="embed a photo: length, determinism, time")
    check_command.set_defaults(func=check)
    lower_command = verbs.add_parser("lower", help="bring a model to bf16 or int8, if that costs no recall")
    lower_command.add_argument("--precision", choices=("bf16", "int8"), required=True)
    lower_command.set_defaults(func=lower)
    for command in (describe_command, check_command, lower_command):
        command.add_argument("model", metavar="HANDLE", help="model handle, such as onnx:mynet.onnx")
    check_command.add_argument("photo", type=Path, metavar="PHOTO")
    head_command = commands.add_parser(
        "fit-head", help="fit what brings a network's own width to 256, on the catalogue"
    )
    head_command.add_argument("--model", help="model handle (default: the setting)")
    head_command.add_argument("--kind", choices=("best", *KINDS), default="best", help="default: %(default)s")
    head_command.add_argument("--seed", type=int, default=1, help="of every random choice (default: %(default)s)")
    head_command.set_defaults(func=fit)
    for command in (describe_command, check_command, lower_command, head_command):
        command.add_argument("--card", type=Path, help="file with the model's preprocessing, if not beside the model")
    for command in (lower_command, head_command):
        command.add_argument("--out", type=Path, required=True, help="name of what is written, without an ending")


def list_models(options: argparse.Namespace, settings: Settings) -> int:
    """Print the kinds of handles."""
    for handle, does in HANDLES.items():
        print(f"{handle:18} {does}")
    print(f"\nchosen by FUNGARIUM_MODEL: {settings.model}")
    return 0


def describe(options: argparse.Namespace, settings: Settings) -> int:
    """Open a model and print its card."""
    print(json.dumps(dict(open_model(options.model, named_card(options, settings)).card), indent=2, ensure_ascii=False))
    return 0


def check(options: argparse.Namespace, settings: Settings) -> int:
    """Embed one photo several times; a model that breaks a promise is an error."""
    try:
        photo = options.photo.read_bytes()
    except OSError as error:
        raise UnreadablePhoto(f"{options.photo} cannot be read: {error.strerror}") from error
    model = open_model(options.model, named_card(options, settings))
    view = decode_view(photo, model.short_side, LIMITS)
    rows, times = [], []
    for _ in range(CHECKS):
        start = time.perf_counter()
        rows.append(model.embed([view])[0])
        times.append(time.perf_counter() - start)
    together = model.embed([view, view, view])
    length = float(np.linalg.norm(rows[0]))
    alone = max(float(np.abs(row - rows[0]).max()) for row in rows)
    batch = float(np.abs(together - rows[0]).max())
    print(f"model         {model.model}")
    print(f"length        {length:.6f} over {len(rows[0])} numbers")
    print(
        f"deterministic {'yes' if alone == 0 else f'no: up to {alone:.1e} apart'}; in a batch up to {batch:.1e} apart"
    )
    print(f"time          {1000 * float(np.median(times)):.1f} ms a view, the median of {CHECKS}")
    if abs(length - 1) > 1e-5 or max(alone, batch) > 1e-3:
        raise ModelError(f"{model.model} gives other numbers for the same photo: an index made with it would not find")
    return 0


def fit(options: argparse.Namespace, settings: Settings) -> int:
    """Embed the catalogue with the bare network, judge both heads, and write the chosen one with its card."""
    backbone, _ = open_network_of(options, settings)
    features, labels = read_features(backbone, options, settings)
    print(f"{len(features)} photos, {features.shape[1]} numbers each", file=sys.stderr)
    verdict = judge_heads(features, labels, seed=options.seed, advance=lambda said: print(said, file=sys.stderr))
    print_verdict(verdict)
    if verdict.needless and options.kind == "best":
        raise BuildError(
            "the network's own numbers name more species than either head: nothing was written; use the network as it "
            "is, or say --kind learned or --kind pca"
        )
    kind = options.kind if options.kind != "best" else "pca" if verdict.worse else "learned"
    with tqdm(desc="fit", unit="step", total=verdict.steps if kind == "learned" else 0, file=sys.stderr) as bar:
        head = fit_head(features, labels, kind, verdict, seed=options.seed, advance=bar.update)
    card = write_model(options.out, head, replace(backbone.preprocessing, head=""))
    embedder = NetworkEmbedder(backbone, head)
    print(f"wrote {card}: model {embedder.model}, a head of kind {kind}")
    print(f"use it with --model {options.model or settings.model} --card {card}")
    return 0


def print_verdict(verdict: HeadComparison) -> None:
    """What held-out observations say."""
    rows = [("principal components", verdict.pca), ("learned", verdict.learned)]
    for name, recall in rows if verdict.own is None else [("the network's own", verdict.own), *rows]:
        print(
            f"{name:22} recall@1 {recall.first:.3f}  recall@5 {recall.five:.3f}  "
            f"over {recall.observations} held-out observations"
        )


def lower(options: argparse.Namespace, settings: Settings) -> int:
    """Write what runs at a lower precision, if the collection's recall allows it."""
    backbone, card_file = open_network_of(options, settings)
    if backbone.preprocessing.precision != "f32" or not isinstance(backbone.network, OpenVinoNetwork):
        raise ModelError("only a network at f32 that OpenVINO runs can be brought to a lower precision")
    named = backbone.preprocessing.head
    head = read_head(card_file.parent / named) if card_file and named else None
    exact = NetworkEmbedder(backbone, head)
    photos, labels = read_photos(settings)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.out.parent, prefix=".lower-") as folder:
        source = Path(options.model.partition(":")[2]).expanduser()
        preprocessing, drafted = backbone.preprocessing, source
        trusted = {"recall": 0.0, "recall_f32": 0.0}  # until it has been measured
        if options.precision == "int8":
            squares = read_squares(photos, labels, preprocessing)
            drafted = write_int8(source, preprocessing, squares, Path(folder) / options.out.name)
        network = OpenVinoNetwork(drafted, replace(preprocessing, precision=options.precision, gate=trusted))
        lowered = NetworkEmbedder(Backbone(network, backbone.identity, preprocessing), head)
        rows, kept = embed_both(photos, exact, lowered)
        gate = judge_precision(rows[0], rows[1], labels.pick(kept), backbone.name)
        card = options.out.with_name(f"{options.out.name}.card.json")
        if options.precision == "int8":
            for suffix in (".bin", ".xml"):
                shutil.move(drafted.with_suffix(suffix), options.out.with_name(f"{options.out.name}{suffix}"))
            card = card_path(options.out.with_name(f"{options.out.name}.xml"))
        if named and card_file and card.parent != card_file.parent:
            shutil.copyfile(card_file.parent / named, card.parent / named)
        write_lower_card(card, preprocessing, options.precision, gate)
    handle = f"openvino:{options.out}.xml" if options.precision == "int8" else options.model
    print(
        f"recall@1 {gate['recall_f32']:.3f} at f32, {gate['recall']:.3f} at {options.precision}; "
        f"mean cosine {gate['cosine']:.4f}"
    )
    print(f"wrote {card}; use it with --model {handle} --card {card}")
    return 0


def embed_both(
    photos: list[PhotoToEmbed], exact: NetworkEmbedder, lowered: NetworkEmbedder
) -> tuple[tuple[Embeddings, Embeddings], np.ndarray]:
    """Rows at both precisions of every photo that can be read, and which those are."""
    found: tuple[list[Any], list[Any]] = ([], [])
    kept = []
    for place, photo in enumerate(tqdm(photos, desc="compare", unit="photo", file=sys.stderr)):
        try:
            view = decode_view(photo.read(), exact.short_side, LIMITS)
        except (OSError, UnreadablePhoto):
            continue
        for rows, model in zip(found, (exact, lowered), strict=True):
            rows.append(model.embed([view])[0])
        kept.append(place)
    if not kept:
        raise BuildError("no photo of the catalogue can be read: import some first")
    return (np.stack(found[0]), np.stack(found[1])), np.array(kept, dtype=np.int64)


def read_squares(photos: list[PhotoToEmbed], labels: Labels, preprocessing: Preprocessing) -> list[Pixels]:
    """CALIBRATION photos spread evenly over species and their observations, cut as the network wants them."""
    order = np.lexsort((labels.observations, labels.species)).tolist()

    def read() -> Iterator[Pixels]:
        for place in spread_evenly(len(photos), CALIBRATION):
            photo = photos[order[place]]
            try:
                view = decode_view(photo.read(), preprocessing.resize, LIMITS)
            except (OSError, UnreadablePhoto):
                continue
            yield crop_square(view, preprocessing)

    return list(islice(read(), CALIBRATION))


def read_photos(settings: Settings) -> tuple[list[PhotoToEmbed], Labels]:
    """The photos of the catalogue and what is known of them."""
    with open_database(settings.database_url) as database, database.reading() as session:
        known = {photo.sha256: photo for photo in references(session)}
        store, files = PhotoStore(settings.data / "photos"), PhotoFiles(settings.photos_at)
        with closing(PhotosToEmbed(session, store, files, settings.data)) as found:
            photos = list(found)
    if not photos:
        raise BuildError("the catalogue has no reference photos: import some first")
    return photos, Labels(
        np.array([known[photo.photo].species for photo in photos], dtype=np.int64),
        np.array([known[photo.photo].observation_id for photo in photos], dtype=np.int64),
    )


def read_features(backbone: Backbone, options: argparse.Namespace, settings: Settings) -> tuple[Embeddings, Labels]:
    """The frozen features of the catalogue, (photos, width) of length 1; made once, kept, and gone on with."""
    photos, labels = read_photos(settings)
    with EmbeddingStore(settings.data / "embeddings", f"{backbone.name}.features", backbone.width) as store:
        with tqdm(total=len(photos), desc="features", unit="photo", file=sys.stderr) as bar:
            embed_where_set(
                settings,
                photos,
                store,
                FeatureEmbedder(backbone),
                options.model or settings.model,
                named_card(options, settings),
                limits=LIMITS,
                features=True,
                advance=bar.update,
            )
        missing = set(store.missing(photo.photo for photo in photos))
        there = np.array([place for place, photo in enumerate(photos) if photo.photo not in missing], dtype=np.int64)
        if not len(there):
            raise BuildError("no photo of the catalogue could be embedded: `python -m indexer embed` says why")
        rows = store.read([photos[place].photo for place in there.tolist()])
    features, kept = unit_features(rows)
    return features, labels.pick(there[kept])


def open_network_of(options: argparse.Namespace, settings: Settings) -> tuple[Backbone, Path | None]:
    """The network that a command speaks of, without its head."""
    handle = options.model or settings.model
    if handle == "descriptor":
        raise ModelError("the descriptor is no network: name one, such as onnx:mynet.onnx")
    return open_backbone(handle, named_card(options, settings))


def named_card(options: argparse.Namespace, settings: Settings) -> Path | None:
    """The card that was named, here or in the settings."""
    return options.card or (Path(settings.model_card) if settings.model_card else None)
