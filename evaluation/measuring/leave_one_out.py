"""Evaluates a snapshot on its own observations by its answer pipeline, leaving out the group of each.

The calibration of a calibrated snapshot is fitted again in folds, so that no observation is scored with parameters that
were fitted on it. Without calibration, votes are used, which have no fitted parameters.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, HeldOutQueries, hold_out_queries, read_gallery, search
from evaluation.learning.estimators import deal_folds
from evaluation.learning.learn import learn
from evaluation.learning.out_of_fold import LARGE
from evaluation.learning.query_mix import first_of, rank_truth
from evaluation.learning.scoring import Method, score_all, whole_observations
from evaluation.measuring.metrics import Outcome
from retrieval.domain import WORLD
from retrieval.progress import Progress, silent
from retrieval.ranking.calibration import Calibration
from retrieval.ranking.votes import Voting
from retrieval.snapshots.snapshot import Snapshot

FOLDS = 5
TOGETHER = 1 << 24  # scores of views and species held at once: 128 MB


def count_folds(gallery: Gallery) -> int:
    """Return the number of folds: five, or two in a large collection, because each fits everything again."""
    return 2 if len(gallery.spans[0]) >= LARGE else FOLDS


def list_of(snapshot: Snapshot, gallery: Gallery, flora: str) -> NDArray[np.bool_] | None:
    """Return the species of a flora as a boolean array over the gallery's species; None for the world."""
    chosen = snapshot.flora(flora)  # raises UnknownFlora for an unknown flora
    return None if flora == WORLD else np.isin(gallery.species, chosen.species)


def evaluable_in(gallery: Gallery, listed: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Return the observations of a list's species that can be held out, ascending."""
    if listed is None:
        return gallery.evaluable
    return np.intersect1d(gallery.evaluable, gallery.observations[listed[gallery.columns]])


def judge_snapshot(
    snapshot: Snapshot,
    *,
    flora: str,
    voting: Voting | None = None,
    photos: int | None = None,
    seed: int = 1,
    progress: Progress = silent,
) -> list[Outcome]:
    """Evaluate every observation of the flora that can be held out, with all photos or the first `photos` of them.

    With `voting`, the votes alone are used.
    """
    gallery = read_gallery(snapshot, snapshot.flora(WORLD))
    listed = list_of(snapshot, gallery, flora)
    asked_for = evaluable_in(gallery, listed)
    served = voting is None and snapshot.calibration.calibrated
    folds = count_folds(gallery) if served else 1
    dealt = deal_folds(gallery.groups, gallery.columns, folds, seed) if served else np.zeros(len(gallery.columns))
    fixed_method = Method(voting or snapshot.voting, Calibration())
    outcomes: list[Outcome] = []
    for fold in range(folds):
        chosen = np.intersect1d(asked_for, gallery.observations[dealt == fold])
        if len(chosen):
            method = learn(gallery.select(dealt != fold), seed=seed, ranking_only=True) if served else fixed_method
            queries = hold_out_queries(gallery, chosen)
            queries = queries if photos is None else queries.select(np.ones(queries.count, dtype=bool), photos)
            outcomes += judge(gallery, queries, method, listed)
            progress("evaluate", queries.count, len(asked_for))
    return sorted(outcomes, key=lambda outcome: settle(outcome, snapshot))


def settle(outcome: Outcome, snapshot: Snapshot) -> tuple[str, str, int, int, int]:
    """Return a sort key that does not depend on ids of taxa or observations, so that resampling is stable."""
    name, first = (snapshot.taxonomy.taxon(taxon).name if taxon else "" for taxon in (outcome.species, outcome.first))
    return (name, first, outcome.rank, outcome.photos, outcome.observation)


def count_queries(snapshot: Snapshot, flora: str) -> int:
    """Return how many observations `judge_snapshot` evaluates."""
    gallery = read_gallery(snapshot, snapshot.flora(WORLD))
    return len(evaluable_in(gallery, list_of(snapshot, gallery, flora)))


def judge(gallery: Gallery, queries: HeldOutQueries, method: Method, listed: NDArray[np.bool_] | None) -> list[Outcome]:
    """Rank as the answer pipeline does, and find the rank of the true species, behind all with the same score."""
    outcomes = []
    for start, stop in whole_observations(queries, max(1, TOGETHER // gallery.width)):
        chosen = np.zeros(queries.count, dtype=bool)
        chosen[start:stop] = True
        outcomes += judge_together(gallery, queries.select(chosen), method, listed)
    return outcomes


def judge_together(
    gallery: Gallery, queries: HeldOutQueries, method: Method, listed: NDArray[np.bool_] | None
) -> list[Outcome]:
    """Do the same with the scores of all species at once."""
    lists = () if listed is None else (listed,)
    found = search(gallery, queries, method.voting.neighbours, lists=lists).within(None if listed is None else 0)
    scores, _ = score_all(gallery, queries, found, method)
    shown = scores if listed is None else scores * listed
    first = first_of(shown, queries.truth)
    answered = shown[np.arange(queries.count), first] > 0
    genera = gallery.genera
    genus_right = answered & (genera[first] == genera[queries.truth]) & (genera[first] >= 0)
    photos = Counter(queries.excluded.tolist())
    return [
        Outcome(excluded, int(gallery.species[t]), int(gallery.species[f]) if said else 0, r, bool(g), photos[excluded])
        for excluded, t, f, said, r, g in zip(
            queries.excluded[queries.first].tolist(),
            queries.truth.tolist(),
            first.tolist(),
            answered.tolist(),
            rank_truth(shown, queries.truth).tolist(),
            genus_right.tolist(),
            strict=True,
        )
    ]
