"""The priors of a query, and whether species are expected at its place and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking.options import IdentifyOptions
from retrieval.ranking.priors import combine_lifts, expected_there, lift_to, nearby_lift, uniform_lift
from retrieval.snapshots.cells import cells_around
from retrieval.snapshots.occurrences import Occurrences
from retrieval.snapshots.snapshot import Snapshot

SMOOTHING = 10.0  # records that all species together count for, where nothing was learned


@dataclass(frozen=True, slots=True)
class QueryPriors:
    """For each species with references, the logarithm of the combined lift, and the lift of each prior."""

    log_lift: NDArray[np.float64] | None = None  # (species,); None: no prior is applied
    lifts: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)  # of all that was said, and asked for
    applied: tuple[str, ...] = ()
    strengths: Mapping[str, float] = field(default_factory=dict)  # exponents that were learned; 1 where none was

    def expects(self, prior: str, column: int) -> bool | None:
        """Return whether a species is expected by season, place, habitat or substrate; None if unknown."""
        lift = self.lifts.get(prior)
        return None if lift is None else bool(expected_there(lift[column]))

    def factors(self, column: int) -> dict[str, float]:
        """Return the factor of each applied prior for a species."""
        return {prior: float(self.lifts[prior][column] ** self.strengths.get(prior, 1.0)) for prior in self.applied}


def compute_query_priors(
    snapshot: Snapshot, options: IdentifyOptions, among: NDArray[np.bool_] | None = None
) -> QueryPriors:
    """Compute the priors of a request; those without records in the snapshot are not applied.

    Rates are relative to all species with references, or to the species `among`, a mask over `all_species`. The answer
    reports the effect of every given date, place, habitat and substrate, also of those that do not affect the ranking.
    """
    held = snapshot.referenced
    places = held if among is None else np.flatnonzero(among)
    records = snapshot.occurrences
    local = None if records is None else (records if len(places) == len(records.months) else records.of(places))
    lifts: dict[str, NDArray[np.float64]] = {}
    if local is not None and options.day is not None and local.dated.any():
        southern = None if options.coordinates is None else options.coordinates[0] < 0
        near = local.about(options.day.month, southern=southern)
        lifts["season"] = nearby_lift(near, local.dated, smoothing=smooth(snapshot, "season"))
    if local is not None and options.coordinates is not None and local.placed.any():
        near = local.around(cells_around(*options.coordinates))
        lifts["place"] = nearby_lift(near, local.placed, smoothing=smooth(snapshot, "place"))
    for prior, said in (("habitat", options.habitat), ("substrate", options.substrate)):
        if local is not None and said and (counted := local.classes(prior).sum(axis=1)).any():
            near = local.of_class(prior, said)
            lifts[prior] = nearby_lift(near, counted, smoothing=smooth(snapshot, prior))
    if {"uniform", "regional"} & set(options.requested_priors):
        gallery = snapshot.arrays.observations[places].astype(np.float64)
        lifts["uniform"] = uniform_lift(gallery)
        lifts["regional"] = lift_to(all_records(local, gallery), gallery)
    spread = {prior: spread_lift(lift, places, snapshot) for prior, lift in lifts.items()}
    asked = tuple(prior for prior in options.requested_priors if prior in lifts)
    log_lift = combine_lifts({prior: spread[prior] for prior in asked}, snapshot.calibration.priors, len(held))
    return QueryPriors(log_lift if asked else None, spread, asked, snapshot.calibration.priors)


def spread_lift(lift: NDArray[np.float64], places: NDArray[np.int64], snapshot: Snapshot) -> NDArray[np.float64]:
    """Map the lift of species at `places` in `all_species` to the species with references; 1 for the others."""
    if places is snapshot.referenced:
        return lift
    everywhere = np.ones(len(snapshot.all_species))
    everywhere[places] = lift
    return everywhere[snapshot.referenced]


def all_records(local: Occurrences | None, gallery: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the records of each species, with or without photos; without any counts, its observations."""
    if local is None:
        return gallery
    return np.maximum(np.maximum(local.dated, local.placed), gallery)


def smooth(snapshot: Snapshot, prior: str) -> float:
    """Return the number of records by which the counts of a prior are smoothed."""
    return snapshot.calibration.smoothing.get(prior, SMOOTHING)
