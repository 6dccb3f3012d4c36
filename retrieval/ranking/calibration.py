"""Parameters learned on held-out observations: how votes, prototypes and numbers of references are combined to a score.

The score is a conditional logit (McFadden 1974): for species k of a view,

    z_k = votes x log(share_k + floor) + prototypes x similarity_k + counts x log n_k,   score_k = exp z_k / sum exp z

Each weight has an interpretation (`votes` is an inverse temperature), the fit is convex, and there are few
parameters, so that a few hundred observations are sufficient. `evaluation/learning/fit.py` fits them by log-loss.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import RANKS
from retrieval.errors import SnapshotMismatch
from retrieval.ranking.nodes import add_species

Thresholds: TypeAlias = Mapping[str, Mapping[str, Sequence[float]]]

OFF_LIST_RATE = 0.2
"""Default without learning: on the demo's floras, scores are equally wrong with half and with a tenth of the
observations off the list (docs/accuracy.md)."""
ALONE = 1.5  # effective number of photos from which they count as several
NEVER = 2.0  # an unreachable probability
LISTED = {"one": "oneListed", "several": "severalListed"}
"""Names of the thresholds for one photo and for several: for the world, and for a chosen list."""
FEW = 0.3  # pseudo-count of species without observations, so that the logarithm is finite

CALIBRATED_MEANING = (
    "The calibrated probability, from 0 to 1, that this taxon is the right name. Scores of all species and of "
    '"none of these" add up to 1; among answers with a score of 0.8, about 8 in 10 were right on observations '
    "that the collection held out. It speaks of photos like those of the collection."
)
SHARE_MEANING = (
    "The share of the votes that similar reference photos gave this taxon, from 0 to 1. "
    "Not yet calibrated: a share of 0.8 does not mean right in 8 of 10 cases."
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The learned parameters. The defaults are for an uncalibrated snapshot: shares of votes."""

    votes: float = 1.0
    prototypes: float = 0.0
    counts: float = 0.0
    floor: float = 0.0  # share of a view's votes for a species without neighbours
    shrinkage: float = 4.0  # weight of the genus mean in a prototype, in observations
    fusion: str = "mean"  # the default fusion rule
    sharpening: Mapping[str, float] = field(default_factory=dict)  # fusion rule -> exponent of the number of photos
    aspects: Mapping[str, float] = field(default_factory=dict)  # aspect -> weight of a photo that shows it
    priors: Mapping[str, float] = field(default_factory=dict)  # prior -> strength, an exponent
    tempers: Mapping[str, float] = field(default_factory=dict)  # prior -> exponent of the scores when it is applied
    smoothing: Mapping[str, float] = field(default_factory=dict)  # prior -> weight of the flora's rate, in records
    off_list_rate: float = OFF_LIST_RATE  # share of a region's observations with a species off its list
    thresholds: Thresholds = field(default_factory=dict)  # name (see LISTED) -> target -> probability by rank
    unknown: Mapping[str, float] = field(default_factory=dict)  # feature -> weight; see unknown.py
    typical: float = 0.0  # mean similarity of an observation to the closest other one of its species
    strange: float = -1.0  # lower similarity of the closest references: perhaps no fungus
    rejection: Mapping[str, float] = field(default_factory=dict)  # of snapshots older than `unknown`; see rejection.py
    rejection_even: Mapping[str, float] = field(default_factory=dict)  # the same, if all species are equally likely
    confidence: Mapping[str, float] = field(default_factory=dict)  # see recalibration.py
    confidence_even: Mapping[str, float] = field(default_factory=dict)
    lookalikes: tuple[tuple[int, int, float], ...] = ()  # (species, predicted species, share of its observations)
    metric: bool = False  # whether the snapshot has a metric for prototypes
    tells_aspects: bool = False  # whether the snapshot has an aspect classifier
    fitted: Mapping[str, Any] = field(default_factory=dict)  # provenance: observations, seed, log-loss, error

    @property
    def calibrated(self) -> bool:
        """Whether scores have been fitted, and are probabilities."""
        return bool(self.fitted)

    def rejection_of(self, priors: Collection[str]) -> Mapping[str, float]:
        """Return the weights of rejection for the applied priors, which affect the entropy of scores."""
        return self.rejection_even if self.rejection_even and {"uniform", "regional"} & set(priors) else self.rejection

    def recalibration_of(self, priors: Collection[str]) -> Mapping[str, float]:
        """Return the weights of the top-score recalibration for the applied priors."""
        return (
            self.confidence_even if self.confidence_even and {"uniform", "regional"} & set(priors) else self.confidence
        )

    def thresholds_of(self, photos: float, *, listed: bool = False) -> dict[float, NDArray[np.float64]]:
        """Return for each fitted target the minimum probability of a node of each rank, kingdom first: (7,).

        `listed`: whether a list was chosen. Older calibrations have one set for the world and for lists.
        """
        name = "one" if photos < ALONE else "several"
        fitted = self.thresholds.get(LISTED[name] if listed else name, self.thresholds.get(name, {}))
        return {float(target): np.asarray(limits, dtype=np.float64) for target, limits in sorted(fitted.items())}

    def temper_of(self, priors: Collection[str]) -> float:
        """Return the exponent of scores for the applied priors."""
        return float(np.prod([self.tempers.get(prior, 1.0) for prior in sorted(priors)]))

    @property
    def meaning(self) -> str:
        """The meaning of the score, as a sentence for the answer."""
        return CALIBRATED_MEANING if self.calibrated else SHARE_MEANING

    def as_json(self) -> dict[str, Any]:
        """Return JSON values for the manifest."""
        values = asdict(self)
        values["lookalikes"] = [list(pair) for pair in self.lookalikes]
        return values

    def changed(self, **values: Any) -> Calibration:
        """Return a copy with some parameters changed."""
        return replace(self, **values)


def read_calibration(values: Mapping[str, Any]) -> Calibration:
    """Read a calibration from the manifest; raises SnapshotMismatch for unknown parameters."""
    known = {one.name for one in fields(Calibration)}
    if strangers := sorted(set(values) - known):
        raise SnapshotMismatch(f"the snapshot's calibration has {strangers}, which this program does not know")
    given = dict(values)
    if "lookalikes" in given:
        given["lookalikes"] = tuple((int(a), int(b), float(share)) for a, b, share in given["lookalikes"])
    thresholds = given.get("thresholds", {})
    if thresholds and not set(thresholds) <= {*LISTED, *LISTED.values()}:  # from before thresholds differed by rank
        flat = {target: [float(limit)] * len(RANKS) for target, limit in thresholds.items()}
        given["thresholds"] = {"one": flat, "several": flat}
    return Calibration(**given)


def features(
    shares: NDArray[np.float64], similarities: NDArray[np.float64], counts: NDArray[np.floating], floor: float
) -> NDArray[np.float64]:
    """Return the three terms of the score: (views, species, 3). `counts` is (species,) or (views, species)."""
    numbers = np.broadcast_to(np.log(np.maximum(counts, FEW)), shares.shape)
    with np.errstate(divide="ignore"):
        return np.stack([np.log(shares + floor), similarities, numbers], axis=-1)


def score_views(
    shares: NDArray[np.float64],
    similarities: NDArray[np.floating] | None,
    counts: NDArray[np.floating],
    calibration: Calibration,
    multiplicity: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the scores of each view, (views, species); each row sums to 1 (or to 0 if nothing is known).

    `shares` are those of the votes, `similarities` those to prototypes (None: not used). A species of the list
    without references gets at most the lowest score of the others, since no photo supports it. `multiplicity` as in
    `normalise`.
    """
    with np.errstate(divide="ignore"):
        logits = calibration.votes * np.log(shares + calibration.floor) if calibration.votes else np.zeros_like(shares)
    if similarities is not None and calibration.prototypes:
        logits += calibration.prototypes * similarities
    if calibration.counts:
        logits += calibration.counts * np.log(np.maximum(counts, FEW))
    unseen = counts <= 0
    if calibration.floor and unseen.any() and not unseen.all():
        unseen = np.broadcast_to(unseen, logits.shape)
        least = np.where(unseen, np.inf, logits).min(axis=1, keepdims=True)
        logits = np.where(unseen, np.minimum(logits, least), logits)
    return normalise(logits, multiplicity)


@dataclass(frozen=True, eq=False)
class SpeciesTerms:
    """What scores of the same views from several searches have in common: all that does not depend on votes."""

    logits: NDArray[np.float64]  # (views, species), without the votes
    top: NDArray[np.float64]  # (views, 1): no logit with votes is higher
    without_votes: NDArray[np.float64]  # (views, species): exp(logit - top) of a species without votes
    calibration: Calibration


def prepare_terms(
    similarities: NDArray[np.floating], counts: NDArray[np.floating], calibration: Calibration
) -> SpeciesTerms:
    """Return the terms of `score_views` that do not depend on votes, for species that all have observations.

    `similarities` (views, species) to prototypes, `counts` (species,) of observations.
    """
    logits = np.multiply(similarities, calibration.prototypes, dtype=np.float64)
    if calibration.counts:
        logits += calibration.counts * np.log(np.maximum(counts, FEW))
    with np.errstate(divide="ignore"):
        voteless = calibration.votes * np.log(calibration.floor) if calibration.votes else 0.0
    top = logits.max(axis=1, keepdims=True, initial=-np.inf) + calibration.votes * np.log1p(calibration.floor)
    raised = logits + (voteless - top)
    return SpeciesTerms(logits, top, np.exp(raised, out=raised), calibration)


def score_voted(
    terms: SpeciesTerms, views: NDArray[np.int64], columns: NDArray[np.int64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the same scores as `score_views`, (views, species), from `voted_shares`; few species have votes."""
    learned = terms.calibration
    scores = terms.without_votes.copy()
    if learned.votes:
        with np.errstate(divide="ignore"):
            logits = terms.logits[views, columns] + learned.votes * np.log(shares + learned.floor)
        scores[views, columns] = np.exp(logits - terms.top[views, 0])
    total = scores.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(scores, total, out=scores, where=total > 0))


def normalise(logits: NDArray[np.float64], multiplicity: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Apply softmax along the last axis; a row of minus infinities becomes zeros.

    `multiplicity` as in `add_species`.
    """
    top = logits.max(axis=-1, keepdims=True, initial=-np.inf)
    raised = logits - np.where(np.isfinite(top), top, 0.0)
    np.exp(raised, out=raised)
    total = add_species(raised, multiplicity)[..., None]
    return np.asarray(np.divide(raised, total, out=raised, where=total > 0))
