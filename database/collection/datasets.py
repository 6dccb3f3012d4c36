"""Citations and licences of datasets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.models import Dataset


@dataclass(frozen=True, slots=True)
class DatasetCredit:
    """The attribution to show with a dataset's photos."""

    title: str
    citation: str
    licence: str


def dataset_credits(session: Session, datasets: Sequence[str]) -> dict[str, DatasetCredit]:
    """Return the credits of datasets by id; unknown ids are omitted."""
    found = session.scalars(select(Dataset).where(Dataset.id.in_(datasets)))
    return {dataset.id: DatasetCredit(dataset.title, dataset.citation, dataset.licence) for dataset in found}


def cite_dataset(session: Session, dataset: str, citation: str) -> None:
    """Store how a dataset is cited."""
    session.get_one(Dataset, dataset).citation = citation
