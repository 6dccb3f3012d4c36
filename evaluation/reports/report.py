"""`fungarium evaluate report`: the full accuracy report of a snapshot, as JSON values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, NearestRows, read_gallery, read_lists
from evaluation.learning.evidence import choose_lists
from evaluation.learning.query_mix import calibration_error
from evaluation.measuring.ablate import ablate, aspects_learned, judge_priors
from evaluation.measuring.alternatives import judge_alternatives
from evaluation.measuring.leave_one_out import count_folds
from evaluation.measuring.metrics import Outcome, measure
from evaluation.measuring.nested import JudgedCondition, NestedResult, Trial, cross_validate, judge_unknown
from evaluation.reports.operating_point import rejection_measures
from evaluation.reports.promises import coverage_curve, judge_promises, measure_unknown, reliability, share_of
from retrieval.domain import RANKS, WORLD
from retrieval.errors import BuildError
from retrieval.models.embedder import Embeddings
from retrieval.progress import Progress, silent
from retrieval.ranking.rejection import UNKNOWN_RATE
from retrieval.snapshots.snapshot import Snapshot

SIZES = ((1, 1, "1"), (2, 5, "2-5"), (6, 20, "6-20"), (21, 10**9, ">20"))
SHOWN = 25  # rows of the longer tables
MOST = 2_500  # observations evaluated per fold in a large collection


def make_report(
    snapshot: Snapshot,
    *,
    flora: str = WORLD,
    seed: int = 1,
    not_fungi: Embeddings | None = None,
    ablations: bool = True,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Evaluate the snapshot by nested cross-validation, and compute all parts of the report.

    `not_fungi` (photos, dim) are embeddings of photos without a fungus. Raises BuildError if no observation can be held
    out.
    """
    progress("reading")
    gallery = read_gallery(snapshot, snapshot.flora(flora))
    refuse_too_few(gallery, flora)
    floras = read_lists(snapshot, gallery)
    names, lists = list(floras), list(floras.values())
    chosen = choose_lists(gallery, lists)
    list_names = [next(name for name in names if floras[name] is one) for one in chosen]
    folds = count_folds(gallery)
    searched: dict[int, NearestRows] = {}
    progress("learning and judging")
    judged = cross_validate(
        gallery,
        Trial(most=MOST, lists=lists),
        folds=folds,
        seed=seed,
        not_fungi=not_fungi,
        searched=searched,
        progress=progress,
    )
    unknown = judge_unknown(gallery, lists=lists, seed=seed, most=MOST, progress=progress)
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
        "promises": judge_promises(
            judged.conditions, list_names, class_sizes(judged, gallery), [one[2] for one in SIZES]
        ),
        "withoutReferences": measure_unknown(unknown, list_names),
        "leftOut": left_out(gallery),
        "calibrationError": calibration_error(judged.score, judged.rank == 1),
        "calibrationErrorByChance": chance_error(judged.score, seed),
        "calibrationErrorWithUnknown": error_with_unknown(unknown),
        "reliability": reliability(judged.score, judged.rank == 1),
        "coverage": coverage_curve(world_condition(judged.conditions)),
        "rejection": rejection(judged, unknown),
        **confused(judged, gallery, snapshot),
        "ablation": ablate(gallery, judged, searched, **again) if ablations else {},
        "alternatives": judge_alternatives(gallery, judged, folds=folds, seed=seed, progress=progress),
        "priors": judge_priors(gallery, judged, searched, **again) if ablations else {},
        "aspects": aspects_learned(judged.methods),
        "calibration": judged.methods[0].calibration.as_json(),
        "voting": asdict(judged.methods[0].voting),
    }


def chance_error(score: NDArray[np.float64], seed: int, draws: int = 200) -> float:
    """Return the mean calibration error that perfectly calibrated scores would show with this many observations.

    Bins of a few observations scatter, so an error near this one cannot be told from 0.
    """
    rng = np.random.default_rng(seed)
    return float(np.mean([calibration_error(score, rng.random(len(score)) < score) for _ in range(draws)]))


def error_with_unknown(conditions: Sequence[JudgedCondition]) -> float | None:
    """Return the calibration error with the share of unreferenced species that scores assume (UNKNOWN_RATE)."""
    world = [one for one in conditions if one.list_index is None and not one.alone]
    known = [one for one in world if one.hide == "own"]
    hidden = [one for one in world if one.hide == "species"]
    if not known or not hidden:
        return None
    score, right = (np.concatenate([getattr(one, name) for one in (*known, *hidden)]) for name in ("score", "right"))
    weights = np.repeat([1 - UNKNOWN_RATE, UNKNOWN_RATE], [len(known[0].score), len(hidden[0].score)])
    return calibration_error(score, right, weights=weights)


def world_condition(conditions: Sequence[JudgedCondition]) -> JudgedCondition:
    """Return the condition of the world with all photos."""
    return next(one for one in conditions if one.hide == "own" and one.list_index is None and not one.alone)


def refuse_too_few(gallery: Gallery, flora: str) -> None:
    """Raise BuildError if no observation can be held out."""
    if len(gallery.evaluable):
        return
    if gallery.trained_on is not None and gallery.trained_on.any():
        raise BuildError(
            "the model was trained on all observations that could be held out, so they cannot be used for evaluation: "
            "fit it with a part of them held out (--held-out), or import photos that it has not seen"
        )
    raise BuildError(f"no species of {flora} has two observations, so none can be held out")


def left_out(gallery: Gallery) -> dict[str, Any]:
    """Return the counts of groups and of observations that the model was trained on, with a sentence for people."""
    observations, groups = len(gallery.spans[0]), len(np.unique(gallery.groups))
    trained_on = 0 if gallery.trained_on is None else len(np.unique(gallery.observations[gallery.trained_on]))
    words = f"{observations} observations in {groups} groups that are held out together"
    if trained_on:
        words += f"; {trained_on} that the model was trained on are references, but not queries"
    return {"observations": observations, "groups": groups, "taughtTheModel": trained_on, "words": words + "."}


def as_outcomes(judged: NestedResult, gallery: Gallery) -> list[Outcome]:
    """Convert to outcomes for the shared metrics; species are columns, counted from 1."""
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
    """Return top-1 and top-5 of each group, with counts and intervals; with `most`, only of the largest groups."""
    counted = sorted(Counter(groups.tolist()).items(), key=lambda item: (-item[1], item[0]))[:most]
    found = []
    for group, count in sorted(counted):
        rank = judged.rank[groups == group]
        first = share_of(rank == 1)
        top5 = float(((rank > 0) & (rank <= 5)).mean())
        row = {"group": name(group), "observations": count, "top1": first["right"], "top5": top5}
        found.append({**row, "low": first["low"], "high": first["high"]})
    return found


def class_sizes(judged: NestedResult, gallery: Gallery) -> list[str]:
    """Return, for each observation, the size class of its species: references without its own photos."""
    own = Counter(gallery.observations.tolist())
    left = gallery.photos[judged.truth] - np.array([own[one] for one in judged.observations.tolist()])
    return [next(label for low, high, label in SIZES if low <= max(one, 1) <= high) for one in left.tolist()]


def by_class_size(judged: NestedResult, gallery: Gallery) -> list[dict[str, Any]]:
    """Return the results by the number of references of the species, without the observation's own photos."""
    order = [label for _, _, label in SIZES]
    sizes = np.array([order.index(label) for label in class_sizes(judged, gallery)])
    return by_group(judged, sizes, lambda number: order[number])


def by_taxon(judged: NestedResult, gallery: Gallery, snapshot: Snapshot, rank: str) -> list[dict[str, Any]]:
    """Return the results by the true genus or family, in the order of their names."""
    nodes = gallery.lineages[judged.truth, RANKS.index(rank)]
    rows = by_group(
        judged, nodes, lambda node: snapshot.taxonomy.taxon(node).name if node >= 0 else "not known", most=SHOWN
    )
    return sorted(rows, key=lambda row: str(row["group"]))


def rejection(judged: NestedResult, unknown: Sequence[JudgedCondition]) -> dict[str, Any]:
    """Return how well photos without a fungus and unreferenced taxa are detected, by similarity and by probability."""
    none = {one.hide: one.none for one in unknown if one.list_index is None and not one.alone}
    found: dict[str, Any] = {}
    if {"own", "species", "genus"} <= set(none):
        found["unreferencedByProbability"] = rejection_measures(none["own"], none["species"])
        found["unreferencedGenus"] = rejection_measures(none["own"], none["genus"])
    if len(judged.not_fungi_similarity):
        found["notFungi"] = rejection_measures(-judged.similarity, -judged.not_fungi_similarity)
        found["notFungiByProbability"] = rejection_measures(judged.none, judged.not_fungi_none.mean(axis=0))
    return found


def confused(judged: NestedResult, gallery: Gallery, snapshot: Snapshot) -> dict[str, Any]:
    """Return the most frequent confusions, and poisonous species taken for species that no source lists as such."""
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
