"""Whether calibrated scores and the specificity decision reach their targets, by list, number of photos and class size.

Everything is counted over nested folds (`measuring/nested.py`), with Wilson's interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.learning.asks import calibration_error
from evaluation.learning.estimators import auroc
from evaluation.learning.thresholds import fit_thresholds
from evaluation.measuring.nested import TARGET, JudgedWay
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
    ways: Sequence[JudgedWay], names: Sequence[str], sizes: Sequence[str], order: Sequence[str]
) -> dict[str, Any]:
    """Compare targets with results, in the world and each list; `sizes` (observations,) is the class size."""
    found: dict[str, Any] = {}
    for way in ways:
        if way.hide == "own":
            name = WORLD if way.place is None else names[way.place]
            found.setdefault(name, {})["firstPhoto" if way.alone else "allPhotos"] = judge_promise(way)
            if not way.alone:
                several = way.photos >= ALONE
                found[name]["onePhoto"] = judge_promise(some(way, ~several))
                found[name]["severalPhotos"] = judge_promise(some(way, several))
                found[name]["byClassSize"] = {
                    size: stops_of(some(way, np.array([one == size for one in sizes]))) for size in order
                }
    return found


def some(way: JudgedWay, chosen: NDArray[np.bool_]) -> JudgedWay:
    """Return the results of some of the observations."""
    arrays: dict[str, Any] = {
        name: value[chosen]
        for name in JudgedWay.__dataclass_fields__
        if isinstance(value := getattr(way, name), np.ndarray)
    }
    return replace(way, **arrays)


def judge_promise(way: JudgedWay) -> dict[str, Any]:
    """Evaluate scores and specificity under one condition."""
    on_list = way.on_list
    return {
        "observations": len(on_list),
        "onList": int(on_list.sum()),
        "top1OnList": share_of(way.right[on_list]),
        "errorAllAsked": error_of(way, None),
        "errorOneInTenOffList": error_of(way, weigh_rare(on_list)),
        "offListScoredHigh": share_of(way.score[~on_list] >= HIGH),
        "rejected": share_of(way.rejected),
        **stops_of(way),
    }


def error_of(way: JudgedWay, weights: NDArray[np.float64] | None) -> float | None:
    """Return the calibration error of the top score; None without observations."""
    return calibration_error(way.score, way.right, weights=weights) if len(way.score) else None


def weigh_rare(on_list: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Return weights that put the share RARE of the observations off the list; None if all or none are."""
    if on_list.all() or not on_list.any():
        return None
    return np.asarray(np.where(on_list, (1 - RARE) / on_list.mean(), RARE / (~on_list).mean()))


def stops_of(way: JudgedWay) -> dict[str, Any]:
    """Return the ranks of the answers, and how often they are right at each."""
    answered = way.depth > 0
    species = way.depth == SPECIES
    best = best_possible(way)
    return {
        "target": float(TARGET),
        "rightWhereAnswered": share_of(way.right_there[answered]),
        "byRank": {rank: share_of(way.right_there[way.depth == place + 1]) for place, rank in enumerate(RANKS)},
        "unanswered": int((~answered).sum()),
        "meanDepth": float(way.depth.mean()) if len(way.depth) else None,
        "onListAtSpecies": float(species[way.on_list].mean()) if way.on_list.any() else None,
        "onListAtSpeciesAtBest": float((best == SPECIES)[way.on_list].mean()) if way.on_list.any() else None,
    }


def best_possible(way: JudgedWay) -> NDArray[np.int64]:
    """Return the ranks with thresholds fitted to the target on these very observations, for each number of photos."""
    depths = np.zeros(len(way.depth), dtype=np.int64)
    several = way.photos >= ALONE
    for chosen in (several, ~several):
        if chosen.any():
            sums, right = way.nodes[chosen], way.nodes_right[chosen]
            limits = fit_thresholds(sums, right, np.ones(len(sums)), float(TARGET), 1e9)
            depths[chosen] = judge_depths(sums, right, limits)[1]
    return depths


def judge_strangeness(ways: Sequence[JudgedWay], names: Sequence[str]) -> dict[str, Any]:
    """Evaluate the detection of species and genera without references, and the answers given for them, by list."""
    found: dict[str, Any] = {}
    for way in ways:
        if way.alone:
            continue
        name = WORLD if way.place is None else names[way.place]
        entry = found.setdefault(name, {})
        if way.hide == "own":
            entry["known"] = {"rejected": share_of(way.rejected), "mean": float(way.none.mean())}
            continue
        known = next(one for one in ways if one.hide == "own" and one.place == way.place and not one.alone)
        at_species, at_genus = way.depth == SPECIES, way.depth == SPECIES - 1
        entry[way.hide] = {
            "auroc": auroc(way.none, known.none),
            "rejected": share_of(way.rejected),
            "mean": float(way.none.mean()),
            "answeredAtSpecies": share_of(at_species),  # all of them wrong
            "genusRight": share_of(way.right_there[at_genus]),
            "goodAnswers": share_of(way.rejected | (way.depth == 0) | way.right_there),
        }
    return found


def coverage_curve(way: JudgedWay, points: int = 20) -> list[dict[str, Any]]:
    """Return the share of right answers among the most certain answers at species, for growing shares answered."""
    order = np.argsort(-way.nodes[:, SPECIES - 1], kind="stable")
    right = way.nodes_right[order, SPECIES - 1]
    cuts = np.unique(np.ceil(np.linspace(0, len(right), points + 1)[1:]).astype(int)).tolist()
    return [{"share": cut / len(right), **share_of(right[:cut])} for cut in cuts if cut]


def reliability(score: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 10) -> list[dict[str, Any]]:
    """Return mean score and share right in bins of equal width, with counts and intervals; empty bins are left out."""
    places = np.minimum((score * bins).astype(int), bins - 1)
    return [
        {"score": float(score[places == place].mean()), **share_of(right[places == place])}
        for place in range(bins)
        if (places == place).any()
    ]


def worst(promises: Mapping[str, Any], name: str) -> float:
    """Return the largest value of a figure over all lists, with all photos; 0 if there is no list."""
    values = [one["allPhotos"][name] for list_name, one in promises.items() if list_name != WORLD]
    return max((value for value in values if value is not None), default=0.0)
