"""Checklists: which taxa are known from a region, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from database.errors import DatabaseError
from database.keys import check_id
from database.models import Checklist, ChecklistTaxon, Region, Taxon

PRESENT = "present"


@dataclass(frozen=True, slots=True)
class ListedTaxon:
    """What a checklist says of one taxon in one country."""

    taxon: int
    country_code: str = ""  # ISO 3166-1 alpha-2; empty: the checklist's own region
    occurrence_status: str = PRESENT  # anything but `present` is kept and not counted
    establishment_means: str = ""
    toxicity: str = ""


@dataclass(frozen=True, slots=True)
class ChecklistSummary:
    """A checklist with its size."""

    id: str
    title: str
    region: str  # region id or empty
    species: int  # present, at species rank
    lines: int


def replace_checklist(
    session: Session,
    checklist: str,
    lines: Mapping[tuple[int, str], ListedTaxon],
    *,
    title: str,
    region: str,
    source: str,
) -> int:
    """Make `checklist` say exactly `lines` (by taxon and country code); return how many of them are new.

    Raises DatabaseError where the id is none or the region is unknown.
    """
    if region and session.get(Region, region) is None:
        raise DatabaseError(f"there is no region {region!r}; `fungarium collection region list` names them")
    row = session.get(Checklist, check_id("checklist", checklist))
    if row is None:
        row = Checklist(id=checklist, title=title or checklist)
        session.add(row)
    row.title = title or row.title
    row.region_id = region or row.region_id
    row.source = source
    session.flush()

    there = {
        (line.taxon_id, line.country_code): line
        for line in session.scalars(select(ChecklistTaxon).where(ChecklistTaxon.checklist_id == checklist))
    }
    gone = [line.id for key, line in there.items() if key not in lines]
    for start in range(0, len(gone), 500):
        session.execute(delete(ChecklistTaxon).where(ChecklistTaxon.id.in_(gone[start : start + 500])))
    for key, said in lines.items():
        line = there.get(key)
        if line is None:
            line = ChecklistTaxon(checklist_id=checklist, taxon_id=said.taxon, country_code=said.country_code)
            session.add(line)
        line.occurrence_status = said.occurrence_status
        line.establishment_means = said.establishment_means
        line.toxicity = said.toxicity
    session.flush()
    return len(lines.keys() - there.keys())


def checklists(session: Session) -> Iterator[ChecklistSummary]:
    """Every checklist with its size, by id."""
    counted = (
        select(ChecklistTaxon.checklist_id, func.count().label("lines"))
        .group_by(ChecklistTaxon.checklist_id)
        .subquery()
    )
    found = session.execute(
        select(Checklist, counted.c.lines)
        .outerjoin(counted, counted.c.checklist_id == Checklist.id)
        .order_by(Checklist.id)
    ).all()
    for row, lines in found:
        yield ChecklistSummary(row.id, row.title, row.region_id or "", len(listed_species(session, row.id)), lines or 0)


def listed_species(session: Session, checklist: str) -> set[int]:
    """The ids of the species that `checklist` lists as present. Raises DatabaseError where there is no such list."""
    if session.get(Checklist, checklist) is None:
        known = ", ".join(session.scalars(select(Checklist.id).order_by(Checklist.id))) or "none yet"
        raise DatabaseError(f"there is no checklist {checklist!r}; there are: {known}")
    return set(session.scalars(_present().where(ChecklistTaxon.checklist_id == checklist)))


def listed_for_countries(session: Session, country_codes: frozenset[str]) -> set[int]:
    """The ids of the species that any checklist lists as present in one of these countries.

    A line without a country speaks for its checklist's region, when all countries of that region are asked for.
    """
    found = set(session.scalars(_present().where(ChecklistTaxon.country_code.in_(country_codes))))
    for checklist, codes in session.execute(select(Checklist.id, Region.country_codes).join(Region)):
        if codes and country_codes.issuperset(codes):
            silent = _present().where(ChecklistTaxon.checklist_id == checklist, ChecklistTaxon.country_code == "")
            found.update(session.scalars(silent))
    return found


def listed_for_region(session: Session, region: str) -> set[int]:
    """The ids of the species present on checklists that were imported for `region`, in lines naming no country."""
    belongs = _present().join(Checklist, Checklist.id == ChecklistTaxon.checklist_id)
    return set(session.scalars(belongs.where(Checklist.region_id == region, ChecklistTaxon.country_code == "")))


def _present() -> Select[int]:
    listed = select(ChecklistTaxon.taxon_id).join(Taxon, Taxon.id == ChecklistTaxon.taxon_id).distinct()
    return listed.where(ChecklistTaxon.occurrence_status == PRESENT, Taxon.taxon_rank == "species")
