"""Fits a head on a collection's frozen features, judges it on observations it has not seen, and writes it.

Nothing is judged by what was fitted on: the observations are dealt into folds; for each, principal components and
the learned projection are fitted on the other folds alone, and the learned one is stopped by an inner part of those.
Then each observation of the fold is asked of all references but its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.embedding.held_out import (
    MOST_ASKED,
    MeasuredRecall,
    RecallGain,
    askable,
    count_recall,
    measure_gain,
    rank_observations,
)
from indexer.embedding.projection import Labels, Rows, fit_pca, learn_projection
from retrieval.errors import BuildError, ModelError
from retrieval.models.card import Preprocessing
from retrieval.models.embedder import DIM, unit_rows
from retrieval.models.head import TEMPERATURE, Head, read_head, write_head
from retrieval.models.provenance import note_taught
from retrieval.progress import Progress, silent
from retrieval.ranking.groups import group_observations

KINDS = ("learned", "pca")
FOLDS = 5
INNER = 0.2  # of a fold's training observations: they stop the learning and are learned from no more than the fold is
HELD_OUT = 0.25  # share of the observations that a head is not fitted on, so that somebody can judge it
LEAST = 20  # observations that can be asked for; fewer say nothing


@dataclass(frozen=True)
class HeadComparison:
    """What held-out observations say of the two heads."""

    pca: MeasuredRecall
    learned: MeasuredRecall
    steps: int  # that the learned head took, the median of the folds
    own: MeasuredRecall | None = None  # of a network's own numbers, where it has as many as an index holds
    gain: RecallGain | None = None  # of the better head over the network's own numbers

    @property
    def best(self) -> str:
        """The kind of the better head."""
        return "pca" if self.worse else "learned"

    @property
    def needless(self) -> bool:
        """Whether a network's own numbers name more species than either head does."""
        heads = max((one.first, one.five) for one in (self.pca, self.learned))
        return self.own is not None and (self.own.first, self.own.five) > heads

    @property
    def worse(self) -> bool:
        """Whether the learned head names fewer species than principal components do."""
        return (self.learned.first, self.learned.five) < (self.pca.first, self.pca.five)


def judge_heads(
    features: Rows,
    labels: Labels,
    *,
    own: Head | None = None,
    folds: int = FOLDS,
    seed: int = 1,
    most: int = MOST_ASKED,
    progress: Progress = silent,
) -> HeadComparison:
    """Compare both heads by nested cross-validation over observations, and with the network's own numbers.

    Observations that must not judge each other have one number in `labels`. `own` is the head that the network has.
    Raises BuildError where there are too few observations.
    """
    asked = askable(labels, most=most, seed=seed)
    if len(asked) < LEAST:
        raise BuildError(
            f"only {len(asked)} observations belong to a species with another one, and {LEAST} are needed to judge a "
            "head: import more photos, or keep a network of 256 numbers"
        )
    observations, of_row = np.unique(labels.observations, return_inverse=True)
    fold_of = np.random.default_rng(seed).permutation(len(observations)) % folds
    ranks = {kind: np.zeros(len(asked), dtype=np.int64) for kind in KINDS}
    steps = []
    for fold in range(folds):
        training = np.flatnonzero(fold_of[of_row] != fold)
        questions = np.flatnonzero(np.isin(asked, observations[fold_of == fold]))
        pca = fit_pca(features[training])
        inner = np.random.default_rng([seed, fold]).random(len(observations)) < INNER
        _, taken = learn_projection(
            features[training], labels.pick(training), pca, held_out=inner[of_row[training]], seed=seed
        )
        learned, _ = learn_projection(features[training], labels.pick(training), pca, steps=taken, seed=seed)
        steps.append(taken)
        for kind, head in (("pca", pca), ("learned", learned)):
            rows = unit_rows(head.project(features))
            ranks[kind][questions] = rank_observations(rows, labels, asked[questions], temperature=TEMPERATURE)
        first = {kind: count_recall(ranks[kind][questions]).first for kind in KINDS}
        progress(
            f"fold {fold + 1} of {folds}: {first['pca']:.3f} by principal components, "
            f"{first['learned']:.3f} learned in {taken} steps"
        )
    verdict = HeadComparison(count_recall(ranks["pca"]), count_recall(ranks["learned"]), int(np.median(steps)))
    used = unit_rows(own.project(features)) if own else features if features.shape[1] == DIM else None
    if used is None:
        return verdict
    alone = rank_observations(used, labels, asked, temperature=TEMPERATURE)
    return replace(verdict, own=count_recall(alone), gain=measure_gain(alone, ranks[verdict.best], seed=seed))


def fit_head(
    features: Rows,
    labels: Labels,
    kind: str,
    verdict: HeadComparison,
    *,
    photos: Sequence[str] = (),
    seed: int = 1,
    progress: Progress = silent,
) -> Head:
    """The head of a kind, fitted on all rows; raises BuildError for a learned one that is worse than components.

    `photos` (SHA-256 of each row) are noted as what taught the head, so that they are never asked to judge it.
    """
    facts = {
        "kind": kind,
        "temperature": TEMPERATURE,
        **({"taught": note_taught(photos)} if len(photos) else {}),
        "fitted": {"photos": len(features), "species": len(np.unique(labels.species)), "seed": seed},
        "heldOut": {
            "folds": FOLDS,
            "temperature": TEMPERATURE,
            **{k: asdict(getattr(verdict, k)) for k in KINDS},
            **({"own": asdict(verdict.own)} if verdict.own else {}),
            **({"gain": asdict(verdict.gain)} if verdict.gain else {}),
        },
    }
    start = fit_pca(features)
    if kind == "pca":
        return replace(start, facts=facts)
    if verdict.worse:
        raise BuildError(
            f"on held-out observations the learned head names {verdict.learned.first:.3f} of the species and principal "
            f"components {verdict.pca.first:.3f}: nothing was written; use --kind pca"
        )
    head, steps = learn_projection(features, labels, start, steps=verdict.steps, seed=seed, progress=progress)
    return replace(head, facts={**facts, "steps": steps})


def write_model(out: Path, head: Head, preprocessing: Preprocessing) -> Path:
    """Write `OUT.head.npz` and, last, `OUT.card.json`, which names it; gives the card's path."""
    if out.suffix in {".npz", ".json", ".onnx"}:
        raise BuildError(f"--out is a name to which .head.npz and .card.json are added, not {out}")
    out.parent.mkdir(parents=True, exist_ok=True)
    head_path, card_path = out.with_name(f"{out.name}.head.npz"), out.with_name(f"{out.name}.card.json")
    write_head(head_path, head)
    if read_head(head_path).digest != head.digest:
        raise ModelError(f"{head_path} was not written whole: is the disk full?")
    card: dict[str, Any] = {name: value for name, value in asdict(preprocessing).items() if value is not None}
    draft = card_path.with_name(f".{card_path.name}.new")
    draft.write_text(json.dumps({**card, "head": head_path.name}, indent=2) + "\n", encoding="utf-8")
    draft.replace(card_path)
    return card_path


def join_groups(features: Rows, labels: Labels) -> Labels:
    """Return the labels with one number for observations that must not judge each other.

    Those share a near-identical photo, or are of one species, person, day and place (`retrieval.ranking.groups`).
    """
    centred = unit_rows(features - features.mean(axis=0))  # all features of a network share a large mean
    return replace(labels, observations=group_observations(labels.observations, centred, labels.outings))


def hold_out(labels: Labels, share: float, seed: int) -> NDArray[np.bool_]:
    """Rows of the observations that a head is not fitted on, a share of all observations: they may judge it later."""
    observations, of_row = np.unique(labels.observations, return_inverse=True)
    count = round(share * len(observations))
    return np.asarray((np.random.default_rng([seed, 2]).permutation(len(observations)) < count)[of_row])


def unit_features(rows: NDArray[np.float32]) -> tuple[Rows, NDArray[np.bool_]]:
    """Rows of length 1, and which rows have a direction at all; the others are left out."""
    kept = np.isfinite(rows).all(axis=1) & (np.linalg.norm(rows, axis=1) > 0)
    return unit_rows(rows[kept]) if kept.any() else np.zeros((0, rows.shape[1] or DIM), np.float32), kept
