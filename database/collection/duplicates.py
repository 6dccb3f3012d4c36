"""Observations that are probably in two datasets: one species, day and person, and the same place as rounded.

Both stay: archives differ in photos and licences. They are counted by the import and `fungarium doctor`, and evaluation
holds out together what one person found of a species in one month and cell, which includes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby, islice
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from database.models import Observation, Photo, Taxon
from retrieval.ranking.people import names_alike

FINEST, COARSEST = 3, 1  # decimals of degrees to which places are compared: 100 m, for what a receiver errs, and 11 km
PORTION = 1_000  # rows read at a time


@dataclass(frozen=True, slots=True)
class ProbableDuplicate:
    """Two observations of different datasets that are probably one; the lower id first."""

    species: str
    event_date: date
    first: int
    second: int
    datasets: tuple[str, str]
    keys: tuple[str, str]  # as the datasets call them


@dataclass(frozen=True, slots=True)
class _Found:
    id: int
    dataset: str
    key: str
    species: str
    event_date: date
    latitude: float
    longitude: float
    person: str
    run: int | None


def find_duplicates(session: Session, *, run: int | None = None) -> Iterator[ProbableDuplicate]:
    """Return the probable duplicates across datasets, by species and day; with `run`, those that an import brought.

    The database itself finds the species and days of several datasets, so that only these are read and compared.
    """
    found = session.execute(_candidates(run).execution_options(yield_per=PORTION))
    rows = (_Found(*row) for row in found)
    for (species, day), same in groupby(rows, key=lambda row: (row.species, row.event_date)):
        alike = (pair for pair in _neighbours(list(same)) if run is None or run in (pair[0].run, pair[1].run))
        for one, other in sorted(alike, key=lambda pair: (pair[0].id, pair[1].id)):
            if _same_place(one, other) and names_alike(one.person, other.person):
                yield ProbableDuplicate(
                    species, day, one.id, other.id, (one.dataset, other.dataset), (one.key, other.key)
                )


def count_duplicates(session: Session, *, run: int | None = None) -> dict[tuple[str, str], int]:
    """Count the probable duplicates of each two datasets, most first; both names in alphabetical order."""
    counts: dict[tuple[str, str], int] = {}
    for pair in find_duplicates(session, run=run):
        one, other = sorted(pair.datasets)
        counts[one, other] = counts.get((one, other), 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _candidates(run: int | None) -> Select[Any]:
    """Select dated and placed observations of species and days that several datasets have; with `run`, of its species.

    By windows over species and day, which need one sort: joined to a list of such days, a common species would be
    searched once for each of them.
    """
    seen = Observation
    day = (seen.taxon_id, seen.event_date)
    placed = select(
        seen.id,
        func.min(seen.dataset_id).over(partition_by=day).label("first_dataset"),
        func.max(seen.dataset_id).over(partition_by=day).label("last_dataset"),
    ).where(seen.event_date.is_not(None), seen.decimal_latitude.is_not(None), seen.decimal_longitude.is_not(None))
    if run is not None:
        placed = placed.where(seen.taxon_id.in_(select(seen.taxon_id).where(seen.import_run_id == run)))
    days = placed.subquery()
    creator = select(func.min(Photo.creator)).where(Photo.observation_id == seen.id).scalar_subquery()
    person = func.coalesce(func.nullif(seen.recorded_by, ""), creator, "")
    columns: Sequence[Any] = (
        seen.id, seen.dataset_id, seen.observation_key, Taxon.scientific_name, seen.event_date,
        seen.decimal_latitude, seen.decimal_longitude, person, seen.import_run_id,
    )  # fmt: skip
    found = select(*columns).select_from(days).join(seen, seen.id == days.c.id).join(Taxon, Taxon.id == seen.taxon_id)
    found = found.where(days.c.first_dataset != days.c.last_dataset)
    return found.order_by(seen.taxon_id, seen.event_date, seen.id)


def _neighbours(rows: Sequence[_Found]) -> Iterator[tuple[_Found, _Found]]:
    """Pair observations of different datasets that are within the coarsest rounding, the lower id first.

    Sorted by latitude, so that a common species on a busy day takes no comparison of all with all.
    """
    most = 10.0**-COARSEST * (1 + 1e-6)
    ordered = sorted(rows, key=lambda row: (row.latitude, row.id))
    for place, one in enumerate(ordered):
        for other in islice(ordered, place + 1, None):
            if other.latitude - one.latitude > most:
                break
            around = abs(one.longitude - other.longitude)
            if one.dataset != other.dataset and min(around, abs(360 - around)) <= most:
                yield (one, other) if one.id < other.id else (other, one)


def _same_place(one: _Found, other: _Found) -> bool:
    """Return whether two places differ by no more than the last decimal of the more coarsely written one."""
    coarser = min(_decimals(one), _decimals(other))
    near = 10.0 ** -min(max(coarser, COARSEST), FINEST) * (1 + 1e-6)  # despite rounding of the difference
    around = abs(one.longitude - other.longitude) % 360
    return abs(one.latitude - other.latitude) <= near and min(around, 360 - around) <= near


def _decimals(found: _Found) -> int:
    """Return the decimals of the more finely written coordinate."""
    written = (f"{value:.6f}".rstrip("0").partition(".")[2] for value in (found.latitude, found.longitude))
    return max(map(len, written))
