"""Priors of a query are added as logarithms, each with its strength."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.galleries.gallery import Gallery, hold_out_queries
from evaluation.learning.learn import uniform_log_lifts
from evaluation.learning.priors import count_records, sum_lifts
from evaluation.learning.scoring import Method
from evaluation.measuring.nested import lift_all
from retrieval.models.embedder import DIM
from retrieval.ranking.calibration import Calibration
from retrieval.ranking.votes import Voting


def test_season_and_evenly_likely_species_are_both_multiplied_in() -> None:
    columns = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    months = np.array([4, 4, 5, 9, 9, 9, 9, 10])
    lineages = np.tile(np.arange(1, 8), (3, 1)) + np.arange(3)[:, None] * 10
    rows = np.random.default_rng(1).normal(size=(8, DIM)).astype(np.float32)
    gallery = Gallery(rows, columns, np.arange(8), lineages[:, -1], lineages, months=months)
    queries = hold_out_queries(gallery)
    method = Method(Voting(), Calibration(priors={"season": 0.7, "uniform": 0.4}, smoothing={"season": 2.0}))
    records = count_records(gallery, None)

    season, even, both = (
        lift_all(gallery, queries, method, priors, records)
        for priors in (("season",), ("uniform",), ("season", "uniform"))
    )

    assert season is not None
    assert even is not None
    assert np.ptp(season) > 0.1
    assert np.ptp(even) > 0.1
    assert both == pytest.approx(season + even)
    assert season == pytest.approx(sum_lifts(records, queries, ["season"], {"season": 0.7}, {"season": 2.0}))
    assert even == pytest.approx(0.4 * uniform_log_lifts(gallery, queries))
    assert lift_all(gallery, queries, method, (), records) is None
