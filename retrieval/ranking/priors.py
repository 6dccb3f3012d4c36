"""What was believed before the photo: how frequent a species is in the gallery, in the region, in this month, here.

The Danish service's rule (Sulc et al., WACV 2020, equations 1 and 2): p_e(k|x) is proportional to
p(k|x) p_e(k) / p(k), with p the frequency in the gallery, from which the votes were drawn, and p_e the
frequency expected of this query. Every prior here is such a ratio, called a lift, so that several
are multiplied (as if season and place were independent given the species), each raised to a strength
that was learned. A lift is never zero: a prior boosts, only the flora's list excludes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

PRIORS = ("uniform", "regional", "season", "place", "habitat", "substrate")
CIRCUMSTANCES = PRIORS[2:]  # what a person may say of a find; each is applied where it is said
EXPECTED = 0.5  # a species is expected here (now) from half the frequency that it has in the whole collection
MONTH_WEIGHTS = (1.0, 0.5)  # records of the month itself, and of the ones before and after
RELATED = (
    ("mixed-forest", "deciduous-forest"),
    ("mixed-forest", "coniferous-forest"),
    ("wood", "deciduous-wood"),
    ("wood", "coniferous-wood"),
)
RELATED_WEIGHT = 0.5  # of a record in a class that may be the same
RING_WEIGHTS = (1.0, 0.5, 0.25)  # records in the cell itself, and in the rings around it
Counts = NDArray[np.float64]  # (species,)


def uniform_lift(gallery: Counts) -> Counts:
    """All species equally likely: 1 / p(k). Species without a reference keep 1: there is nothing to correct."""
    return lift_to(np.ones_like(gallery), gallery)


def lift_to(expected: Counts, gallery: Counts) -> Counts:
    """p_e(k) / p(k) from two counts, such as a checklist's records and the gallery's observations.

    Where nothing was counted, one is, so that no species is impossible.
    """
    held = gallery > 0
    if not held.any():
        return np.ones_like(gallery)
    wanted = (expected + (expected <= 0)) / float((expected + (expected <= 0))[held].sum())
    drawn = np.maximum(gallery, 1) / float(gallery[held].sum())
    return np.where(held, wanted / drawn, 1.0)


def nearby_lift(near: Counts, records: Counts, *, smoothing: float) -> Counts:
    """How much more frequent than everywhere a species is in this month, or around this place.

    `near` are the species' records there, `records` all of them; where a species has few, it is drawn
    towards the flora's rate as if `smoothing` records more had that rate (a Dirichlet prior). Nothing
    recorded near by: no species is lifted.
    """
    total = float(records.sum())
    rate = float(near.sum()) / total if total else 0.0
    if rate <= 0:
        return np.ones_like(records)
    return (near + smoothing * rate) / ((records + smoothing) * rate)


def month_records(months: NDArray[np.floating], month: int) -> Counts:
    """Records of each species about a month (1 to 12) out of (species, 12): its own and half of its neighbours'."""
    if not 1 <= month <= 12:
        raise ValueError(f"months are 1 to 12, not {month}")
    near = np.asarray(months[:, month - 1] * MONTH_WEIGHTS[0], dtype=np.float64)
    return near + MONTH_WEIGHTS[1] * (months[:, (month - 2) % 12] + months[:, month % 12])


def class_records(counts: NDArray[np.floating], place: int, related: Sequence[int]) -> Counts:
    """Records of each species in a class out of (species, classes), and half of those in related classes."""
    near = np.asarray(counts[:, place], dtype=np.float64)
    return np.asarray(near + RELATED_WEIGHT * counts[:, list(related)].sum(axis=1))


def related_classes(names: Sequence[str], place: int) -> list[int]:
    """The places of the classes of which each may be the other, such as wood of any kind and wood of a conifer."""
    own = names[place]
    return [names.index(other) for pair in RELATED if own in pair for other in pair if other != own]


def turn_month(month: int, *, southern: bool) -> int:
    """The month, 1 to 12, whose season in the north a month has: its own, or half a year later south of the equator."""
    return (month + 5) % 12 + 1 if southern else month


def turn_months(months: NDArray[np.integer], southern: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The same for many; 0, where a month is not known, stays."""
    given = np.asarray(months, dtype=np.int64)
    return np.where(southern & (given > 0), (given + 5) % 12 + 1, given)


def combine_lifts(lifts: Mapping[str, Counts], strengths: Mapping[str, float], width: int) -> NDArray[np.float64]:
    """The logarithm of the product of all lifts, each raised to its strength (1 where none was learned)."""
    total = np.zeros(width)
    for name in sorted(lifts):
        total = total + strengths.get(name, 1.0) * np.log(lifts[name])
    return total


def apply_prior(
    scores: NDArray[np.float64], log_lift: NDArray[np.float64], *, temper: float = 1.0
) -> NDArray[np.float64]:
    """Scores (..., species) times the lift, adding up to what they added up to before.

    Scores are raised to `temper` first: calibrated for the gallery's mixture of species, they are
    too timid or too bold for another, which is learned together with the prior's strength.
    """
    tempered = scores if temper == 1 else scores**temper
    raised = tempered * np.exp(log_lift - log_lift.max(initial=0.0))
    before, after = scores.sum(axis=-1, keepdims=True), raised.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(raised * before, after, out=np.array(scores, dtype=np.float64), where=after > 0))


def expected_there(lift: Counts) -> NDArray[np.bool_]:
    """Whether each species is to be expected in this season or place; for people, not for the ranking."""
    return lift >= EXPECTED
