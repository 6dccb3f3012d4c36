"""Checklists: which taxa are known from a region, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.orm import Session

from database.errors import DatabaseError
from database.keys import check_id
from database.models import Checklist, ChecklistTaxon, Region, Taxon

PRESENT = "present"
MOST_VALUES = 500  # of one query


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
    revision = ChecklistRevision(session, checklist, title=title, region=region, source=source)
    revision.put(list(lines.values()))
    return revision.finish()


class ChecklistRevision:
    """Makes a checklist say what is put between the start and the end of a revision, and nothing else.

    Lines come in any number of parts. Of several for a taxon in a country the first counts, but present anywhere in a
    country is present.
    """

    def __init__(self, session: Session, checklist: str, *, title: str, region: str, source: str) -> None:
        """Start a revision. Raises DatabaseError where the id is none or the region is unknown."""
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
        self._session = session
        self._checklist = checklist
        self._touched = bytearray()  # a bit for each line of the table, by its id
        self._added = 0

    def put(self, lines: Sequence[ListedTaxon]) -> None:
        """Put lines on the checklist, in place of what it said of their taxa before the revision."""
        said: dict[tuple[int, str], ListedTaxon] = {}
        for line in lines:
            known = said.get((line.taxon, line.country_code))
            if known is None or line.occurrence_status == PRESENT != known.occurrence_status:
                said[line.taxon, line.country_code] = line
        there: dict[tuple[int, str], tuple[int, str]] = {}
        row = ChecklistTaxon
        taxa = sorted({taxon for taxon, _ in said})
        for start in range(0, len(taxa), MOST_VALUES):
            found = select(row.id, row.taxon_id, row.country_code, row.occurrence_status).where(
                row.checklist_id == self._checklist, row.taxon_id.in_(taxa[start : start + MOST_VALUES])
            )
            there |= {(taxon, code): (number, status) for number, taxon, code, status in self._session.execute(found)}
        fresh, changed = [], []
        for key, line in said.items():
            values = {
                "occurrence_status": line.occurrence_status,
                "establishment_means": line.establishment_means,
                "toxicity": line.toxicity,
            }
            if key not in there:
                fresh.append(values | {"checklist_id": self._checklist, "taxon_id": key[0], "country_code": key[1]})
                continue
            number, status = there[key]
            if not self._is_touched(number) or line.occurrence_status == PRESENT != status:
                changed.append(values | {"id": number})
                self._touch(number)
        if changed:
            self._session.execute(update(row), changed)
        if fresh:
            for number in self._session.scalars(insert(row).returning(row.id), fresh):
                self._touch(number)
        self._added += len(fresh)

    def finish(self) -> int:
        """Take off what was not put again; return how many lines are new."""
        there = select(ChecklistTaxon.id).where(ChecklistTaxon.checklist_id == self._checklist)
        gone = [number for number in self._session.scalars(there) if not self._is_touched(number)]
        for start in range(0, len(gone), MOST_VALUES):
            part = ChecklistTaxon.id.in_(gone[start : start + MOST_VALUES])
            self._session.execute(delete(ChecklistTaxon).where(part), execution_options={"synchronize_session": False})
        return self._added

    def _is_touched(self, number: int) -> bool:
        place = number >> 3
        return place < len(self._touched) and bool(self._touched[place] >> (number & 7) & 1)

    def _touch(self, number: int) -> None:
        place = number >> 3
        if place >= len(self._touched):
            self._touched.extend(bytes(place + 1 - len(self._touched)))
        self._touched[place] |= 1 << (number & 7)


@dataclass(frozen=True, slots=True)
class ChecklistCounts:
    """How much a checklist says."""

    lines: int  # pairs of taxon and country
    present: int  # species that are listed as present anywhere
    statuses: tuple[tuple[str, int], ...]  # (status other than present, lines), by name


def count_checklist(session: Session, checklist: str) -> ChecklistCounts:
    """Count what a checklist says."""
    of_list = ChecklistTaxon.checklist_id == checklist
    grouped = session.execute(
        select(ChecklistTaxon.occurrence_status, func.count()).where(of_list).group_by(ChecklistTaxon.occurrence_status)
    ).all()
    present = session.scalar(select(func.count()).select_from(_present().where(of_list).subquery()))
    return ChecklistCounts(
        lines=sum(count for _, count in grouped),
        present=present or 0,
        statuses=tuple(sorted((status, count) for status, count in grouped if status != PRESENT)),
    )


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
