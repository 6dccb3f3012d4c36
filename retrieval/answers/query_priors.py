"""What is expected of a query before its photos are looked at: the priors asked for, and the flags for people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking.options import IdentifyOptions
from retrieval.ranking.priors import combine_lifts, expected_there, lift_to, nearby_lift, uniform_lift
from retrieval.snapshots.cells import cells_around
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.occurrences import Occurrences
from retrieval.snapshots.snapshot import Snapshot

SMOOTHING = 10.0  # records that the flora counts for, where nothing was learned


@dataclass(frozen=True, slots=True)
class QueryPriors:
    """For each species of a flora: the logarithm of the priors' lift, and whether it is expected here and now."""

    log_lift: NDArray[np.float64]  # (species,)
    here: NDArray[np.bool_] | None
    now: NDArray[np.bool_] | None
    applied: tuple[str, ...]


def compute_query_priors(snapshot: Snapshot, flora: Flora, options: IdentifyOptions) -> QueryPriors:
    """Work out the priors of a request; those that the snapshot has no records for are not applied.

    The flags come with every day and place that is given, whether or not they were to weigh on the ranking.
    """
    learned = snapshot.calibration
    species = flora.species
    records = snapshot.occurrences
    local = None if records is None else records.of(np.searchsorted(snapshot.all_species, species))
    lifts: dict[str, NDArray[np.float64]] = {}
    if local is not None and options.day is not None and local.dated.any():
        lifts["season"] = nearby_lift(local.about(options.day.month), local.dated, smoothing=smooth(snapshot, "season"))
    if local is not None and options.coordinates is not None and local.placed.any():
        near = local.around(cells_around(*options.coordinates))
        lifts["place"] = nearby_lift(near, local.placed, smoothing=smooth(snapshot, "place"))
    now = expected_there(lifts["season"]) if "season" in lifts else None
    here = expected_there(lifts["place"]) if "place" in lifts else None
    if {"uniform", "regional"} & set(options.requested_priors):
        gallery = snapshot.count_observations(species).astype(np.float64)
        lifts["uniform"] = uniform_lift(gallery)
        lifts["regional"] = lift_to(all_records(local, gallery), gallery)
    asked = tuple(prior for prior in options.requested_priors if prior in lifts)
    log_lift = combine_lifts({prior: lifts[prior] for prior in asked}, learned.priors, len(species))
    return QueryPriors(log_lift, here, now, asked)


def all_records(local: Occurrences | None, gallery: NDArray[np.float64]) -> NDArray[np.float64]:
    """Records of each species in the flora, with or without photos; where none were counted, its observations."""
    if local is None:
        return gallery
    return np.maximum(np.maximum(local.dated, local.placed), gallery)


def smooth(snapshot: Snapshot, prior: str) -> float:
    """How many records the flora counts for."""
    return snapshot.calibration.smoothing.get(prior, SMOOTHING)
