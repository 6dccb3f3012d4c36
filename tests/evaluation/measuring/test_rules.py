"""Each ranking rule shows its gain on a small simulated collection, drawn and learned anew in every run.

The table of docs/accuracy.md is measured on the whole operating point and kept; these go red the day a rule breaks.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.galleries.simulate import Assumptions
from evaluation.reports.operating_point import measure_operating_point

GENERA = (24, 16, 12, 10, 8, 8, 6, 6, 5, 5, *[4] * 5, *[3] * 6, *[2] * 10, *[1] * 22)  # species of each genus


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All rows of the table, of 180 species, so varied that 1-NN is right about as often as published."""
    names = tmp_path_factory.mktemp("names") / "names.json"
    pairs = [(genus, place) for genus, size in enumerate(GENERA) for place in range(size)]
    categories = [
        {"id": number, "name": f"G{genus} s{place}", "supercategory": f"G{genus:03}"}
        for number, (genus, place) in enumerate(pairs)
    ]
    names.write_text(json.dumps({"categories": categories}), encoding="utf-8")
    few = Assumptions(references=5_000, within=1.6)
    return measure_operating_point(names=names, assumptions=few, queries=1_200)


@pytest.mark.parametrize(
    ("row", "least"),
    [
        ("votes and prototypes over 1-NN", 15.0),
        ("uniform prior", 3.0),
        ("2 to 4 photos over one", 5.0),
        ("regional flora over world", 5.0),
        ("season and place", 4.0),
    ],
)
def test_the_rule_gains(measured: dict[str, Any], row: str, least: float) -> None:
    assert measured["rows"][row]["gain"] >= least, measured["rows"][row]


def test_the_small_collection_is_as_hard_as_the_published_one(measured: dict[str, Any]) -> None:
    assert 0.3 <= measured["recall1"] <= 0.5


def test_the_answer_is_as_specific_as_it_is_right(measured: dict[str, Any]) -> None:
    found = measured["specificity"]

    assert found["accuracy"] == pytest.approx(0.9, abs=0.035)  # 600 observations: two standard errors and a half
    assert found["depth"] >= 4.5
    accuracies = np.array([accuracy for _, accuracy, _ in found["curve"]])
    assert accuracies[-1] > accuracies[0]


def test_the_top_score_means_what_it_says(measured: dict[str, Any]) -> None:
    assert measured["calibrationError"] <= 0.06  # by chance alone 600 observations show about 0.04


def test_votes_of_all_neighbours_and_all_parts_beat_each_part(measured: dict[str, Any]) -> None:
    parts = measured["ablation"]

    assert parts["kernel votes"] > measured["recall1"] / 2
    assert parts["prototypes, learned metric"] > measured["recall1"]
    assert parts["votes and prototypes (default)"] > parts["kernel votes"]
    assert parts["all photos, mean, uniform, season and place"] > parts["default, season and place prior"]
    assert parts["default, season and place prior"] > max(parts["default, season prior"], parts["default, place prior"])


def test_unreferenced_species_are_told_apart_better_than_by_chance(measured: dict[str, Any]) -> None:
    assert measured["rejection"]["auroc"] >= 0.6


def test_the_measurement_names_seed_and_code(measured: dict[str, Any], tmp_path: Path) -> None:
    assert measured["seed"] == 1
    assert len(measured["simulator"]) == 16
    json.dumps(measured)
