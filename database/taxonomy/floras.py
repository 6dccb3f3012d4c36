"""Definitions of floras. The indexer resolves them to species when it builds a snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.errors import DatabaseError
from database.keys import check_id
from database.models import Flora
from retrieval.domain import WORLD


@dataclass(frozen=True, slots=True)
class FloraEntry:
    """A flora: the union of checklists, regions and custom names."""

    id: str
    title: str
    checklists: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    names: tuple[tuple[str, int | None], ...] = ()  # (scientific name of a species or higher taxon, GBIF key)

    @property
    def kind(self) -> str:
        """The kind of its definition: checklist, country, wgsrpd, region, list or union."""
        parts = {"checklist": self.checklists, "region": self.regions, "list": self.names}
        used = [kind for kind, part in parts.items() if part]
        if used == ["region"] and len({region.partition("-")[0] for region in self.regions}) == 1:
            return {"iso": "country", "wgsrpd": "wgsrpd"}.get(self.regions[0].partition("-")[0], "region")
        return used[0] if len(used) == 1 else "union"


WHOLE_WORLD = FloraEntry(WORLD, "All species with reference photos")


def add_flora(session: Session, entry: FloraEntry) -> bool:
    """Store a flora; returns False if an identical one exists. Raises DatabaseError if a different one does."""
    if entry.id == WORLD:
        raise DatabaseError(f"the flora {WORLD!r} is always there and cannot be defined anew")
    there = session.get(Flora, check_id("flora", entry.id))
    if there is not None:
        if _entry(there) == entry:
            return False
        raise DatabaseError(
            f"there is a flora {entry.id!r} already and it is made of something else;"
            f" remove it first: fungarium collection flora remove {entry.id}"
        )
    definition = {
        "checklists": list(entry.checklists),
        "regions": list(entry.regions),
        "names": [[name, key] for name, key in entry.names],
    }
    session.add(Flora(id=entry.id, title=entry.title, kind=entry.kind, definition=definition))
    session.flush()
    return True


def remove_flora(session: Session, flora: str) -> None:
    """Delete a flora; published snapshots keep it. Raises DatabaseError."""
    if flora == WORLD:
        raise DatabaseError(f"the flora {WORLD!r} is always there and cannot be removed")
    session.delete(_find(session, flora))
    session.flush()


def flora(session: Session, flora_id: str) -> FloraEntry:
    """Return one flora. Raises DatabaseError for an unknown id."""
    return WHOLE_WORLD if flora_id == WORLD else _entry(_find(session, flora_id))


def floras(session: Session) -> Iterator[FloraEntry]:
    """Yield every flora: `world` first, then the others by id."""
    yield WHOLE_WORLD
    for row in session.scalars(select(Flora).order_by(Flora.id)):
        yield _entry(row)


def _find(session: Session, flora_id: str) -> Flora:
    row = session.get(Flora, flora_id)
    if row is None:
        known = ", ".join((WORLD, *session.scalars(select(Flora.id).order_by(Flora.id))))
        raise DatabaseError(f"there is no flora {flora_id!r}; there are: {known}")
    return row


def _entry(row: Flora) -> FloraEntry:
    parts = row.definition
    return FloraEntry(
        id=row.id,
        title=row.title,
        checklists=tuple(parts.get("checklists", ())),
        regions=tuple(parts.get("regions", ())),
        names=tuple((name, key) for name, key in parts.get("names", ())),
    )
