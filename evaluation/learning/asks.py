"""Finds as they are asked for: of the world and of lists, on a list and off it, of species that nobody has referenced.

A collection is asked in all these ways (`evidence.py`), and each way counts as often as it happens: so many of
the finds are off the list that is chosen for them, `unknown_share` of them of no referenced species. What is learned of
certainty and of where an answer may stop is learned over all of them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery
from evaluation.learning.estimators import fit_logistic
from evaluation.learning.evidence import Evidence
from evaluation.learning.scoring import Method, Scores
from evaluation.learning.thresholds import fit_thresholds
from evaluation.learning.unknown import unknown_share
from retrieval.domain import RANKS
from retrieval.ranking.calibration import ALONE, OFF_LIST_RATE, Calibration
from retrieval.ranking.posterior import off_list_weight, settle, weigh_evidence
from retrieval.ranking.recalibration import FEATURES, top_features
from retrieval.ranking.rejection import REJECT
from retrieval.ranking.specificity import sum_nodes
from retrieval.ranking.unknown import unknown_probability

TARGETS = ("0.80", "0.85", "0.90", "0.95", "0.99")
SEVERAL = 60  # finds of several photos below which they share the thresholds of all finds
RATES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # that are tried for a species off the list
SHARES = (0.1, 0.4)  # of the finds off the list, between which scores are to hold
PLACED = 50  # finds of a list's region that the default off-list rate counts for
Lists = Sequence[NDArray[np.bool_]]


@dataclass(frozen=True)
class Asked:
    """What the answer line gives to one way of asking, and how much each find counts."""

    evidence: Evidence
    on_list: NDArray[np.bool_]  # (observations,): the true species is on the list that was asked for
    listed: NDArray[np.bool_]  # (species,)
    scores: Scores  # (observations, species); with `none` they add up to 1
    none: NDArray[np.float64]  # (observations,) probability of no species of the snapshot
    rejected: NDArray[np.bool_]  # (observations,)
    weights: NDArray[np.float64]  # (observations,)
    calibration: Calibration

    @property
    def shown(self) -> Scores:
        """Scores of the list's species, which the answer ranks."""
        return self.scores * self.listed


def listed_of(evidence: Evidence, lists: Lists) -> NDArray[np.bool_]:
    """The bits of the list that was asked for; all for the world."""
    return np.ones(evidence.fused.shape[1], dtype=bool) if evidence.place is None else lists[evidence.place]


def weigh(evidence: Evidence, gallery: Gallery, lists: Lists, off_list_rate: float) -> Scores:
    """Fused scores with species off the list weighed down, as the answer line does."""
    if evidence.place is None:
        return evidence.fused
    listed, counts = lists[evidence.place], gallery.sums[1]
    weight = off_list_weight(off_list_rate, float(counts[listed].sum()), float(counts[~listed].sum()))
    return weigh_evidence(evidence.fused, on_list=listed, off_list=weight)


def count_ask(evidence: Evidence, lists: Lists, expected: float, unknown: float) -> NDArray[np.float64]:
    """How much each find counts in this way of asking, (observations,): `expected` of the known are off the list."""
    on_list = listed_of(evidence, lists)[evidence.truth]
    known = np.ones(len(on_list))
    if evidence.place is not None and on_list.any() and not on_list.all():
        known = np.where(on_list, (1 - expected) / on_list.mean(), expected / (~on_list).mean())
    if evidence.known:
        return known * (1 - unknown)
    return np.where(on_list, unknown / 2 / max(float(on_list.mean()), 1e-9), 0.0)  # half by species, half by genus


def fit_off_list_rate(
    ways: Sequence[Evidence],
    gallery: Gallery,
    lists: Lists,
    expected: float,
    unknown: Mapping[str, float] | None = None,
) -> float:
    """The rate that weighs species off a list so that scores hold best whether few finds are off it or many.

    Nobody knows how often a list will be chosen for a find that is not on it. For each rate, the certainty is fitted as
    if `expected` of the finds were off the list, and the first score of the list judged with a tenth and with four
    tenths of them off it: the worse of the two calibration errors is to be least. `unknown` are the weights of what is
    taken off for species without references. Without lists nothing is taught.
    """
    asked = [way for way in ways if way.known and way.place is not None and not way.alone]
    if not asked:
        return expected

    def worst(rate: float) -> float:
        certainty = fit_certainty(ways, gallery, lists, rate, expected)
        errors = []
        for way in asked:
            listed = listed_of(way, lists)
            none = unknown_probability(way.features, unknown or {})
            weighed = weigh(way, gallery, lists, rate)
            scores = settle(weighed, way.photos, none, certainty, listed=True)
            shown = scores * listed
            right = is_right(shown, way.truth)
            errors.append(
                [
                    calibration_error(shown.max(axis=1), right, weights=count_ask(way, lists, share, 0.0))
                    for share in SHARES
                ]
            )
        return float(np.mean(errors, axis=0).max())

    return min(RATES, key=lambda rate: (worst(rate), rate))


def fit_certainty(
    ways: Sequence[Evidence], gallery: Gallery, lists: Lists, off_list_rate: float, expected: float
) -> dict[str, float]:
    """How often the top score is right, from its logit, the number of photos and whether a list was asked for.

    Over finds of referenced species, `expected` of them off the list; empty where all are right or none is.
    """
    values, right, weights = [], [], []
    for way in ways:
        if way.known:
            scores = weigh(way, gallery, lists, off_list_rate)
            values.append(top_features(scores, way.photos, listed=way.place is not None))
            right.append(is_right(scores, way.truth))
            weights.append(count_ask(way, lists, expected, 0.0))
    return fit_right(np.concatenate(values), np.concatenate(right), np.concatenate(weights))


def fit_right(
    values: NDArray[np.float64], right: NDArray[np.bool_], weights: NDArray[np.float64] | None = None
) -> dict[str, float]:
    """The weights of the recalibration from `top_features` and what was right."""
    if not len(right) or right.all() or not right.any():
        return {}
    constant, slopes = fit_logistic(values, right, weights)
    return {"constant": constant, **dict(zip(FEATURES, slopes.tolist(), strict=True))}


def answer(
    ways: Sequence[Evidence], gallery: Gallery, lists: Lists, method: Method, *, unknown: float | None = None
) -> Iterator[Asked]:
    """What the answer line makes of each way of asking, by all that the method has learned.

    `gallery` counts the observations that lists are weighed by; `unknown` is the share of unreferenced species that the
    weights reckon with (None: the gallery's).
    """
    learned = method.calibration
    share = unknown_share(gallery) if unknown is None else unknown
    for way in ways:
        none = unknown_probability(way.features, learned.unknown)
        weighed = weigh(way, gallery, lists, learned.off_list_rate)
        scores = settle(weighed, way.photos, none, learned.confidence, listed=way.place is not None)
        listed = listed_of(way, lists)
        yield Asked(
            way,
            listed[way.truth],
            listed,
            scores,
            none,
            (none >= REJECT) | (way.near < learned.strange),
            count_ask(way, lists, float(learned.fitted.get("offListExpected", OFF_LIST_RATE)), share),
            learned,
        )


def judge_nodes(asked: Asked, lineages: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The most probable node of each rank, and whether it is the true one: (observations, 7) twice.

    An answer may stop at a species of the list only, and nowhere when it is rejected: its sums are 0.
    """
    sums = np.zeros((len(asked.scores), lineages.shape[1]))
    right = np.zeros(sums.shape, dtype=bool)
    hidden = {"own": len(RANKS), "species": len(RANKS) - 1, "genus": len(RANKS) - 2}[asked.evidence.hide]
    for rank in range(lineages.shape[1]):
        nodes = lineages[:, rank]
        taxa, added = sum_nodes(asked.shown if rank == len(RANKS) - 1 else asked.scores, nodes)
        if len(taxa):
            best = added.argmax(axis=1)
            sums[:, rank] = np.where(asked.rejected, 0.0, added[np.arange(len(best)), best])
            right[:, rank] = (taxa[best] == nodes[asked.evidence.truth]) & (rank < hidden)
    return sums, right


def learn_thresholds(asked: Sequence[Asked], gallery: Gallery, finds: int) -> dict[str, dict[str, list[float]]]:
    """The thresholds of every target, for one photo and for several, over all ways of asking for so many finds."""
    parts = [(one, *judge_nodes(one, gallery.lineages)) for one in asked]
    several = np.concatenate([one.evidence.photos >= ALONE for one, _, _ in parts])
    sums = np.concatenate([sums for _, sums, _ in parts])
    right = np.concatenate([right for _, _, right in parts])
    weights = np.concatenate([one.weights for one, _, _ in parts])
    held = next(one.evidence for one, _, _ in parts if not one.evidence.alone)
    count = int((held.photos >= ALONE).sum())
    learned = {}
    for name, chosen, independent in (("one", ~several, finds), ("several", several, count)):
        if name == "several" and count < SEVERAL:
            chosen, independent = np.ones(len(several), dtype=bool), finds
        learned[name] = {
            target: fit_thresholds(sums[chosen], right[chosen], weights[chosen], float(target), independent).tolist()
            for target in TARGETS
        }
    return learned


def is_right(scores: Scores, truth: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the true species has the highest score, (observations,); ties are settled against it."""
    return np.asarray(rank_truth(scores, truth) == 1)


def rank_truth(scores: Scores, truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rank of the true species, from 1, behind all that are as high; 0 where it has no score at all."""
    of_truth: NDArray[np.float64] = scores[np.arange(len(truth)), truth]
    as_high = scores >= (of_truth * (1 - TIED))[:, None]
    return np.where(of_truth > 0, as_high.sum(axis=1), 0)


TIED = 1e-9  # relative difference of scores that rounding alone makes


def first_of(scores: Scores, truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """The species ranked first, (observations,); where the true one is only as high as another, the other."""
    lowered = scores.copy()
    lowered[np.arange(len(truth)), truth] *= 1 - TIED
    return np.asarray(lowered.argmax(axis=1), dtype=np.int64)


def count_off_list(near: Sequence[tuple[NDArray[np.bool_], NDArray[np.float64]]], default: float) -> float:
    """How often finds of a list's region are off it, drawn towards the default as if by PLACED finds.

    `near` holds for each list whether each placed find is on it, and the share of the other records around it that are
    (NaN where there are none): a find belongs to the region where most of them are.
    """
    off = found = 0.0
    for on_list, around in near:
        inside = np.isfinite(around) & (np.nan_to_num(around) >= 0.5)
        off, found = off + float((~on_list[inside]).sum()), found + float(inside.sum())
    return float(np.clip((off + default * PLACED) / (found + PLACED), 0.02, 0.5))


def with_learned(method: Method, **values: object) -> Method:
    """The method with more of its calibration known."""
    calibration: Calibration = method.calibration.changed(**values)
    return replace(method, calibration=calibration)


def calibration_error(
    confidence: NDArray[np.float64],
    right: NDArray[np.bool_],
    bins: int = 15,
    weights: NDArray[np.float64] | None = None,
) -> float:
    """Expected calibration error over bins of equal width (Guo et al. 2017); `weights` say how much each one counts."""
    counted = np.ones(len(confidence)) if weights is None else weights
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(places, weights=counted * (right - confidence), minlength=bins)
    return float(np.abs(gaps).sum() / max(float(counted.sum()), 1e-300))
