"""Learns the whole calibration of a collection from its own observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import HIDDEN, Gallery, HeldOutQueries, NearestRows, search
from evaluation.galleries.kept import at_species, multiplicity_of
from evaluation.learning.aspects import fit_aspects, fit_classifier, mixed, weighed
from evaluation.learning.evidence import (
    Evidence,
    Typical,
    choose_lists,
    effective_photos,
    gather_evidence,
    measure_typical,
)
from evaluation.learning.fit import (
    NEIGHBOURS,
    draw_sample,
    fit_fusion,
    fit_logit,
    fit_photos,
    is_clearly_less,
    log_loss,
    losses_of,
    sample_several,
)
from evaluation.learning.out_of_fold import Views, score_out_of_fold
from evaluation.learning.priors import RingsOf, learn_season_place, records_around
from evaluation.learning.query_mix import (
    Lists,
    calibration_error,
    count_off_list,
    first_of,
    fit_certainty,
    fit_off_list_rate,
    fit_right,
    is_right,
    learn_thresholds,
    score_conditions,
    with_learned,
)
from evaluation.learning.scoring import Method, Scores, fuse_all, keep_species, neutral_counts, width_of
from evaluation.learning.unknown import fit_unknown, unknown_share
from retrieval.progress import Progress, silent
from retrieval.ranking.calibration import ALONE, OFF_LIST_RATE
from retrieval.ranking.fusion import FUSIONS
from retrieval.ranking.lookalikes import confusions
from retrieval.ranking.priors import apply_prior
from retrieval.ranking.recalibration import top_features
from retrieval.ranking.rejection import STRANGE

OBSERVATIONS = 2_000  # on which everything after the single-photo score is fitted


def uniform_log_lifts(gallery: Gallery, queries: HeldOutQueries) -> NDArray[np.float64]:
    """Return the logarithms of 1 / p(k) for each observation; for the gallery's own, from `neutral_counts`."""
    counts = gallery.sums[1]
    lifts = np.empty((queries.count, width_of(gallery, queries)))
    lifts[:] = at_species(-np.log(np.maximum(counts, 1).astype(np.float64)), queries.kept)
    own = queries.excluded[queries.first] >= 0
    lifts[own] = at_species(-np.log(neutral_counts(counts)), None if queries.kept is None else queries.kept.of(own))
    return lifts


def learn(
    gallery: Gallery,
    *,
    lists: Lists = (),
    seed: int = 1,
    rings_of: RingsOf | None = None,
    progress: Progress = silent,
    score_terms: Sequence[str] = ("votes", "prototypes", "counts"),
    ranking_only: bool = False,
    tuned: Method | None = None,
) -> Method:
    """Fit everything in turn. Parameters with too few observations keep their defaults.

    `lists` are the floras to calibrate for, as boolean arrays over the gallery's species. `ranking_only` fits only what
    ranking by photos needs. With `tuned`, temperature, floor and shrinkages are taken from an earlier method, and only
    the weights are fitted.
    """
    fitted = fit_photos(gallery, seed=seed, progress=progress, score_terms=score_terms, tuned=numbers_of(tuned))
    queries = draw_sample(gallery, OBSERVATIONS, seed + 1)
    chosen = choose_lists(gallery, lists)
    hidden = HIDDEN[:1] if ranking_only else HIDDEN
    searched = {hide: search(gallery, queries, NEIGHBOURS, hide=hide, lists=chosen) for hide in hidden}
    found = searched["own"]
    queries = keep_species(gallery, queries, list(searched.values()), fitted.method, seed)
    views = score_out_of_fold(gallery, fitted.method, fitted.numbers["metric"], seed=seed)
    progress(f"several photos, on {int((queries.photos > 1).sum())} observations")
    method = learn_fusion(gallery, queries, found.within(), fitted.method, views, seed)
    if ranking_only:
        return method
    typical = measure_typical(gallery)
    conditions = gather_evidence(gallery, queries, method, lists=chosen, typical=typical, views=views, found=found)
    progress("priors")
    method = with_learned(method, **learn_priors(gallery, queries, conditions[0].fused, method, views, rings_of, seed))
    progress("species without references")
    for hide in HIDDEN[1:]:
        near = searched[hide]
        conditions += gather_evidence(
            gallery, queries, method, hide=hide, lists=chosen, typical=typical, views=views, found=near
        )
    method = learn_promises(gallery, queries, conditions, chosen, method, rings_of)
    return note_error(with_typical(method, gallery, typical), gallery, conditions, chosen)


def learn_promises(
    gallery: Gallery,
    queries: HeldOutQueries,
    conditions: Sequence[Evidence],
    lists: Lists,
    method: Method,
    rings_of: RingsOf | None,
) -> Method:
    """Fit the probability of none of the species, the off-list rate, the top-score recalibration and the thresholds."""
    expected = expect_off_list(gallery, queries, lists, rings_of)
    unknown = fit_unknown(conditions)
    rate = fit_off_list_rate(conditions, gallery, lists, expected, unknown)
    known = conditions[0]
    method = with_learned(
        method,
        off_list_rate=rate,
        unknown=unknown,
        strange=float(np.quantile(known.near, STRANGE)),
        confidence=fit_certainty(conditions, gallery, lists, rate, expected),
        fitted={**method.calibration.fitted, "offListExpected": expected},
    )
    answers = list(score_conditions(conditions, gallery, lists, method))
    taken = known.species(first_of(known.fused, known.places))
    pairs = zip(gallery.species[known.truth].tolist(), gallery.species[taken].tolist(), strict=True)
    return with_learned(
        method, thresholds=learn_thresholds(answers, gallery, queries.count), lookalikes=confusions(pairs)
    )


def expect_off_list(gallery: Gallery, queries: HeldOutQueries, lists: Lists, rings_of: RingsOf | None) -> float:
    """Estimate how often an observation is off its region's list; the default where cells are unknown."""
    if not lists or gallery.cells is None or rings_of is None or queries.cells is None:
        return OFF_LIST_RATE
    total, on_lists = records_around(gallery, queries, rings_of, lists)
    near = [
        (listed[queries.truth], np.divide(around, total, out=np.full(len(total), np.nan), where=total > 0))
        for listed, around in zip(lists, on_lists, strict=True)
    ]
    return count_off_list(near, OFF_LIST_RATE)


def with_typical(method: Method, gallery: Gallery, typical: Typical) -> Method:
    """Return the method with the typical similarity of each species, which a snapshot stores beside its manifest."""
    values = dict(zip(gallery.species.tolist(), typical.of_species.tolist(), strict=True))
    return replace(with_learned(method, typical=typical.usual), typical=values)


def note_error(method: Method, gallery: Gallery, conditions: Sequence[Evidence], lists: Lists) -> Method:
    """Return the method with a note of its calibration error on the training observations."""
    known = next(score_conditions(conditions[:1], gallery, lists, method))
    right = is_right(known.scores, conditions[0].places)
    notes = {
        **method.calibration.fitted,
        "calibrationError": calibration_error(known.scores.max(axis=1), right),
        "fusedLogLoss": log_loss(conditions[0].fused, conditions[0].places),
        "lists": len(lists),
        "onePhoto": float((conditions[0].photos < ALONE).mean()),
        "unknownShare": unknown_share(gallery),
        "closest": np.quantile(conditions[0].near, [0.05, 0.5, 0.95]).tolist(),
    }
    return with_learned(method, fitted=notes)


def numbers_of(method: Method | None) -> dict[str, float] | None:
    """Return the grid's parameters of a fitted method."""
    if method is None:
        return None
    learned = method.calibration
    return {
        "temperature": method.voting.temperature,
        "floor": learned.floor,
        "shrinkage": learned.shrinkage,
        "metric": float(learned.fitted["metricShrinkage"]),
    }


def learn_fusion(
    gallery: Gallery, queries: HeldOutQueries, found: NearestRows, method: Method, views: Views, seed: int
) -> Method:
    """Fit the fusion of several photos: weights by aspect first, then the exponent of the rule."""
    method = with_learned(method, sharpening=dict.fromkeys(FUSIONS, 0.0))
    several = sample_several(queries, found, views)
    if several is None:
        return method
    some, per_view = several
    rule, exponents, lost = fit_fusion(some, per_view, method)
    method = with_learned(method, fusion=rule, sharpening=exponents)
    chosen = mixed(some)
    if chosen.any():
        method = learn_aspects(gallery, some.select(chosen), per_view[some.selected_views(chosen)], method, seed)
        if method.calibration.aspects:
            rule, exponents, lost = fit_fusion(some, per_view, method)
    notes = {**method.calibration.fitted, "fusionLogLoss": lost, "fusionObservations": some.count}
    return with_learned(method, fusion=rule, sharpening=exponents, fitted=notes)


def learn_aspects(gallery: Gallery, part: HeldOutQueries, alone: Scores, method: Method, seed: int) -> Method:
    """Fit the weights of photos by aspect; they are kept if answers get significantly better under the fusion rule.

    `part` are observations whose photos show different aspects, `alone` the scores of each photo.
    """
    weights = fit_aspects(alone, part, method, lambda fused: log_loss(fused, part.places))
    model, predicted, notes = fit_classifier(gallery, seed)
    rows = np.isin(gallery.observations, part.excluded)
    before = losses_of(fuse_all(alone, part, method), part.places)
    after = losses_of(fuse_all(alone, part, weighed(method, weights)), part.places)
    notes |= {"logLossUnweighed": float(before.mean()), "logLossLabelled": float(after.mean())}
    if not weights or not is_clearly_less(after, before):
        return with_learned(method, fitted={**method.calibration.fitted, "aspects": notes})
    method = weighed(method, weights)
    if model is not None:
        guessed = replace(part, aspects=predicted[rows])
        lost = losses_of(fuse_all(alone, guessed, method), part.places)
        notes["logLossTold"] = float(lost.mean())
        if is_clearly_less(lost, before):
            method = replace(with_learned(method, tells_aspects=True), aspect_model=model)
    return with_learned(method, fitted={**method.calibration.fitted, "aspects": notes})


def learn_priors(
    gallery: Gallery,
    queries: HeldOutQueries,
    scores: Scores,
    method: Method,
    views: Views,
    rings_of: RingsOf | None,
    seed: int,
) -> dict[str, dict[str, float]]:
    """Fit the strengths of the priors, and the temper of scores under them.

    The uniform prior is fitted on a new sample with one observation of each species. The regional one is the same
    correction, towards another distribution.
    """
    even = draw_sample(gallery, OBSERVATIONS, seed + 2, balanced=True)
    found = search(gallery, even, NEIGHBOURS)
    even = keep_species(gallery, even, [found], method, seed + 2)
    per_view = views(even, [found], "own")[0]
    even_scores = fuse_all(per_view, even, method)
    lifts = uniform_log_lifts(gallery, even)
    terms = np.stack([np.log(np.maximum(even_scores, 1e-12)), lifts], axis=-1)
    multiplicity = multiplicity_of(even.kept)
    (temper, strength), _ = fit_logit(terms, even.places, start=[1.0, 1.0], multiplicity=multiplicity)
    temper, strength = max(0.1, float(temper)), max(0.0, float(strength))
    learned: dict[str, dict[str, float]] = {
        "priors": {"uniform": strength, "regional": strength},
        "tempers": {"uniform": temper, "regional": temper},
        "smoothing": {},
    }
    parts = []
    for photos in (None, 1):
        all_queries = np.ones(even.count, dtype=bool)
        some = even.select(all_queries, photos)
        fused = fuse_all(per_view[even.selected_views(all_queries, photos)], some, method)
        lifted = apply_prior(fused, strength * lifts, temper=temper, multiplicity=multiplicity)
        parts.append((top_features(lifted, effective_photos(some)), is_right(lifted, some.places)))
    values, right = (np.concatenate(column) for column in zip(*parts, strict=True))
    learned["confidence_even"] = fit_right(values, right)
    strengths, smoothing = learn_season_place(gallery, queries, scores, rings_of)
    learned["priors"] |= strengths
    learned["smoothing"] = smoothing
    return learned
