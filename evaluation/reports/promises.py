"""Whether calibrated scores and the specificity decision reach their targets, by list, number of photos and class size.

Everything is counted over nested folds (`measuring/nested.py`), with Wilson's interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.learning.estimators import auroc
from evaluation.learning.query_mix import calibration_error
from evaluation.learning.thresholds import fit_thresholds
from evaluation.measuring.nested import TARGET, JudgedCondition
from retrieval.domain import RANKS, WORLD
from retrieval.ranking.calibration import ALONE
from retrieval.ranking.specificity import judge_depths

HIGH = 0.8  # a score that people take for certain
RARE = 0.1  # share of observations off the list, when most are on it
SPECIES = len(RANKS)
Z = 1.959963984540054  # of a 95 % interval


def wilson(right: float, total: float) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927); (0, 1) if nothing was counted."""
    if total <= 0:
        return 0.0, 1.0
    share, spread = right / total, Z * Z / total
    centre = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * float(np.sqrt(share * (1 - share) / total + spread / (4 * total)))
    return max(0.0, centre - half), min(1.0, centre + half)


def share_of(right: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a share with its count and interval; without a value if nothing was counted."""
    low, high = wilson(float(right.sum()), float(len(right)))
    return {
        "right": float(right.mean()) if len(right) else None,
        "observations": len(right),
        "low": low,
        "high": high,
    }


def judge_promises(
    conditions: Sequence[JudgedCondition], names: Sequence[str], sizes: Sequence[str], order: Sequence[str]
) -> dict[str, Any]:
    """Compare targets with results, in the world and each list; `sizes` (observations,) is the class size."""
    found: dict[str, Any] = {}
    for condition in conditions:
        if condition.hide == "own":
            name = WORLD if condition.list_index is None else names[condition.list_index]
            found.setdefault(name, {})["firstPhoto" if condition.alone else "allPhotos"] = judge_promise(condition)
            if not condition.alone:
                several = condition.photos >= ALONE
                found[name]["onePhoto"] = judge_promise(some(condition, ~several))
                found[name]["severalPhotos"] = judge_promise(some(condition, several))
                found[name]["byClassSize"] = {
                    size: stops_of(some(condition, np.array([one == size for one in sizes]))) for size in order
                }
    return found


def some(condition: JudgedCondition, chosen: NDArray[np.bool_]) -> JudgedCondition:
    """Return the results of some of the observations."""
    arrays: dict[str, Any] = {
        name: value[chosen]
        for name in JudgedCondition.__dataclass_fields__
        if isinstance(value := getattr(condition, name), np.ndarray)
    }
    return replace(condition, **arrays)


def judge_promise(condition: JudgedCondition) -> dict[str, Any]:
    """Evaluate scores and specificity under one condition."""
    on_list = condition.on_list
    return {
        "observations": len(on_list),
        "onList": int(on_list.sum()),
        "top1OnList": share_of(condition.right[on_list]),
        "errorAllAsked": error_of(condition, None),
        "errorOneInTenOffList": error_of(condition, weigh_rare(on_list)),
        "offListScoredHigh": share_of(condition.score[~on_list] >= HIGH),
        "rejected": share_of(condition.rejected),
        **stops_of(condition),
    }


def error_of(condition: JudgedCondition, weights: NDArray[np.float64] | None) -> float | None:
    """Return the calibration error of the top score; None without observations."""
    return calibration_error(condition.score, condition.right, weights=weights) if len(condition.score) else None


def weigh_rare(on_list: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Return weights that put the share RARE of the observations off the list; None if all or none are."""
    if on_list.all() or not on_list.any():
        return None
    return np.asarray(np.where(on_list, (1 - RARE) / on_list.mean(), RARE / (~on_list).mean()))


def stops_of(condition: JudgedCondition) -> dict[str, Any]:
    """Return the ranks of the answers, and how often they are right at each."""
    answered = condition.depth > 0
    species = condition.depth == SPECIES
    best = best_possible(condition)
    return {
        "target": float(TARGET),
        "rightWhereAnswered": share_of(condition.right_there[answered]),
        "byRank": {
            rank: share_of(condition.right_there[condition.depth == number + 1]) for number, rank in enumerate(RANKS)
        },
        "unanswered": int((~answered).sum()),
        "meanDepth": float(condition.depth.mean()) if len(condition.depth) else None,
        "onListAtSpecies": float(species[condition.on_list].mean()) if condition.on_list.any() else None,
        "onListAtSpeciesAtBest": float((best == SPECIES)[condition.on_list].mean())
        if condition.on_list.any()
        else None,
    }


def best_possible(condition: JudgedCondition) -> NDArray[np.int64]:
    """Return the ranks with thresholds fitted to the target on these very observations, for each number of photos."""
    depths = np.zeros(len(condition.depth), dtype=np.int64)
    several = condition.photos >= ALONE
    for chosen in (several, ~several):
        if chosen.any():
            sums, right = condition.nodes[chosen], condition.nodes_right[chosen]
            limits = fit_thresholds(sums, right, np.ones(len(sums)), float(TARGET), 1e9)
            depths[chosen] = judge_depths(sums, right, limits)[1]
    return depths


def measure_unknown(conditions: Sequence[JudgedCondition], names: Sequence[str]) -> dict[str, Any]:
    """Evaluate the detection of species and genera without references, and the answers given for them, by list."""
    found: dict[str, Any] = {}
    for condition in conditions:
        if condition.alone:
            continue
        name = WORLD if condition.list_index is None else names[condition.list_index]
        entry = found.setdefault(name, {})
        if condition.hide == "own":
            entry["known"] = {"rejected": share_of(condition.rejected), "mean": float(condition.none.mean())}
            continue
        known = next(
            one for one in conditions if one.hide == "own" and one.list_index == condition.list_index and not one.alone
        )
        at_species, at_genus = condition.depth == SPECIES, condition.depth == SPECIES - 1
        entry[condition.hide] = {
            "auroc": auroc(condition.none, known.none),
            "rejected": share_of(condition.rejected),
            "mean": float(condition.none.mean()),
            "answeredAtSpecies": share_of(at_species),  # all of them wrong
            "genusRight": share_of(condition.right_there[at_genus]),
            "goodAnswers": share_of(condition.rejected | (condition.depth == 0) | condition.right_there),
        }
    return found


def coverage_curve(condition: JudgedCondition, points: int = 20) -> list[dict[str, Any]]:
    """Return the share of right answers among the most certain answers at species, for growing shares answered."""
    order = np.argsort(-condition.nodes[:, SPECIES - 1], kind="stable")
    right = condition.nodes_right[order, SPECIES - 1]
    cuts = np.unique(np.ceil(np.linspace(0, len(right), points + 1)[1:]).astype(int)).tolist()
    return [{"share": cut / len(right), **share_of(right[:cut])} for cut in cuts if cut]


def reliability(score: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 10) -> list[dict[str, Any]]:
    """Return mean score and share right in bins of equal width, with counts and intervals; empty bins are left out."""
    bin_of = np.minimum((score * bins).astype(int), bins - 1)
    return [
        {"score": float(score[bin_of == number].mean()), **share_of(right[bin_of == number])}
        for number in range(bins)
        if (bin_of == number).any()
    ]


def worst(promises: Mapping[str, Any], name: str) -> float:
    """Return the largest value of a figure over all lists, with all photos; 0 if there is no list."""
    values = [one["allPhotos"][name] for list_name, one in promises.items() if list_name != WORLD]
    return max((value for value in values if value is not None), default=0.0)
