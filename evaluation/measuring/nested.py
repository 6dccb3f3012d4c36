"""Nested cross-validation: every observation is judged by a calibration that has not seen its group.

Groups are dealt into folds. For each, everything is learned from the others alone, the fold being no reference either;
then each observation of the fold is asked of all references but its own group's. Species without references are judged
by folds of whole genera, so that nothing learned has seen the genus either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import HIDDEN, Gallery, HeldOutQueries, NearestRows, ask_itself, search
from evaluation.learning.asks import Asked, Lists, answer, first_of, judge_nodes, rank_truth
from evaluation.learning.estimators import deal_folds
from evaluation.learning.evidence import Evidence, choose_lists, gather_evidence, measure_typical
from evaluation.learning.expect import Records, count_records, earth_rings, sum_lifts
from evaluation.learning.fit import NEIGHBOURS
from evaluation.learning.learn import learn, uniform_log_lifts
from evaluation.learning.scoring import Method
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
class JudgedWay:
    """What came out of one way of asking; arrays are (observations,), in the order of the gallery's rows."""

    hide: str
    place: int | None  # the list's place; None: the world
    alone: bool
    observations: NDArray[np.int64]
    on_list: NDArray[np.bool_]  # the true species is on the list
    photos: NDArray[np.float64]  # effective numbers
    score: NDArray[np.float64]  # of the first species of the list
    right: NDArray[np.bool_]  # that is the true one
    none: NDArray[np.float64]  # probability of no species of the snapshot
    rejected: NDArray[np.bool_]
    depth: NDArray[np.int64]  # where the answer stops at TARGET, 0 to 7
    right_there: NDArray[np.bool_]  # the taxon where it stops; the root is right
    nodes: NDArray[np.float64]  # (observations, 7)
    nodes_right: NDArray[np.bool_]  # (observations, 7)


@dataclass(frozen=True)
class NestedResult:
    """What came out for each observation, in the order of the gallery's rows; and for what is no fungus."""

    observations: NDArray[np.int64]
    truth: NDArray[np.int64]  # columns
    first: NDArray[np.int64]  # columns
    rank: NDArray[np.int64]
    genus_right: NDArray[np.bool_]
    score: NDArray[np.float64]  # of the first species, "something else" taken off
    similarity: NDArray[np.float64]  # of the closest reference, mean over photos
    none: NDArray[np.float64]  # probability of no species of the snapshot
    strangers_none: NDArray[np.float64]  # (folds, strangers)
    strangers_similarity: NDArray[np.float64]  # (strangers,)
    methods: tuple[Method, ...]
    fold: NDArray[np.int64]
    ways: tuple[JudgedWay, ...] = ()  # of the world and of each list, with all photos and with the first


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a cross-validation asks, and what it learns; the default learns everything and asks with all photos."""

    only: Sequence[str] = ("votes", "prototypes", "counts")  # what a score is made of
    brief: bool = False  # learn and judge the ranking alone
    bare: Method | None = None  # answers as it is; nothing is learned
    given: Sequence[Method] = ()  # what each fold learned before; nothing is learned anew
    settled: Sequence[Method] = ()  # of each fold: their temperatures and shrinkages stay, weights are learned anew
    fusion: str | None = None  # taken in place of the rule that was learned
    photos: int | None = None  # ask with the first so many photos of each observation
    most: int | None = None  # observations asked of a fold, drawn by the seed
    priors: Sequence[str] = ()  # applied where an observation has what they need
    aspects: str = "labelled"  # as labelled, as told from the photos, or all of the same weight (none)
    lists: Lists = ()  # floras that observations are asked of beside the world


def cross_validate(
    gallery: Gallery,
    trial: Trial | None = None,
    *,
    folds: int = 10,
    seed: int = 1,
    strangers: Embeddings | None = None,
    searched: dict[int, NearestRows] | None = None,
    progress: Progress = silent,
) -> NestedResult:
    """Judge every observation whose species has another one, by a method that its group did not teach.

    `searched` keeps what each fold found, for further trials with the same photos. `strangers` (photos, dim) are
    embeddings of photos that show no fungus, each asked alone.
    """
    trial = trial or Trial()
    brief, priors, lists = trial.brief, trial.priors, trial.lists
    kept = {} if searched is None else searched
    rings = earth_rings() if priors or not (brief or trial.given or trial.bare) else None
    records = count_records(gallery, rings) if priors else None
    dealt = deal_folds(gallery.groups, gallery.columns, folds, seed)
    chosen = choose_lists(gallery, lists)
    parts: list[dict[str, NDArray[np.generic]]] = []
    ways: list[list[JudgedWay]] = []
    methods, stranger_none = [], []
    stranger_near = np.zeros(0)
    for fold in range(folds):
        held = np.unique(gallery.observations[dealt == fold])
        asked_for = np.intersect1d(held, gallery.askable)
        asked_for = np.sort(np.random.default_rng([seed, fold]).permutation(asked_for)[: trial.most])
        if trial.given:
            method = trial.given[fold]
        else:
            method = trial.bare or learn(
                gallery.only(dealt != fold),
                lists=lists,
                seed=seed,
                only=trial.only,
                rings_of=rings,
                brief=brief,
                settled=trial.settled[fold] if trial.settled else None,
            )
        method = method if trial.fusion is None else method.fused_by(trial.fusion)
        methods.append(method)
        progress("cross-validation", 1, 2 * folds)
        if len(asked_for):
            asked = weigh_as(ask_itself(gallery, asked_for), method, trial.aspects)
            if trial.photos is not None:
                asked = asked.only(np.ones(asked.count, dtype=bool), trial.photos)
            if fold not in kept:
                kept[fold] = search(gallery, asked, NEIGHBOURS, lists=() if brief else chosen)
            lifts = lift_all(gallery, asked, method, priors, records)
            here = () if brief else chosen
            told = gather_evidence(
                gallery,
                asked,
                method,
                lists=here,
                typical=measure_typical(gallery),
                found=kept[fold] if here else kept[fold].within(),
                alone=not brief,
            )
            parts.append(judge(gallery, asked, told[0], method, fold, priors=priors, log_lift=lifts))
            if not brief:
                ways.append([judge_way(one, gallery, asked) for one in answer(told, gallery, chosen, method)])
        if strangers is not None and len(strangers):
            alone = ask_strangers(strangers)
            (said,) = gather_evidence(gallery, alone, method, typical=measure_typical(gallery), alone=False)
            stranger_near = said.near
            stranger_none.append(unknown_probability(said.features, method.calibration.unknown))
        progress("cross-validation", 1, 2 * folds)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(joined["observations"], kind="stable")
    return NestedResult(
        **{name: values[order] for name, values in joined.items()},
        strangers_none=np.stack(stranger_none) if stranger_none else np.zeros((0, 0)),
        strangers_similarity=stranger_near,
        methods=tuple(methods),
        ways=join_ways(ways),
    )


def judge_unknown(
    gallery: Gallery,
    *,
    lists: Lists = (),
    folds: int = UNKNOWN_FOLDS,
    seed: int = 1,
    most: int | None = None,
    progress: Progress = silent,
) -> tuple[JudgedWay, ...]:
    """Judge finds as they are, and with their species or genus taken away, by what has not seen the genus.

    Whole genera are dealt into folds; a species whose genus is not known is its own.
    """
    genera = gallery.genera[gallery.columns]
    together = np.where(genera >= 0, genera, -1 - gallery.columns)
    dealt = (
        np.random.default_rng(seed).permutation(len(np.unique(together)))[np.unique(together, return_inverse=True)[1]]
        % folds
    )
    chosen, typical, rings = choose_lists(gallery, lists), measure_typical(gallery), earth_rings()
    ways: list[list[JudgedWay]] = []
    for fold in range(folds):
        held = np.intersect1d(np.unique(gallery.observations[dealt == fold]), gallery.askable)
        held = np.sort(np.random.default_rng([seed, fold]).permutation(held)[:most])
        others = gallery.only(dealt != fold)
        if not len(held) or not len(others.askable):
            continue
        method = learn(others, lists=lists, seed=seed, rings_of=rings)
        progress("species without references", 1, folds)
        asked = weigh_as(ask_itself(gallery, held), method, "labelled")
        told = [
            way
            for hide in HIDDEN
            for way in gather_evidence(gallery, asked, method, hide=hide, lists=chosen, typical=typical)
        ]
        ways.append([judge_way(one, gallery, asked) for one in answer(told, gallery, chosen, method)])
    return join_ways(ways)


def judge_way(one: Asked, gallery: Gallery, asked: HeldOutQueries) -> JudgedWay:
    """What an answer shows, and whether it is right."""
    evidence = one.evidence
    known = evidence.known
    nodes, right = judge_nodes(one, gallery.lineages)
    limits = np.stack([thresholds_at(one, photos) for photos in evidence.photos.tolist()])
    right_there, depth = judge_depths(nodes, right, limits)
    return JudgedWay(
        evidence.hide,
        evidence.place,
        evidence.alone,
        asked.own[asked.first],
        one.on_list,
        evidence.photos,
        one.shown.max(axis=1),
        (rank_truth(one.shown, evidence.truth) == 1) & known,
        one.none,
        one.rejected,
        depth,
        right_there,
        nodes,
        right,
    )


def thresholds_at(one: Asked, photos: float) -> NDArray[np.float64]:
    """The thresholds for so many photos; those that nothing reaches where none were learned."""
    return one.calibration.thresholds_of(photos).get(float(TARGET), np.full(len(RANKS), np.inf))


def join_ways(folds: Sequence[Sequence[JudgedWay]]) -> tuple[JudgedWay, ...]:
    """The same ways of all folds together, in the order of the observations."""
    joined = []
    for parts in zip(*folds, strict=True):
        order = np.argsort(np.concatenate([part.observations for part in parts]), kind="stable")
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts])[order]
            for name in JudgedWay.__dataclass_fields__
            if isinstance(getattr(parts[0], name), np.ndarray)
        }
        joined.append(replace(parts[0], **arrays))
    return tuple(joined)


def lift_all(
    gallery: Gallery, asked: HeldOutQueries, method: Method, priors: Sequence[str], records: Records | None
) -> NDArray[np.float64] | None:
    """The logarithm of the priors' lifts, (observations, species), at the strengths that the method learned."""
    learned = method.calibration
    total = None
    if local := [prior for prior in priors if prior in CIRCUMSTANCES]:
        assert records is not None
        total = sum_lifts(records, asked, local, learned.priors, learned.smoothing)
    if "uniform" in priors:
        uniform = learned.priors.get("uniform", 1.0) * uniform_log_lifts(gallery, asked)
        total = uniform if total is None else total + uniform
    return total


def weigh_as(asked: HeldOutQueries, method: Method, aspects: str) -> HeldOutQueries:
    """The questions with aspects as labelled, as told from the photos, or not known (none)."""
    if aspects == "told" and method.aspect_model is not None:
        return replace(asked, aspects=method.aspect_model.predict(asked.embeddings))
    return asked if aspects == "labelled" else replace(asked, aspects=None)


def ask_strangers(embeddings: Embeddings) -> HeldOutQueries:
    """Each embedding as an observation of one photo, of no species."""
    nobody = np.full(len(embeddings), -1, dtype=np.int64)
    return HeldOutQueries(embeddings, nobody, np.arange(len(embeddings)), nobody)


def judge(
    gallery: Gallery,
    asked: HeldOutQueries,
    evidence: Evidence,
    method: Method,
    fold: int = 0,
    *,
    priors: Sequence[str] = (),
    log_lift: NDArray[np.float64] | None = None,
) -> dict[str, NDArray[np.generic]]:
    """See where the truth stands in the world; it stands behind all that have the same score. `log_lift` are priors."""
    learned = method.calibration
    scores = weigh_evidence(evidence.fused, log_lift=log_lift, temper=learned.temper_of(priors))
    none = unknown_probability(evidence.features, learned.unknown)
    final = settle(scores, evidence.photos, none, learned.recalibration_of(priors))
    first = first_of(scores, asked.truth)
    genera = gallery.genera
    return {
        "observations": asked.own[asked.first],
        "truth": asked.truth,
        "first": first,
        "rank": rank_truth(scores, asked.truth),
        "genus_right": (genera[first] == genera[asked.truth]) & (genera[first] >= 0),
        "score": final.max(axis=1),
        "similarity": evidence.near,
        "none": none,
        "fold": np.full(asked.count, fold),
    }
