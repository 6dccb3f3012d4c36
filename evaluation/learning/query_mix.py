"""The mix of queries to expect: in the world and in lists, on and off the list, of species with and without references.

The observations of a collection are scored under each of these conditions (`evidence.py`), and a condition is weighted
by how often it is expected: some observations are off the chosen list, and `unknown_share` of them are of species
without references. Top-score recalibration and thresholds are fitted on all conditions together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery
from evaluation.galleries.kept import Kept, at_species
from evaluation.learning.estimators import fit_logistic
from evaluation.learning.evidence import Evidence
from evaluation.learning.scoring import Method, Scores
from evaluation.learning.thresholds import fit_thresholds
from evaluation.learning.unknown import unknown_share
from retrieval.domain import RANKS
from retrieval.ranking.calibration import ALONE, LISTED, Calibration
from retrieval.ranking.nodes import add_species
from retrieval.ranking.posterior import off_list_weight, settle, weigh_evidence
from retrieval.ranking.recalibration import FEATURES, top_features
from retrieval.ranking.rejection import REJECT
from retrieval.ranking.specificity import sum_nodes
from retrieval.ranking.unknown import unknown_probability

TARGETS = ("0.80", "0.85", "0.90", "0.95", "0.99")
MIN_SEVERAL = 60  # observations of several photos below which they share the thresholds of all observations
RATES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # off-list rates that are tried
SHARES = (0.1, 0.4)  # shares of observations off the list between which the calibration should hold
PSEUDO_COUNT = 50  # pseudo-count of the default off-list rate, in observations
Lists = Sequence[NDArray[np.bool_]]


@dataclass(frozen=True)
class ScoredQueries:
    """The scores that the answer pipeline gives to the queries of one condition, and the weight of each query."""

    evidence: Evidence
    on_list: NDArray[np.bool_]  # (observations,): the true species is on the chosen list
    listed: NDArray[np.bool_]  # (species,), or of the species kept (observations, species)
    scores: Scores  # (observations, species); they add up to 1 together with `none`
    none: NDArray[np.float64]  # (observations,) probability that the species is not in the snapshot
    rejected: NDArray[np.bool_]  # (observations,)
    weights: NDArray[np.float64]  # (mixes, observations): in each mix, one for each of SHARES
    calibration: Calibration

    @property
    def shown(self) -> Scores:
        """Scores of the species on the list, which the answer ranks."""
        return self.scores * self.listed


def listed_of(evidence: Evidence, lists: Lists) -> NDArray[np.bool_]:
    """Return the species of the condition's list as a boolean array, (species,) or as `fused`; all for the world."""
    if evidence.list_index is None:
        return np.ones(evidence.fused.shape[1], dtype=bool)
    return np.asarray(at_species(lists[evidence.list_index], evidence.kept), dtype=bool)


def truth_listed(evidence: Evidence, lists: Lists) -> NDArray[np.bool_]:
    """Return whether the true species is on the condition's list, (observations,)."""
    if evidence.list_index is None:
        return np.ones(len(evidence.truth), dtype=bool)
    return lists[evidence.list_index][evidence.truth]


def weigh(evidence: Evidence, gallery: Gallery, lists: Lists, off_list_rate: float) -> Scores:
    """Return fused scores with species off the list weighted down, as in the answer pipeline."""
    if evidence.list_index is None:
        return evidence.fused
    listed, counts = lists[evidence.list_index], gallery.sums[1]
    weight = off_list_weight(off_list_rate, float(counts[listed].sum()), float(counts[~listed].sum()))
    on_list = listed_of(evidence, lists)
    return weigh_evidence(evidence.fused, on_list=on_list, off_list=weight, multiplicity=evidence.multiplicity)


def weigh_condition(evidence: Evidence, lists: Lists, expected: float, unknown: float) -> NDArray[np.float64]:
    """Return the weights of a condition's observations, (observations,): `expected` of the known are off the list."""
    on_list = truth_listed(evidence, lists)
    known = np.ones(len(on_list))
    if evidence.list_index is not None and on_list.any() and not on_list.all():
        known = np.where(on_list, (1 - expected) / on_list.mean(), expected / (~on_list).mean())
    if evidence.known:
        return known * (1 - unknown)
    return np.where(on_list, unknown / 2 / max(float(on_list.mean()), 1e-9), 0.0)  # half by species, half by genus


def fit_off_list_rate(
    conditions: Sequence[Evidence],
    gallery: Gallery,
    lists: Lists,
    expected: float,
    unknown: Mapping[str, float] | None = None,
) -> float:
    """Choose the off-list rate for which scores are calibrated best, however many observations are off the list.

    How often a list will be chosen for an observation that is not on it is unknown. For each rate, the recalibration is
    fitted with `expected` of the observations off the list. It is judged with a tenth and with four tenths of them off
    the list, and the rate with the smallest worst-case calibration error wins. `unknown` are the weights of the
    probability of species without references. Without lists, the default is returned.
    """
    listed_conditions = [one for one in conditions if one.known and one.list_index is not None and not one.alone]
    if not listed_conditions:
        return expected

    def worst(rate: float) -> float:
        certainty = fit_certainty(conditions, gallery, lists, rate, expected)
        errors = []
        for condition in listed_conditions:
            listed = listed_of(condition, lists)
            none = unknown_probability(condition.features, unknown or {})
            weighed = weigh(condition, gallery, lists, rate)
            scores = settle(
                weighed, condition.photos, none, certainty, listed=True, multiplicity=condition.multiplicity
            )
            shown = scores * listed
            right = is_right(shown, condition.places)
            errors.append(
                [
                    calibration_error(shown.max(axis=1), right, weights=weigh_condition(condition, lists, share, 0.0))
                    for share in SHARES
                ]
            )
        return float(np.mean(errors, axis=0).max())

    return min(RATES, key=lambda rate: (worst(rate), rate))


def fit_certainty(
    conditions: Sequence[Evidence], gallery: Gallery, lists: Lists, off_list_rate: float, expected: float
) -> dict[str, float]:
    """Fit the recalibration of the top score: on its logit, the number of photos, and whether a list was chosen.

    It is fitted on observations of referenced species, `expected` of them off the list. Returns nothing if all are
    right or none is.
    """
    values, right, weights = [], [], []
    for condition in conditions:
        if condition.known:
            scores = weigh(condition, gallery, lists, off_list_rate)
            values.append(top_features(scores, condition.photos, listed=condition.list_index is not None))
            right.append(is_right(scores, condition.places))
            weights.append(weigh_condition(condition, lists, expected, 0.0))
    return fit_right(np.concatenate(values), np.concatenate(right), np.concatenate(weights))


def fit_right(
    values: NDArray[np.float64], right: NDArray[np.bool_], weights: NDArray[np.float64] | None = None
) -> dict[str, float]:
    """Fit the weights of the recalibration to `top_features` and correctness."""
    if not len(right) or right.all() or not right.any():
        return {}
    constant, slopes = fit_logistic(values, right, weights)
    return {"constant": constant, **dict(zip(FEATURES, slopes.tolist(), strict=True))}


def score_conditions(
    conditions: Sequence[Evidence], gallery: Gallery, lists: Lists, method: Method, *, unknown: float | None = None
) -> Iterator[ScoredQueries]:
    """Score the queries of each condition as the answer pipeline does, with everything the method has learned.

    `gallery` gives the numbers of observations by which lists are weighted. `unknown` is the share of unreferenced
    species that the weights assume; None takes the gallery's.
    """
    learned = method.calibration
    share = unknown_share(gallery) if unknown is None else unknown
    for condition in conditions:
        none = unknown_probability(condition.features, learned.unknown)
        weighed = weigh(condition, gallery, lists, learned.off_list_rate)
        scores = settle(
            weighed,
            condition.photos,
            none,
            learned.confidence,
            listed=condition.list_index is not None,
            multiplicity=condition.multiplicity,
        )
        yield ScoredQueries(
            condition,
            truth_listed(condition, lists),
            listed_of(condition, lists),
            scores,
            none,
            (none >= REJECT) | (condition.near < learned.strange),
            np.stack([weigh_condition(condition, lists, off, share) for off in SHARES]),
            learned,
        )


def judge_nodes(scored: ScoredQueries, lineages: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the highest score of a taxon at each rank, and whether that taxon is right: (observations, 7) twice.

    Only species on the list count. A rejected observation has the sums 0.
    """
    sums = np.zeros((len(scored.scores), lineages.shape[1]))
    right = np.zeros(sums.shape, dtype=bool)
    hidden = {"own": len(RANKS), "species": len(RANKS) - 1, "genus": len(RANKS) - 2}[scored.evidence.hide]
    for rank in range(lineages.shape[1]):
        nodes = lineages[:, rank]
        shown = scored.shown if rank == len(RANKS) - 1 else scored.scores
        taxa, best = best_nodes(shown, nodes, scored.evidence.kept)
        sums[:, rank] = np.where(scored.rejected, 0.0, best)
        right[:, rank] = (taxa >= 0) & (taxa == nodes[scored.evidence.truth]) & (rank < hidden)
    return sums, right


def best_nodes(
    scores: Scores, nodes: NDArray[np.int64], kept: Kept | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the taxon with the highest sum of scores of each observation, and the sum; -1 and 0 where none is known.

    `nodes` (species,) are the taxa of one rank, -1 where unknown. Ties go to the lower id.
    """
    if kept is None:
        taxa, added = sum_nodes(scores, nodes)
        if not len(taxa):
            return np.full(len(scores), -1), np.zeros(len(scores))
        best = added.argmax(axis=1)
        return taxa[best], added[np.arange(len(best)), best]
    found, highest = np.full(len(scores), -1), np.zeros(len(scores))
    for row, (line, columns, multiplicity) in enumerate(zip(scores, kept.columns, kept.multiplicity, strict=True)):
        taxa, added = sum_nodes(line * multiplicity, nodes[columns])
        if len(taxa):
            place = int(added.argmax())
            found[row], highest[row] = taxa[place], added[place]
    return found, highest


def learn_thresholds(
    scored: Sequence[ScoredQueries], gallery: Gallery, observations: int
) -> dict[str, dict[str, list[float]]]:
    """Fit the thresholds of every target, for one photo and for several, in the world and in lists.

    How often a list will be chosen for an observation that is not on it is unknown, so the target is to be reached with
    a tenth and with four tenths of them off the list.
    """
    parts = [(one, *judge_nodes(one, gallery.lineages)) for one in scored]
    held = next(one.evidence for one in scored if not one.evidence.alone)
    count = int((held.photos >= ALONE).sum())
    learned = {}
    for listed in (False, True):
        asked = [part for part in parts if (part[0].evidence.list_index is not None) == listed]
        if not asked:
            continue
        several = np.concatenate([one.evidence.photos >= ALONE for one, _, _ in asked])
        sums = np.concatenate([sums for _, sums, _ in asked])
        right = np.concatenate([right for _, _, right in asked])
        weights = np.concatenate([one.weights for one, _, _ in asked], axis=1)
        for name, chosen, independent in (("one", ~several, observations), ("several", several, count)):
            if name == "several" and count < MIN_SEVERAL:
                chosen, independent = np.ones(len(several), dtype=bool), observations
            some = sums[chosen], right[chosen], weights[:, chosen]
            learned[LISTED[name] if listed else name] = {
                target: fit_thresholds(*some, float(target), independent).tolist() for target in TARGETS
            }
    return learned


def is_right(scores: Scores, truth: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether the true species has the highest score, (observations,). Ties count as wrong.

    `truth` are the places of the true species in `scores`.
    """
    return np.asarray(rank_truth(scores, truth) == 1)


def rank_truth(
    scores: Scores, truth: NDArray[np.int64], multiplicity: NDArray[np.float64] | None = None
) -> NDArray[np.int64]:
    """Return the rank of the true species, from 1, behind all with the same score; 0 where its score is 0.

    `truth` are places in `scores`; `multiplicity` as in `add_species`.
    """
    of_truth: NDArray[np.float64] = scores[np.arange(len(truth)), truth]
    as_high = scores >= (of_truth * (1 - TIED))[:, None]
    higher = (
        as_high.sum(axis=1) if multiplicity is None else np.rint(add_species(as_high.astype(np.float64), multiplicity))
    )
    return np.where(of_truth > 0, higher, 0).astype(np.int64)


TIED = 1e-9  # relative difference of scores within rounding error


def first_of(scores: Scores, truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places of the top species, (observations,). If the true species ties with another, it is the other.

    `truth` are places in `scores`.
    """
    lowered = scores.copy()
    lowered[np.arange(len(truth)), truth] *= 1 - TIED
    return np.asarray(lowered.argmax(axis=1), dtype=np.int64)


def count_off_list(near: Sequence[tuple[NDArray[np.bool_], NDArray[np.float64]]], default: float) -> float:
    """Estimate how often observations in a list's region are off the list, shrunk towards the default by PSEUDO_COUNT.

    `near` has, for each list, whether each located observation is on it, and the share of the other records around it
    that are on it (NaN where there are none). An observation belongs to the region if most of these are.
    """
    off = found = 0.0
    for on_list, around in near:
        inside = np.isfinite(around) & (np.nan_to_num(around) >= 0.5)
        off, found = off + float((~on_list[inside]).sum()), found + float(inside.sum())
    return float(np.clip((off + default * PSEUDO_COUNT) / (found + PSEUDO_COUNT), 0.02, 0.5))


def with_learned(method: Method, **values: object) -> Method:
    """Return the method with further values of its calibration."""
    calibration: Calibration = method.calibration.changed(**values)
    return replace(method, calibration=calibration)


def calibration_error(
    confidence: NDArray[np.float64],
    right: NDArray[np.bool_],
    bins: int = 15,
    weights: NDArray[np.float64] | None = None,
) -> float:
    """Return the expected calibration error over bins of equal width (Guo et al. 2017), optionally weighted."""
    counted = np.ones(len(confidence)) if weights is None else weights
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(places, weights=counted * (right - confidence), minlength=bins)
    return float(np.abs(gaps).sum() / max(float(counted.sum()), 1e-300))
