"""Choosing the fusion rule from observations with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.galleries.gallery import HeldOutQueries
from evaluation.learning.fit import fit_fusion
from evaluation.learning.scoring import Method
from retrieval.models.embedder import DIM, unit_rows
from retrieval.ranking.calibration import Calibration
from retrieval.ranking.votes import Voting

METHOD = Method(Voting(), Calibration(votes=1.0, fitted={"observations": 1}))


def ask_pairs(truth: list[int]) -> HeldOutQueries:
    """Observations of two photos that do not resemble one another."""
    views = unit_rows(np.random.default_rng(3).normal(size=(2 * len(truth), DIM)))
    observations = np.repeat(np.arange(len(truth)), 2)
    return HeldOutQueries(views, np.repeat(truth, 2), observations, np.full(2 * len(truth), -1))


def test_where_each_photo_tells_another_half_the_product_is_learned() -> None:
    truth = [0, 1, 2, 3] * 15
    cap, foot = 0.48, 0.02  # of four species the first photo tells the pair, the second which one of it
    first = np.array([[cap if species // 2 == true // 2 else foot for species in range(4)] for true in truth])
    second = np.array([[cap if species % 2 == true % 2 else foot for species in range(4)] for true in truth])
    per_view = np.stack([first, second], axis=1).reshape(-1, 4)

    rule, exponents, losses = fit_fusion(ask_pairs(truth), per_view, METHOD)

    assert rule == "product"
    assert set(exponents) == set(losses) == {"mean", "product", "max"}
    assert losses["product"] < losses["max"]
    # products of (.48 .48), (.48 .02), (.02 .48) and (.02 .02): .2304 of .25
    assert exponents["product"] == 1.0
    assert losses["product"] == pytest.approx(-np.log(0.2304 / 0.25), abs=1e-9)


def test_where_one_photo_of_two_rules_the_truth_out_the_product_is_not_learned() -> None:
    truth = [0, 1, 2, 3] * 15
    good = np.array([[0.85 if species == true else 0.05 for species in range(4)] for true in truth])
    bad = np.array([[1e-9 if species == true else (1 - 1e-9) / 3 for species in range(4)] for true in truth])
    per_view = np.stack([good, bad], axis=1).reshape(-1, 4)

    rule, _, losses = fit_fusion(ask_pairs(truth), per_view, METHOD)

    assert rule != "product"
    assert losses["mean"] < losses["product"]


@pytest.mark.parametrize("seed", range(6))
def test_the_mean_is_kept_where_another_rule_is_better_by_chance_only(seed: int) -> None:
    truth = [0, 1, 2, 3] * 15
    per_view = np.random.default_rng(seed).dirichlet(np.ones(4), size=2 * len(truth))  # photos that tell nothing

    rule, _, losses = fit_fusion(ask_pairs(truth), per_view, METHOD)

    assert rule == "mean"
    if seed == 0:
        assert losses["max"] < losses["mean"]
