"""How datasets are to be cited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.models import Dataset


@dataclass(frozen=True, slots=True)
class DatasetCredit:
    """What to say of a dataset wherever its photos are shown."""

    title: str
    citation: str
    licence: str


def dataset_credits(session: Session, datasets: Sequence[str]) -> dict[str, DatasetCredit]:
    """The credits of some datasets, by their ids; those that are not known are left out."""
    found = session.scalars(select(Dataset).where(Dataset.id.in_(datasets)))
    return {dataset.id: DatasetCredit(dataset.title, dataset.citation, dataset.licence) for dataset in found}
