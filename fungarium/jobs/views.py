"""Measures what several views of a photo gain and cost, on the catalogue's photos."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.measuring.views import CROPS, CroppedPhotos, measure_views
from fungarium.jobs.indexing import model_card
from fungarium.jobs.models import LIMITS, read_photos
from indexer.building.build import suited_voting
from indexer.embedding.embed import PhotoToEmbed
from indexer.embedding.embeddings import EmbeddingStore
from indexer.embedding.held_out import sample_species
from retrieval.errors import BuildError, IdentificationError
from retrieval.models.embedder import DIM, Embedder, unit_rows
from retrieval.models.handles import open_model
from retrieval.photos.crops import decode_crops
from retrieval.progress import Progress
from settings import Settings

TIMED = 12  # photos whose cost is measured


def measure_augmentations(settings: Settings, handle: str | None, card: Path | None, **options: Any) -> None:
    """Embed all crops of the catalogue's photos, judge every augmentation and pooling, and print the table.

    `options` are those of the command: the most photos, the seed, a JSON file for the result, and the progress. Crops
    are stored, so that an interrupted run can be continued. Raises BuildError where no photo can be read.
    """
    progress: Progress = options["progress"]
    model = open_model(handle or settings.model, card or model_card(settings))
    photos, labels = read_photos(settings)
    rows = sample_species(labels, options["most"], seed=options["seed"])
    chosen = [photos[row] for row in rows.tolist()]
    crops = len(CROPS["full"])
    with EmbeddingStore(settings.data / "embeddings", f"{model.model}.crops", crops * DIM) as store:
        embed_crops(chosen, store, model, progress)
        missing = set(store.missing(photo.photo for photo in chosen))
        there = np.array([place for place, photo in enumerate(chosen) if photo.photo not in missing], dtype=np.int64)
        if not len(there):
            raise BuildError("no photo of the catalogue can be read: import some first")
        each = store.read([chosen[place].photo for place in there.tolist()])
    kept = labels.pick(rows[there])
    cropped = CroppedPhotos(unit_rows(each.reshape(-1, DIM)).reshape(-1, crops, DIM), kept.species, kept.observations)
    voting = suited_voting(model.card)
    found = {
        "model": model.model,
        "photos": len(there),
        "temperature": voting.temperature,
        "seed": options["seed"],
        "milliseconds": time_augmentations([chosen[place] for place in there[:TIMED].tolist()], model),
        "rows": measure_views(cropped, voting, seed=options["seed"], progress=progress),
    }
    if file := options["file"]:
        Path(file).write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print_views(found)


def embed_crops(photos: Sequence[PhotoToEmbed], store: EmbeddingStore, model: Embedder, progress: Progress) -> None:
    """Store the embeddings of all crops of each photo, (14 x 256) in a row; photos that cannot be read are left out."""
    missing = set(store.missing(photo.photo for photo in photos))
    for photo in photos:
        if photo.photo in missing:
            try:
                rows = model.embed(decode_crops(photo.read(), model.short_side, LIMITS, augmentation="full"))
            except (OSError, IdentificationError) as error:
                progress(f"{photo.photo[:16]} is left out: {error}")
            else:
                store.add([photo.photo], rows.reshape(1, -1))
        progress("crops", 1, len(photos))


def time_augmentations(photos: Sequence[PhotoToEmbed], model: Embedder) -> dict[str, float]:
    """Return the milliseconds of processor time a photo takes, decoded and embedded, by augmentation."""
    read = [photo.read() for photo in photos]
    taken = {}
    for name in CROPS:
        start = time.process_time()
        for data in read:
            model.embed(decode_crops(data, model.short_side, LIMITS, augmentation=name))
        taken[name] = round(1000 * (time.process_time() - start) / len(read), 1)
    return taken


def print_views(found: dict[str, Any]) -> None:
    """Print the result as a table."""
    print(f"{found['model']}, {found['photos']} photos, {found['rows'][0]['top1']['observations']} observations asked")
    print(f"{'references':11} {'queries':10} {'pooled by':9} {'views':>5} {'ms':>7}  recall@1 and gain in points")
    for row in found["rows"]:
        first, cost = row["top1"], found["milliseconds"][row["queries"]]
        gain = f"{first['gain']:+.1f} ({first['low']:+.1f} to {first['high']:+.1f})"
        print(
            f"{row['references']:11} {row['queries']:10} {row['pooling']:9} {row['views']:5} {cost:7.1f}  "
            f"{first['after']:.3f}  {gain}"
        )
