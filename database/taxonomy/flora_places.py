"""Where floras lie: the regions that they, or the checklists they are made of, speak of."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.models import Checklist
from database.taxonomy.floras import floras
from database.taxonomy.regions import WGSRPD, RegionEntry, region


@dataclass(frozen=True, slots=True)
class FloraPlace:
    """A flora and its regions, in the order of their ids; none for a flora of which no place is known."""

    flora: str
    regions: tuple[RegionEntry, ...]

    @property
    def unit(self) -> RegionEntry | None:
        """The unit of WGSRPD that the flora is, where it is exactly one."""
        return self.regions[0] if len(self.regions) == 1 and self.regions[0].kind == WGSRPD else None

    @property
    def country_codes(self) -> frozenset[str]:
        """The countries whose records count for the flora."""
        return frozenset(code for each in self.regions for code in each.country_codes)


def flora_places(session: Session) -> list[FloraPlace]:
    """Every flora that is defined, with where it lies."""
    of_checklist = {row.id: row.region_id for row in session.scalars(select(Checklist)) if row.region_id}
    known: dict[str, RegionEntry] = {}
    places = []
    for flora in floras(session):
        named = {*flora.regions, *(of_checklist[listed] for listed in flora.checklists if listed in of_checklist)}
        for each in named - known.keys():
            known[each] = region(session, each)
        places.append(FloraPlace(flora.id, tuple(known[each] for each in sorted(named))))
    return places
