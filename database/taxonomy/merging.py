"""Two species of the catalogue that turn out to be one: everything that speaks of the one speaks of the other."""

from __future__ import annotations

from sqlalchemy import Column, Table, UniqueConstraint, and_, delete, exists, select, update
from sqlalchemy.orm import Session

from database.models import Base, Synonym, Taxon


def merge_taxa(session: Session, taxon_id: int, into: int) -> None:
    """Make a taxon a synonym of another: observations, lists, names and people's verdicts move over, and it is gone.

    Where both have a row that may stand once only, such as a line of a checklist, the one of `into` stays. Keys of GBIF
    stay with their names. Nothing happens where either is gone, or they are one.
    """
    session.flush()
    taxon, accepted = session.get(Taxon, taxon_id), session.get(Taxon, into)
    if taxon is None or accepted is None or taxon is accepted:
        return
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if any(key.column.table.name == Taxon.__tablename__ for key in column.foreign_keys):
                _move(session, table, column, taxon_id, into)
    name, key = taxon.scientific_name, taxon.gbif_key
    if not accepted.toxicity:
        accepted.toxicity = taxon.toxicity
    session.expunge(taxon)
    session.execute(delete(Taxon).where(Taxon.id == taxon_id), execution_options={"synchronize_session": False})
    session.add(Synonym(scientific_name=name, taxon_id=into, gbif_key=key))
    session.flush()
    session.expire_all()


def _move(session: Session, table: Table, column: Column[int], taxon_id: int, into: int) -> None:
    """Let the rows of a table speak of another taxon, except those that would then stand twice."""
    for unique in [table.primary_key, *(one for one in table.constraints if isinstance(one, UniqueConstraint))]:
        if column.name not in unique.columns:
            continue
        other = table.alias()
        same = [other.c[one.name] == one for one in unique.columns if one.name != column.name]
        twin = exists(select(1).select_from(other).where(and_(other.c[column.name] == into, *same)))
        session.execute(delete(table).where(column == taxon_id, twin))
    session.execute(update(table).where(column == taxon_id).values({column.name: into}))
