"""Learns the whole calibration of a collection from its own observations; nothing else is asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, HeldOutQueries, NearestRows, search
from evaluation.learning.aspects import fit_aspects, fit_classifier, mixed, weighed
from evaluation.learning.expect import RingsOf, learn_season_place
from evaluation.learning.fit import (
    NEIGHBOURS,
    Fitted,
    draw_sample,
    fit_fusion,
    fit_logistic,
    fit_logit,
    fit_photos,
    log_loss,
    sample_several,
    score_apart,
)
from evaluation.learning.scoring import Method, Scores, fuse_all, neutral_counts
from retrieval.progress import Progress, silent
from retrieval.ranking.fusion import FUSIONS
from retrieval.ranking.lookalikes import confusions
from retrieval.ranking.priors import apply_prior
from retrieval.ranking.recalibration import recalibrate_top_score, top_logit
from retrieval.ranking.rejection import STRANGE, UNKNOWN_RATE, none_probability, observe
from retrieval.ranking.specificity import fit_threshold, sum_nodes

TARGETS = ("0.80", "0.85", "0.90", "0.95", "0.99")
OBSERVATIONS = 2_000  # that everything after the single-photo score is learned on


def uniform_log_lifts(gallery: Gallery, asked: HeldOutQueries) -> NDArray[np.float64]:
    """Logarithms of 1 / p(k) for each observation; for the gallery's own by counts that do not tell the truth."""
    counts = gallery.sums[1]
    lifts = np.repeat(-np.log(np.maximum(counts, 1).astype(np.float64))[None], asked.count, axis=0)
    lifts[asked.own[asked.first] >= 0] = -np.log(neutral_counts(counts))
    return lifts


def learn(
    gallery: Gallery,
    *,
    seed: int = 1,
    rings_of: RingsOf | None = None,
    progress: Progress = silent,
    only: Sequence[str] = ("votes", "prototypes", "counts"),
    brief: bool = False,
    settled: Method | None = None,
) -> Method:
    """Learn everything in turn; what the collection has too few observations for keeps its default.

    With `brief`, only what a ranking by the photos needs; with `settled`, temperature, floor and shrinkages are those
    of a method that was learned before, and only the weights are found.
    """
    fitted = fit_photos(gallery, seed=seed, progress=progress, only=only, settled=numbers_of(settled))
    asked = draw_sample(gallery, OBSERVATIONS, seed + 1)
    found = search(gallery, asked, NEIGHBOURS)
    progress(f"several photos, on {int((asked.photos > 1).sum())} observations")
    method = learn_fusion(gallery, asked, found, fitted, seed)
    fitted = replace(fitted, method=method)
    if brief:
        return method
    scores, near = score_apart(gallery, asked, found, fitted, seed=seed)
    progress("priors")
    method = learned_more(method, **learn_priors(gallery, asked, scores, fitted, rings_of, seed))
    progress("none of these")
    rejection = learn_rejection(gallery, asked, scores, near, fitted, seed)
    method = learned_more(method, rejection=rejection)
    alone, lone = first_photos(gallery, asked, found, fitted, seed)
    method = learned_more(method, confidence=fit_recalibration([(scores, asked), (lone, alone)]))
    known, _ = final_scores(scores, near, asked.photos, method)
    sums, right = deepest_nodes(known, asked.truth, gallery)
    method = learned_more(
        method,
        thresholds={target: fit_threshold(sums, right, float(target)) for target in TARGETS},
        lookalikes=confusions(
            zip(gallery.species[asked.truth].tolist(), gallery.species[scores.argmax(axis=1)].tolist(), strict=True)
        ),
    )
    error = calibration_error(known.max(axis=1), known.argmax(axis=1) == asked.truth)
    notes = {**method.calibration.fitted, "calibrationError": error, "fusedLogLoss": log_loss(scores, asked.truth)}
    return learned_more(method, fitted=notes)


def numbers_of(method: Method | None) -> dict[str, float] | None:
    """The numbers of the grid of a method that was learned."""
    if method is None:
        return None
    learned = method.calibration
    return {
        "temperature": method.voting.temperature,
        "floor": learned.floor,
        "shrinkage": learned.shrinkage,
        "metric": float(learned.fitted["metricShrinkage"]),
    }


def learned_more(method: Method, **values: object) -> Method:
    """The method with more of its calibration known."""
    return replace(method, calibration=method.calibration.changed(**values))


def learn_fusion(gallery: Gallery, asked: HeldOutQueries, found: NearestRows, fitted: Fitted, seed: int) -> Method:
    """How photos of one observation are fused: weights of what they show, then how far they sharpen one another."""
    method = learned_more(fitted.method, sharpening=dict.fromkeys(FUSIONS, 0.0))
    several = sample_several(gallery, asked, found, fitted, seed=seed)
    if several is None:
        return method
    some, per_view = several
    chosen = mixed(some)
    if chosen.any():
        part, alone = some.only(chosen), per_view[some.views_of(chosen)]
        weights = fit_aspects(alone, part, method, lambda fused: log_loss(fused, part.truth))
        model, told, notes = fit_classifier(gallery, seed)
        if weights and model is not None:
            rows = np.isin(gallery.observations, part.own)
            losses = [
                log_loss(fuse_all(alone, replace(part, aspects=shown), weighed(method, weights)), part.truth)
                for shown in (np.full(len(part.columns), -1), told[rows], part.aspects)
            ]
            notes |= dict(zip(("logLossUnweighed", "logLossTold", "logLossLabelled"), losses, strict=True))
            if losses[1] < losses[0]:
                method = replace(learned_more(method, tells_aspects=True), aspect_model=model)
        notes = {**method.calibration.fitted, "aspects": notes}
        method = learned_more(weighed(method, weights), fitted=notes)
    rule, exponents, lost = fit_fusion(some, per_view, method)
    notes = {**method.calibration.fitted, "fusionLogLoss": lost, "fusionObservations": some.count}
    return learned_more(method, fusion=rule, sharpening=exponents, fitted=notes)


def learn_priors(
    gallery: Gallery, asked: HeldOutQueries, scores: Scores, fitted: Fitted, rings_of: RingsOf | None, seed: int
) -> dict[str, dict[str, float]]:
    """Strengths of the priors, and how scores are tempered under them.

    The uniform prior is learned on one observation of each species, drawn anew, together with what is
    none of these under it; the regional one is the same correction, to another expectation.
    """
    even = draw_sample(gallery, OBSERVATIONS, seed + 2, balanced=True)
    found = search(gallery, even, NEIGHBOURS)
    even_scores, near = score_apart(gallery, even, found, fitted, seed=seed)
    lifts = uniform_log_lifts(gallery, even)
    terms = np.stack([np.log(np.maximum(even_scores, 1e-12)), lifts], axis=-1)
    (temper, strength), _ = fit_logit(terms, even.truth, start=[1.0, 1.0])
    temper, strength = max(0.1, float(temper)), max(0.0, float(strength))
    hidden_found = search(gallery, even, NEIGHBOURS, hide="species")
    hidden, far = score_apart(gallery, even, hidden_found, fitted, seed=seed, hide="species")
    after, hidden = (apply_prior(one, strength * lifts, temper=temper) for one in (even_scores, hidden))
    learned: dict[str, dict[str, float]] = {
        "priors": {"uniform": strength, "regional": strength},
        "tempers": {"uniform": temper, "regional": temper},
        "smoothing": {},
        "rejection_even": fit_rejection(after, near, hidden, far),
    }
    alone, lone = first_photos(gallery, even, found, fitted, seed)
    single = apply_prior(lone, strength * lifts, temper=temper)
    learned["confidence_even"] = fit_recalibration([(after, even), (single, alone)])
    strengths, smoothing = learn_season_place(gallery, asked, scores, rings_of)
    learned["priors"] |= strengths
    learned["smoothing"] = smoothing
    return learned


def first_photos(
    gallery: Gallery, asked: HeldOutQueries, found: NearestRows, fitted: Fitted, seed: int
) -> tuple[HeldOutQueries, Scores]:
    """The same observations by their first photo alone."""
    everyone = np.ones(asked.count, dtype=bool)
    alone = asked.only(everyone, 1)
    scores, _ = score_apart(gallery, alone, found.of(asked.views_of(everyone, 1)), fitted, seed=seed)
    return alone, scores


def fit_recalibration(parts: Sequence[tuple[Scores, HeldOutQueries]]) -> dict[str, float]:
    """How often a top score is right, from its logit and the number of photos."""
    values = np.concatenate([np.column_stack([top_logit(scores), np.log(asked.photos)]) for scores, asked in parts])
    right = np.concatenate([scores.argmax(axis=1) == asked.truth for scores, asked in parts])
    if right.all() or not right.any():
        return {}
    constant, logit, photos = fit_logistic(values, right, rate=float(right.mean()))
    return {"constant": float(constant), "logit": max(0.05, float(logit)), "photos": float(photos)}


def final_scores(
    scores: Scores,
    near: NDArray[np.float64],
    photos: NDArray[np.int64],
    method: Method,
    priors: Collection[str] = (),
) -> tuple[Scores, NDArray[np.float64]]:
    """Scores as the answer gives them, confidence and "none of these" taken into account; and the latter."""
    none = none_of(scores, near, method, priors)
    trusted = recalibrate_top_score(scores, photos.astype(np.float64), method.calibration.recalibration_of(priors))
    return trusted * (1 - none)[:, None], none


def learn_rejection(
    gallery: Gallery, asked: HeldOutQueries, scores: Scores, near: NDArray[np.float64], fitted: Fitted, seed: int
) -> dict[str, float]:
    """Weights of the two features, and the similarity below which a photo is strange."""
    found = search(gallery, asked, NEIGHBOURS, hide="species")
    hidden, far = score_apart(gallery, asked, found, fitted, seed=seed, hide="species")
    return fit_rejection(scores, near, hidden, far)


def fit_rejection(
    scores: Scores, near: NDArray[np.float64], hidden: Scores, far: NDArray[np.float64]
) -> dict[str, float]:
    """The same from the scores and closest similarities of observations, known and with their species hidden."""
    values = np.array([observe(np.array([s]), row) for s, row in zip([*near, *far], [*scores, *hidden], strict=True)])
    unknown = np.repeat([False, True], len(scores))
    constant, similarity, entropy = fit_logistic(values, unknown, rate=UNKNOWN_RATE)
    if similarity > 0:  # being more like a reference may not speak for "none of these"
        constant, entropy = fit_logistic(values[:, 1:], unknown, rate=UNKNOWN_RATE)
        similarity = 0.0
    return {
        "constant": float(constant),
        "similarity": float(similarity),
        "entropy": float(entropy),
        "strange": float(np.quantile(near, STRANGE)),
    }


def none_of(
    scores: Scores, near: NDArray[np.float64], method: Method, priors: Collection[str] = ()
) -> NDArray[np.float64]:
    """The probability of "none of these" of each observation, under the priors that were applied."""
    weights = method.calibration.rejection_of(priors)
    return np.array(
        [none_probability(*observe(np.array([s]), row), weights) for s, row in zip(near, scores, strict=True)]
    )


def deepest_nodes(
    scores: Scores, truth: NDArray[np.int64], gallery: Gallery
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The most probable node of each rank and whether it is the true one: (observations, 7) twice."""
    ranks = gallery.lineages.shape[1]
    sums = np.zeros((len(scores), ranks))
    right = np.zeros((len(scores), ranks), dtype=bool)
    for rank in range(ranks):
        nodes = gallery.lineages[:, rank]
        taxa, added = sum_nodes(scores, nodes)
        if not len(taxa):
            continue
        best = added.argmax(axis=1)
        sums[:, rank] = added[np.arange(len(scores)), best]
        right[:, rank] = (truth >= 0) & (taxa[best] == np.where(truth >= 0, nodes[truth], -2))
    return sums, right


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error over bins of equal width (Guo et al. 2017)."""
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(places, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def auroc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """Chance that a positive has the higher value, ties counting half (Mann and Whitney 1947)."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left") + np.searchsorted(ordered, positive, side="right")
    return float(below.sum() / (2 * len(positive) * len(negative)))


def of_views(
    found: NearestRows, asked: HeldOutQueries, kept: NDArray[np.bool_], photos: int | None = None
) -> NearestRows:
    """What was found for the questions that `asked.only(kept, photos)` keeps."""
    return found.of(asked.views_of(kept, photos))
