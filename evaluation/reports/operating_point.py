"""The table of gains on the simulated collection; each row changes one thing against the same baseline.

The baseline is the default: one photo, the whole world, kernel votes and prototypes, no prior. Parameters are fitted on
the gallery alone; thresholds are fitted on one half of the queries and evaluated on the other.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import evaluation.galleries.simulate as simulate_module
from evaluation.galleries.gallery import Gallery, HeldOutQueries, NearestRows, convert_simulation, search
from evaluation.galleries.simulate import GRID, Assumptions, simulate
from evaluation.learning.estimators import auroc
from evaluation.learning.evidence import Evidence, gather_evidence, measure_typical
from evaluation.learning.fit import NEIGHBOURS
from evaluation.learning.learn import learn, uniform_log_lifts
from evaluation.learning.priors import count_records, log_lifts
from evaluation.learning.query_mix import (
    ScoredQueries,
    calibration_error,
    fit_right,
    is_right,
    judge_nodes,
    with_learned,
)
from evaluation.learning.scoring import Method, Scores, score_all
from evaluation.learning.thresholds import fit_thresholds
from evaluation.measuring.ablate import paired_gain
from evaluation.reports.promises import reliability
from retrieval.progress import Progress, silent
from retrieval.ranking.calibration import Calibration
from retrieval.ranking.fusion import FUSIONS
from retrieval.ranking.posterior import settle, weigh_evidence
from retrieval.ranking.priors import apply_prior
from retrieval.ranking.recalibration import top_features
from retrieval.ranking.rejection import REJECT, UNKNOWN_RATE
from retrieval.ranking.specificity import depth_curve, judge_depths
from retrieval.ranking.unknown import unknown_probability

TARGET = 0.90
EVEN = ("uniform",)


def grid_rings(cell: int) -> list[list[int]]:
    """Return the cell and two rings around it on the simulated grid; cells are numbered from 1, and 0 is unknown."""
    x, y = divmod(cell - 1, GRID)
    rings: list[list[int]] = [[], [], []]
    for i in range(max(0, x - 2), min(GRID, x + 3)):
        for j in range(max(0, y - 2), min(GRID, y + 3)):
            rings[max(abs(i - x), abs(j - y))].append(i * GRID + j + 1)
    return rings


def right(scores: Scores, truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1 where the top species is the true one, else 0; (observations,)."""
    return np.asarray(scores.argmax(axis=1) == truth, dtype=np.float64)


def simulator_digest() -> str:
    """Return the digest of the simulator's source: results of another simulator cannot be compared."""
    return hashlib.sha256(Path(simulate_module.__file__).read_bytes()).hexdigest()[:16]


def nearest_recall(gallery: Gallery, found: NearestRows, truth: NDArray[np.int64]) -> tuple[float, float]:
    """Return recall@1 and recall@5 of plain nearest neighbours, by species."""
    first = five = 0
    for rows, species in zip(gallery.columns[found.rows], truth.tolist(), strict=True):
        order = list(dict.fromkeys(rows.tolist()))[:5]
        first += order[0] == species
        five += species in order
    return first / len(truth), five / len(truth)


def measure_operating_point(
    *,
    names: Path | None = None,
    seed: int = 1,
    assumptions: Assumptions | None = None,
    queries: int = 10_000,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure all rows of the table."""
    began = time.perf_counter()
    drawn = simulate(assumptions, names=names, queries=queries, seed=seed)
    gallery, held_out = convert_simulation(drawn)
    generated = time.perf_counter() - began
    progress(f"{len(gallery.columns):,} references of {gallery.width:,} species drawn in {generated:.1f} s")
    found = search(gallery, held_out, 2 * NEIGHBOURS)
    all_queries = np.ones(held_out.count, dtype=bool)
    one, near = held_out.select(all_queries, 1), found.select(held_out.selected_views(all_queries, 1))
    recall = nearest_recall(gallery, near, one.truth)
    found, near = found.first(NEIGHBOURS), near.first(NEIGHBOURS)
    progress(f"plain 1-NN: species recall@1 {recall[0]:.3f}, recall@5 {recall[1]:.3f}")
    method = learn(gallery, lists=[drawn.region], seed=seed, rings_of=grid_rings, progress=progress)
    progress("asking")
    base, _ = score_all(gallery, one, near, method)
    hits = right(base, one.truth)
    nearest = (gallery.columns[near.rows[:, 0]] == one.truth).astype(np.float64)
    strengths = method.calibration.priors
    uniform = strengths["uniform"] * uniform_log_lifts(gallery, one)
    temper = method.calibration.temper_of(["uniform"])
    even = apply_prior(base, uniform, temper=temper)
    records, smoothing = count_records(gallery, grid_rings), method.calibration.smoothing
    season, place = (log_lifts(records, one, prior, smoothing[prior]) for prior in ("season", "place"))
    boosted = {
        "season": apply_prior(base, strengths["season"] * season),
        "place": apply_prior(base, strengths["place"] * place),
        "season and place": apply_prior(base, strengths["season"] * season + strengths["place"] * place),
    }
    several = held_out.photos > 1
    fusion = method.calibration.fusion
    together = {rule: score_all(gallery, held_out, found, method.fused_by(rule))[0] for rule in FUSIONS}
    rows = {
        "votes and prototypes over 1-NN": paired_gain(nearest, hits, seed),
        "uniform prior": paired_gain(hits, right(even, one.truth), seed),
        "2 to 4 photos over one": paired_gain(hits[several], right(together[fusion], held_out.truth)[several], seed),
        "regional flora over world": region_gain(gallery, one, hits, drawn.region, method, seed),
        "season and place": paired_gain(hits, right(boosted["season and place"], one.truth), seed),
    }
    everything = apply_prior(
        together[fusion],
        uniform + strengths["season"] * season + strengths["place"] * place,
        temper=temper,
    )
    ablation = {
        "1-NN": float(nearest.mean()),
        **measure_parts(gallery, one, near, method),
        "votes and prototypes (default)": float(hits.mean()),
        **{f"default, {name} prior": float(right(s, one.truth).mean()) for name, s in boosted.items()},
        "default, uniform prior": float(right(even, one.truth).mean()),
        **{f"default, all photos, {rule}": float(right(s, held_out.truth).mean()) for rule, s in together.items()},
        "all photos, mean, uniform, season and place": float(right(everything, held_out.truth).mean()),
    }
    progress("specificity, calibration, rejection")
    return {
        "assumptions": asdict(drawn.assumptions),
        "simulator": simulator_digest(),
        "names": "file" if names else "generated",
        "seed": seed,
        "species": gallery.width,
        "references": len(gallery.columns),
        "queries": held_out.count,
        "generatedInSeconds": round(generated, 1),
        "recall1": recall[0],
        "recall5": recall[1],
        "rows": rows,
        **measure_recalibration(gallery, one, near, uniform, method, seed),
        "ablation": ablation,
        "calibration": method.calibration.as_json(),
        "voting": asdict(method.voting),
        "seconds": round(time.perf_counter() - began, 1),
    }


def region_gain(
    gallery: Gallery,
    one: HeldOutQueries,
    hits: NDArray[np.float64],
    region: NDArray[np.bool_],
    method: Method,
    seed: int,
) -> dict[str, float]:
    """Measure the gain of searching the region's flora instead of the world, on species of the region."""
    local = region[one.truth]
    there = one.select(local)
    known = search(gallery, there, NEIGHBOURS, lists=[region]).within(0)
    scores, _ = score_all(gallery, there, known, method)
    return paired_gain(hits[local], right(scores * region, there.truth), seed)


def measure_parts(gallery: Gallery, one: HeldOutQueries, near: NearestRows, method: Method) -> dict[str, float]:
    """Return the top-1 of votes alone and of prototypes alone, with the learned metric and without it."""
    learned = method.calibration
    votes = Calibration()
    prototypes = Calibration(votes=0.0, prototypes=max(learned.prototypes, 1.0), shrinkage=learned.shrinkage)
    alone = {
        "kernel votes": replace(method, calibration=votes),
        "prototypes, plain cosine": replace(method, calibration=prototypes, metric=None),
        "prototypes, learned metric": replace(method, calibration=prototypes),
    }
    some = np.arange(one.count) < 4_000
    part, found = one.select(some), near.select(one.selected_views(some))
    return {
        name: float(right(score_all(gallery, part, found, tried)[0], part.truth).mean())
        for name, tried in alone.items()
    }


def measure_recalibration(
    gallery: Gallery,
    one: HeldOutQueries,
    near: NearestRows,
    uniform: NDArray[np.float64],
    method: Method,
    seed: int,
) -> dict[str, Any]:
    """Measure specificity and calibration on the half not used for fitting, and rejection."""
    half = split_evenly(one.truth, seed)
    typical = measure_typical(gallery)
    (known,) = gather_evidence(gallery, one, method, typical=typical, found=near, alone=False)
    (hidden,) = gather_evidence(gallery, one, method, hide="species", typical=typical, alone=False)
    alone = answer_even(known, uniform, method)
    features = top_features(weigh_even(known, uniform, method), known.photos)
    hit = is_right(weigh_even(known, uniform, method), one.truth)
    confidence = fit_right(features[half], hit[half])  # from held-out observations, like the thresholds
    method = with_learned(method, confidence_even=confidence)
    known_even, hidden_even = answer_even(known, uniform, method), answer_even(hidden, uniform, method)
    sums, correct = judge_nodes(known_even, gallery.lineages)
    count = np.ones(one.count)

    def judge_half(fitted: NDArray[np.bool_], judged: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        limits = fit_thresholds(sums[fitted], correct[fitted], count[fitted], TARGET, float(fitted.sum()))
        return judge_depths(sums[judged], correct[judged], limits)

    judged, depths = judge_half(half, ~half)
    turned, _ = judge_half(~half, half)
    same, _ = judge_half(half, half)
    species = depths == sums.shape[1]
    unknown = np.random.default_rng(seed + 1).random(one.count) < UNKNOWN_RATE
    top = np.where(unknown, hidden_even.scores.max(axis=1), known_even.scores.max(axis=1))
    by_gallery = np.where(unknown, hidden_even.scores.max(axis=1), alone.scores.max(axis=1))
    known_right = (hit & ~unknown)[~half]
    return {
        "specificity": {
            "target": TARGET,
            "accuracy": float(judged.mean()),
            "accuracyAtSpecies": float(judged[species].mean()) if species.any() else None,
            "accuracyWithHalvesExchanged": float(turned.mean()),
            "accuracyOnFittedHalf": float(same.mean()),
            "depth": float(depths.mean()),
            "observations": len(judged),
            "curve": depth_curve(sums[~half], correct[~half], np.linspace(0.02, 0.99, 40).tolist()),
        },
        "calibrationError": calibration_error(top[~half], known_right),
        "calibrationErrorFromGalleryAlone": calibration_error(by_gallery[~half], known_right),
        "calibrationErrorWithoutUnknown": calibration_error(known_even.scores.max(axis=1)[~half], hit[~half]),
        "reliability": reliability(top[~half], known_right),
        "rejection": rejection_measures(known_even.none, hidden_even.none),
    }


def weigh_even(evidence: Evidence, uniform: NDArray[np.float64], method: Method) -> Scores:
    """Return the scores under a uniform distribution of species."""
    return weigh_evidence(evidence.fused, log_lift=uniform, temper=method.calibration.temper_of(EVEN))


def answer_even(evidence: Evidence, uniform: NDArray[np.float64], method: Method) -> ScoredQueries:
    """Return the answers under a uniform distribution of species."""
    learned = method.calibration
    none = unknown_probability(evidence.features, learned.unknown)
    scores = settle(weigh_even(evidence, uniform, method), evidence.photos, none, learned.recalibration_of(EVEN))
    everything = np.ones(len(none), dtype=bool)
    listed = np.ones(scores.shape[1], dtype=bool)
    return ScoredQueries(evidence, everything, listed, scores, none, none >= REJECT, np.ones(len(none)), learned)


def split_evenly(truth: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Split the observations of each species in halves; species differ more than their observations do."""
    drawn = np.random.default_rng(seed).permutation(len(truth))
    order = drawn[np.argsort(truth[drawn], kind="stable")]
    half = np.zeros(len(truth), dtype=bool)
    half[order[::2]] = True
    return half


def rejection_measures(known: NDArray[np.float64], unknown: NDArray[np.float64]) -> Mapping[str, Any]:
    """Return AUROC, the share of unknown species accepted where 95 % of the known ones are, and the ROC curve."""
    limit = float(np.quantile(known, 0.95))
    levels = np.quantile(np.concatenate([known, unknown]), np.linspace(0, 1, 60))
    return {
        "auroc": auroc(unknown, known),
        "falseAcceptAt95": float((unknown <= limit).mean()),
        "roc": [(float((known > level).mean()), float((unknown > level).mean())) for level in levels],
    }
