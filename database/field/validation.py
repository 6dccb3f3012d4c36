"""How far a name is to be believed: the Danish Fungal Atlas's interactive validation, as a rule over plain numbers.

Sulc et al., "Fungi Recognition: A Practical Use Case", section 2.2, gives the six ingredients, the three
certainties and the categories; the constants are those of the atlas's own service. What neither says stands, with the
reason, in docs/decisions/0013-accounts.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

CERTAINTIES = {"certain": 1.0, "probable": 0.5, "possible": 0.1}
"""What a person's word weighs by how sure they say they are."""

APPROVED_ABOVE = 80  # three stars
LIKELY_FROM = 50  # two stars; below it one
HEAVIEST = 100.0  # neither side of the scales weighs more
PER_RECORD = 5.0  # of the person's approved identifications of the species
PER_GROUP_SPECIES = 2.0  # of the species of its morphological group that the person has identified correctly
NEWCOMER = 1.0  # the word of somebody of whom nothing is known yet
PER_DECADE = 25.0  # what a species loses of its rarity with each tenfold of its records
PENALTY = 25.0  # for a month without records, and for a place far from any
SEASONED = 20  # dated records from which on a month without any says something
FAR_KM, SPREAD = 25.0, 500  # a place farther than this from all of more records than that is odd
NEAR_KM = 1.0  # a record so near halves what speaks against the species
HIGHER_TAXON = 25.0 * 0.75  # a genus or wider has no season and no range of its own

STATUSES = ("unidentified", "suggestion", "likely", "approved")


@dataclass(frozen=True, slots=True)
class LocalOccurrences:
    """What is known of a taxon from other approved records, as seen from one observation."""

    records: int
    dated: int = 0
    in_month: int | None = None  # in the month of the observation, whatever the year; None: it has no date
    located: int = 0
    nearest_km: float | None = None  # None: it has no place, or no record has one within FAR_KM
    has_place: bool = False


@dataclass(frozen=True, slots=True)
class Experience:
    """What is known of a person who names a taxon."""

    records: int  # their approved identifications of it, this observation apart
    group_species: int  # species of its morphological group that they have identified correctly
    certainty: str  # one of CERTAINTIES


def taxon_weight(occurrences: LocalOccurrences, *, is_species: bool = True) -> float:
    """What speaks against a taxon: rarity, season and distance. 1 to 100; more is harder to believe."""
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
    """What a person's word weighs: what they have shown that they know, times how sure they are."""
    known = NEWCOMER + PER_RECORD * experience.records + PER_GROUP_SPECIES * experience.group_species
    return min(HEAVIEST, known) * CERTAINTIES[experience.certainty]


def score_of(people: Iterable[float], taxon: float) -> int:
    """The score, 1 to 100, of a taxon that weighs `taxon` and that people of these weights agree on.

    Order does not matter: the weights are added exactly before they are rounded.
    """
    support = math.fsum(people)
    # As many digits as mean something: 80 must not become 81 by the last bit of a division.
    return min(100, max(1, math.ceil(round(100 * support / (support + taxon), 9))))


def status_of(score: int | None, *, by_expert: bool) -> str:
    """One of STATUSES: an expert's word settles the matter, whatever the score."""
    if by_expert:
        return "approved"
    if score is None:
        return "unidentified"
    return "approved" if score > APPROVED_ABOVE else "likely" if score >= LIKELY_FROM else "suggestion"


def stars_of(status: str) -> int:
    """One star for a suggestion to three for what is approved; none without a name."""
    return STATUSES.index(status)
