"""Test-time augmentation: what several views of a photo gain, by each way of pooling them.

The crops of a photo (`retrieval.photos.crops`) are pooled by the `mean` of their embeddings or, as the Danish service
does (Sulc et al. 2020), by the `sum` of their scores or the `mode`, the species that most crops put first. Everything
is judged by plain votes, which have no fitted parameter, with the group of each observation left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, hold_out_queries, search
from evaluation.learning.scoring import Method, Scores, view_shares
from evaluation.measuring.ablate import paired_gain
from retrieval.models.embedder import unit_rows
from retrieval.progress import Progress, silent
from retrieval.ranking.calibration import Calibration
from retrieval.ranking.groups import group_observations
from retrieval.ranking.votes import Voting

POOLINGS: Final = ("mean", "sum", "mode")
CROPS: Final = {"none": (0,), "mirrored": (0, 7), "two-scale": (0, 2), "full": tuple(range(14))}
"""Positions of an augmentation's crops among those of `full`."""


@dataclass(frozen=True)
class CroppedPhotos:
    """Embeddings of every photo's crops, with the labels of the photos."""

    crops: NDArray[np.float32]  # (photos, 14, 256), in the order of `full`
    species: NDArray[np.int64]  # (photos,)
    observations: NDArray[np.int64]  # (photos,)

    def sorted(self) -> CroppedPhotos:
        """Return the photos ordered by species and observation, as a gallery's rows are."""
        order = np.lexsort((np.arange(len(self.species)), self.observations, self.species))
        return CroppedPhotos(self.crops[order], self.species[order], self.observations[order])

    def average(self, augmentation: str) -> NDArray[np.float32]:
        """Return each photo's embedding by an augmentation: the direction of the mean of its crops, (photos, 256)."""
        if augmentation == "none":
            return self.crops[:, 0]
        return unit_rows(self.crops[:, CROPS[augmentation]].mean(axis=1, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class ViewsTrial:
    """One way to embed references and to ask: augmentations of both, and how the crops of a query are pooled."""

    references: str
    queries: str
    pooling: str

    @property
    def views(self) -> int:
        """Crops per query photo, each of which costs an inference."""
        return len(CROPS[self.queries])


def list_trials() -> list[ViewsTrial]:
    """Return all trials, the one without augmentation first."""
    several = [name for name in CROPS if name != "none"]
    return [
        ViewsTrial("none", "none", "mean"),
        *(ViewsTrial(name, "none", "mean") for name in several),
        *(ViewsTrial(of, name, pooling) for name in several for of in ("none", name) for pooling in POOLINGS),
    ]


def measure_views(
    photos: CroppedPhotos, voting: Voting, *, seed: int = 1, progress: Progress = silent
) -> list[dict[str, Any]]:
    """Return a row for each trial: recall@1 and @5 of the species, and their gain in points over the first trial.

    Gains are paired over the same observations, with 95 % bootstrap intervals. Only observations whose species has
    another group can be asked.
    """
    photos = photos.sorted()
    ranks: dict[ViewsTrial, NDArray[np.int64]] = {}
    trials = list_trials()
    for references in CROPS:
        gallery = make_gallery(photos, references)
        asked = [trial for trial in trials if trial.references == references]
        needed = sorted({place for trial in asked if trial.pooling != "mean" for place in CROPS[trial.queries]})
        shares = {place: share_votes(gallery, photos.crops[:, place], voting) for place in needed}
        for trial in asked:
            if trial.pooling == "mean":
                scores = share_votes(gallery, photos.average(trial.queries), voting)
            else:
                scores = pool_scores([shares[place] for place in CROPS[trial.queries]], trial.pooling)
            ranks[trial] = rank_true_species(gallery, scores)
            progress("views", 1, len(trials))
    plain = ranks[trials[0]]
    return [
        {
            "references": trial.references,
            "queries": trial.queries,
            "pooling": trial.pooling,
            "views": trial.views,
            **{
                f"top{k}": paired_gain((plain <= k).astype(float), (ranks[trial] <= k).astype(float), seed)
                for k in (1, 5)
            },
        }
        for trial in trials
    ]


def make_gallery(photos: CroppedPhotos, augmentation: str) -> Gallery:
    """Return the references by an augmentation. Groups are those of the whole photos: all trials ask the same."""
    species, columns = np.unique(photos.species, return_inverse=True)
    groups = group_observations(photos.observations, np.ascontiguousarray(photos.crops[:, 0]))
    lineages = np.full((len(species), 7), -1, dtype=np.int64)
    return Gallery(photos.average(augmentation), columns, photos.observations, species, lineages, joined=groups)


def share_votes(gallery: Gallery, rows: NDArray[np.float32], voting: Voting) -> Scores:
    """Return the shares of the species for every photo that can be asked, (views, species).

    `rows` (photos, 256) are the queries' embeddings of all the gallery's photos.
    """
    asked = np.isin(gallery.observations, gallery.evaluable)
    queries = replace(hold_out_queries(gallery), embeddings=np.ascontiguousarray(rows[asked]))
    found = search(gallery, queries, voting.neighbours)
    return view_shares(gallery, queries, found, Method(voting, Calibration()))


def pool_scores(shares: Sequence[Scores], pooling: str) -> Scores:
    """Pool the scores of a photo's crops, each (views, species): their mean, or how many of them put a species first.

    Among species that equally many crops put first, the mean of the scores decides.
    """
    mean = np.mean(shares, axis=0)
    if pooling == "sum":
        return np.asarray(mean)
    firsts = np.zeros_like(mean)
    for one in shares:
        places = np.flatnonzero(one.any(axis=1))
        firsts[places, one[places].argmax(axis=1)] += 1
    return np.asarray((firsts + mean / 2) / (len(shares) + 0.5))  # the mean is at most 1, half of it breaks ties only


def rank_true_species(gallery: Gallery, scores: Scores) -> NDArray[np.int64]:
    """Return the rank of each observation's species by the mean over its photos, ties settled against it."""
    queries = hold_out_queries(gallery)
    fused = np.add.reduceat(scores, queries.first, axis=0) / queries.photos[:, None]
    of_truth = fused[np.arange(queries.count), queries.truth]
    ahead = np.count_nonzero(fused >= of_truth[:, None], axis=1)  # itself among them
    return np.where(of_truth > 0, ahead, gallery.width + 1).astype(np.int64)
