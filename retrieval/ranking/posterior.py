"""The probabilities of each species and of "none of these", summing to 1, used by all parts of an answer.

The photos' fused scores are over all species of the snapshot. A flora is a soft list: species off the list have a small
weight instead of none, so that a clear photo of one is not named as the best species on the list. Then priors are
applied, the top score is recalibrated, and the probability of "none of these" is subtracted. All functions take one
observation, (species,), or many, (observations, species).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking.priors import apply_prior
from retrieval.ranking.recalibration import recalibrate_top_score


def off_list_weight(rate: float, listed: float, others: float) -> float:
    """Return the weight of species off the list, relative to those on it.

    `rate` is the share of a region's observations whose species is not on its list; `listed` and `others` are the
    numbers of reference observations of species on and off the list, which give the share without any weight.
    """
    if listed <= 0 or others <= 0:
        return 1.0
    return min(1.0, rate / (1 - rate) * listed / others)


def weigh_evidence(
    fused: NDArray[np.float64],
    *,
    on_list: NDArray[np.bool_] | None = None,
    off_list: float = 1.0,
    log_lift: NDArray[np.float64] | None = None,
    temper: float = 1.0,
    multiplicity: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Multiply the list and priors into fused scores, keeping their sum.

    `on_list` (species,); None without a list. `log_lift` is broadcast; None without priors. `multiplicity` as in
    `add_species`.
    """
    if on_list is not None:
        soft = np.log(max(off_list, 1e-300))
        lift = np.where(on_list, 0.0, soft)
        log_lift = lift if log_lift is None else log_lift + lift
    if log_lift is None:
        return fused
    return apply_prior(fused, log_lift, temper=temper, multiplicity=multiplicity)


def settle(
    scores: NDArray[np.float64],
    photos: NDArray[np.floating],
    none: NDArray[np.floating],
    confidence: Mapping[str, float],
    *,
    listed: bool = False,
    multiplicity: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the probabilities of species, (observations, species), which with `none`, (observations,), sum to 1.

    `photos` (observations,) are effective numbers of photos, `confidence` the weights of the recalibration. `listed` is
    whether a list was given. `multiplicity` as in `add_species`.
    """
    certain = recalibrate_top_score(scores, photos, confidence, listed=listed, multiplicity=multiplicity)
    return np.asarray(certain * (1 - none)[:, None])
