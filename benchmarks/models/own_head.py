"""Compares the gain claimed for a fitted head with that on other finds: `python -m benchmarks.models.own_head FOLDER`.

FOLDER is a drawn collection (`fungarium demo draw`). In each of several splits, a part of its finds is kept apart, as
those that people will bring. The rest is the collection: the claim is the cross-validated gain of `fungarium model
fit-head` on it. Then a head is fitted with a quarter of the collection held out, as the command does, and the finds
kept apart are asked of the collection, with the network's own head and with the new one.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from evaluation.specimens.archive import photo_path
from evaluation.specimens.world import make_world
from indexer.embedding.embeddings import EmbeddingStore
from indexer.embedding.features import FeatureEmbedder, open_feature_store
from indexer.embedding.fit_head import HELD_OUT, fit_head, hold_out, join_groups, judge_heads, unit_features
from indexer.embedding.held_out import RecallGain, measure_gain, rank_observations
from indexer.embedding.projection import Labels, Rows
from retrieval.models.embedder import unit_rows
from retrieval.models.handles import open_model
from retrieval.models.head import TEMPERATURE, Head
from retrieval.models.network import Backbone, NetworkEmbedder
from retrieval.photos.views import CURATED, decode_view

APART = 0.4  # of the finds


def main() -> None:
    """Measure and print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--splits", type=int, default=6)
    parser.add_argument("--features", type=Path, default=Path("data/embeddings"), help="where features are kept")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/own_head.json"))
    options = parser.parse_args()
    embedder = open_model(options.model)
    assert isinstance(embedder, NetworkEmbedder)
    assert embedder.head is not None
    with open_feature_store(options.features, embedder.backbone) as store:
        features, labels = read_finds(options.collection, store, embedder.backbone)
    labels = join_groups(features, labels)
    result: dict[str, Any] = {"model": embedder.model, "photos": len(features), "splits": []}
    for seed in range(1, options.splits + 1):
        claimed, found = judge_split(features, labels, embedder.head, seed)
        result["splits"].append({"claimed": asdict(claimed), "found": asdict(found)})
        means = [float(np.mean([split[name]["gain"] for split in result["splits"]])) for name in ("claimed", "found")]
        result |= {"claimed": means[0], "found": means[1], "apart": means[1] - means[0]}
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(
            f"split {seed}: claimed {claimed.gain:+.3f}, found {found.gain:+.3f}; apart {result['apart']:+.3f}",
            flush=True,
        )


def judge_split(features: Rows, labels: Labels, own: Head, seed: int) -> tuple[RecallGain, RecallGain]:
    """Return the gain claimed on a part of the finds, and the gain of that head on the others."""
    apart = hold_out(labels, APART, 1000 + seed)
    rows = np.flatnonzero(~apart)
    collection, known = features[rows], labels.pick(rows)
    verdict = judge_heads(collection, known, own=own, seed=seed)
    assert verdict.gain is not None
    taught = np.flatnonzero(~hold_out(known, HELD_OUT, seed))
    head = fit_head(collection[taught], known.pick(taught), verdict.best, verdict, seed=seed)
    ranks = [ask_apart(one, features, labels, apart) for one in (own, head)]
    return verdict.gain, measure_gain(*ranks, seed=seed)


def ask_apart(head: Head, features: Rows, labels: Labels, apart: np.ndarray) -> np.ndarray:
    """Return the ranks of the finds kept apart, each asked of the collection alone."""
    rows = unit_rows(head.project(features))
    ranks = []
    for number in np.unique(labels.observations[apart]).tolist():
        there = np.flatnonzero(~apart | (labels.observations == number))
        ranks.append(rank_observations(rows[there], labels.pick(there), np.array([number]), temperature=TEMPERATURE)[0])
    return np.array(ranks, dtype=np.int64)


def read_finds(drawn: Path, store: EmbeddingStore, backbone: Backbone) -> tuple[Rows, Labels]:
    """Return the features of a drawn collection's photos, with their labels; features are computed once."""
    made = json.loads((drawn / "collection.json").read_text(encoding="utf-8"))
    world, model = make_world(made["seed"], made["species"]), FeatureEmbedder(backbone)
    names: dict[str, int] = {}
    photos, labels = [], []
    for find in tqdm(world.finds, desc="finds", file=sys.stderr):
        read = [(drawn / "archive" / photo_path(find, position)).read_bytes() for position in range(len(find.aspects))]
        digests = [sha256(photo).hexdigest() for photo in read]
        if store.missing(digests):
            store.add(digests, model.embed([decode_view(photo, model.short_side, CURATED) for photo in read]))
        photos += digests
        labels += [(names.setdefault(find.species.name, len(names)), find.number)] * len(digests)
    features, kept = unit_features(store.read(photos))
    ids = np.array(labels, dtype=np.int64)[kept]
    return features, Labels(ids[:, 0], ids[:, 1])


if __name__ == "__main__":
    main()
