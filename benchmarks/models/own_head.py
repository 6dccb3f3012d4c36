"""Compares the gain claimed for a fitted head with that on new finds: `python -m benchmarks.models.own_head`.

Draws the demo collection's finds and as many new ones of the same species, which no head has seen. The claim is the
cross-validated gain of `fungarium model fit-head` on the collection. Then a head is fitted with a quarter of the finds
held out, as the command does, and the new finds are asked of the collection with the network's own head and with the
new one. Features are kept in a folder, so that an interrupted run can continue.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from evaluation.specimens.archive import photo_path
from evaluation.specimens.collection import draw_find
from evaluation.specimens.world import Find, make_world, sample_find
from indexer.embedding.embeddings import EmbeddingStore
from indexer.embedding.features import FeatureEmbedder, open_feature_store
from indexer.embedding.fit_head import HELD_OUT, fit_head, hold_out, join_groups, judge_heads, unit_features
from indexer.embedding.held_out import measure_gain, rank_observations
from indexer.embedding.projection import Labels, Rows
from retrieval.models.embedder import unit_rows
from retrieval.models.handles import open_model
from retrieval.models.head import TEMPERATURE, Head
from retrieval.models.network import NetworkEmbedder
from retrieval.photos.views import CURATED, decode_view

NEW = 5_000_000  # number of the first new find; those of the collection count from 0
SEED = 1


def main() -> None:
    """Measure and print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--species", type=int, default=60)
    parser.add_argument("--new", type=int, default=14, help="new finds of each species")
    parser.add_argument("--collection", type=Path, help="a drawn demo collection, to save the time of drawing it again")
    parser.add_argument("--folder", type=Path, default=Path("demo/heads"), help="where features are kept")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/own_head.json"))
    options = parser.parse_args()
    embedder = open_model(options.model)
    assert isinstance(embedder, NetworkEmbedder)
    assert embedder.head is not None
    world = make_world(SEED, options.species)
    fresh = [
        sample_find(SEED, NEW + 1000 * place + number, member)
        for number in range(options.new)
        for place, member in enumerate(world.species)
    ]
    with open_feature_store(options.folder, embedder.backbone) as store:
        features, labels = read_finds(world.finds, store, embedder, options.collection)
        asked, truth = read_finds(fresh, store, embedder)
    labels = join_groups(features, labels)
    verdict = judge_heads(features, labels, own=embedder.head, seed=SEED)
    assert verdict.gain is not None
    rows = np.flatnonzero(~hold_out(labels, HELD_OUT, SEED))
    head = fit_head(features[rows], labels.pick(rows), verdict.best, verdict, seed=SEED)
    own, fitted = (ask(found, features, labels, asked, truth) for found in (embedder.head, head))
    result: dict[str, Any] = {
        "model": embedder.model,
        "collection": {"photos": len(features), "observations": len(np.unique(labels.observations))},
        "new": {"photos": len(asked), "observations": len(own)},
        "kind": verdict.best,
        "claimed": asdict(verdict.gain),
        "found": asdict(measure_gain(own, fitted, seed=SEED)),
    }
    result["apart"] = result["found"]["gain"] - result["claimed"]["gain"]
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def read_finds(
    finds: Iterable[Find], store: EmbeddingStore, embedder: NetworkEmbedder, drawn: Path | None = None
) -> tuple[Rows, Labels]:
    """Draw finds, or read them where they are `drawn`; return their photos' features with labels.

    Species are numbered in the order of the finds, which is the same for both sets.
    """
    names: dict[str, int] = {}
    photos, labels = [], []
    model = FeatureEmbedder(embedder.backbone)
    for find in tqdm(list(finds), desc="finds", file=sys.stderr):
        digests = [sha256(f"{find.number} {position}".encode()).hexdigest() for position in range(len(find.aspects))]
        if store.missing(digests):
            photos_of = read_find(drawn, find) if drawn else draw_find(SEED, find)
            views = [decode_view(photo, model.short_side, CURATED) for photo in photos_of]
            store.add(digests, model.embed(views))
        photos += digests
        labels += [(names.setdefault(find.species.name, len(names)), find.number)] * len(digests)
    features, kept = unit_features(store.read(photos))
    ids = np.array(labels, dtype=np.int64)[kept]
    return features, Labels(ids[:, 0], ids[:, 1])


def read_find(drawn: Path, find: Find) -> list[bytes]:
    """Read the photos of a find from a drawn collection."""
    return [(drawn / "archive" / photo_path(find, position)).read_bytes() for position in range(len(find.aspects))]


def ask(head: Head, features: Rows, labels: Labels, asked: Rows, truth: Labels) -> np.ndarray:
    """Return the rank of the species of each new find, asked of the collection alone."""
    references = unit_rows(head.project(features))
    ranks = []
    for number in np.unique(truth.observations).tolist():
        mine = truth.observations == number
        rows = np.concatenate([unit_rows(head.project(asked[mine])), references])
        there = Labels(
            np.concatenate([truth.species[mine], labels.species]),
            np.concatenate([truth.observations[mine], labels.observations]),
        )
        ranks.append(rank_observations(rows, there, np.array([number]), temperature=TEMPERATURE)[0])
    return np.array(ranks, dtype=np.int64)


if __name__ == "__main__":
    main()
