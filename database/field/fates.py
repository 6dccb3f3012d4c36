"""What became of the engine's suggestions: how many observations were approved, and as which of the suggested names.

The tables of Sulc et al., "Fungi Recognition: A Practical Use Case", section 5.3: records that the engine was asked
for, the share that was not approved, the share of the approved that bears the first, the second, the third to fifth
suggested name, and the same by person and by morphological group.
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

PORTION = 500  # observations looked at together
LEAST = 10  # records that a person or group has in the paper's tables


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one observation that came with suggestions."""

    person_id: int
    person: str
    group: str
    snapshot: str
    approved: bool
    by_expert: bool
    rank: int | None  # of the approved name among the suggestions, from 1; None: not among them, or not approved
    wider: bool  # approved to a genus or wider, which no suggestion names


@dataclass(frozen=True, slots=True)
class FateCount:
    """Observations counted by what became of their suggestions. All shares can be worked out from these."""

    of: str
    records: int
    approved: int
    by_expert: int
    first: int  # approved as the name suggested first
    second: int
    third_to_fifth: int
    later: int  # sixth and after
    wider: int  # approved to a genus or wider
    other: int  # approved as a species that was not suggested

    def described(self) -> dict[str, Any]:
        """Counts and shares, as JSON has them; a share of nothing is null."""
        counts = {_camel(name): value for name, value in asdict(self).items()}
        suggested = self.first + self.second + self.third_to_fifth + self.later
        return counts | {
            "shareApproved": _share(self.approved, self.records),
            "shareFirst": _share(self.first, self.approved),
            "shareSuggested": _share(suggested, self.approved),
        }


def fates(session: Session, since: date | None = None) -> Iterator[Fate]:
    """What became of every observation that came with suggestions, recorded since a day or ever."""
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
    """An observation that nobody has named yet is counted where the engine put it."""
    candidates = one.suggestion.candidates if one.suggestion is not None else []
    return int(candidates[0]["taxonID"]) if candidates else None


def _rank(one: FieldObservation, taxon: Taxon) -> int | None:
    """Where the approved name stands among the suggestions: by id, or by name, should the catalogue be another."""
    candidates = one.suggestion.candidates if one.suggestion is not None else []
    for rank, candidate in enumerate(candidates, start=1):
        if candidate["taxonID"] == taxon.id or candidate["scientificName"] == taxon.scientific_name:
            return rank
    return None


def _spoken_group(lineage: Sequence[Taxon], groups: dict[int, str]) -> str:
    """The morphological group in words; where nobody made any it is the genus."""
    key = nearest_group(lineage, groups)
    if not key.startswith("genus "):
        return key or "(no name)"
    return next(taxon.scientific_name for taxon in lineage if taxon.taxon_rank == "genus")


def tally(of: str, some: Iterable[Fate]) -> FateCount:
    """Count some fates."""
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
    """All of it, by person, by group and by snapshot, those with most records first."""

    whole: FateCount
    people: tuple[FateCount, ...]
    groups: tuple[FateCount, ...]
    snapshots: tuple[FateCount, ...]
    least: int  # records below which persons and groups are left out: shares of a few say nothing

    def described(self) -> dict[str, Any]:
        """As JSON has it."""
        parts = {"people": self.people, "groups": self.groups, "snapshots": self.snapshots}
        return {"whole": self.whole.described(), "least": self.least} | {
            name: [one.described() for one in part] for name, part in parts.items()
        }


def report_fates(session: Session, *, since: date | None = None, least: int = LEAST) -> FateReport:
    """Report on every observation that came with suggestions, recorded since a day or ever."""
    listed = list(fates(session, since))

    def by(key: Callable[[Fate], tuple[object, str]], bound: int) -> tuple[FateCount, ...]:
        gathered: dict[tuple[object, str], list[Fate]] = {}
        for one in listed:
            gathered.setdefault(key(one), []).append(one)
        counted = [tally(of, some) for (_, of), some in gathered.items() if len(some) >= bound]
        return tuple(sorted(counted, key=lambda one: (-one.records, one.of)))

    return FateReport(
        whole=tally("all", listed),
        people=by(lambda one: (one.person_id, one.person), least),  # two people may show the same name
        groups=by(lambda one: ("", one.group), least),
        snapshots=by(lambda one: ("", one.snapshot), 1),
        least=least,
    )


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
