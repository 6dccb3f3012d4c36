"""Measures ensembles against their members: `python -m benchmarks.models.ensembles --indexes DIR --lines LINE...`.

Each line is a published snapshot of one model over the same references; the last one may be an ensemble of the others.
Observations are held out by group, in the same folds for all lines. Late fusion averages the calibrated vectors of the
members, with the weight that gave the least log loss on the other folds. Gains are paired, with bootstrap intervals.
"""

from __future__ import annotations

import argparse
import json
import time
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
from retrieval.ranking.calibration import Calibration
from retrieval.snapshots.snapshot import open_snapshot

FOLDS = 5
WEIGHTS = np.linspace(0, 1, 21)  # of the second member in late fusion
LEAST = 1e-6  # probability below which a species is as good as excluded


def main() -> None:
    """Measure and print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--indexes", type=Path, required=True)
    parser.add_argument("--members", nargs=2, required=True, help="two lines")
    parser.add_argument("--joined", help="the line of their ensemble")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines = [*options.members, *([options.joined] if options.joined else [])]
    result = measure_lines(options.indexes, lines, len(options.members), options.seed)
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def measure_lines(root: Path, lines: list[str], members: int, seed: int) -> dict[str, Any]:
    """Return the recall of each line and of late fusion of the first `members`, and the gains over the best member."""
    galleries, methods, models = [], [], []
    for line in lines:
        with closing(open_snapshot(root, line)) as snapshot:
            galleries.append(read_gallery(snapshot, snapshot.flora(WORLD)))
            methods.append(Method(snapshot.voting, Calibration()))
            models.append(snapshot.model)
    galleries = [replace(gallery, joined=galleries[0].groups) for gallery in galleries]  # the same splits for all
    dealt = deal_folds(galleries[0].groups, galleries[0].columns, FOLDS, seed)
    plain = [score_folds(gallery, dealt, method) for gallery, method in zip(galleries, methods, strict=True)]
    calibrated, seconds = [], []
    for gallery in galleries:
        began = time.perf_counter()
        calibrated.append(score_folds(gallery, dealt, None, seed))
        seconds.append(time.perf_counter() - began)
    truth, folds = plain[0][1], plain[0][2]
    late, weights = fuse_late([scores for scores, _, _ in calibrated[:members]], truth, folds)
    table: dict[str, Any] = {}
    for kind, found in (("votes", plain), ("calibrated", calibrated)):
        ranks = {line: rank_truth(scores, truth) for line, (scores, _, _) in zip(lines, found, strict=True)}
        if kind == "calibrated":
            ranks["late fusion"] = rank_truth(late, truth)
        best = max(lines[:members], key=lambda line: float((ranks[line] == 1).mean()))
        table[kind] = {
            name: {
                "top1": float((rank == 1).mean()),
                "top5": float((rank <= 5).mean()),
                **({} if name in lines[:members] else {f"over {best}": gains(ranks[best], rank, seed)}),
            }
            for name, rank in ranks.items()
        }
    return {
        "observations": len(truth),
        "models": dict(zip(lines, models, strict=True)),
        "weights of the second member": weights,
        "seconds to learn": dict(zip(lines, seconds, strict=True)),
        **table,
    }


def gains(before: NDArray[np.int64], after: NDArray[np.int64], seed: int) -> dict[str, Any]:
    """Return the paired change of top-1 and top-5."""
    return {f"top{k}": paired_gain((before <= k).astype(float), (after <= k).astype(float), seed) for k in (1, 5)}


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
