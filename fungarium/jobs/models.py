"""Checks a model, lowers a precision on the catalogue's photos, and lists those for a training."""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from database.collection.photos import STORED, CataloguePhoto, references
from database.session import open_database
from database.taxonomy.taxa import taxa
from fungarium.jobs.indexing import model_card, photos_to_embed
from indexer.building.catalogue import number_outings
from indexer.embedding.embed import PhotoToEmbed
from indexer.embedding.projection import Labels
from indexer.embedding.quantise import CALIBRATION, judge_precision, spread_evenly, write_int8, write_lower_card
from indexer.photos.finding import PhotoStore
from retrieval.domain import Taxon
from retrieval.errors import BuildError, ModelError, UnreadablePhoto
from retrieval.models.card import Preprocessing, card_path
from retrieval.models.embedder import Embeddings, Pixels
from retrieval.models.ensemble import Ensemble
from retrieval.models.handles import open_backbone, open_model
from retrieval.models.head import read_head
from retrieval.models.network import Backbone, NetworkEmbedder, crop_square
from retrieval.models.openvino import OpenVinoNetwork
from retrieval.models.provenance import find_taught, read_taught
from retrieval.photos.views import PhotoLimits, decode_view
from retrieval.progress import Progress
from settings import Settings

LIMITS = PhotoLimits(bytes=50_000_000, pixels=170_000_000)
CHECKS = 5  # repetitions for timing a view
COLUMNS = ("file", "species", "genus", "family", "observation", "aspect")


def check_model(settings: Settings, handle: str, card: Path | None, photo: Path) -> None:
    """Embed one photo several times; raises ModelError if the model breaks a requirement."""
    try:
        data = photo.read_bytes()
    except OSError as error:
        raise UnreadablePhoto(f"{photo} cannot be read: {error.strerror}") from error
    model = open_model(handle, card or model_card(settings))
    view = decode_view(data, model.short_side, LIMITS)
    rows, times = [], []
    for _ in range(CHECKS):
        start = time.perf_counter()
        rows.append(model.embed([view])[0])
        times.append(time.perf_counter() - start)
    together = model.embed([view, view, view])
    length = float(np.linalg.norm(rows[0]))
    spread = max(float(np.abs(row - rows[0]).max()) for row in rows)
    batch = float(np.abs(together - rows[0]).max())
    print(f"model         {model.model}")
    print(f"length        {length:.6f} over {len(rows[0])} numbers")
    print(
        f"deterministic {'yes' if spread == 0 else f'no: up to {spread:.1e} apart'}; in a batch up to {batch:.1e} apart"
    )
    print(f"time          {1000 * float(np.median(times)):.1f} ms a view, the median of {CHECKS}")
    if abs(length - 1) > 1e-5 or max(spread, batch) > 1e-3:
        raise ModelError(f"{model.model} gives other numbers for the same photo: an index made with it is useless")


def lower_precision(
    settings: Settings, handle: str, card: Path | None, out: Path, *, precision: str, progress: Progress
) -> None:
    """Write a network of lower precision, if the recall on the collection allows it."""
    backbone, card_file = open_network(settings, handle, card)
    if (
        isinstance(backbone, Ensemble)
        or backbone.preprocessing.precision != "f32"
        or not isinstance(backbone.network, OpenVinoNetwork)
    ):
        raise ModelError("only a network at f32 that OpenVINO runs can be converted to a lower precision")
    named = backbone.preprocessing.head
    head = read_head(card_file.parent / named) if card_file and named else None
    exact = NetworkEmbedder(backbone, head)
    photos, labels = read_photos(settings)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".lower-") as folder:
        source = backbone.network.path
        preprocessing, drafted = backbone.preprocessing, source
        trusted = {"recall": 0.0, "recall_f32": 0.0}  # until it has been measured
        if precision == "int8":
            squares = read_squares(photos, labels, preprocessing)
            drafted = write_int8(source, preprocessing, squares, Path(folder) / out.name)
        network = OpenVinoNetwork(drafted, replace(preprocessing, precision=precision, gate=trusted))
        lowered = NetworkEmbedder(Backbone(network, backbone.identity, preprocessing), head)
        rows, kept = embed_both(photos, exact, lowered, progress)
        taught = find_taught([photos[place].photo for place in kept.tolist()], read_taught(exact.card))
        gate = judge_precision(rows[0], rows[1], labels.pick(kept), backbone.name, taught=taught)
        written = out.with_name(f"{out.name}.card.json")
        if precision == "int8":
            for suffix in (".bin", ".xml"):
                shutil.move(drafted.with_suffix(suffix), out.with_name(f"{out.name}{suffix}"))
            written = card_path(out.with_name(f"{out.name}.xml"))
        if named and card_file and written.parent != card_file.parent:
            shutil.copyfile(card_file.parent / named, written.parent / named)
        write_lower_card(written, preprocessing, precision, gate)
    lowered_handle = f"openvino:{out}.xml" if precision == "int8" else handle
    print(
        f"recall@1 {gate['recall_f32']:.3f} at f32, {gate['recall']:.3f} at {precision}; "
        f"mean cosine {gate['cosine']:.4f}"
    )
    print(f"wrote {written}; use it with --model {lowered_handle} --card {written}")


def embed_both(
    photos: list[PhotoToEmbed], exact: NetworkEmbedder, lowered: NetworkEmbedder, progress: Progress
) -> tuple[tuple[Embeddings, Embeddings], np.ndarray]:
    """Embed every readable photo at both precisions. Returns the rows, and which photos they are."""
    found: tuple[list[Any], list[Any]] = ([], [])
    kept = []
    for place, photo in enumerate(photos):
        progress("compare", 1, len(photos))
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
    """Preprocess CALIBRATION photos, spread evenly over species and observations."""
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
    """Read the photos of the catalogue and their labels."""
    with closing(photos_to_embed(settings)) as found:
        photos = list(found)
    if not photos:
        raise BuildError("the catalogue has no reference photos: import some first")
    with open_database(settings.database_url) as database, database.reading() as session:
        read = {photo.sha256: photo for photo in references(session)}
    return photos, label_photos([read[photo.photo] for photo in photos])


def label_photos(photos: Sequence[CataloguePhoto]) -> Labels:
    """Return the labels of the photos, in order."""
    return Labels(
        np.array([photo.species for photo in photos], dtype=np.int64),
        np.array([photo.observation_id for photo in photos], dtype=np.int64),
        number_outings(photos),
    )


def open_network(settings: Settings, handle: str, card: Path | None) -> tuple[Backbone, Path | None]:
    """Open a handle's network without its head. Returns it with the path of its card."""
    if handle == "descriptor":
        raise ModelError("the descriptor is not a network: give one, such as onnx:mynet.onnx")
    return open_backbone(handle, card or model_card(settings))


def write_table(settings: Settings, out: Path) -> None:
    """Write one line per photo that is not withdrawn; the file is replaced atomically."""
    store = PhotoStore(settings.data / "photos")
    beside = out.with_name(f".{out.name}.part")
    count = 0
    with (
        open_database(settings.database_url) as database,
        database.reading() as session,
        beside.open("w", encoding="utf-8", newline="") as file,
    ):
        known = {taxon.id: taxon for taxon in taxa(session)}
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for photo in references(session):
            path = store.path(photo.sha256) if photo.location.startswith(STORED) else Path(photo.location)
            names = [name_at(rank, photo.species, known) for rank in ("species", "genus", "family")]
            writer.writerow([os.path.relpath(path, out.parent), *names, photo.observation, photo.aspect])
            count += 1
    beside.replace(out)
    print(f"{count} photos in {out}")


def name_at(rank: str, taxon: int | None, known: Mapping[int, Taxon]) -> str:
    """Return the name of a taxon's ancestor (or the taxon) at a rank; empty if there is none."""
    while taxon is not None and known[taxon].rank != rank:
        taxon = known[taxon].parent
    return "" if taxon is None else known[taxon].name
