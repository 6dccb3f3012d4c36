"""Nested cross-validation: every observation is scored by a calibration fitted without its group.

Groups are dealt into folds. For each fold, everything is fitted on the others alone, with the fold's references left
out. Then each observation of the fold is compared with all references outside its own group. Species without references
are evaluated in folds of whole genera, so that no fitted parameter has seen the genus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import HIDDEN, Gallery, HeldOutQueries, NearestRows, hold_out_queries, search
from evaluation.learning.estimators import deal_folds
from evaluation.learning.evidence import Evidence, choose_lists, gather_evidence, measure_typical
from evaluation.learning.fit import NEIGHBOURS
from evaluation.learning.learn import learn, uniform_log_lifts
from evaluation.learning.priors import Records, count_records, earth_rings, sum_lifts
from evaluation.learning.query_mix import (
    Lists,
    ScoredQueries,
    first_of,
    is_right,
    judge_nodes,
    rank_truth,
    score_conditions,
)
from evaluation.learning.scoring import Method, keep_species
from retrieval.domain import RANKS
from retrieval.models.embedder import Embeddings
from retrieval.progress import Progress, silent
from retrieval.ranking.posterior import settle, weigh_evidence
from retrieval.ranking.priors import CIRCUMSTANCES
from retrieval.ranking.specificity import judge_depths
from retrieval.ranking.unknown import unknown_probability

TARGET = "0.90"
UNKNOWN_FOLDS = 5


@dataclass(frozen=True)
class JudgedCondition:
    """The results of one condition. Arrays have shape (observations,), in the order of the gallery's rows."""

    hide: str
    list_index: int | None  # position of the list; None: the world
    alone: bool
    observations: NDArray[np.int64]
    on_list: NDArray[np.bool_]  # the true species is on the list
    photos: NDArray[np.float64]  # effective number of photos
    score: NDArray[np.float64]  # score of the first species of the list
    right: NDArray[np.bool_]  # the first species is the true one
    none: NDArray[np.float64]  # probability that the species is not in the snapshot
    rejected: NDArray[np.bool_]
    depth: NDArray[np.int64]  # rank of the answer at TARGET, 0 to 7
    right_there: NDArray[np.bool_]  # the taxon at that rank is right; the root always is
    nodes: NDArray[np.float64]  # (observations, 7)
    nodes_right: NDArray[np.bool_]  # (observations, 7)


@dataclass(frozen=True)
class NestedResult:
    """The results of all observations, in the order of the gallery's rows, and of photos without a fungus."""

    observations: NDArray[np.int64]
    truth: NDArray[np.int64]  # columns
    first: NDArray[np.int64]  # columns
    rank: NDArray[np.int64]
    genus_right: NDArray[np.bool_]
    score: NDArray[np.float64]  # of the first species, without the probability of "none of these"
    similarity: NDArray[np.float64]  # of the closest reference, mean over photos
    none: NDArray[np.float64]  # probability that the species is not in the snapshot
    not_fungi_none: NDArray[np.float64]  # (folds, photos)
    not_fungi_similarity: NDArray[np.float64]  # (photos,)
    methods: tuple[Method, ...]
    fold: NDArray[np.int64]
    conditions: tuple[JudgedCondition, ...] = ()  # the world and each list, with all photos and with the first


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The options of a cross-validation. The default fits everything, and uses all photos."""

    score_terms: Sequence[str] = ("votes", "prototypes", "counts")  # terms of the score
    ranking_only: bool = False  # fit and evaluate the ranking alone
    fixed_method: Method | None = None  # a method used as it is; nothing is fitted
    fold_methods: Sequence[Method] = ()  # the methods of the folds; nothing is fitted again
    tuned: Sequence[Method] = ()  # methods of the folds, of which only the weights are fitted again
    fusion: str | None = None  # replaces the fitted rule
    photos: int | None = None  # use the first `photos` photos of each observation
    most: int | None = None  # observations sampled from a fold
    priors: Sequence[str] = ()  # applied where an observation has the metadata
    aspects: str = "labelled"  # as labelled, as predicted from the photos, or all of the same weight (none)
    lists: Lists = ()  # floras to evaluate besides the world


def cross_validate(
    gallery: Gallery,
    trial: Trial | None = None,
    *,
    folds: int = 10,
    seed: int = 1,
    not_fungi: Embeddings | None = None,
    searched: dict[int, NearestRows] | None = None,
    progress: Progress = silent,
) -> NestedResult:
    """Evaluate every observation whose species has another one, by a method fitted without its group.

    `searched` caches the neighbours of each fold for further trials with the same photos. `not_fungi` (photos, dim) are
    embeddings of photos that show no fungus, each queried alone.
    """
    trial = trial or Trial()
    ranking_only, priors, lists = trial.ranking_only, trial.priors, trial.lists
    kept = {} if searched is None else searched
    rings = earth_rings() if priors or not (ranking_only or trial.fold_methods or trial.fixed_method) else None
    records = count_records(gallery, rings) if priors else None
    dealt = deal_folds(gallery.groups, gallery.columns, folds, seed)
    chosen = choose_lists(gallery, lists)
    parts: list[dict[str, NDArray[np.generic]]] = []
    conditions: list[list[JudgedCondition]] = []
    methods, not_fungi_none = [], []
    not_fungi_near = np.zeros(0)
    for fold in range(folds):
        held = np.unique(gallery.observations[dealt == fold])
        asked_for = np.intersect1d(held, gallery.evaluable)
        asked_for = np.sort(np.random.default_rng([seed, fold]).permutation(asked_for)[: trial.most])
        if trial.fold_methods:
            method = trial.fold_methods[fold]
        else:
            method = trial.fixed_method or learn(
                gallery.select(dealt != fold),
                lists=lists,
                seed=seed,
                score_terms=trial.score_terms,
                rings_of=rings,
                ranking_only=ranking_only,
                tuned=trial.tuned[fold] if trial.tuned else None,
            )
        method = method if trial.fusion is None else method.fused_by(trial.fusion)
        methods.append(method)
        progress("cross-validation", 1, 2 * folds)
        if len(asked_for):
            queries = weigh_as(hold_out_queries(gallery, asked_for), method, trial.aspects)
            if trial.photos is not None:
                queries = queries.select(np.ones(queries.count, dtype=bool), trial.photos)
            if fold not in kept:
                kept[fold] = search(gallery, queries, NEIGHBOURS, lists=() if ranking_only else chosen)
            here = () if ranking_only else chosen
            near = kept[fold] if here else kept[fold].within()
            queries = keep_species(gallery, queries, [near], method, seed)
            lifts = lift_all(gallery, queries, method, priors, records)
            evidence = gather_evidence(
                gallery,
                queries,
                method,
                lists=here,
                typical=measure_typical(gallery),
                found=near,
                alone=not ranking_only,
            )
            parts.append(judge(gallery, queries, evidence[0], method, fold, priors=priors, log_lift=lifts))
            if not ranking_only:
                scored = score_conditions(evidence, gallery, chosen, method)
                conditions.append([judge_condition(one, gallery, queries) for one in scored])
        if not_fungi is not None and len(not_fungi):
            alone = make_not_fungi_queries(not_fungi)
            near = search(gallery, alone, NEIGHBOURS)
            alone = keep_species(gallery, alone, [near], method, seed)
            (said,) = gather_evidence(gallery, alone, method, typical=measure_typical(gallery), found=near, alone=False)
            not_fungi_near = said.near
            not_fungi_none.append(unknown_probability(said.features, method.calibration.unknown))
        progress("cross-validation", 1, 2 * folds)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(joined["observations"], kind="stable")
    return NestedResult(
        **{name: values[order] for name, values in joined.items()},
        not_fungi_none=np.stack(not_fungi_none) if not_fungi_none else np.zeros((0, 0)),
        not_fungi_similarity=not_fungi_near,
        methods=tuple(methods),
        conditions=join_conditions(conditions),
    )


def judge_unknown(
    gallery: Gallery,
    *,
    lists: Lists = (),
    folds: int = UNKNOWN_FOLDS,
    seed: int = 1,
    most: int | None = None,
    progress: Progress = silent,
) -> tuple[JudgedCondition, ...]:
    """Evaluate observations with their species or genus present and hidden, by methods fitted without the genus.

    Whole genera are dealt into folds; a species of unknown genus is one of its own.
    """
    genera = gallery.genera[gallery.columns]
    together = np.where(genera >= 0, genera, -1 - gallery.columns)
    dealt = (
        np.random.default_rng(seed).permutation(len(np.unique(together)))[np.unique(together, return_inverse=True)[1]]
        % folds
    )
    chosen, typical, rings = choose_lists(gallery, lists), measure_typical(gallery), earth_rings()
    conditions: list[list[JudgedCondition]] = []
    for fold in range(folds):
        held = np.intersect1d(np.unique(gallery.observations[dealt == fold]), gallery.evaluable)
        held = np.sort(np.random.default_rng([seed, fold]).permutation(held)[:most])
        others = gallery.select(dealt != fold)
        if not len(held) or not len(others.evaluable):
            continue
        method = learn(others, lists=lists, seed=seed, rings_of=rings)
        progress("species without references", 1, folds)
        queries = weigh_as(hold_out_queries(gallery, held), method, "labelled")
        searched = {hide: search(gallery, queries, NEIGHBOURS, hide=hide, lists=chosen) for hide in HIDDEN}
        queries = keep_species(gallery, queries, list(searched.values()), method, seed)
        evidence = [
            condition
            for hide, near in searched.items()
            for condition in gather_evidence(
                gallery, queries, method, hide=hide, lists=chosen, typical=typical, found=near
            )
        ]
        scored = score_conditions(evidence, gallery, chosen, method)
        conditions.append([judge_condition(one, gallery, queries) for one in scored])
    return join_conditions(conditions)


def judge_condition(one: ScoredQueries, gallery: Gallery, queries: HeldOutQueries) -> JudgedCondition:
    """Return the answer to each query of a condition, and whether it is right."""
    evidence = one.evidence
    known = evidence.known
    nodes, right = judge_nodes(one, gallery.lineages)
    limits = np.stack([thresholds_at(one, photos) for photos in evidence.photos.tolist()])
    right_there, depth = judge_depths(nodes, right, limits)
    return JudgedCondition(
        evidence.hide,
        evidence.list_index,
        evidence.alone,
        queries.excluded[queries.first],
        one.on_list,
        evidence.photos,
        one.shown.max(axis=1),
        is_right(one.shown, evidence.places) & known,
        one.none,
        one.rejected,
        depth,
        right_there,
        nodes,
        right,
    )


def thresholds_at(one: ScoredQueries, photos: float) -> NDArray[np.float64]:
    """Return the thresholds for a number of photos; unreachable ones if none were learned."""
    fitted = one.calibration.thresholds_of(photos, listed=one.evidence.list_index is not None)
    return fitted.get(float(TARGET), np.full(len(RANKS), np.inf))


def join_conditions(folds: Sequence[Sequence[JudgedCondition]]) -> tuple[JudgedCondition, ...]:
    """Join the results of all folds for each condition, in the order of the observations."""
    joined = []
    for parts in zip(*folds, strict=True):
        order = np.argsort(np.concatenate([part.observations for part in parts]), kind="stable")
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts])[order]
            for name in JudgedCondition.__dataclass_fields__
            if isinstance(getattr(parts[0], name), np.ndarray)
        }
        joined.append(replace(parts[0], **arrays))
    return tuple(joined)


def lift_all(
    gallery: Gallery, queries: HeldOutQueries, method: Method, priors: Sequence[str], records: Records | None
) -> NDArray[np.float64] | None:
    """Return the logarithm of the priors' lifts, (observations, species), at the fitted strengths."""
    learned = method.calibration
    total = None
    if local := [prior for prior in priors if prior in CIRCUMSTANCES]:
        assert records is not None
        total = sum_lifts(records, queries, local, learned.priors, learned.smoothing)
    if "uniform" in priors:
        uniform = learned.priors.get("uniform", 1.0) * uniform_log_lifts(gallery, queries)
        total = uniform if total is None else total + uniform
    return total


def weigh_as(queries: HeldOutQueries, method: Method, aspects: str) -> HeldOutQueries:
    """Return the queries with aspects as labelled, as predicted from the photos, or unknown (none)."""
    if aspects == "predicted" and method.aspect_model is not None:
        return replace(queries, aspects=method.aspect_model.predict(queries.embeddings))
    return queries if aspects == "labelled" else replace(queries, aspects=None)


def make_not_fungi_queries(embeddings: Embeddings) -> HeldOutQueries:
    """Make queries of one photo each from embeddings; their species is -1."""
    nobody = np.full(len(embeddings), -1, dtype=np.int64)
    return HeldOutQueries(embeddings, nobody, np.arange(len(embeddings)), nobody)


def judge(
    gallery: Gallery,
    queries: HeldOutQueries,
    evidence: Evidence,
    method: Method,
    fold: int = 0,
    *,
    priors: Sequence[str] = (),
    log_lift: NDArray[np.float64] | None = None,
) -> dict[str, NDArray[np.generic]]:
    """Find the rank of the true species in the world, behind all with the same score. `log_lift` are priors."""
    learned = method.calibration
    temper, multiplicity = learned.temper_of(priors), evidence.multiplicity
    scores = weigh_evidence(evidence.fused, log_lift=log_lift, temper=temper, multiplicity=multiplicity)
    none = unknown_probability(evidence.features, learned.unknown)
    final = settle(scores, evidence.photos, none, learned.recalibration_of(priors), multiplicity=multiplicity)
    first = evidence.species(first_of(scores, queries.places))
    genera = gallery.genera
    return {
        "observations": queries.excluded[queries.first],
        "truth": queries.truth,
        "first": first,
        "rank": rank_truth(scores, queries.places, multiplicity),
        "genus_right": (genera[first] == genera[queries.truth]) & (genera[first] >= 0),
        "score": final.max(axis=1),
        "similarity": evidence.near,
        "none": none,
        "fold": np.full(queries.count, fold),
    }
