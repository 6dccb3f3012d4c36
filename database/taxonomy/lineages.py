"""Traversal of the taxonomy: ancestors and descendants of a taxon, and look-up by name."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from database.errors import UnknownName
from database.models import Synonym, Taxon

DEPTH = 32  # more than the ranks of any taxonomy: bounds the traversal of cyclic data


def ancestors(session: Session, taxon_ids: Iterable[int]) -> dict[int, list[Taxon]]:
    """Return each taxon's lineage, from the taxon itself to the highest rank."""
    known: dict[int, Taxon] = {}
    wanted = {taxon for taxon in taxon_ids if taxon}
    ahead = set(wanted)
    for _ in range(DEPTH):
        if not ahead:
            break
        found = session.scalars(select(Taxon).where(Taxon.id.in_(sorted(ahead)))).all()
        known |= {taxon.id: taxon for taxon in found}
        ahead = {taxon.parent_id for taxon in found if taxon.parent_id is not None} - known.keys()
    lineages: dict[int, list[Taxon]] = {}
    for taxon_id in wanted & known.keys():
        lineage: list[Taxon] = []
        step: int | None = taxon_id
        while step is not None and step in known and len(lineage) < DEPTH:
            lineage.append(known[step])
            step = known[step].parent_id
        lineages[taxon_id] = lineage
    return lineages


def below(taxon_id: int) -> Select[int]:
    """Return a select of the ids of a taxon and its descendants (a recursive CTE)."""
    tree = select(Taxon.id).where(Taxon.id == taxon_id).cte("below", recursive=True)
    return select(tree.union(select(Taxon.id).where(Taxon.parent_id == tree.c.id)).c.id)


def find_taxon(session: Session, *, taxon_id: int | None = None, name: str = "") -> Taxon:
    """Return the taxon of an id, or of a name or synonym, with spaces normalised.

    Raises UnknownName for an unknown id or name, or a name of several taxa.
    """
    if taxon_id is not None:
        found = session.get(Taxon, taxon_id)
        if found is None:
            raise UnknownName(f"there is no taxon {taxon_id} in the catalogue")
        return found
    plain = " ".join(name.split())
    accepted = session.scalars(select(Taxon).where(Taxon.scientific_name == plain).order_by(Taxon.id)).all()
    if len(accepted) > 1:
        ranks = ", ".join(f"{taxon.id} ({taxon.taxon_rank})" for taxon in accepted)
        raise UnknownName(f"{plain!r} is the name of several taxa; give one of their ids: {ranks}")
    if accepted:
        return accepted[0]
    synonym = session.scalar(select(Synonym).where(Synonym.scientific_name == plain))
    if synonym is None:
        raise UnknownName(f"{plain!r} is not in the catalogue; an administrator can add names by importing a checklist")
    return session.get_one(Taxon, synonym.taxon_id)
