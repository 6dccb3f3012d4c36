"""One probability for each species and one for "something else", adding up to 1: what every part of an answer reads.

The photos' fused scores are over all species of the snapshot. A flora is a soft list: species off it are weighed by a
small number, so that what is surely another species is not called by the best name on the list. Priors are multiplied
in, the certainty of the top score is set to what experience says, and the probability of "something else" is taken off.
All functions take one observation, (species,), or many, (observations, species).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking.priors import apply_prior
from retrieval.ranking.recalibration import recalibrate_top_score


def off_list_weight(rate: float, listed: float, others: float) -> float:
    """What a species off the list counts for, where one on it counts for 1.

    `rate` is how often a find is of no species of the list that it is asked for; `listed` and `others` are observations
    of species on the list and off it, which is how often the collection alone would expect them.
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
) -> NDArray[np.float64]:
    """Fused scores with the list and the priors multiplied in, adding up to what they added up to before.

    `on_list` (species,); None: no list was asked for. `log_lift` is broadcast; None: no prior.
    """
    if on_list is not None:
        soft = np.log(max(off_list, 1e-300))
        lift = np.where(on_list, 0.0, soft)
        log_lift = lift if log_lift is None else log_lift + lift
    if log_lift is None:
        return fused
    return apply_prior(fused, log_lift, temper=temper)


def settle(
    scores: NDArray[np.float64],
    photos: NDArray[np.floating],
    none: NDArray[np.floating],
    confidence: Mapping[str, float],
    *,
    listed: bool = False,
) -> NDArray[np.float64]:
    """Probabilities of the species, (observations, species): with `none`, (observations,), they add up to 1.

    `photos` (observations,) are effective numbers of photos, `confidence` the weights of the recalibration. `listed`:
    whether a list was asked for.
    """
    return np.asarray(recalibrate_top_score(scores, photos, confidence, listed=listed) * (1 - none)[:, None])
