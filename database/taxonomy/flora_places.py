"""The regions of floras: those in their definitions, and those of their checklists."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.models import Checklist
from database.taxonomy.floras import floras
from database.taxonomy.regions import WGSRPD, RegionEntry, region


@dataclass(frozen=True, slots=True)
class FloraPlace:
    """A flora and its regions, ordered by id; empty where they are unknown."""

    flora: str
    regions: tuple[RegionEntry, ...]

    @property
    def unit(self) -> RegionEntry | None:
        """The flora's WGSRPD unit, where it consists of exactly one."""
        return self.regions[0] if len(self.regions) == 1 and self.regions[0].kind == WGSRPD else None

    @property
    def country_codes(self) -> frozenset[str]:
        """ISO codes of the countries whose records count for the flora."""
        return frozenset(code for each in self.regions for code in each.country_codes)


def flora_places(session: Session) -> list[FloraPlace]:
    """Return every defined flora with its regions, those of its checklists included."""
    of_checklist = {row.id: row.region_id for row in session.scalars(select(Checklist)) if row.region_id}
    known: dict[str, RegionEntry] = {}
    places = []
    for flora in floras(session):
        named = {*flora.regions, *(of_checklist[listed] for listed in flora.checklists if listed in of_checklist)}
        for each in named - known.keys():
            known[each] = region(session, each)
        places.append(FloraPlace(flora.id, tuple(known[each] for each in sorted(named))))
    return places
