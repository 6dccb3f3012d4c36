"""Fits the calibration of a snapshot by log-loss on held-out observations.

Each observation of the collection is compared with all others. First the score of a single photo is fitted (kernel
temperature, floor, prototypes and the three weights), then the sharpening of several photos, the strengths of priors,
the probability of none of these, and last the thresholds of the specificity decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, HeldOutQueries, NearestRows, hold_out_queries, search
from evaluation.galleries.kept import EXACT, multiplicity_of
from evaluation.learning.out_of_fold import Views, deal_folds, deal_rows, fold_metrics, fold_of
from evaluation.learning.scoring import (
    Method,
    Scores,
    fuse_all,
    keep_species,
    make_metric,
    prototype_similarities,
    view_shares,
    width_of,
)
from retrieval.errors import BuildError
from retrieval.progress import Progress, silent
from retrieval.ranking.calibration import Calibration, features, normalise
from retrieval.ranking.fusion import FUSIONS
from retrieval.ranking.prototypes import Metric
from retrieval.ranking.votes import Voting

NEIGHBOURS = 50
GRID: dict[str, tuple[float, ...]] = {
    "temperature": (0.02, 0.03, 0.05, 0.08, 0.12),
    "floor": (1e-2, 1e-3, 1e-4),
    "shrinkage": (1.0, 4.0, 16.0),
    "metric": (1.0, 0.5, 0.2, 0.05),
}
"""Values tried for parameters in which the log-loss is not convex; the others are solved for."""
START = {"temperature": 0.05, "floor": 1e-2, "shrinkage": 4.0, "metric": 0.5}
RIDGE = 1e-3
CACHED = 4  # similarity matrices kept by the search, which changes one parameter at a time
GUESS = (10.0, 0.3)  # weights of prototypes and numbers of observations from which species are chosen
SAMPLE = 1_500  # observations on which the single-photo score is fitted
SIGNIFICANT = 2.0  # standard errors
PHOTO_SAMPLE = 400  # observations of several photos on which fusion is fitted
STRENGTH_DEVIATION = 0.5  # prior standard deviation of a prior's strength around 1
MIN_OBSERVATIONS = 20  # observations of several photos (or with a date, a place) below which nothing is fitted


@dataclass(frozen=True)
class Fitted:
    """The fitted single-photo score, and the data it was fitted on."""

    method: Method
    numbers: dict[str, float]  # of GRID
    loss: float
    tried: tuple[tuple[str, float, float], ...]  # (name, value, log-loss)


def fit_logit(
    terms: NDArray[np.float64],
    truth: NDArray[np.int64],
    *,
    start: Sequence[float] | NDArray[np.float64],
    offset: NDArray[np.float64] | None = None,
    ridge: float = RIDGE,
    towards: float = 0.0,
    multiplicity: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], float]:
    """Fit the weights of a conditional logit by damped Newton steps. Returns them and their mean log-loss.

    `terms` has shape (observations, species, weights); `truth` is the place of each observation's species; `offset` is
    added to the logits unweighted; `multiplicity` (observations, species) as in `add_species`. The loss is convex, so
    `start` affects only the time. `ridge` shrinks the weights towards `towards`.
    """
    rows = np.arange(len(truth))
    columns = [np.ascontiguousarray(terms[..., number]) for number in range(terms.shape[2])]
    chosen = terms[rows, truth]

    def loss_at(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = np.zeros(terms.shape[:2]) if offset is None else offset.copy()
        for weight, column in zip(weights, columns, strict=True):
            logits += weight * column
        scores = normalise(logits, multiplicity)
        plain = -np.log(np.maximum(scores[rows, truth], 1e-300)).mean()
        return float(plain + ridge / 2 * float(((weights - towards) ** 2).mean())), scores

    weights = np.asarray(start, dtype=np.float64)
    loss, scores = loss_at(weights)
    for _ in range(30):
        each = scores if multiplicity is None else scores * multiplicity
        weighed = [each * column for column in columns]
        means = np.stack([one.sum(axis=1) for one in weighed], axis=1)
        gradient = (chosen - means).mean(axis=0) - ridge * (weights - towards) / len(weights)
        curvature = np.array([[np.vdot(one, column) for column in columns] for one in weighed])
        curvature = curvature / len(truth) - means.T @ means / len(truth)
        step = np.linalg.solve(curvature + (ridge / len(weights) + 1e-9) * np.eye(len(weights)), gradient)
        length = 1.0
        while length > 1e-4:
            tried, tried_scores = loss_at(weights + length * step)
            if tried < loss:
                break
            length /= 2
        else:
            break
        gain, weights, loss, scores = loss - tried, weights + length * step, tried, tried_scores
        if gain < 1e-6:
            break
    return weights, float(-np.log(np.maximum(scores[rows, truth], 1e-300)).mean())


def draw_sample(gallery: Gallery, count: int, seed: int, *, balanced: bool = False) -> HeldOutQueries:
    """Draw held-out observations of the gallery, uniformly or one of each species."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(gallery.evaluable)
    if balanced:
        columns = gallery.columns[gallery.rows_of(chosen)]
        chosen = rng.permutation(chosen[np.unique(columns, return_index=True)[1]])
    return hold_out_queries(gallery, np.sort(chosen[:count]))


def fit_photos(
    gallery: Gallery,
    *,
    seed: int = 1,
    progress: Progress = silent,
    score_terms: Sequence[str] = ("votes", "prototypes", "counts"),
    tuned: Mapping[str, float] | None = None,
) -> Fitted:
    """Fit the score of a single photo. `score_terms` names the terms to use, for the ablation table.

    With `tuned`, the grid's parameters are taken from it, and only the weights are fitted. Raises BuildError if too few
    species have two observations.
    """
    queries = draw_sample(gallery, SAMPLE, seed)
    if not queries.count:
        raise BuildError("too few species have two observations to hold one out and learn from the others")
    if len(queries.columns) > SAMPLE:  # with this many observations, one photo of each is enough
        queries = queries.select(np.ones(queries.count, dtype=bool), 1)
    found = search(gallery, queries, NEIGHBOURS)
    queries = keep_species(gallery, queries, [found], guess_method(gallery, tuned or START), seed)
    width, multiplicity = width_of(gallery, queries), multiplicity_of(queries.kept_of_views)
    truth = queries.columns if queries.kept_of_views is None else queries.kept_of_views.places(queries.columns)
    folds = fold_of(gallery, queries, deal_rows(gallery, seed))
    kept = np.array([name in score_terms for name in ("votes", "prototypes", "counts")])
    made: dict[float, list[Metric | None]] = {}
    tried: dict[tuple[float, ...], tuple[float, NDArray[np.float64]]] = {}
    log: list[tuple[str, float, float]] = []
    shares: dict[float, NDArray[np.float32]] = {}
    similarities: dict[tuple[float, float], tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def share(values: dict[str, float]) -> NDArray[np.float32]:
        if values["temperature"] not in shares:
            voted = view_shares(gallery, queries, found, method_of(values, None))
            shares[values["temperature"]] = voted.astype(np.float32)
        return shares[values["temperature"]]

    def measure_similarities(values: dict[str, float]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        key = values["shrinkage"], values["metric"]
        if key not in similarities:
            if len(similarities) >= CACHED:
                similarities.pop(next(iter(similarities)))
            if values["metric"] not in made:
                made[values["metric"]] = fold_metrics(gallery, deal_rows(gallery, seed), values["metric"])
            near = np.zeros((len(queries.columns), width), dtype=np.float32)
            numbers = np.zeros_like(near)
            for part, views, metric in deal_folds(queries, folds, made[values["metric"]]):
                near[views], numbers[views] = prototype_similarities(gallery, part, method_of(values, metric), "own")
            similarities[key] = near, numbers
        return similarities[key]

    def attempt(values: dict[str, float]) -> float:
        key = tuple(values[name] for name in GRID)
        if key not in tried:
            near, numbers = measure_similarities(values)
            terms = features(share(values).astype(np.float64), near.astype(np.float64), numbers, values["floor"])
            tried[key] = fit_positive(terms, truth, kept, multiplicity)
        return tried[key][0]

    values = dict(tuned or START)
    attempt(values)
    for _ in range(0 if tuned else 2):
        before = dict(values)
        for name, choices in GRID.items():
            losses = {choice: attempt({**values, name: choice}) for choice in choices}
            values[name] = min(choices, key=lambda choice: (losses[choice], choice))
            log += [(name, choice, losses[choice]) for choice in choices]
            progress(f"{name} {values[name]}, log-loss {losses[values[name]]:.3f}")
        if values == before:
            break
    loss, full = tried[tuple(values[name] for name in GRID)]
    method = method_of(values, make_metric(gallery, values["metric"]))
    learned = method.calibration.changed(
        votes=float(full[0]),
        prototypes=float(full[1]),
        counts=float(full[2]),
        metric=method.metric is not None,
        fitted={
            "observations": queries.count,
            "photos": len(queries.columns),
            "seed": seed,
            "logLoss": loss,
            "metricShrinkage": values["metric"],
        },
    )
    return Fitted(replace(method, calibration=learned), dict(values), loss, tuple(log))


def fit_positive(
    terms: NDArray[np.float64],
    truth: NDArray[np.int64],
    kept: NDArray[np.bool_],
    multiplicity: NDArray[np.float64] | None = None,
) -> tuple[float, NDArray[np.float64]]:
    """Return log-loss and weights, 0 for terms not kept. The weights of votes and prototypes are not negative."""
    start = np.array([1.0, 5.0, 0.1])[kept]
    weights, loss = fit_logit(terms[..., kept], truth, start=start, multiplicity=multiplicity)
    full = np.zeros(len(kept))
    full[kept] = weights
    if (full[:2] < 0).any() and kept.sum() > 1:
        return fit_positive(terms, truth, kept & ~((full < 0) & (np.arange(len(kept)) < 2)), multiplicity)
    return loss, full


def guess_method(gallery: Gallery, values: Mapping[str, float]) -> Method:
    """Return a method with plausible weights, by which species are kept before any weight is fitted."""
    if gallery.width <= EXACT:
        return Method(Voting(), Calibration())
    method = method_of(dict(values), make_metric(gallery, values["metric"]))
    return replace(method, calibration=method.calibration.changed(prototypes=GUESS[0], counts=GUESS[1]))


def method_of(values: dict[str, float], metric: Metric | None) -> Method:
    """Return a method with the parameters of the grid and no weights yet."""
    learned = Calibration(floor=values["floor"], shrinkage=values["shrinkage"])
    return Method(Voting(NEIGHBOURS, values["temperature"]), learned, metric)


def sample_several(queries: HeldOutQueries, found: NearestRows, views: Views) -> tuple[HeldOutQueries, Scores] | None:
    """Sample observations of several photos, with the scores of each photo alone; None if there are too few."""
    several = queries.photos > 1
    if several.sum() < MIN_OBSERVATIONS:
        return None
    several &= np.cumsum(several) <= PHOTO_SAMPLE
    some, near = queries.select(several), found.select(queries.selected_views(several))
    return some, views(some, [near], "own")[0]


def fit_fusion(
    some: HeldOutQueries, per_view: Scores, method: Method
) -> tuple[str, dict[str, float], dict[str, float]]:
    """Choose the rule that fuses several photos. Returns it, and the exponent and the mean log-loss of each rule.

    The mean is kept unless another rule has a significantly smaller loss: by SIGNIFICANT standard errors of the
    differences on the same observations. With few photos the rules hardly differ, and in a product one bad photo can
    veto a species.
    """
    exponents, losses = {}, {}
    for rule in FUSIONS:
        tried = {}
        for exponent in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
            sharpened = method.calibration.changed(fusion=rule, sharpening={rule: exponent})
            tried[exponent] = losses_of(fuse_all(per_view, some, replace(method, calibration=sharpened)), some.places)
        exponents[rule] = min(tried, key=lambda exponent: (tried[exponent].mean(), exponent))
        losses[rule] = tried[exponents[rule]]
    means = {rule: float(loss.mean()) for rule, loss in losses.items()}
    clear = [rule for rule in FUSIONS if is_clearly_less(losses[rule], losses["mean"])]
    return min(clear, key=means.__getitem__, default="mean"), exponents, means


def is_clearly_less(losses: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Return whether the mean of `losses` is significantly smaller than that of `others` on the same observations."""
    gains = others - losses
    return bool(gains.mean() > SIGNIFICANT * gains.std() / np.sqrt(len(gains)))


def losses_of(scores: Scores, truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the negative logarithm of the score of each true species, (observations,); `truth` are their places."""
    return np.asarray(-np.log(np.maximum(scores[np.arange(len(truth)), truth], 1e-12)))


def log_loss(scores: Scores, truth: NDArray[np.int64]) -> float:
    """Return the mean negative logarithm of the score of the true species."""
    return float(losses_of(scores, truth).mean())


def fit_strength(
    scores: Scores,
    truth: NDArray[np.int64],
    log_lifts: Sequence[NDArray[np.float64]],
    multiplicity: NDArray[np.float64] | None = None,
) -> list[float]:
    """Fit the exponent of each lift by log-loss, on top of the given scores.

    `log_lifts` are logarithms, (species,) or (observations, species). The exponents have a normal prior around 1, which
    is Bayes' rule, with the standard deviation STRENGTH_DEVIATION. Negative ones would invert a prior, and become 0.
    """
    terms = np.stack([np.broadcast_to(lift, scores.shape) for lift in log_lifts], axis=-1)
    offset = np.log(np.maximum(scores, 1e-12))
    ridge = len(log_lifts) / (STRENGTH_DEVIATION**2 * len(truth))
    weights, _ = fit_logit(
        terms,
        truth,
        start=[0.5] * len(log_lifts),
        offset=offset,
        ridge=ridge,
        towards=1.0,
        multiplicity=multiplicity,
    )
    return [max(0.0, float(weight)) for weight in weights]
