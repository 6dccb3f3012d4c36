"""`python -m evaluation report`: everything that is known of a snapshot's accuracy, as JSON values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.fit import PLENTY
from evaluation.gallery import Gallery, ask_itself, read_gallery
from evaluation.learn import calibration_error
from evaluation.metrics import Outcome, measure
from evaluation.nested import Judged, cross_validate, judge
from evaluation.operating_point import rejection_measures, reliability
from evaluation.scoring import Method
from retrieval.calibration import Calibration
from retrieval.domain import RANKS, WORLD
from retrieval.embedder import Embeddings
from retrieval.errors import BuildError
from retrieval.ranking import Voting
from retrieval.snapshot import Snapshot
from retrieval.specificity import depth_curve, fit_threshold, judge_depths

SIZES = ((1, 1, "1"), (2, 5, "2-5"), (6, 20, "6-20"), (21, 10**9, ">20"))
SHOWN = 25  # rows of the longer tables
FLORAS = 12
MOST = 4_000  # observations of a fold that are judged, where a collection is large


def make_report(
    snapshot: Snapshot,
    *,
    flora: str = WORLD,
    seed: int = 1,
    strangers: Embeddings | None = None,
    ablations: bool = True,
    advance: Callable[[int], object] = lambda count: None,
) -> dict[str, Any]:
    """Judge the snapshot by nested cross-validation and measure everything of it."""
    gallery = read_gallery(snapshot, snapshot.flora(flora))
    if not ask_itself(gallery).count:
        raise BuildError(f"no species of {flora} has two observations, so none can be left out and asked for")
    folds = count_folds(gallery)
    judged = cross_validate(gallery, folds=folds, seed=seed, strangers=strangers, most=MOST, advance=advance)
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
        "reliability": reliability(judged.score, judged.rank == 1),
        "specificity": specificity(judged, seed),
        "rejection": rejection(judged),
        **confused(judged, gallery, snapshot),
        "ablation": ablate(gallery, folds, seed, judged, advance) if ablations else {},
        "calibration": judged.methods[0].calibration.as_json(),
        "voting": asdict(judged.methods[0].voting),
    }


def count_folds(gallery: Gallery) -> int:
    """Ten folds; two where the collection is large, since each learns everything anew."""
    return 2 if len(gallery.spans[0]) >= PLENTY else 10


def as_outcomes(judged: Judged, gallery: Gallery) -> list[Outcome]:
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
    judged: Judged, groups: NDArray[np.int64], name: Callable[[int], str], *, most: int | None = None
) -> list[dict[str, Any]]:
    """Top-1 and top-5 of each group, the largest groups first where only `most` are shown."""
    found = []
    for group, count in sorted(Counter(groups.tolist()).items(), key=lambda item: (-item[1], item[0]))[:most]:
        rank = judged.rank[groups == group]
        top5 = float(((rank > 0) & (rank <= 5)).mean())
        found.append({"group": name(group), "observations": count, "top1": float((rank == 1).mean()), "top5": top5})
    return found


def by_class_size(judged: Judged, gallery: Gallery) -> list[dict[str, Any]]:
    """By the references that the species had when it was asked for: without the observation's own photos."""
    own = Counter(gallery.observations.tolist())
    left = gallery.photos[judged.truth] - np.array([own[one] for one in judged.observations.tolist()])
    sizes = np.array([next(n for n, (low, high, _) in enumerate(SIZES) if low <= one <= high) for one in left.tolist()])
    order = {label: place for place, (_, _, label) in enumerate(SIZES)}
    return sorted(by_group(judged, sizes, lambda n: SIZES[n][2]), key=lambda row: order[row["group"]])


def by_taxon(judged: Judged, gallery: Gallery, snapshot: Snapshot, rank: str) -> list[dict[str, Any]]:
    """By the true genus or family."""
    nodes = gallery.lineages[judged.truth, RANKS.index(rank)]
    return by_group(
        judged, nodes, lambda node: snapshot.taxonomy.taxon(node).name if node >= 0 else "not known", most=SHOWN
    )


def by_flora(judged: Judged, gallery: Gallery, snapshot: Snapshot) -> list[dict[str, Any]]:
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


def specificity(judged: Judged, seed: int) -> dict[str, Any]:
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


def rejection(judged: Judged) -> dict[str, Any]:
    """Telling strangers and unreferenced species apart, by similarity and by the probability of none of these."""
    found: dict[str, Any] = {
        "unreferencedByProbability": rejection_measures(judged.none, judged.hidden_none),
        "unreferencedBySimilarity": rejection_measures(-judged.similarity, -judged.hidden_similarity),
    }
    if len(judged.strangers_similarity):
        found["notFungi"] = rejection_measures(-judged.similarity, -judged.strangers_similarity)
        found["notFungiByProbability"] = rejection_measures(judged.none, judged.strangers_none.mean(axis=0))
    return found


def confused(judged: Judged, gallery: Gallery, snapshot: Snapshot) -> dict[str, Any]:
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


def ablate(
    gallery: Gallery, folds: int, seed: int, judged: Judged, advance: Callable[[int], object]
) -> Mapping[str, dict[str, float]]:
    """Top-1 and top-5 with rules taken away; each variant is learned anew in each fold where it learns anything."""

    def shown(found: Judged) -> dict[str, float]:
        return {
            "top1": float((found.rank == 1).mean()),
            "top5": float(((found.rank > 0) & (found.rank <= 5)).mean()),
        }

    bare = Method(Voting(), Calibration())
    nearest = replace(bare, voting=Voting(1, 0.05))
    table = {
        "1-NN (first place only)": shown(cross_validate(gallery, folds=folds, seed=seed, bare=nearest, most=MOST)),
        "kernel votes alone, T = 0.05": shown(cross_validate(gallery, folds=folds, seed=seed, bare=bare, most=MOST)),
    }
    for title, only in (
        ("without prototypes", ("votes", "counts")),
        ("without votes", ("prototypes", "counts")),
        ("without numbers of observations", ("votes", "prototypes")),
    ):
        found = cross_validate(gallery, folds=folds, seed=seed, only=only, most=MOST, advance=advance)
        table[title] = shown(found)
    for rule in ("product", "max"):
        found = cross_validate(gallery, folds=folds, seed=seed, fusion=rule, given=judged.methods, most=MOST)
        table[f"everything, photos fused by {rule}"] = shown(found)
    return {**table, "everything (default)": shown(judged)}
