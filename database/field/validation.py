"""The score of a proposed taxon: the interactive validation of the Danish Fungal Atlas, as pure functions.

Sulc et al., "Fungi Recognition: A Practical Use Case", section 2.2, gives the six ingredients, the three certainties
and the categories; the constants are those of the atlas's own service. docs/decisions/0013-accounts.md has our
choices where neither specifies them, with reasons.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

CERTAINTIES = {"certain": 1.0, "probable": 0.5, "possible": 0.1}
"""Factor of a person's weight, by stated certainty."""

APPROVED_ABOVE = 80  # three stars
LIKELY_FROM = 50  # two stars; below, one
HEAVIEST = 100.0  # largest weight of a taxon or a person
PER_RECORD = 5.0  # for each of the person's approved identifications of the species
PER_GROUP_SPECIES = 2.0  # for each species of its morphological group that the person has identified correctly
NEWCOMER = 1.0  # weight of a person without a track record
PER_DECADE = 25.0  # reduction of a taxon's weight for each tenfold increase of its records
PENALTY = 25.0  # for a month without records, and for a place far from all records
SEASONED = 20  # fewest dated records for the penalty of a month without records
FAR_KM, SPREAD = 25.0, 500  # distance penalty: farther than FAR_KM from all of more than SPREAD records
NEAR_KM = 1.0  # a record nearer than this halves the taxon's weight
HIGHER_TAXON = 25.0 * 0.75  # weight of a genus or higher taxon, which has no season and range of its own

STATUSES = ("unidentified", "suggestion", "likely", "approved")


@dataclass(frozen=True, slots=True)
class LocalOccurrences:
    """Other approved records of a taxon, relative to one observation."""

    records: int
    dated: int = 0
    in_month: int | None = None  # in the observation's month, of any year; None: it has no date
    located: int = 0
    nearest_km: float | None = None  # None: the observation has no place, or no record is within FAR_KM
    has_place: bool = False


@dataclass(frozen=True, slots=True)
class Experience:
    """The experience of a person with the taxon they propose."""

    records: int  # their approved identifications of it, excluding this observation
    group_species: int  # species of its morphological group that they have identified correctly
    certainty: str  # one of CERTAINTIES


def taxon_weight(occurrences: LocalOccurrences, *, is_species: bool = True) -> float:
    """Return the weight against a taxon, from rarity, season and distance: 1 to 100, larger is less plausible."""
    if not is_species:
        return HIGHER_TAXON
    weight = HEAVIEST - PER_DECADE * math.log10(1 + occurrences.records)
    if occurrences.dated >= SEASONED and occurrences.in_month == 0:
        weight += PENALTY
    if occurrences.nearest_km is not None and occurrences.nearest_km < NEAR_KM:
        weight /= 2
    elif occurrences.has_place and occurrences.nearest_km is None and occurrences.located > SPREAD:
        weight += PENALTY
    return min(HEAVIEST, max(1.0, weight))


def person_weight(experience: Experience) -> float:
    """Return a person's weight, at most 100: their experience times their stated certainty."""
    known = NEWCOMER + PER_RECORD * experience.records + PER_GROUP_SPECIES * experience.group_species
    return min(HEAVIEST, known) * CERTAINTIES[experience.certainty]


def score_of(people: Iterable[float], taxon: float) -> int:
    """Return the score (1 to 100) of a taxon of weight `taxon`, supported by people of these weights.

    Independent of order, since the weights are summed exactly.
    """
    support = math.fsum(people)
    # Rounded first, so that floating-point error cannot turn 80 into 81.
    return min(100, max(1, math.ceil(round(100 * support / (support + taxon), 9))))


def status_of(score: int | None, *, by_expert: bool) -> str:
    """Return one of STATUSES; an expert's approval takes precedence over the score."""
    if by_expert:
        return "approved"
    if score is None:
        return "unidentified"
    return "approved" if score > APPROVED_ABOVE else "likely" if score >= LIKELY_FROM else "suggestion"


def stars_of(status: str) -> int:
    """Return 0 (unidentified) to 3 (approved) stars."""
    return STATUSES.index(status)
