"""The outcomes of the engine's suggestions: how many observations were approved, and at which rank of the suggestions.

The tables follow Sulc et al., "Fungi Recognition: A Practical Use Case", section 5.3: records with suggestions, the
share not approved, the shares of approved records with the first, second, and third to fifth suggested name, and the
same by person and by morphological group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from database.field.evidence import nearest_group
from database.field.models import FieldObservation, MorphologicalGroup
from database.models import Taxon
from database.taxonomy.lineages import ancestors

PORTION = 500  # observations loaded at once
LEAST = 10  # fewest records of a person or group in the paper's tables


@dataclass(frozen=True, slots=True)
class Fate:
    """The outcome of one observation with suggestions."""

    person_id: int
    person: str
    group: str
    snapshot: str
    approved: bool
    by_expert: bool
    rank: int | None  # 1-based rank of the approved name in the suggestions; None: not among them, or not approved
    wider: bool  # approved as a genus or higher taxon, which is never suggested


@dataclass(frozen=True, slots=True)
class FateCount:
    """Counts of observations by the outcome of their suggestions. All shares follow from these."""

    of: str
    records: int
    approved: int
    by_expert: int
    first: int  # approved as the name suggested first
    second: int
    third_to_fifth: int
    later: int  # sixth or later
    wider: int  # approved as a genus or higher taxon
    other: int  # approved as a species that was not suggested

    def described(self) -> dict[str, Any]:
        """Return counts and shares as JSON values; shares of no records are None."""
        counts = {_camel(name): value for name, value in asdict(self).items()}
        suggested = self.first + self.second + self.third_to_fifth + self.later
        return counts | {
            "shareApproved": _share(self.approved, self.records),
            "shareFirst": _share(self.first, self.approved),
            "shareSuggested": _share(suggested, self.approved),
        }


def fates(session: Session, since: date | None = None) -> Iterator[Fate]:
    """Yield the outcome of every observation with suggestions, recorded since a day or ever."""
    query = select(FieldObservation.id).join(FieldObservation.suggestion).order_by(FieldObservation.id)
    if since is not None:
        query = query.where(FieldObservation.created >= datetime.combine(since, time()))
    ids = session.scalars(query).all()
    groups = {one.taxon_id: one.name for one in session.scalars(select(MorphologicalGroup))}
    for start in range(0, len(ids), PORTION):
        asked = select(FieldObservation).where(FieldObservation.id.in_(ids[start : start + PORTION]))
        asked = asked.options(joinedload(FieldObservation.person), joinedload(FieldObservation.suggestion))
        found = session.scalars(asked.order_by(FieldObservation.id)).all()
        named = {one.taxon_id or _first_suggested(one) for one in found}
        lineages = ancestors(session, [taxon for taxon in named if taxon])
        for one in found:
            yield _fate(one, lineages, groups)
        session.expunge_all()


def _fate(one: FieldObservation, lineages: dict[int, list[Taxon]], groups: dict[int, str]) -> Fate:
    lineage = lineages.get(one.taxon_id or _first_suggested(one) or 0, [])
    approved = one.status == "approved" and bool(lineage)
    rank = _rank(one, lineage[0]) if approved else None
    return Fate(
        person_id=one.person_id,
        person=one.person.name,
        group=_spoken_group(lineage, groups),
        snapshot=one.suggestion.snapshot if one.suggestion is not None else "",
        approved=approved,
        by_expert=approved and one.by_expert,
        rank=rank,
        wider=approved and rank is None and lineage[0].taxon_rank != "species",
    )


def _first_suggested(one: FieldObservation) -> int | None:
    """Return the first suggested taxon, which determines the group of an unidentified observation."""
    candidates = one.suggestion.candidates if one.suggestion is not None else []
    return int(candidates[0]["taxonID"]) if candidates else None


def _rank(one: FieldObservation, taxon: Taxon) -> int | None:
    """Return the rank of the approved taxon in the suggestions, by id, or by name if the taxonomy was replaced."""
    candidates = one.suggestion.candidates if one.suggestion is not None else []
    for rank, candidate in enumerate(candidates, start=1):
        if candidate["taxonID"] == taxon.id or candidate["scientificName"] == taxon.scientific_name:
            return rank
    return None


def _spoken_group(lineage: Sequence[Taxon], groups: dict[int, str]) -> str:
    """Return the name of the morphological group, or of the genus where no group is defined."""
    key = nearest_group(lineage, groups)
    if not key.startswith("genus "):
        return key or "(no name)"
    return next(taxon.scientific_name for taxon in lineage if taxon.taxon_rank == "genus")


def tally(of: str, some: Iterable[Fate]) -> FateCount:
    """Count outcomes; `of` names the person, group or snapshot."""
    listed = list(some)
    ranks = [one.rank for one in listed if one.rank is not None]
    approved = sum(one.approved for one in listed)
    wider = sum(one.wider for one in listed)
    return FateCount(
        of=of,
        records=len(listed),
        approved=approved,
        by_expert=sum(one.by_expert for one in listed),
        first=ranks.count(1),
        second=ranks.count(2),
        third_to_fifth=sum(3 <= rank <= 5 for rank in ranks),
        later=sum(rank > 5 for rank in ranks),
        wider=wider,
        other=approved - len(ranks) - wider,
    )


@dataclass(frozen=True, slots=True)
class FateReport:
    """Outcomes in total, by person, by group and by snapshot, those with most records first."""

    whole: FateCount
    people: tuple[FateCount, ...]
    groups: tuple[FateCount, ...]
    snapshots: tuple[FateCount, ...]
    least: int  # fewest records of a listed person or group: shares of fewer are not informative

    def described(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        parts = {"people": self.people, "groups": self.groups, "snapshots": self.snapshots}
        return {"whole": self.whole.described(), "least": self.least} | {
            name: [one.described() for one in part] for name, part in parts.items()
        }


def report_fates(session: Session, *, since: date | None = None, least: int = LEAST) -> FateReport:
    """Report the outcomes of all observations with suggestions, recorded since a day or ever."""
    listed = list(fates(session, since))

    def by(key: Callable[[Fate], tuple[object, str]], bound: int) -> tuple[FateCount, ...]:
        gathered: dict[tuple[object, str], list[Fate]] = {}
        for one in listed:
            gathered.setdefault(key(one), []).append(one)
        counted = [tally(of, some) for (_, of), some in gathered.items() if len(some) >= bound]
        return tuple(sorted(counted, key=lambda one: (-one.records, one.of)))

    return FateReport(
        whole=tally("all", listed),
        people=by(lambda one: (one.person_id, one.person), least),  # display names are not unique
        groups=by(lambda one: ("", one.group), least),
        snapshots=by(lambda one: ("", one.snapshot), 1),
        least=least,
    )


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
