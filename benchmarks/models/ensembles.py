"""Measures two models joined: `python -m benchmarks.models.ensembles --indexes DIR --members A B`.

Members are published lines of two models over the same references. Their ensemble has their leading numbers side by
side, as `ensemble:A+B` has. Late fusion averages their calibrated vectors, with the weight that gave the least log loss
on the other folds. Observations are held out by group, in the same folds for all. Gains are paired, with intervals.
"""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, hold_out_queries, read_gallery, search
from evaluation.learning.estimators import deal_folds
from evaluation.learning.fit import NEIGHBOURS
from evaluation.learning.learn import learn
from evaluation.learning.query_mix import rank_truth
from evaluation.learning.scoring import Method, score_all
from evaluation.measuring.ablate import paired_gain
from retrieval.domain import WORLD
from retrieval.models.embedder import unit_rows
from retrieval.models.ensemble import make_leading_head
from retrieval.models.head import TEMPERATURE
from retrieval.ranking.calibration import Calibration
from retrieval.ranking.votes import Voting
from retrieval.snapshots.snapshot import open_snapshot

FOLDS = 5
WEIGHTS = np.linspace(0, 1, 21)  # of the second member in late fusion
LEAST = 1e-6  # probability below which a species is as good as excluded


def main() -> None:
    """Measure and print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--indexes", type=Path, required=True)
    parser.add_argument("--members", nargs=2, required=True, help="two lines")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result = measure_members(options.indexes, options.members, options.seed)
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def measure_members(root: Path, members: list[str], seed: int) -> dict[str, Any]:
    """Return the recall of each member, of their ensemble and of late fusion, and the gains over the best member."""
    galleries, models = [], []
    for line in members:
        with closing(open_snapshot(root, line)) as snapshot:
            galleries.append(read_gallery(snapshot, snapshot.flora(WORLD)))
            models.append(snapshot.model)
    first = galleries[0]
    galleries = [replace(gallery, joined=first.groups) for gallery in galleries]  # the same splits for all
    head = make_leading_head(len(members))
    features = np.concatenate([gallery.embeddings for gallery in galleries], axis=1)
    galleries.append(replace(first, embeddings=unit_rows(head.project(features)), joined=first.groups))
    names = [*members, "ensemble"]
    dealt = deal_folds(first.groups, first.columns, FOLDS, seed)
    votes = Method(Voting(temperature=TEMPERATURE), Calibration())
    plain = [score_folds(gallery, dealt, votes) for gallery in galleries]
    calibrated = [score_folds(gallery, dealt, None, seed) for gallery in galleries]
    truth, folds = plain[0][1], plain[0][2]
    late, weights = fuse_late([scores for scores, _, _ in calibrated[: len(members)]], truth, folds)
    table: dict[str, Any] = {}
    for kind, found in (("votes", plain), ("calibrated", calibrated)):
        ranks = {name: rank_truth(scores, truth) for name, (scores, _, _) in zip(names, found, strict=True)}
        if kind == "calibrated":
            ranks["late fusion"] = rank_truth(late, truth)
        best = max(members, key=lambda line: float(hits(ranks[line], 1).mean()))
        table[kind] = {
            name: {
                **{f"top{k}": float(hits(rank, k).mean()) for k in (1, 5)},
                **({} if name in members else {f"over {best}": gains(ranks[best], rank, seed)}),
            }
            for name, rank in ranks.items()
        }
    facts = {"observations": len(truth), "models": dict(zip(members, models, strict=True))}
    return {**facts, "weights of the second member": weights, **table}


def hits(rank: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return 1 for each observation whose species is among the first `k`, else 0; without a vote its rank is 0."""
    return ((rank > 0) & (rank <= k)).astype(np.float64)


def gains(before: NDArray[np.int64], after: NDArray[np.int64], seed: int) -> dict[str, Any]:
    """Return the paired change of top-1 and top-5."""
    return {f"top{k}": paired_gain(hits(before, k), hits(after, k), seed) for k in (1, 5)}


def score_folds(
    gallery: Gallery, dealt: NDArray[np.int64], method: Method | None, seed: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Score each observation by a method, or by one fitted without its fold; (observations, species), truth, fold."""
    parts = []
    for fold in range(FOLDS):
        held = np.intersect1d(gallery.evaluable, gallery.observations[dealt == fold])
        fitted = method or learn(gallery.select(dealt != fold), seed=seed, ranking_only=True)
        queries = hold_out_queries(gallery, held)
        found = search(gallery, queries, NEIGHBOURS).first(fitted.voting.neighbours)
        scores, _ = score_all(gallery, queries, found, fitted)
        parts.append((queries.excluded[queries.first], scores, queries.truth, np.full(queries.count, fold)))
    order = np.argsort(np.concatenate([part[0] for part in parts]), kind="stable")
    scores, truth, folds = (np.concatenate([part[place] for part in parts])[order] for place in (1, 2, 3))
    return scores, truth, folds


def fuse_late(
    vectors: list[NDArray[np.float64]], truth: NDArray[np.int64], folds: NDArray[np.int64]
) -> tuple[NDArray[np.float64], list[float]]:
    """Average the vectors of two members; the weight for a fold is learned on the others."""
    first, second = vectors
    rows = np.arange(len(truth))
    losses = np.stack(
        [-np.log(np.maximum(LEAST, ((1 - w) * first + w * second)[rows, truth])) for w in WEIGHTS.tolist()]
    )
    fused, weights = np.zeros_like(first), []
    for fold in range(FOLDS):
        weight = float(WEIGHTS[losses[:, folds != fold].mean(axis=1).argmin()])
        here = folds == fold
        fused[here] = (1 - weight) * first[here] + weight * second[here]
        weights.append(weight)
    return fused, weights


if __name__ == "__main__":
    main()
