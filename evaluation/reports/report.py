"""`fungarium evaluate report`: everything that is known of a snapshot's accuracy, as JSON values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, NearestRows, ask_itself, read_gallery
from evaluation.learning.fit import PLENTY
from evaluation.learning.learn import calibration_error
from evaluation.measuring.ablate import ablate, aspects_learned, judge_priors
from evaluation.measuring.metrics import Outcome, measure
from evaluation.measuring.nested import NestedResult, cross_validate, judge
from evaluation.reports.operating_point import rejection_measures, reliability
from retrieval.domain import RANKS, WORLD
from retrieval.errors import BuildError
from retrieval.models.embedder import Embeddings
from retrieval.progress import Progress, silent
from retrieval.ranking.rejection import UNKNOWN_RATE
from retrieval.ranking.specificity import depth_curve, fit_threshold, judge_depths
from retrieval.snapshots.snapshot import Snapshot

SIZES = ((1, 1, "1"), (2, 5, "2-5"), (6, 20, "6-20"), (21, 10**9, ">20"))
SHOWN = 25  # rows of the longer tables
FLORAS = 12
MOST = 2_500  # observations of a fold that are judged, where a collection is large


def make_report(
    snapshot: Snapshot,
    *,
    flora: str = WORLD,
    seed: int = 1,
    strangers: Embeddings | None = None,
    ablations: bool = True,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Judge the snapshot by nested cross-validation and measure everything of it."""
    progress("reading")
    gallery = read_gallery(snapshot, snapshot.flora(flora))
    if not ask_itself(gallery).count:
        raise BuildError(f"no species of {flora} has two observations, so none can be left out and asked for")
    folds = count_folds(gallery)
    searched: dict[int, NearestRows] = {}
    progress("learning and judging")
    judged = cross_validate(
        gallery,
        folds=folds,
        seed=seed,
        strangers=strangers,
        most=MOST,
        searched=searched,
        progress=progress,
    )
    again: dict[str, Any] = {"folds": folds, "seed": seed, "most": MOST, "progress": progress}
    outcomes = as_outcomes(judged, gallery)
    return {
        "snapshot": snapshot.name,
        "model": snapshot.model,
        "flora": flora,
        "seed": seed,
        "folds": folds,
        "references": len(gallery.columns),
        "species": gallery.width,
        "observations": len(judged.truth),
        "measures": {name: asdict(found) for name, found in measure(outcomes, seed=seed).items()},
        "byClassSize": by_class_size(judged, gallery),
        "byPhotos": by_group(judged, np.array([outcome.photos for outcome in outcomes]), str),
        "byGenus": by_taxon(judged, gallery, snapshot, "genus"),
        "byFamily": by_taxon(judged, gallery, snapshot, "family"),
        "byFlora": by_flora(judged, gallery, snapshot),
        "calibrationError": calibration_error(judged.score, judged.rank == 1),
        "calibrationErrorByChance": chance_error(judged.score, seed),
        "calibrationErrorWithUnknown": error_with_unknown(judged, seed),
        "reliability": reliability(judged.score, judged.rank == 1),
        "specificity": specificity(judged, seed),
        "rejection": rejection(judged),
        **confused(judged, gallery, snapshot),
        "ablation": ablate(gallery, judged, searched, **again) if ablations else {},
        "priors": judge_priors(gallery, judged, searched, **again) if ablations else {},
        "aspects": aspects_learned(judged.methods),
        "calibration": judged.methods[0].calibration.as_json(),
        "voting": asdict(judged.methods[0].voting),
    }


def chance_error(score: NDArray[np.float64], seed: int, draws: int = 200) -> float:
    """The calibration error that perfectly calibrated scores would show on so few observations, on average.

    Bins of a few observations scatter: an error near this one is as good as can be told.
    """
    rng = np.random.default_rng(seed)
    return float(np.mean([calibration_error(score, rng.random(len(score)) < score) for _ in range(draws)]))


def error_with_unknown(judged: NestedResult, seed: int) -> float:
    """The calibration error where as many are of no referenced species as scores take for granted (UNKNOWN_RATE)."""
    strange = np.random.default_rng(seed + 1).random(len(judged.truth)) < UNKNOWN_RATE
    return calibration_error(np.where(strange, judged.hidden_score, judged.score), (judged.rank == 1) & ~strange)


def count_folds(gallery: Gallery) -> int:
    """Ten folds; two where the collection is large, since each learns everything anew."""
    return 2 if len(gallery.spans[0]) >= PLENTY else 10


def as_outcomes(judged: NestedResult, gallery: Gallery) -> list[Outcome]:
    """For the measures that the plain evaluation has too; species are columns, counted from 1."""
    photos = Counter(gallery.observations.tolist())
    return [
        Outcome(o, t + 1, f + 1, r, g, photos[o])
        for o, t, f, r, g in zip(
            judged.observations.tolist(),
            judged.truth.tolist(),
            judged.first.tolist(),
            judged.rank.tolist(),
            judged.genus_right.tolist(),
            strict=True,
        )
    ]


def by_group(
    judged: NestedResult, groups: NDArray[np.int64], name: Callable[[int], str], *, most: int | None = None
) -> list[dict[str, Any]]:
    """Top-1 and top-5 of each group, the largest groups first where only `most` are shown."""
    found = []
    for group, count in sorted(Counter(groups.tolist()).items(), key=lambda item: (-item[1], item[0]))[:most]:
        rank = judged.rank[groups == group]
        top5 = float(((rank > 0) & (rank <= 5)).mean())
        found.append({"group": name(group), "observations": count, "top1": float((rank == 1).mean()), "top5": top5})
    return found


def by_class_size(judged: NestedResult, gallery: Gallery) -> list[dict[str, Any]]:
    """By the references that the species had when it was asked for: without the observation's own photos."""
    own = Counter(gallery.observations.tolist())
    left = gallery.photos[judged.truth] - np.array([own[one] for one in judged.observations.tolist()])
    sizes = np.array([next(n for n, (low, high, _) in enumerate(SIZES) if low <= one <= high) for one in left.tolist()])
    order = {label: place for place, (_, _, label) in enumerate(SIZES)}
    return sorted(by_group(judged, sizes, lambda n: SIZES[n][2]), key=lambda row: order[row["group"]])


def by_taxon(judged: NestedResult, gallery: Gallery, snapshot: Snapshot, rank: str) -> list[dict[str, Any]]:
    """By the true genus or family."""
    nodes = gallery.lineages[judged.truth, RANKS.index(rank)]
    return by_group(
        judged, nodes, lambda node: snapshot.taxonomy.taxon(node).name if node >= 0 else "not known", most=SHOWN
    )


def by_flora(judged: NestedResult, gallery: Gallery, snapshot: Snapshot) -> list[dict[str, Any]]:
    """The observations of each flora's species, asked in the world and in the flora, by what their fold learned."""
    found = []
    for card in snapshot.floras[:FLORAS]:
        listed = np.isin(gallery.species, snapshot.flora(card.id).species)
        inside = listed[judged.truth]
        if card.id == WORLD or not inside.any():
            continue
        local = gallery.flora(listed)
        hits, count = 0, 0
        for fold, method in enumerate(judged.methods):
            asked = judged.observations[inside & (judged.fold == fold)]
            if len(asked):
                part = judge(local, ask_itself(local, asked), method, fold, hidden=False)
                hits, count = hits + int((part["rank"] == 1).sum()), count + len(asked)
        world = float((judged.rank[inside] == 1).mean())
        found.append({"flora": card.id, "observations": count, "world": world, "inFlora": hits / count})
    return found


def specificity(judged: NestedResult, seed: int) -> dict[str, Any]:
    """Threshold fitted on one half of the observations; accuracy and depth on the other, and the curve."""
    half = np.random.default_rng(seed).permutation(len(judged.truth)) % 2 == 0
    threshold = fit_threshold(judged.nodes[half], judged.nodes_right[half], 0.90)
    right, depths = judge_depths(judged.nodes[~half], judged.nodes_right[~half], threshold)
    curve = depth_curve(judged.nodes, judged.nodes_right, np.linspace(0.02, 0.99, 40).tolist())
    return {
        "target": 0.90,
        "threshold": threshold,
        "accuracy": float(right.mean()),
        "depth": float(depths.mean()),
        "curve": curve,
    }


def rejection(judged: NestedResult) -> dict[str, Any]:
    """Telling strangers and unreferenced species apart, by similarity and by the probability of none of these."""
    found: dict[str, Any] = {
        "unreferencedByProbability": rejection_measures(judged.none, judged.hidden_none),
        "unreferencedBySimilarity": rejection_measures(-judged.similarity, -judged.hidden_similarity),
    }
    if len(judged.strangers_similarity):
        found["notFungi"] = rejection_measures(-judged.similarity, -judged.strangers_similarity)
        found["notFungiByProbability"] = rejection_measures(judged.none, judged.strangers_none.mean(axis=0))
    return found


def confused(judged: NestedResult, gallery: Gallery, snapshot: Snapshot) -> dict[str, Any]:
    """The pairs most often confused, and poisonous species that were taken for others that no source calls so."""
    names = {t: snapshot.taxonomy.taxon(t).name for t in gallery.species.tolist()}
    toxic = {t for t in gallery.species.tolist() if snapshot.taxonomy.toxicity(t)}
    species = gallery.species
    pairs = Counter(zip(species[judged.truth].tolist(), species[judged.first].tolist(), strict=True))
    wrong = sorted(((p, n) for p, n in pairs.items() if p[0] != p[1]), key=lambda item: (-item[1], item[0]))
    poisonous = [(p, n) for p, n in wrong if p[0] in toxic and p[1] not in toxic]
    asked = int(np.isin(species[judged.truth], list(toxic)).sum())

    def listed(found: list[tuple[tuple[int, int], int]]) -> list[dict[str, Any]]:
        return [{"species": names[a], "takenFor": names[b], "observations": n} for (a, b), n in found[:SHOWN]]

    return {
        "confusions": listed(wrong),
        "poisonous": {
            "species": len(toxic),
            "observations": asked,
            "takenForOthers": sum(n for _, n in poisonous),
            "pairs": listed(poisonous),
        },
    }
