"""Nested cross-validation: every observation is judged by a calibration that has not seen it.

The observations are dealt into folds. For each, everything is learned from the others alone, the fold
being no reference either; then each observation of the fold is asked of all references but its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, HeldOutQueries, NearestRows, ask_itself, search
from evaluation.learning.expect import Records, count_records, earth_rings, sum_lifts
from evaluation.learning.fit import NEIGHBOURS
from evaluation.learning.learn import deepest_nodes, final_scores, learn, none_of, uniform_log_lifts
from evaluation.learning.scoring import Method, score_all
from retrieval.models.embedder import Embeddings
from retrieval.progress import Progress, silent
from retrieval.ranking.priors import apply_prior


@dataclass(frozen=True)
class NestedResult:
    """What came out for each observation, in the order of the gallery's rows; and for what is no fungus."""

    observations: NDArray[np.int64]
    truth: NDArray[np.int64]  # columns
    first: NDArray[np.int64]  # columns
    rank: NDArray[np.int64]
    genus_right: NDArray[np.bool_]
    score: NDArray[np.float64]  # of the first species, "none of these" taken off
    similarity: NDArray[np.float64]  # of the closest reference, mean over photos
    none: NDArray[np.float64]  # probability of none of these
    hidden_none: NDArray[np.float64]  # the same, all references of its species hidden
    hidden_similarity: NDArray[np.float64]
    hidden_score: NDArray[np.float64]  # of the first species then, which cannot be right
    strangers_none: NDArray[np.float64]  # (folds, strangers)
    strangers_similarity: NDArray[np.float64]  # (strangers,)
    nodes: NDArray[np.float64]
    nodes_right: NDArray[np.bool_]
    methods: tuple[Method, ...]
    fold: NDArray[np.int64]


def cross_validate(
    gallery: Gallery,
    *,
    folds: int = 10,
    seed: int = 1,
    strangers: Embeddings | None = None,
    only: Sequence[str] = ("votes", "prototypes", "counts"),
    bare: Method | None = None,
    given: Sequence[Method] = (),
    fusion: str | None = None,
    photos: int | None = None,
    most: int | None = None,
    priors: Sequence[str] = (),
    aspects: str = "labelled",
    brief: bool = False,
    settled: Sequence[Method] = (),
    searched: dict[int, NearestRows] | None = None,
    progress: Progress = silent,
) -> NestedResult:
    """Judge every observation whose species has another one (at most `most` of a fold, drawn by the seed).

    With `bare`, nothing is learned: it answers; with `given`, what each fold learned before. `photos` asks with the
    first so many photos of each observation; `fusion` is taken instead of the rule that was learned. `priors` are
    applied: season and place where month and cell are known, and uniform. Aspects are taken as labelled, as told from
    the photos, or all weigh the same (none). With `brief`, only the ranking is learned and judged. `searched` keeps
    what each fold found, for the next of several trials (with the same photos); `settled` are methods whose numbers are
    kept while the weights are learned anew.

    `strangers` are embeddings of photos that show no fungus, each asked alone.
    """
    kept = {} if searched is None else searched
    rings = earth_rings() if priors or not (brief or given or bare) else None
    records = count_records(gallery, rings) if priors else None
    listed = np.unique(gallery.observations)
    dealt = np.random.default_rng(seed).permutation(len(listed)) % folds
    judgeable = set(ask_itself(gallery).own.tolist())
    parts: list[dict[str, NDArray[np.generic]]] = []
    methods, stranger_none = [], []
    stranger_near = np.zeros(0)
    for fold in range(folds):
        held = listed[dealt == fold]
        asked_for = np.array([one for one in held.tolist() if one in judgeable], dtype=np.int64)
        asked_for = np.sort(np.random.default_rng([seed, fold]).permutation(asked_for)[:most])
        if given:
            method = given[fold]
        else:
            others = gallery.only(~np.isin(gallery.observations, held))
            method = bare or learn(
                others, seed=seed, only=only, rings_of=rings, brief=brief, settled=settled[fold] if settled else None
            )
        method = method if fusion is None else method.fused_by(fusion)
        methods.append(method)
        progress("cross-validation", 1, 2 * folds)
        if len(asked_for):
            asked = weigh_as(ask_itself(gallery, asked_for), method, aspects)
            if photos is not None:
                asked = asked.only(np.ones(asked.count, dtype=bool), photos)
            if fold not in kept:
                kept[fold] = search(gallery, asked, NEIGHBOURS)
            lifts = lift_all(gallery, asked, method, priors, records)
            parts.append(
                judge(gallery, asked, method, fold, found=kept[fold], hidden=not brief, priors=priors, log_lift=lifts)
            )
        if strangers is not None and len(strangers):
            alone = ask_strangers(strangers)
            found = search(gallery, alone, NEIGHBOURS)
            scores, stranger_near = score_all(gallery, alone, found, method)
            stranger_none.append(none_of(scores, stranger_near, method))
        progress("cross-validation", 1, 2 * folds)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(joined["observations"], kind="stable")
    return NestedResult(
        **{name: values[order] for name, values in joined.items()},
        strangers_none=np.stack(stranger_none) if stranger_none else np.zeros((0, 0)),
        strangers_similarity=stranger_near,
        methods=tuple(methods),
    )


def lift_all(
    gallery: Gallery, asked: HeldOutQueries, method: Method, priors: Sequence[str], records: Records | None
) -> NDArray[np.float64] | None:
    """The logarithm of the priors' lifts, (observations, species), at the strengths that the method learned."""
    learned = method.calibration
    total = None
    if local := [prior for prior in priors if prior in {"season", "place"}]:
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
    method: Method,
    fold: int = 0,
    *,
    found: NearestRows | None = None,
    hidden: bool = True,
    priors: Sequence[str] = (),
    log_lift: NDArray[np.float64] | None = None,
) -> dict[str, NDArray[np.generic]]:
    """Ask, and see where the truth stands; ties go to the lower column, as the answer line's go by name.

    With `hidden`, all is asked again with the references of the true species hidden. `log_lift` are priors.
    """
    scores, near = score_all(gallery, asked, found or search(gallery, asked, NEIGHBOURS), method)
    if log_lift is not None:
        scores = apply_prior(scores, log_lift, temper=method.calibration.temper_of(priors))
    known, none = final_scores(scores, near, asked.photos, method, priors)
    strange, far = scores, near
    if hidden:
        hidden_found = search(gallery, asked, NEIGHBOURS, hide="species")
        strange, far = score_all(gallery, asked, hidden_found, method, hide="species")
    of_truth = scores[np.arange(asked.count), asked.truth]
    first = scores.argmax(axis=1)
    rank = 1 + (scores > of_truth[:, None]).sum(axis=1)
    nodes, right = deepest_nodes(known, asked.truth, gallery)
    genera = gallery.genera
    return {
        "observations": asked.own[asked.first],
        "truth": asked.truth,
        "first": first,
        "rank": np.where(of_truth > 0, rank, 0),
        "genus_right": (genera[first] == genera[asked.truth]) & (genera[first] >= 0),
        "score": known.max(axis=1),
        "similarity": near,
        "none": none,
        "hidden_none": none_of(strange, far, method),
        "hidden_similarity": far,
        "hidden_score": final_scores(strange, far, asked.photos, method, priors)[0].max(axis=1),
        "nodes": nodes,
        "nodes_right": right,
        "fold": np.full(asked.count, fold),
    }
