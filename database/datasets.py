"""Where references come from, as their datasets want to be named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.models import Dataset


@dataclass(frozen=True, slots=True)
class DatasetCredit:
    """A dataset as it is cited; what nobody stated is empty."""

    title: str
    citation: str
    licence: str


def dataset_credits(session: Session) -> Mapping[str, DatasetCredit]:
    """All datasets by id."""
    return {row.id: DatasetCredit(row.title, row.citation, row.licence) for row in session.scalars(select(Dataset))}
