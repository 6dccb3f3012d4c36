"""Priors: the frequency of species in the gallery, in the region, in a season, around a place, in a habitat.

The rule is that of the Danish service (Sulc et al., WACV 2020, equations 1 and 2): p_e(k|x) is proportional to
p(k|x) p_e(k) / p(k), where p is the frequency in the gallery, from which the votes were drawn, and p_e the
frequency expected for this query. Every prior here is such a ratio, called a lift. Several lifts
are multiplied (as if season and place were independent given the species), each raised to a learned
strength. A lift is never zero, so that no prior excludes a species.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking.nodes import add_species

PRIORS = ("uniform", "regional", "season", "place", "habitat", "substrate")
CIRCUMSTANCES = PRIORS[2:]  # from optional data of an observation; each is applied if given
EXPECTED = 0.5  # frequency, relative to the whole collection, from which a species is expected here (now)
MONTH_WEIGHTS = (1.0, 0.5)  # weights of records of the month itself, and of the adjacent ones
RELATED = (
    ("mixed-forest", "deciduous-forest"),
    ("mixed-forest", "coniferous-forest"),
    ("wood", "deciduous-wood"),
    ("wood", "coniferous-wood"),
)
RELATED_WEIGHT = 0.5  # weight of a record in a related class
RING_WEIGHTS = (1.0, 0.5, 0.25)  # weights of records in the cell itself, and in the rings around it
Counts = NDArray[np.float64]  # (species,)


def uniform_lift(gallery: Counts) -> Counts:
    """Return the lift to equally likely species, 1 / p(k); 1 for species without references."""
    return lift_to(np.ones_like(gallery), gallery)


def lift_to(expected: Counts, gallery: Counts) -> Counts:
    """Return p_e(k) / p(k) from two counts, such as a checklist's records and the gallery's observations.

    Counts of zero are replaced by one, so that no species is impossible.
    """
    held = gallery > 0
    if not held.any():
        return np.ones_like(gallery)
    wanted = (expected + (expected <= 0)) / float((expected + (expected <= 0))[held].sum())
    drawn = np.maximum(gallery, 1) / float(gallery[held].sum())
    return np.where(held, wanted / drawn, 1.0)


def nearby_lift(near: Counts, records: Counts, *, smoothing: float, rate: float | None = None) -> Counts:
    """Return how much more frequent each species is in this month or around this place than everywhere.

    `near` are the species' records there, `records` all of them. Rates of species with few records are shrunk
    towards the flora's rate, as if `smoothing` more records had that rate (a Dirichlet prior). Without any
    records nearby, all lifts are 1. `rate` is the flora's rate where only some of its species are given.
    """
    rate = nearby_rate(near, records) if rate is None else rate
    if rate <= 0:
        return np.ones_like(records)
    return (near + smoothing * rate) / ((records + smoothing) * rate)


def nearby_rate(near: Counts, records: Counts) -> float:
    """Return the share of all species' records that are near."""
    total = float(records.sum())
    return float(near.sum()) / total if total else 0.0


def month_records(months: NDArray[np.floating], month: int) -> Counts:
    """Return each species' records around a month (1 to 12), (species,): the month's and half of its neighbours'."""
    if not 1 <= month <= 12:
        raise ValueError(f"months are 1 to 12, not {month}")
    near = np.asarray(months[:, month - 1] * MONTH_WEIGHTS[0], dtype=np.float64)
    return near + MONTH_WEIGHTS[1] * (months[:, (month - 2) % 12] + months[:, month % 12])


def class_records(counts: NDArray[np.floating], place: int, related: Sequence[int]) -> Counts:
    """Return each species' records in a class from (species, classes), and half of those in related classes."""
    near = np.asarray(counts[:, place], dtype=np.float64)
    return np.asarray(near + RELATED_WEIGHT * counts[:, list(related)].sum(axis=1))


def related_classes(names: Sequence[str], place: int) -> list[int]:
    """Return the indexes of related classes, such as wood of any kind and wood of a conifer."""
    own = names[place]
    return [names.index(other) for pair in RELATED if own in pair for other in pair if other != own]


def turn_month(month: int, *, southern: bool) -> int:
    """Return the northern month, 1 to 12, with the same season: half a year later for the southern hemisphere."""
    return (month + 5) % 12 + 1 if southern else month


def turn_months(months: NDArray[np.integer], southern: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the same for many months; 0 (unknown) is kept."""
    given = np.asarray(months, dtype=np.int64)
    return np.where(southern & (given > 0), (given + 5) % 12 + 1, given)


def combine_lifts(lifts: Mapping[str, Counts], strengths: Mapping[str, float], width: int) -> NDArray[np.float64]:
    """Return the logarithm of the product of all lifts, each raised to its strength (default 1)."""
    total = np.zeros(width)
    for name in sorted(lifts):
        total = total + strengths.get(name, 1.0) * np.log(lifts[name])
    return total


def apply_prior(
    scores: NDArray[np.float64],
    log_lift: NDArray[np.float64],
    *,
    temper: float = 1.0,
    multiplicity: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Multiply scores (..., species) by the lift, keeping their sum.

    Scores are first raised to `temper`: they are calibrated for the gallery's mixture of species, and too low or too
    high for another. The exponent is learned together with the prior's strength. `multiplicity` as in `add_species`.
    """
    tempered = scores if temper == 1 else scores**temper
    raised = tempered * np.exp(log_lift - log_lift.max(initial=0.0))
    before, after = (add_species(one, multiplicity)[..., None] for one in (scores, raised))
    return np.asarray(np.divide(raised * before, after, out=np.array(scores, dtype=np.float64), where=after > 0))


def expected_there(lift: Counts) -> NDArray[np.bool_]:
    """Return whether each species is expected in this season or place; shown to people, not used for the ranking."""
    return lift >= EXPECTED
