"""How narrow an answer may be: the deepest taxon that is probable enough.

From the hierarchical species paper, section 3.3: a leaf has its own score, an inner node the sum of
its children; the answer is the deepest node whose sum is at least a threshold. (Its formula prints
"less than"; its text and its use say "at least", and so does this.) Depth counts kingdom 1 to species 7,
the root, which is always right, 0.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TARGET = 0.90  # of answers right, where nothing else is asked for
ROOT = 0
Lineages = NDArray[np.int64]  # (species, 7): taxon ids from kingdom to species, -1 where a rank is not known


@dataclass(frozen=True, slots=True)
class SpecificityDecision:
    """Where an answer stops: a taxon (None: not even the kingdom), the probability of it, and its depth."""

    taxon: int | None
    probability: float
    depth: int
    threshold: float


def sum_nodes(scores: NDArray[np.float64], nodes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sums of the species' scores under each node of one rank: node ids, ascending, and (..., nodes) sums.

    Added up along the species: a table of which species stands under which node would grow with their square.
    """
    known = np.flatnonzero(nodes >= 0)
    order = known[np.argsort(nodes[known], kind="stable")]
    taxa, firsts = np.unique(nodes[order], return_index=True)
    return taxa, np.add.reduceat(scores[..., order], firsts, axis=-1)


def choose_node(
    scores: NDArray[np.float64], lineages: Lineages, threshold: float, *, within: Collection[int] = ()
) -> SpecificityDecision:
    """The deepest node at or above the threshold; among equally deep ones the more probable, then the lower id.

    `within` names nodes that a person is sure of already: the search starts at them, so that the answer
    is never wider than the one of them that is most probable.
    """
    start = SpecificityDecision(None, float(scores.sum()), ROOT, threshold)
    if within:
        inside = under(lineages, within)
        scores = np.where(inside, scores, 0.0)
        start = best_start(scores, lineages, within, threshold)
    for rank in reversed(range(lineages.shape[1])):
        taxa, sums = sum_nodes(scores, lineages[:, rank])
        if len(taxa) and rank + 1 > start.depth:
            best = int(np.lexsort((taxa, -sums))[0])
            if sums[best] >= threshold:
                return SpecificityDecision(int(taxa[best]), float(sums[best]), rank + 1, threshold)
    return start


def under(lineages: Lineages, within: Collection[int]) -> NDArray[np.bool_]:
    """Which species stand under any of the nodes, (species,)."""
    return np.asarray(np.isin(lineages, list(within)).any(axis=1))


def best_start(
    scores: NDArray[np.float64], lineages: Lineages, within: Collection[int], threshold: float
) -> SpecificityDecision:
    """The most probable of the nodes that a person gave; of equals the lower id."""
    found = []
    for node in sorted(within):
        at = np.argwhere(lineages == node)
        if len(at):
            probability = float(scores[(lineages == node).any(axis=1)].sum())
            found.append(SpecificityDecision(node, probability, int(at[0, 1]) + 1, threshold))
    if not found:
        return SpecificityDecision(None, 0.0, ROOT, threshold)
    return max(found, key=lambda decision: (decision.probability, -(decision.taxon or 0)))


def judge_depths(
    sums: NDArray[np.float64], right: NDArray[np.bool_], threshold: float
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """For very many observations at once: whether the answer at a threshold is right, and how deep it goes.

    `sums` (observations, 7) holds the most probable node of each rank, `right` whether it is the true one.
    """
    enough = sums >= threshold
    ranks = sums.shape[1]
    depths = np.where(enough.any(axis=1), ranks - np.argmax(enough[:, ::-1], axis=1), ROOT)
    correct = np.where(depths > 0, right[np.arange(len(right)), np.maximum(depths - 1, 0)], True)
    return correct, depths


def fit_threshold(
    sums: NDArray[np.float64], right: NDArray[np.bool_], target: float, *, start: float = 0.5, steps: int = 60
) -> float:
    """Climb to the lowest threshold that reaches the target accuracy, with a step that shrinks at each turn.

    Higher thresholds are right more often and less deep, so that the way up is the way to accuracy.
    """
    threshold, step, way = start, 0.2, 0
    best = 1.0
    for _ in range(steps):
        correct, _ = judge_depths(sums, right, threshold)
        reached = float(correct.mean()) >= target
        if reached:
            best = min(best, threshold)
        turn = -1 if reached else 1
        if way and turn != way:
            step /= 2
        way = turn
        threshold = min(1.0, max(0.0, threshold + turn * step))
    return best


def depth_curve(
    sums: NDArray[np.float64], right: NDArray[np.bool_], thresholds: Sequence[float]
) -> list[tuple[float, float, float]]:
    """(threshold, accuracy, mean depth) for each threshold."""
    curve = []
    for threshold in thresholds:
        correct, depths = judge_depths(sums, right, threshold)
        curve.append((threshold, float(correct.mean()), float(depths.mean())))
    return curve
