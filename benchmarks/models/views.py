"""Measures the gain and cost of test-time augmentation: `python -m benchmarks.models.views --model HANDLE --card FILE`.

Evaluates the configured catalogue by leave-one-out over observations, with every augmentation for references and for
queries. Every crop is embedded once and stored, so that an interrupted run can continue; an augmentation is the mean of
its crops.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.models.embedding import cpu_seconds
from fungarium.jobs.models import LIMITS, read_photos
from indexer.embedding.embed import PhotoToEmbed
from indexer.embedding.embeddings import EmbeddingStore
from indexer.embedding.held_out import askable, measure_recall
from indexer.embedding.projection import Labels
from retrieval.models.embedder import DIM, Embedder, Embeddings, unit_rows
from retrieval.models.handles import open_model
from retrieval.photos.crops import decode_crops
from settings import read_settings

PLACES = {"none": [0], "mirrored": [0, 7], "two-scale": [0, 2], "full": list(range(14))}  # among those of `full`
CROPS = len(PLACES["full"])
TEMPERATURES = (0.05, 0.08)


def main() -> None:
    """Measure and print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--card", type=Path)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/views.json"))
    options = parser.parse_args()
    model = open_model(options.model, options.card)
    settings = read_settings()
    photos, labels = read_photos(settings)
    with EmbeddingStore(settings.data / "embeddings", f"{model.model}.crops", CROPS * DIM) as store:
        seconds = embed_crops(photos, store, model)
        each = store.read([photo.photo for photo in photos]).reshape(len(photos), CROPS, DIM)
    pooled = {name: unit_rows(each[:, places].mean(axis=1, dtype=np.float64)) for name, places in PLACES.items()}
    asked = askable(labels)
    table: list[dict[str, Any]] = [
        {
            "references": batch,
            "asked": online,
            "views": len(PLACES[online]),
            **{f"T={t}": recalls(pooled[online], pooled[batch], labels, asked, t) for t in TEMPERATURES},
        }
        for batch, online in [(n, n) for n in PLACES]
        + [("none", n) for n in PLACES if n != "none"]
        + [(n, "none") for n in PLACES if n != "none"]
    ]
    result = {"model": model.model, "observations": len(asked), "photos": len(photos), "table": table}
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    took = f"; {1000 * seconds:.0f} ms of the processor a view" if seconds else ""
    print(f"{model.model}, {len(asked)} observations{took}")
    print("| references | asked with | views | recall@1 / 5, T = 0.05 | T = 0.08 |\n|---|---|---:|---|---|")
    for line in table:
        shown = " | ".join(f"{line[f'T={t}'][0]:.3f} / {line[f'T={t}'][1]:.3f}" for t in TEMPERATURES)
        print(f"| {line['references']} | {line['asked']} | {line['views']} | {shown} |")


def embed_crops(photos: Sequence[PhotoToEmbed], store: EmbeddingStore, model: Embedder) -> float:
    """Store the embeddings of all crops of each photo; returns processor seconds per view, 0 if there was no work."""
    missing = set(store.missing(photo.photo for photo in photos))
    waiting = [photo for photo in photos if photo.photo in missing]
    used = cpu_seconds()
    for photo in tqdm(waiting, desc="views", unit="photo", file=sys.stderr):
        rows = model.embed(decode_crops(photo.read(), model.short_side, LIMITS, augmentation="full"))
        store.add([photo.photo], rows.reshape(1, -1))
    return (cpu_seconds() - used) / (CROPS * len(waiting)) if waiting else 0.0


def recalls(
    queries: Embeddings, references: Embeddings, labels: Labels, asked: np.ndarray, temperature: float
) -> tuple[float, float]:
    """Return recall@1 and @5."""
    found = measure_recall(references, labels, asked, temperature=temperature, queries=queries)
    return found.first, found.five


if __name__ == "__main__":
    main()
