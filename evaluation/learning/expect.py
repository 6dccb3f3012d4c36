"""Season and place for very many observations: counts, lifts, and how strong they are to be.

An observation of the gallery's own is taken out of the counts that it is judged with: it may not vouch for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.galleries.gallery import Gallery, HeldOutQueries
from evaluation.learning.fit import FEWEST, fit_strength, log_loss
from evaluation.learning.scoring import Scores
from retrieval.answers.query_priors import SMOOTHING
from retrieval.errors import PlaceUnavailable
from retrieval.ranking.priors import RING_WEIGHTS, apply_prior, month_records, nearby_lift
from retrieval.snapshots.cells import h3_library, rings_around

SMOOTHINGS = (1.0, 3.0, 10.0, 30.0, 100.0)
RingsOf = Callable[[int], Sequence[Sequence[int]]]


@dataclass(frozen=True)
class Records:
    """Months and cells of a gallery's observations, as `retrieval.snapshots.occurrences` counts them."""

    months: NDArray[np.float64]  # (species, 12)
    around: dict[int, NDArray[np.float64]]  # cell -> weighted records of each species in its rings
    cells: NDArray[np.float64]  # (species,): records with a cell


def earth_rings() -> RingsOf | None:
    """The rings of H3 cells; None where the package is missing, so that nothing is learned of places."""
    try:
        h3_library()
    except PlaceUnavailable:
        return None
    return rings_around


def count_records(gallery: Gallery, rings_of: RingsOf | None) -> Records:
    """Count each observation once; what is not known (0) is not counted."""
    rows = gallery.spans[0]
    columns = gallery.columns[rows]
    months, cells = np.zeros((gallery.width, 12)), np.zeros(gallery.width)
    tally: dict[int, dict[int, float]] = {}
    if gallery.months is not None:
        dated = gallery.months[rows] > 0
        np.add.at(months, (columns[dated], gallery.months[rows][dated] - 1), 1)
    if gallery.cells is not None and rings_of is not None:
        placed = gallery.cells[rows] > 0
        cells = np.bincount(columns[placed], minlength=gallery.width).astype(np.float64)
        for cell, column in zip(gallery.cells[rows][placed].tolist(), columns[placed].tolist(), strict=True):
            held = tally.setdefault(cell, {})
            held[column] = held.get(column, 0.0) + 1
    return Records(months, _Around(tally, rings_of, gallery.width), cells)


class _Around(dict[int, NDArray[np.float64]]):
    """Weighted records around cells, added up when a cell is first asked for."""

    def __init__(self, tally: dict[int, dict[int, float]], rings: RingsOf | None, width: int) -> None:
        super().__init__()
        self._tally, self._rings, self._width = tally, rings, width

    def __missing__(self, cell: int) -> NDArray[np.float64]:
        near = np.zeros(self._width)
        for weight, ring in zip(RING_WEIGHTS, self._rings(cell) if self._rings else (), strict=False):
            for one in ring:
                for column, count in self._tally.get(one, {}).items():
                    near[column] += weight * count
        self[cell] = near
        return near


def known_of(asked: HeldOutQueries, prior: str) -> NDArray[np.bool_]:
    """The observations of which the month (prior season) or the cell (place) is known."""
    said = asked.months if prior == "season" else asked.cells
    return np.zeros(asked.count, dtype=bool) if said is None else said[asked.first] > 0


def log_lifts(records: Records, asked: HeldOutQueries, prior: str, smoothing: float) -> NDArray[np.float64]:
    """Logarithms of the season's or the place's lift for each observation, (observations, species); 0: not known."""
    lifts = np.zeros((asked.count, len(records.cells)))
    said = asked.months if prior == "season" else asked.cells
    if said is None:
        return lifts
    total = records.months.sum(axis=1) if prior == "season" else records.cells
    about = {month: month_records(records.months, month) for month in range(1, 13)}
    for number in np.flatnonzero(known_of(asked, prior)).tolist():
        view = int(asked.first[number])
        near = about[int(said[view])] if prior == "season" else records.around[int(said[view])]
        all_of = total
        column = int(asked.columns[view])
        if int(asked.own[view]) >= 0 and column >= 0:
            near, all_of = near.copy(), total.copy()
            near[column], all_of[column] = max(0.0, near[column] - 1), max(0.0, all_of[column] - 1)
        lifts[number] = np.log(nearby_lift(near, all_of, smoothing=smoothing))
    return lifts


def sum_lifts(
    records: Records,
    asked: HeldOutQueries,
    priors: Collection[str],
    strengths: Mapping[str, float],
    smoothing: Mapping[str, float],
) -> NDArray[np.float64]:
    """The logarithm of all the lifts together, each to its strength, (observations, species)."""
    total = np.zeros((asked.count, len(records.cells)))
    for prior in sorted(priors):
        total += strengths.get(prior, 1.0) * log_lifts(records, asked, prior, smoothing.get(prior, SMOOTHING))
    return total


def learn_season_place(
    gallery: Gallery, asked: HeldOutQueries, scores: Scores, rings_of: RingsOf | None
) -> tuple[dict[str, float], dict[str, float]]:
    """Strength and smoothing of season and place, where enough observations have a month, a cell.

    The smoothing of each is the one that does best alone; their strengths are then found together, since a month
    and a place say in part the same.
    """
    records = count_records(gallery, rings_of)
    chosen: dict[str, tuple[float, NDArray[np.float64]]] = {}
    for prior in ("season", "place"):
        known = known_of(asked, prior)
        if known.sum() < FEWEST or (prior == "place" and rings_of is None):
            continue
        tried = []
        for smoothing in SMOOTHINGS:
            lifts = log_lifts(records, asked, prior, smoothing)
            (strength,) = fit_strength(scores[known], asked.truth[known], [lifts[known]])
            lifted = apply_prior(scores[known], strength * lifts[known])
            tried.append((log_loss(lifted, asked.truth[known]), smoothing))
        smoothing = min(tried)[1]
        chosen[prior] = smoothing, log_lifts(records, asked, prior, smoothing)
    if not chosen:
        return {}, {}
    known = np.logical_or.reduce([known_of(asked, prior) for prior in chosen])
    found = fit_strength(scores[known], asked.truth[known], [lifts[known] for _, lifts in chosen.values()])
    return dict(zip(chosen, found, strict=True)), {prior: smoothing for prior, (smoothing, _) in chosen.items()}
