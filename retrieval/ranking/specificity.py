"""Specificity: the deepest taxon that is probable enough.

As in section 3.3 of the hierarchical species paper: a leaf has its own score, an inner node the sum of
its children; the answer is the deepest node whose sum is at least a threshold. (The paper's formula prints
"less than"; its text and its use say "at least", as here.) Depth counts kingdom 1 to species 7;
the root, which is always right, has depth 0.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking.nodes import UPPER, Classification

TARGET = 0.90  # default target share of right answers
ROOT = 0
LEAST = 1e-12  # an impossible probability


@dataclass(frozen=True, slots=True)
class SpecificityDecision:
    """The decision: a taxon (None: not even the kingdom), its probability and its depth."""

    taxon: int | None
    probability: float
    depth: int
    threshold: float


def sum_nodes(scores: NDArray[np.float64], nodes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sum species' scores (..., species) by node of one rank: node ids, ascending, and sums (..., nodes).

    The sums are computed along the species: a matrix of species and nodes would grow quadratically.
    """
    known = np.flatnonzero(nodes >= 0)
    order = known[np.argsort(nodes[known], kind="stable")]
    taxa, firsts = np.unique(nodes[order], return_index=True)
    return taxa, np.add.reduceat(scores[..., order], firsts, axis=-1)


def choose_node(
    scores: NDArray[np.float64],
    tree: Classification,
    thresholds: NDArray[np.float64],
    *,
    within: Collection[int] = (),
    on_list: NDArray[np.bool_] | None = None,
    units: NDArray[np.float64] | None = None,
) -> SpecificityDecision:
    """Return the deepest node at or above its rank's threshold; ties by probability, then by lower id.

    `thresholds` (7,) are from kingdom to species. A node without any score is never chosen. Only species of the mask
    `on_list` (species,) may be named; higher taxa are sums over all species. `within` are taxa that the person is sure
    of: the search starts at the most probable of them, so that the answer is never wider. `units` are the scores summed
    by lineage, if that was done before.
    """
    start = SpecificityDecision(None, float(scores.sum()), ROOT, float(thresholds[0]))
    if within:
        scores = np.where(tree.under(within), scores, 0.0)
        start = best_start(scores, tree, within, thresholds)
    if start.depth <= UPPER and len(scores):
        best = int((scores if on_list is None else np.where(on_list, scores, 0.0)).argmax())
        if scores[best] >= max(thresholds[UPPER], LEAST) and (on_list is None or on_list[best]):
            return SpecificityDecision(
                int(tree.species[best]), float(scores[best]), UPPER + 1, float(thresholds[UPPER])
            )
    units = tree.sum_units(scores) if units is None or within else units
    for rank in reversed(range(start.depth, UPPER)):
        taxa, sums = tree.sum_rank(units, rank)
        if len(taxa):
            best = int(np.round(sums, 15).argmax())  # ties go to the first, which has the lowest id
            if sums[best] >= max(thresholds[rank], LEAST):
                return SpecificityDecision(int(taxa[best]), float(sums[best]), rank + 1, float(thresholds[rank]))
    return start


def best_start(
    scores: NDArray[np.float64], tree: Classification, within: Collection[int], thresholds: NDArray[np.float64]
) -> SpecificityDecision:
    """Return the most probable of the given nodes; ties by lower id. None if none has a score."""
    found = []
    for node in sorted(within):
        depth = tree.depth(node)
        probability = float(scores[tree.under([node])].sum())
        if depth and probability > 0:
            found.append(SpecificityDecision(node, probability, depth, float(thresholds[depth - 1])))
    if not found:
        return SpecificityDecision(None, 0.0, ROOT, float(thresholds[0]))
    return max(found, key=lambda decision: (decision.probability, -(decision.taxon or 0)))


def judge_depths(
    sums: NDArray[np.float64], right: NDArray[np.bool_], thresholds: NDArray[np.float64] | float
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return for many observations whether the answer at the thresholds is right, and its depth.

    `sums` (observations, 7) holds the most probable node of each rank, `right` whether it is the true one.
    `thresholds` are (7,), (observations, 7), or one for all.
    """
    enough = (sums >= thresholds) & (sums > 0)
    ranks = sums.shape[1]
    depths = np.where(enough.any(axis=1), ranks - np.argmax(enough[:, ::-1], axis=1), ROOT)
    correct = np.where(depths > 0, right[np.arange(len(right)), np.maximum(depths - 1, 0)], True)
    return correct, depths


def depth_curve(
    sums: NDArray[np.float64], right: NDArray[np.bool_], thresholds: Sequence[float]
) -> list[tuple[float, float, float]]:
    """Return (threshold, accuracy, mean depth) for each threshold."""
    curve = []
    for threshold in thresholds:
        correct, depths = judge_depths(sums, right, threshold)
        curve.append((threshold, float(correct.mean()), float(depths.mean())))
    return curve
