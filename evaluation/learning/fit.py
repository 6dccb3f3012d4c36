"""Fits what a snapshot learns, by log-loss on observations that are held out of the references that answer.

Each observation of the collection is asked of all the others. First the score of a single photo (kernel
temperature, floor, prototypes and the three weights), then how photos are sharpened, how strong
priors are, the probability of none of these, and last the thresholds of the specificity decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, HeldOutQueries, NearestRows, ask_itself, search
from evaluation.learning.scoring import (
    Method,
    Scores,
    fuse_all,
    make_metric,
    prototype_similarities,
    score_all,
    view_shares,
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
"""What is tried for the numbers in which the log-loss is not convex; the others are found exactly."""
START = {"temperature": 0.05, "floor": 1e-2, "shrinkage": 4.0, "metric": 0.5}
RIDGE = 1e-3
KEPT = 4  # similarities to prototypes that the search keeps: it goes through one number at a time
FOLDS = 5  # within which the metric is made without the observations that it is tried on
PLENTY = 5_000  # observations from which one more or less in the metric cannot be noticed
SAMPLE = 1_500  # observations that the single-photo score is fitted on
CLEARLY = 2.0  # standard errors
PHOTO_SAMPLE = 400  # observations of several photos that fusion is learned on
BELIEF = 0.5  # deviation of a prior's strength from 1, as believed before anything was seen
FEWEST = 20  # observations of several photos (or with a date, a place) below which nothing is learned of them


@dataclass(frozen=True)
class Fitted:
    """What was learned of single photos, and on what."""

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
) -> tuple[NDArray[np.float64], float]:
    """The weights of a conditional logit by damped Newton steps, and the mean log-loss they reach.

    `terms` (observations, species, weights), `truth` the column of each; `offset` is added to the
    logits unweighted. The loss is convex, so that the start decides nothing but the time. `ridge` draws the
    weights `towards` a value.
    """
    rows = np.arange(len(truth))
    columns = [np.ascontiguousarray(terms[..., number]) for number in range(terms.shape[2])]
    chosen = terms[rows, truth]

    def loss_at(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = np.zeros(terms.shape[:2]) if offset is None else offset.copy()
        for weight, column in zip(weights, columns, strict=True):
            logits += weight * column
        scores = normalise(logits)
        plain = -np.log(np.maximum(scores[rows, truth], 1e-300)).mean()
        return float(plain + ridge / 2 * float(((weights - towards) ** 2).mean())), scores

    weights = np.asarray(start, dtype=np.float64)
    loss, scores = loss_at(weights)
    for _ in range(30):
        weighed = [scores * column for column in columns]
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
    """Observations of the gallery, drawn as they come, or one of each species; species with one have no question."""
    rng = np.random.default_rng(seed)
    several = gallery.sums[1][gallery.columns] > 1
    observations, rows = np.unique(gallery.observations[several], return_index=True)
    shuffled = rng.permutation(len(observations))
    if balanced:
        columns = gallery.columns[several][rows][shuffled]
        shuffled = shuffled[np.unique(columns, return_index=True)[1]]
        shuffled = rng.permutation(shuffled)
    return ask_itself(gallery, np.sort(observations[shuffled[:count]]))


def fit_photos(
    gallery: Gallery,
    *,
    seed: int = 1,
    progress: Progress = silent,
    only: Sequence[str] = ("votes", "prototypes", "counts"),
    settled: Mapping[str, float] | None = None,
) -> Fitted:
    """Fit the score of a single photo. `only` leaves terms out, for the ablation table.

    With `settled`, the numbers of the grid are those, and only the weights are found.
    """
    asked = draw_sample(gallery, SAMPLE, seed)
    if not asked.count:
        raise BuildError("too few species have two observations to hold one out and learn from the others")
    if len(asked.columns) > SAMPLE:  # so many observations that one photo of each is enough
        asked = asked.only(np.ones(asked.count, dtype=bool), 1)
    found = search(gallery, asked, NEIGHBOURS)
    folds = deal_own(gallery, asked, seed)
    kept = np.array([name in only for name in ("votes", "prototypes", "counts")])
    made: dict[float, list[Metric | None]] = {}
    tried: dict[tuple[float, ...], tuple[float, NDArray[np.float64]]] = {}
    log: list[tuple[str, float, float]] = []
    shares: dict[float, NDArray[np.float32]] = {}
    likeness: dict[tuple[float, float], tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def share(values: dict[str, float]) -> NDArray[np.float32]:
        if values["temperature"] not in shares:
            voted = view_shares(gallery, found, method_of(values, None))
            shares[values["temperature"]] = voted.astype(np.float32)
        return shares[values["temperature"]]

    def liken(values: dict[str, float]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        key = values["shrinkage"], values["metric"]
        if key not in likeness:
            if len(likeness) >= KEPT:
                likeness.pop(next(iter(likeness)))
            if values["metric"] not in made:
                made[values["metric"]] = fold_metrics(gallery, asked, folds, values["metric"])
            near = np.zeros((len(asked.columns), gallery.width), dtype=np.float32)
            numbers = np.zeros_like(near)
            for part, views, metric in deal_folds(asked, folds, made[values["metric"]]):
                near[views], numbers[views] = prototype_similarities(gallery, part, method_of(values, metric), "own")
            likeness[key] = near, numbers
        return likeness[key]

    def attempt(values: dict[str, float]) -> float:
        key = tuple(values[name] for name in GRID)
        if key not in tried:
            near, numbers = liken(values)
            terms = features(share(values).astype(np.float64), near.astype(np.float64), numbers, values["floor"])
            tried[key] = fit_positive(terms, asked.columns, kept)
        return tried[key][0]

    values = dict(settled or START)
    attempt(values)
    for _ in range(0 if settled else 2):
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
            "observations": asked.count,
            "photos": len(asked.columns),
            "seed": seed,
            "logLoss": loss,
            "metricShrinkage": values["metric"],
        },
    )
    return Fitted(replace(method, calibration=learned), dict(values), loss, tuple(log))


def fit_positive(
    terms: NDArray[np.float64], truth: NDArray[np.int64], kept: NDArray[np.bool_]
) -> tuple[float, NDArray[np.float64]]:
    """The log-loss and the weights (0 for what is not kept); votes and prototypes may not count against a species."""
    start = np.array([1.0, 5.0, 0.1])[kept]
    weights, loss = fit_logit(terms[..., kept], truth, start=start)
    full = np.zeros(len(kept))
    full[kept] = weights
    if (full[:2] < 0).any() and kept.sum() > 1:
        return fit_positive(terms, truth, kept & ~((full < 0) & (np.arange(len(kept)) < 2)))
    return loss, full


def method_of(values: dict[str, float], metric: Metric | None) -> Method:
    """A method with the numbers of the grid, its weights still to be found."""
    learned = Calibration(floor=values["floor"], shrinkage=values["shrinkage"])
    return Method(Voting(NEIGHBOURS, values["temperature"]), learned, metric)


def deal_own(gallery: Gallery, asked: HeldOutQueries, seed: int) -> NDArray[np.int64]:
    """The fold of each view's observation; a single one where one observation cannot be noticed in the metric."""
    if len(gallery.spans[0]) >= PLENTY:
        return np.zeros(len(asked.own), dtype=np.int64)
    return np.random.default_rng(seed).permutation(int(gallery.observations.max()) + 1)[asked.own] % FOLDS


def score_apart(
    gallery: Gallery, asked: HeldOutQueries, found: NearestRows, fitted: Fitted, *, seed: int, hide: str = "own"
) -> tuple[Scores, NDArray[np.float64]]:
    """`score_all`, but each observation with a metric that was made without it."""
    folds = deal_own(gallery, asked, seed)
    if fitted.method.metric is None or not folds.any():
        return score_all(gallery, asked, found, fitted.method, hide=hide)
    scores, near = np.zeros((asked.count, gallery.width)), np.zeros(asked.count)
    metrics = fold_metrics(gallery, asked, folds, fitted.numbers["metric"])
    for part, views, metric in deal_folds(asked, folds, metrics):
        at = np.unique(asked.observations[views])
        method = replace(fitted.method, metric=metric)
        scores[at], near[at] = score_all(gallery, part, found.of(views), method, hide=hide)
    return scores, near


def fold_metrics(
    gallery: Gallery, asked: HeldOutQueries, folds: NDArray[np.int64], shrinkage: float
) -> list[Metric | None]:
    """A metric for each fold, made without the fold's observations."""
    count = int(folds.max()) + 1
    if count == 1:
        return [make_metric(gallery, shrinkage)]
    return [
        make_metric(gallery, shrinkage, ~np.isin(gallery.observations, asked.own[folds == fold]))
        for fold in range(count)
    ]


def deal_folds(
    asked: HeldOutQueries, folds: NDArray[np.int64], metrics: list[Metric | None]
) -> list[tuple[HeldOutQueries, NDArray[np.int64], Metric | None]]:
    """The questions of each fold with its metric."""
    dealt = []
    for fold, metric in enumerate(metrics):
        chosen = folds[asked.first] == fold
        if chosen.any():
            dealt.append((asked.only(chosen), asked.views_of(chosen), metric))
    return dealt


def sample_several(
    gallery: Gallery, asked: HeldOutQueries, found: NearestRows, fitted: Fitted, *, seed: int
) -> tuple[HeldOutQueries, Scores] | None:
    """Some observations of several photos, and the scores of each photo alone; None where there are too few."""
    several = asked.photos > 1
    if several.sum() < FEWEST:
        return None
    several &= np.cumsum(several) <= PHOTO_SAMPLE
    some, near = asked.only(several), found.of(asked.views_of(several))
    alone = replace(some, observations=np.arange(len(some.columns)))
    return some, score_apart(gallery, alone, near, fitted, seed=seed)[0]


def fit_fusion(
    some: HeldOutQueries, per_view: Scores, method: Method
) -> tuple[str, dict[str, float], dict[str, float]]:
    """How observations of several photos are fused: the rule, and for each rule its exponent and its mean log-loss.

    The mean is kept unless the losses of another rule are less by more than chance does: by CLEARLY standard
    errors of their differences on the same observations. On few photos the rules hardly differ, and a product can be
    vetoed by one bad photo.
    """
    exponents, losses = {}, {}
    for rule in FUSIONS:
        tried = {}
        for exponent in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
            sharpened = method.calibration.changed(fusion=rule, sharpening={rule: exponent})
            tried[exponent] = losses_of(fuse_all(per_view, some, replace(method, calibration=sharpened)), some.truth)
        exponents[rule] = min(tried, key=lambda exponent: (tried[exponent].mean(), exponent))
        losses[rule] = tried[exponents[rule]]
    means = {rule: float(loss.mean()) for rule, loss in losses.items()}
    clear = [rule for rule in FUSIONS if is_clearly_less(losses[rule], losses["mean"])]
    return min(clear, key=means.__getitem__, default="mean"), exponents, means


def is_clearly_less(losses: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Whether the mean is less than that of others on the same observations, by more than chance does."""
    gains = others - losses
    return bool(gains.mean() > CLEARLY * gains.std() / np.sqrt(len(gains)))


def losses_of(scores: Scores, truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Negative logarithm of the score of each true species, (observations,)."""
    return np.asarray(-np.log(np.maximum(scores[np.arange(len(truth)), truth], 1e-12)))


def log_loss(scores: Scores, truth: NDArray[np.int64]) -> float:
    """Mean negative logarithm of the score of the true species."""
    return float(losses_of(scores, truth).mean())


def fit_strength(scores: Scores, truth: NDArray[np.int64], log_lifts: Sequence[NDArray[np.float64]]) -> list[float]:
    """The exponent of each lift with the least log-loss, on top of the scores as they are.

    `log_lifts` hold logarithms, (species,) or (observations, species). Strengths are believed beforehand to be
    near 1, which is Bayes' rule, with a deviation of BELIEF; below 0 they would turn a prior round, and become 0.
    """
    terms = np.stack([np.broadcast_to(lift, scores.shape) for lift in log_lifts], axis=-1)
    offset = np.log(np.maximum(scores, 1e-12))
    ridge = len(log_lifts) / (BELIEF**2 * len(truth))
    weights, _ = fit_logit(terms, truth, start=[0.5] * len(log_lifts), offset=offset, ridge=ridge, towards=1.0)
    return [max(0.0, float(weight)) for weight in weights]


def fit_logistic(
    values: NDArray[np.float64], labels: NDArray[np.bool_], *, rate: float = 0.5, ridge: float = 1e-4
) -> NDArray[np.float64]:
    """Constant and weights of a logistic regression, as if a share `rate` of the observations were labelled."""
    centre, spread = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-9)
    design = np.column_stack([np.ones(len(values)), (values - centre) / spread])
    sides = np.where(labels, rate / max(1, labels.sum()), (1 - rate) / max(1, (~labels).sum()))
    penalty = ridge * np.diag(np.append(0.0, np.ones(values.shape[1])))
    weights = np.append(np.log(rate / (1 - rate)), np.zeros(values.shape[1]))
    for _ in range(50):
        chance = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (sides * (labels - chance)) - penalty @ weights
        curvature = (design * (sides * chance * (1 - chance))[:, None]).T @ design + penalty
        step = np.linalg.solve(curvature + 1e-9 * np.eye(len(weights)), gradient)
        weights = weights + step * min(1.0, 2.0 / max(1e-9, np.abs(step).max()))
        if np.abs(step).max() < 1e-8:
            break
    slopes = weights[1:] / spread
    return np.append(weights[0] - slopes @ centre, slopes)
