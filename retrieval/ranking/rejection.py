"""Rejection: photos that show no fungus, and species without references.

A logistic regression on two features that can be learned without other photos: the similarity of the closest
reference, and the entropy of the scores. It is fitted on the collection's own observations, once
unchanged and once without any references of their species.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REJECT = 0.5  # probability of "none of these" from which an answer is called rejected
UNKNOWN_RATE = 0.05  # expected share of observations without referenced species, to which the fit is adjusted
FEATURES = ("similarity", "entropy")
UNCOMPARED = "No species of this flora has a reference photo."
STRANGE = 0.01  # quantile of similarities of the collection's own observations: below it, perhaps no fungus


@dataclass(frozen=True, slots=True)
class RejectionDecision:
    """Whether an answer is rejected, and why."""

    rejected: bool
    probability: float  # of none of the species with references
    similarity: float  # of the closest reference
    reason: str


def observe(similarities: NDArray[np.floating], scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return the features of an observation: mean similarity of its photos' closest references, entropy of its scores.

    `similarities` (photos,) are those of each photo's closest reference; entropy is in nats.
    """
    positive = scores[scores > 0]
    entropy = float(-(positive @ np.log(positive))) if len(positive) else 0.0
    closest = float(np.sort(similarities).mean()) if len(similarities) else -1.0
    return closest, entropy


def none_probability(similarity: float, entropy: float, weights: Mapping[str, float]) -> float:
    """Return the probability of none of the species; 0 without calibrated rejection."""
    if not weights:
        return 0.0
    logit = weights["constant"] + weights["similarity"] * similarity + weights["entropy"] * entropy
    return 1.0 / (1.0 + math.exp(-min(50.0, max(-50.0, logit))))


def nothing_compared(*, no_reject: bool = False) -> RejectionDecision:
    """Return the decision if no reference could vote: none of the species with references.

    It needs no calibration.
    """
    return RejectionDecision(not no_reject, 1.0, -1.0, UNCOMPARED)


def decide_rejection(
    similarity: float, probability: float, weights: Mapping[str, float], *, no_reject: bool = False
) -> RejectionDecision:
    """Reject an answer that is probably none of the species, or less similar than the collection's own observations."""
    strange = bool(weights) and similarity < weights.get("strange", -1.0)
    unknown = bool(weights) and probability >= REJECT
    if strange:
        reason = "There may be no fungus in the photo, or it is too small to see."
    elif unknown:
        reason = "It is probably a species without reference photos here."
    else:
        reason = ""
    if reason and no_reject:
        reason += " Ranked all the same, as asked."
    return RejectionDecision((strange or unknown) and not no_reject, probability, similarity, reason)
