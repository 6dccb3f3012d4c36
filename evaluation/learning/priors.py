"""Season, place, habitat and substrate priors for many observations: counts, lifts and their strengths.

A query from the gallery is left out of the counts that are applied to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, HeldOutQueries
from evaluation.learning.fit import MIN_OBSERVATIONS, fit_strength, log_loss
from evaluation.learning.scoring import Scores
from retrieval.answers.query_priors import SMOOTHING
from retrieval.domain import HABITATS, SUBSTRATES
from retrieval.errors import PlaceUnavailable
from retrieval.ranking.priors import (
    CIRCUMSTANCES,
    RING_WEIGHTS,
    apply_prior,
    class_records,
    month_records,
    nearby_lift,
    nearby_rate,
    related_classes,
    turn_month,
    turn_months,
)
from retrieval.snapshots.cells import find_southern, h3_library, rings_around
from retrieval.snapshots.occurrences import count_classes

SMOOTHINGS = (1.0, 3.0, 10.0, 30.0, 100.0)
COLUMNS = {"season": "months", "place": "cells", "habitat": "habitats", "substrate": "substrates"}
"""The gallery's field for each prior."""

CLASSES = {"habitat": HABITATS, "substrate": SUBSTRATES}
RingsOf = Callable[[int], Sequence[Sequence[int]]]


@dataclass(frozen=True)
class Records:
    """Months and cells of a gallery's observations, counted as in `retrieval.snapshots.occurrences`."""

    months: NDArray[np.float64]  # (species, 12)
    northern: NDArray[np.float64]  # (species, 12)
    around: RecordsAround
    cells: NDArray[np.float64]  # (species,): records with a cell
    classes: Mapping[str, NDArray[np.float64]]  # prior -> (species, classes), for habitat and substrate

    def total(self, prior: str) -> NDArray[np.float64]:
        """Return the number of records of each species with the prior's metadata, (species,)."""
        if prior == "place":
            return self.cells
        return np.asarray((self.months if prior == "season" else self.classes[prior]).sum(axis=1))


def earth_rings() -> RingsOf | None:
    """Return the rings of H3 cells; None if the package is missing, so that no place prior is learned."""
    try:
        h3_library()
    except PlaceUnavailable:
        return None
    return rings_around


def count_records(gallery: Gallery, rings_of: RingsOf | None) -> Records:
    """Count each observation once; unknown values (0) are not counted."""
    rows = gallery.spans[0]
    columns = gallery.columns[rows]
    months, northern, cells = np.zeros((gallery.width, 12)), np.zeros((gallery.width, 12)), np.zeros(gallery.width)
    tally: dict[int, dict[int, float]] = {}
    if gallery.months is not None:
        dated = gallery.months[rows] > 0
        known = gallery.months[rows][dated]
        places = np.zeros(len(rows), np.int64) if gallery.cells is None else gallery.cells[rows]
        turned = turn_months(known, find_southern(places)[dated])
        for table, given in ((months, known), (northern, turned)):
            np.add.at(table, (columns[dated], given - 1), 1)
    if gallery.cells is not None and rings_of is not None:
        placed = gallery.cells[rows] > 0
        cells = np.bincount(columns[placed], minlength=gallery.width).astype(np.float64)
        for cell, column in zip(gallery.cells[rows][placed].tolist(), columns[placed].tolist(), strict=True):
            held = tally.setdefault(cell, {})
            held[column] = held.get(column, 0.0) + 1
    classes = {}
    for prior, names in CLASSES.items():
        said = metadata_of(gallery, prior)
        of_class = np.zeros(len(rows), np.uint8) if said is None else said[rows].astype(np.uint8)
        classes[prior] = count_classes(columns, of_class, gallery.width, len(names))
    return Records(months, northern, RecordsAround(tally, rings_of, gallery.width), cells, classes)


def metadata_of(queries: Gallery | HeldOutQueries, prior: str) -> NDArray[np.int64] | None:
    """Return each row's metadata for a prior; 0 where unknown, None if unknown for all rows."""
    column: NDArray[np.int64] | None = getattr(queries, COLUMNS[prior])
    return column


class RecordsAround(dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]):
    """The species with records in the rings around a cell, and their weighted records, found at its first use."""

    def __init__(self, tally: dict[int, dict[int, float]], rings: RingsOf | None, width: int) -> None:
        super().__init__()
        self._tally, self._rings, self._width = tally, rings, width

    def __missing__(self, cell: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        near: dict[int, float] = {}
        for weight, ring in zip(RING_WEIGHTS, self._rings(cell) if self._rings else (), strict=False):
            for one in ring:
                for column, count in self._tally.get(one, {}).items():
                    near[column] = near.get(column, 0.0) + weight * count
        self[cell] = np.array(list(near), dtype=np.int64), np.array(list(near.values()))
        return self[cell]

    def of_species(self, cell: int) -> NDArray[np.float64]:
        """Return the weighted records of each species, (species,)."""
        near = np.zeros(self._width)
        columns, counts = self[cell]
        near[columns] = counts
        return near


def records_around(
    gallery: Gallery, queries: HeldOutQueries, rings_of: RingsOf, lists: Sequence[NDArray[np.bool_]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weighted records around each query of the gallery, without the query itself, and those of each list.

    Shapes (observations,) and (lists, observations); zeros where the cell is unknown.
    """
    records = count_records(gallery, rings_of)
    total, on_lists = np.zeros(queries.count), np.zeros((len(lists), queries.count))
    for number in np.flatnonzero(has_metadata(queries, "place")).tolist():
        view = int(queries.first[number])
        assert queries.cells is not None
        columns, counts = records.around[int(queries.cells[view])]
        left = np.maximum(counts - RING_WEIGHTS[0] * (columns == queries.columns[view]), 0.0)
        total[number] = left.sum()
        on_lists[:, number] = [left[listed[columns]].sum() for listed in lists]
    return total, on_lists


def has_metadata(queries: HeldOutQueries, prior: str) -> NDArray[np.bool_]:
    """Return the observations with the prior's metadata: month, cell, habitat or substrate."""
    said = metadata_of(queries, prior)
    return np.zeros(queries.count, dtype=bool) if said is None else said[queries.first] > 0


def log_lifts(records: Records, queries: HeldOutQueries, prior: str, smoothing: float) -> NDArray[np.float64]:
    """Return the logarithms of a prior's lift for each observation, (observations, species); 0 where unknown.

    Species are those that the queries keep.
    """
    width = len(records.cells) if queries.kept is None else queries.kept.columns.shape[1]
    lifts = np.zeros((queries.count, width))
    said = metadata_of(queries, prior)
    if said is None:
        return lifts
    total, near_of = records.total(prior), records_near(records, queries, prior)
    for number in np.flatnonzero(has_metadata(queries, prior)).tolist():
        view = int(queries.first[number])
        near, all_of = near_of(view), total
        column = int(queries.columns[view])
        if int(queries.excluded[view]) >= 0 and column >= 0:
            near, all_of = near.copy(), total.copy()
            near[column], all_of[column] = max(0.0, near[column] - 1), max(0.0, all_of[column] - 1)
        rate = nearby_rate(near, all_of)
        if queries.kept is not None:
            near, all_of = near[queries.kept.columns[number]], all_of[queries.kept.columns[number]]
        lifts[number] = np.log(nearby_lift(near, all_of, smoothing=smoothing, rate=rate))
    return lifts


def records_near(records: Records, queries: HeldOutQueries, prior: str) -> Callable[[int], NDArray[np.float64]]:
    """Return the function that gives the records of each species near a view's metadata, counted as in `retrieval`."""
    said = metadata_of(queries, prior)
    assert said is not None
    if prior == "place":
        return lambda view: records.around.of_species(int(said[view]))
    if prior in CLASSES:
        names, counts = CLASSES[prior], records.classes[prior]
        tables = [class_records(counts, place, related_classes(names, place)) for place in range(len(names))]
        return lambda view: tables[int(said[view]) - 1]
    about = {month: month_records(records.months, month) for month in range(1, 13)}
    turned = {month: month_records(records.northern, month) for month in range(1, 13)}
    cells = np.zeros(len(said), np.int64) if queries.cells is None else queries.cells
    southern = find_southern(cells)

    def of_season(view: int) -> NDArray[np.float64]:
        month = int(said[view])
        return turned[turn_month(month, southern=bool(southern[view]))] if cells[view] else about[month]

    return of_season


def sum_lifts(
    records: Records,
    queries: HeldOutQueries,
    priors: Collection[str],
    strengths: Mapping[str, float],
    smoothing: Mapping[str, float],
) -> NDArray[np.float64]:
    """Return the logarithm of all lifts combined, each with its strength, (observations, species)."""
    lifts = [
        strengths.get(prior, 1.0) * log_lifts(records, queries, prior, smoothing.get(prior, SMOOTHING))
        for prior in sorted(priors)
    ]
    return np.asarray(np.sum(lifts, axis=0))


def learn_season_place(
    gallery: Gallery, queries: HeldOutQueries, scores: Scores, rings_of: RingsOf | None
) -> tuple[dict[str, float], dict[str, float]]:
    """Learn strength and smoothing of season, place, habitat and substrate, each where enough observations have it.

    The smoothing of each is the best one for that prior alone. The strengths are then fitted together, because month
    and place, or habitat and substrate, partly carry the same information.
    """
    records = count_records(gallery, rings_of)
    chosen: dict[str, tuple[float, NDArray[np.float64]]] = {}
    for prior in CIRCUMSTANCES:
        known = has_metadata(queries, prior)
        if known.sum() < MIN_OBSERVATIONS or (prior == "place" and rings_of is None):
            continue
        tried = []
        for smoothing in SMOOTHINGS:
            lifts = log_lifts(records, queries, prior, smoothing)
            some = None if queries.kept is None else queries.kept.of(known).multiplicity
            (strength,) = fit_strength(scores[known], queries.places[known], [lifts[known]], some)
            lifted = apply_prior(scores[known], strength * lifts[known], multiplicity=some)
            tried.append((log_loss(lifted, queries.places[known]), smoothing))
        smoothing = min(tried)[1]
        chosen[prior] = smoothing, log_lifts(records, queries, prior, smoothing)
    if not chosen:
        return {}, {}
    known = np.logical_or.reduce([has_metadata(queries, prior) for prior in chosen])
    some = None if queries.kept is None else queries.kept.of(known).multiplicity
    found = fit_strength(scores[known], queries.places[known], [lifts[known] for _, lifts in chosen.values()], some)
    return dict(zip(chosen, found, strict=True)), {prior: smoothing for prior, (smoothing, _) in chosen.items()}
