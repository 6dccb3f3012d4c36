"""The photos of one observation with the options of the query, and their nearest references."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from retrieval.models.embedder import Embeddings
from retrieval.ranking.calibration import SpeciesTerms, score_voted
from retrieval.ranking.fusion import LEARNED, fuse_scores, photo_voices, weigh_photos
from retrieval.ranking.options import IdentifyOptions
from retrieval.ranking.votes import Voting, vote_shares, voted_shares
from retrieval.segments.store import NearestReferences
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.snapshot import Snapshot


@dataclass(frozen=True, eq=False)
class Query:
    """The photos of one observation, and the options of their identification."""

    embeddings: Embeddings  # (photos, 256)
    snapshot: Snapshot
    voting: Voting
    options: IdentifyOptions
    aspects: tuple[str, ...]  # of the photos; empty: not known

    @cached_property
    def voices(self) -> NDArray[np.float64]:
        """The weight of each photo as an independent witness, (photos,); see `photo_voices`."""
        return photo_voices(self.embeddings)

    @property
    def effective_photos(self) -> float:
        """The number of photos, with near-identical ones counted once."""
        return float(np.sort(self.voices).sum())

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """The weight of each photo in the fusion, (photos,)."""
        return weigh_photos(self.voices, self.aspects, self.snapshot.calibration.aspects)

    @property
    def fusion(self) -> str:
        """The fusion rule: the requested one, else the one chosen by calibration."""
        return self.snapshot.calibration.fusion if self.options.fusion == LEARNED else self.options.fusion

    @property
    def sharpening(self) -> float:
        """The learned exponent of this rule."""
        return self.snapshot.calibration.sharpening.get(self.fusion, 0.0)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest references of each photo, best first, and the columns of their species."""

    found: NearestReferences
    columns: NDArray[np.int64]  # (photos, k): the column of each one's species; -1 where there is none
    skipped: bool  # whether a part of the references could not be searched

    @property
    def compared(self) -> bool:
        """Whether any reference could vote."""
        return self.skipped or bool((self.columns >= 0).any())

    def closest(self, voices: NDArray[np.float64]) -> float:
        """Return the similarity of the closest reference, averaged over photos by their voices; -1 without any."""
        nearest = self.found.similarities[:, :1].astype(np.float64).ravel()
        heard = np.flatnonzero(np.isfinite(nearest))
        heard = heard[np.argsort(nearest[heard], kind="stable")]  # so that no order of photos shows
        return float(np.average(nearest[heard], weights=voices[heard])) if len(heard) else -1.0

    @property
    def voted(self) -> NDArray[np.int64]:
        """Return the columns of species with at least one vote."""
        return np.unique(self.columns[self.columns >= 0])

    def joined(self, other: Neighbours) -> Neighbours:
        """Merge both, best first. A reference in both is kept twice, but votes only once."""
        parts = zip(columns_of(self.found), columns_of(other.found), strict=True)
        similarities, rows, species, observations = (np.concatenate(part, axis=1) for part in parts)
        columns = np.concatenate([self.columns, other.columns], axis=1)
        order = np.lexsort((rows, observations, species, -similarities), axis=-1)
        ordered = (np.take_along_axis(part, order, axis=1) for part in (similarities, rows, species, observations))
        found = NearestReferences(*ordered)
        return Neighbours(found, np.take_along_axis(columns, order, axis=1), self.skipped or other.skipped)


def columns_of(found: NearestReferences) -> tuple[NDArray[np.generic], ...]:
    """Return the arrays of the result, in the order of its fields."""
    return found.similarities, found.rows, found.species, found.observations


def search(query: Query, flora: Flora) -> Neighbours:
    """Return the references of a flora that are most similar to each photo."""
    found = flora.search(query.embeddings, query.voting.neighbours)
    places = np.searchsorted(query.snapshot.tree.species, found.species)
    skipped = flora.partial is not None and flora.partial.skipped is not None
    return Neighbours(found, np.where(found.rows >= 0, places, -1), skipped)


def score_photos(
    query: Query,
    neighbours: Neighbours,
    terms: SpeciesTerms | None,
    *,
    among: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Return the scores of all species for each photo, (photos, species); each row sums to 1, or to 0 without votes.

    `terms` are those of a calibrated snapshot; None: scores are the shares of votes. Only species within the taxa of
    the option `within`, and only those of the mask `among`, can have a score.
    """
    snapshot, found = query.snapshot, neighbours.found
    width = len(snapshot.referenced)
    votes = (found.similarities, found.observations, neighbours.columns, width, query.voting.temperature)
    if terms is None:
        scores = vote_shares(*votes)
    elif neighbours.compared:
        scores = score_voted(terms, *voted_shares(*votes))
    else:  # what was learned of the species is no evidence of itself
        return np.zeros((len(query.embeddings), width))
    possible = among
    if query.options.within:
        under = snapshot.tree.under(query.options.within)
        possible = under if among is None else among & under
    if possible is not None:
        scores *= possible
        scores /= np.maximum(scores.sum(axis=1, keepdims=True), 1e-300)
    return scores


def fuse(query: Query, per_photo: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the fused scores of all photos, (species,)."""
    return fuse_scores(per_photo, query.weights, rule=query.fusion, sharpening=query.sharpening, voices=query.voices)
