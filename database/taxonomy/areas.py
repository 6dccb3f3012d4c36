"""The countries of floras, from their regions and checklists."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.models import Checklist, ChecklistTaxon, Flora, Region


def flora_countries(session: Session) -> Mapping[str, tuple[str, ...]]:
    """Return the sorted ISO 3166-1 alpha-2 codes of each flora's countries, by flora; empty where unknown."""
    regions = {row.id: set(row.country_codes) for row in session.scalars(select(Region))}
    of_checklist = {
        checklist: set(regions.get(region or "", ()))
        for checklist, region in session.execute(select(Checklist.id, Checklist.region_id))
    }
    listed = select(ChecklistTaxon.checklist_id, ChecklistTaxon.country_code).distinct()
    for checklist, code in session.execute(listed):
        if code:
            of_checklist.setdefault(checklist, set()).add(code)
    floras = {}
    for flora in session.scalars(select(Flora)):
        parts = [regions.get(region, set()) for region in flora.definition.get("regions", [])]
        parts += [of_checklist.get(checklist, set()) for checklist in flora.definition.get("checklists", [])]
        floras[flora.id] = tuple(sorted(set().union(*parts)))
    return floras
