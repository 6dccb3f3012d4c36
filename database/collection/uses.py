"""Daily usage counts by person or API key, in UTC days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TypeAlias

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.accounts.models import Use

Counted: TypeAlias = tuple[str, date, str]
"""Holder (`person:ID` or `key:ID`), day, action."""


def add_uses(session: Session, counts: Mapping[Counted, int]) -> None:
    """Add to the counts. Safe for several processes: each adds its own counts, and there is one writer at a time."""
    for (holder, day, action), count in sorted(counts.items()):
        row = session.scalar(select(Use).where(Use.holder == holder, Use.day == day, Use.action == action))
        if row is None:
            session.add(Use(holder=holder, day=day, action=action, count=max(0, count)))
        else:
            row.count = max(0, row.count + count)
    session.flush()


def used_on(session: Session, holder: str, day: date, action: str) -> int:
    """Return the count of an action by a holder on one day."""
    query = select(Use.count).where(Use.holder == holder, Use.day == day, Use.action == action)
    return session.scalar(query) or 0


def history(session: Session, holder: str, first: date, last: date) -> list[tuple[date, str, int]]:
    """Return (day, action, count) from `first` to `last`, both inclusive; days without use are omitted."""
    query = select(Use.day, Use.action, Use.count).where(Use.holder == holder, Use.day >= first, Use.day <= last)
    return [(day, action, count) for day, action, count in session.execute(query.order_by(Use.day, Use.action))]
