"""Administrators' actions on all observations: obscured taxa and morphological groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import delete, select

from database.field.models import MorphologicalGroup, ObscuredTaxon
from database.field.rescoring import observations_named, update_public_places
from database.models import Taxon
from database.session import Session
from database.taxonomy.lineages import find_taxon


def obscure_taxon(session: Session, name: str) -> int:
    """Obscure the places of a taxon and its descendants, for existing observations too.

    Returns the number of observations updated; `rescore_pending` then computes scores. Raises UnknownName.
    """
    taxon = find_taxon(session, name=name)
    session.merge(ObscuredTaxon(taxon_id=taxon.id))
    session.flush()
    return update_public_places(session, observations_named(taxon.id))


def reveal_taxon(session: Session, name: str) -> int:
    """Stop obscuring a taxon; its places are shown unless obscured for another reason. Raises UnknownName.

    Returns the number of observations updated; `rescore_pending` then computes scores.
    """
    taxon = find_taxon(session, name=name)
    session.execute(delete(ObscuredTaxon).where(ObscuredTaxon.taxon_id == taxon.id))
    return update_public_places(session, observations_named(taxon.id))


def obscured_taxa(session: Session) -> Iterator[str]:
    """Yield the names of the obscured taxa, in alphabetical order."""
    query = select(Taxon.scientific_name).join(ObscuredTaxon, ObscuredTaxon.taxon_id == Taxon.id)
    yield from session.scalars(query.order_by(Taxon.scientific_name))


def replace_groups(session: Session, rows: Iterable[Mapping[str, str]]) -> None:
    """Replace all morphological groups by rows with `scientificName` and `group`. Raises UnknownName."""
    session.execute(delete(MorphologicalGroup))
    for row in rows:
        taxon = find_taxon(session, name=row.get("scientificName") or "")
        session.merge(MorphologicalGroup(taxon_id=taxon.id, name=(row.get("group") or "")[:64]))
