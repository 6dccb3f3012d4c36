"""Ablations: each rule switched off, evaluated on the same observations, as a change against the full method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, HeldOutQueries, NearestRows, hold_out_queries
from evaluation.learning.out_of_fold import LARGE
from evaluation.learning.priors import has_metadata, metadata_of
from evaluation.learning.query_mix import calibration_error
from evaluation.learning.scoring import Method
from evaluation.measuring.metrics import macro_f1
from evaluation.measuring.nested import NestedResult, Trial, cross_validate
from retrieval.progress import Progress, silent
from retrieval.ranking.calibration import Calibration
from retrieval.ranking.fusion import FUSIONS
from retrieval.ranking.priors import CIRCUMSTANCES
from retrieval.ranking.votes import Voting

RESAMPLES = 500
TERMS = {
    "without prototypes": ("votes", "counts"),
    "without votes": ("prototypes", "counts"),
    "without numbers of observations": ("votes", "prototypes"),
}


def paired_gain(before: NDArray[np.float64], after: NDArray[np.float64], seed: int) -> dict[str, float]:
    """Return the means before and after on the same observations, and the change in points with its interval."""
    rng = np.random.default_rng(seed)
    apart = after - before
    spread = [apart[rng.integers(0, len(apart), len(apart))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(spread, [2.5, 97.5])
    return {
        "before": float(before.mean()),
        "after": float(after.mean()),
        "gain": 100 * float(apart.mean()),
        "low": 100 * float(low),
        "high": 100 * float(high),
        "observations": len(apart),
    }


def nearest_ranks(gallery: Gallery, queries: HeldOutQueries, found: NearestRows) -> NDArray[np.int64]:
    """Rank the true species by plain nearest neighbours: by its photo closest to any photo of the query.

    Returns (observations,); 0 where no reference of the species was found.
    """
    there = found.rows >= 0
    views = np.broadcast_to(queries.observations[:, None], found.rows.shape)
    pairs = views[there] * gallery.width + gallery.columns[found.rows[there]]  # of an observation and a species
    named, places = np.unique(pairs, return_inverse=True)
    best = np.full(len(named), -np.inf)
    np.maximum.at(best, places, found.similarities[there])
    observations, columns = np.divmod(named, gallery.width)
    of_truth = np.full(queries.count, np.inf)
    true = columns == queries.truth[observations]
    of_truth[observations[true]] = best[true]
    higher = np.bincount(observations[best > of_truth[observations]], minlength=queries.count)
    return np.where(np.isfinite(of_truth), 1 + higher, 0)


def count_trials(gallery: Gallery) -> int:
    """Return the number of cross-validations that `ablate` and `judge_priors` run."""
    return 1 + len(TERMS) + 3 + 2 * (gallery.aspects is not None) + len(known_priors(gallery))


def known_priors(gallery: Gallery) -> list[tuple[str, ...]]:
    """Return the priors, alone and combined, for which the gallery has metadata."""
    known = [prior for prior in CIRCUMSTANCES if metadata_of(gallery, prior) is not None]
    return [*((prior,) for prior in known), *([tuple(known)] if len(known) > 1 else [])]


def ablate(
    gallery: Gallery,
    judged: NestedResult,
    searched: dict[int, NearestRows],
    *,
    folds: int,
    seed: int,
    most: int,
    progress: Progress = silent,
) -> dict[str, dict[str, float]]:
    """Return top-1, top-5 and macro-F1 without each rule, and the change of top-1 against `judged` with its interval.

    A variant without a term of the score is fitted again in each fold (in a large collection, only its weights). All
    others use what the fold had learned.
    """

    def trial(**options: Any) -> NestedResult:
        queries = Trial(most=most, ranking_only=True, **options)
        return cross_validate(gallery, queries, folds=folds, seed=seed, searched=searched, progress=progress)

    def shown(rank: NDArray[np.int64], first: NDArray[np.int64] | None) -> dict[str, float]:
        change = paired_gain((judged.rank == 1).astype(float), (rank == 1).astype(float), seed)
        found = {
            "top1": change["after"],
            "top5": float(((rank > 0) & (rank <= 5)).mean()),
            "change": change["gain"],
            "low": change["low"],
            "high": change["high"],
        }
        return found if first is None else {**found, "macroF1": macro_f1(judged.truth, first)}

    table = {"1-NN": shown(rank_all_nearest(gallery, judged, searched), None)}
    variants: dict[str, dict[str, Any]] = {
        "kernel votes alone, T = 0.05": {"fixed_method": Method(Voting(), Calibration())},
        **{title: {"score_terms": terms} for title, terms in TERMS.items()},
        **{f"everything, photos fused by {rule}": {"fusion": rule} for rule in FUSIONS},
    }
    if gallery.aspects is not None:
        variants["everything, all photos weigh the same"] = {"aspects": "none"}
        variants["everything, aspects told from the photos"] = {"aspects": "predicted"}
    variants["everything, with the uniform prior"] = {"priors": ("uniform",)}
    for title, options in variants.items():
        progress(title)
        anew = {"settled": judged.methods} if len(gallery.spans[0]) >= LARGE else {}
        learned = {"fixed_method": {}, "score_terms": anew}.get(next(iter(options)), {"fold_methods": judged.methods})
        found = trial(**options, **learned)
        table[title] = shown(found.rank, found.first)
    return {**table, "everything (default)": shown(judged.rank, judged.first)}


def rank_all_nearest(gallery: Gallery, judged: NestedResult, searched: dict[int, NearestRows]) -> NDArray[np.int64]:
    """Return `nearest_ranks` of all evaluated observations, in their order."""
    ranks = np.zeros(len(judged.truth), dtype=np.int64)
    for fold, found in searched.items():
        inside = judged.fold == fold
        queries = hold_out_queries(gallery, judged.observations[inside])
        excluded = queries.excluded[queries.first]
        places = np.searchsorted(judged.observations[inside], excluded)
        ranks[np.flatnonzero(inside)[places]] = nearest_ranks(gallery, queries, found)
    return ranks


def judge_priors(
    gallery: Gallery,
    judged: NestedResult,
    searched: dict[int, NearestRows],
    *,
    folds: int,
    seed: int,
    most: int,
    progress: Progress = silent,
) -> dict[str, dict[str, Any]]:
    """Evaluate the season and place priors of each fold, on the observations with month and cell."""
    queries = hold_out_queries(gallery, judged.observations)
    order = np.argsort(queries.excluded[queries.first], kind="stable")
    table = {}
    for priors in known_priors(gallery):
        known = np.logical_and.reduce([has_metadata(queries, prior) for prior in priors])[order]
        if not known.any():
            continue
        title = " and ".join(priors)
        progress(f"prior: {title}")
        trial = Trial(most=most, ranking_only=True, fold_methods=judged.methods, priors=priors)
        found = cross_validate(gallery, trial, folds=folds, seed=seed, searched=searched, progress=progress)
        right = (found.rank == 1)[known]
        learned = [method.calibration for method in judged.methods]
        table[title] = {
            **paired_gain((judged.rank == 1)[known].astype(float), right.astype(float), seed),
            "calibrationError": calibration_error(found.score[known], right),
            "strengths": {p: float(np.mean([one.priors.get(p, 1.0) for one in learned])) for p in priors},
            "smoothing": {p: sorted({one.smoothing[p] for one in learned if p in one.smoothing}) for p in priors},
        }
    return table


def aspects_learned(methods: Sequence[Method]) -> dict[str, Any]:
    """Return each aspect's mean weight over the folds, and the accuracy of predicted aspects; empty if not learned."""
    named = sorted({name for method in methods for name in method.calibration.aspects})
    if not named:
        return {}
    notes = [method.calibration.fitted.get("aspects", {}) for method in methods]
    means = {
        key: float(np.mean([note[key] for note in notes if key in note]))
        for key in sorted({key for note in notes for key in note})
    }
    return {
        "weights": {name: float(np.mean([m.calibration.aspects.get(name, 1.0) for m in methods])) for name in named},
        "used": float(np.mean([m.calibration.tells_aspects for m in methods])),
        **means,
    }
