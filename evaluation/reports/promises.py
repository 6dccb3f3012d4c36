"""Whether scores and stops keep what they promise, as finds are asked for: by list, by number of photos, by class size.

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

HIGH = 0.8  # a score that a person takes for sure
RARE = 0.1  # of finds off the list, where most are on it
SPECIES = len(RANKS)
Z = 1.959963984540054  # of a 95 % interval


def wilson(right: float, total: float) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927); everything where nothing was counted."""
    if total <= 0:
        return 0.0, 1.0
    share, spread = right / total, Z * Z / total
    centre = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * float(np.sqrt(share * (1 - share) / total + spread / (4 * total)))
    return max(0.0, centre - half), min(1.0, centre + half)


def share_of(right: NDArray[np.bool_]) -> dict[str, Any]:
    """A share with its count and interval; no value where nothing was counted."""
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
    """What was promised and what came out, of the world and of each list; `sizes` (observations,) is the class size."""
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
    """What came out of some of the observations."""
    arrays: dict[str, Any] = {
        name: value[chosen]
        for name in JudgedWay.__dataclass_fields__
        if isinstance(value := getattr(way, name), np.ndarray)
    }
    return replace(way, **arrays)


def judge_promise(way: JudgedWay) -> dict[str, Any]:
    """Scores and stops of one way of asking."""
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
    """The calibration error of the first score; none where nothing was asked."""
    return calibration_error(way.score, way.right, weights=weights) if len(way.score) else None


def weigh_rare(on_list: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Weights with which RARE of the finds are off the list; none where all or none are on it."""
    if on_list.all() or not on_list.any():
        return None
    return np.asarray(np.where(on_list, (1 - RARE) / on_list.mean(), RARE / (~on_list).mean()))


def stops_of(way: JudgedWay) -> dict[str, Any]:
    """Where answers stop, and how often they are right there."""
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
    """Depths by thresholds that keep the target on the judged finds themselves, each number of photos by its own."""
    depths = np.zeros(len(way.depth), dtype=np.int64)
    several = way.photos >= ALONE
    for chosen in (several, ~several):
        if chosen.any():
            sums, right = way.nodes[chosen], way.nodes_right[chosen]
            limits = fit_thresholds(sums, right, np.ones(len(sums)), float(TARGET), 1e9)
            depths[chosen] = judge_depths(sums, right, limits)[1]
    return depths


def judge_strangeness(ways: Sequence[JudgedWay], names: Sequence[str]) -> dict[str, Any]:
    """How well species and genera without references are told apart, and what becomes of their finds, by list."""
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
            "answeredAtSpecies": share_of(at_species),  # each of them wrong
            "genusRight": share_of(way.right_there[at_genus]),
            "goodAnswers": share_of(way.rejected | (way.depth == 0) | way.right_there),
        }
    return found


def coverage_curve(way: JudgedWay, points: int = 20) -> list[dict[str, Any]]:
    """Of the surest answers at species, how many are right: for growing shares answered, with counts and intervals."""
    order = np.argsort(-way.nodes[:, SPECIES - 1], kind="stable")
    right = way.nodes_right[order, SPECIES - 1]
    cuts = np.unique(np.ceil(np.linspace(0, len(right), points + 1)[1:]).astype(int)).tolist()
    return [{"share": cut / len(right), **share_of(right[:cut])} for cut in cuts if cut]


def reliability(score: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 10) -> list[dict[str, Any]]:
    """Mean score and share right in bins of equal width, with counts and intervals; empty bins are left out."""
    places = np.minimum((score * bins).astype(int), bins - 1)
    return [
        {"score": float(score[places == place].mean()), **share_of(right[places == place])}
        for place in range(bins)
        if (places == place).any()
    ]


def worst(promises: Mapping[str, Any], name: str) -> float:
    """The largest of a number over all lists, asked with all photos; 0 where there is no list."""
    values = [one["allPhotos"][name] for list_name, one in promises.items() if list_name != WORLD]
    return max((value for value in values if value is not None), default=0.0)
