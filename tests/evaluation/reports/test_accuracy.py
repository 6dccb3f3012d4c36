"""Each line of docs/accuracy.md holds, and the page agrees with the stored measurements."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from evaluation.reports.accuracy import (
    DEFAULT_DRAWINGS,
    DEFAULT_PHOTO_LINES,
    DEFAULT_PHOTOS,
    DRAWING_LINES,
    DRAWINGS,
    PHOTO_LINES,
    PHOTOS,
    SIMULATED,
    SIMULATED_LINES,
    AccuracyLine,
    place_of,
    read_measurement,
    write_table,
)
from retrieval.models.handles import open_model

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize("line", SIMULATED_LINES, ids=lambda line: line.title)
def test_the_line_of_the_simulated_operating_point_holds(line: AccuracyLine) -> None:
    found = read_measurement(DOCS, SIMULATED)

    assert line.holds(found), f"{line.title}: {line.shown(found)}, and {line.demand} is demanded"


@pytest.mark.parametrize("line", DRAWING_LINES, ids=lambda line: line.title)
def test_the_line_of_the_drawings_holds(line: AccuracyLine) -> None:
    found = read_measurement(DOCS, DRAWINGS)

    assert line.holds(found), f"{line.title}: {line.shown(found)}, and {line.demand} is demanded"


@pytest.mark.parametrize("line", PHOTO_LINES, ids=lambda line: line.title)
def test_the_line_of_the_real_photos_holds(line: AccuracyLine) -> None:
    found = read_measurement(DOCS, PHOTOS)

    assert line.holds(found), f"{line.title}: {line.shown(found)}, and {line.demand} is demanded"


KEPT_BY_DEFAULT = {
    "answers at species right, all finds asked, target 90 %",
    "the same for one photo",
    "the same for several photos",
}
"""Lines that a network which has seen no drawings keeps on drawings; the page shows all of them, beside the others."""


@pytest.mark.parametrize("line", DRAWING_LINES, ids=lambda line: line.title)
def test_the_page_shows_which_lines_the_default_model_keeps_on_drawings(line: AccuracyLine) -> None:
    found = read_measurement(DOCS, DEFAULT_DRAWINGS)

    assert line.holds(found) == (line.title in KEPT_BY_DEFAULT), line.shown(found)


@pytest.mark.parametrize("line", DEFAULT_PHOTO_LINES, ids=lambda line: line.title)
def test_the_line_of_the_default_model_on_real_photos_holds(line: AccuracyLine) -> None:
    found = read_measurement(DOCS, DEFAULT_PHOTOS)

    assert line.holds(found), f"{line.title}: {line.shown(found)}, and {line.demand} is demanded"


def test_measurements_of_the_default_model_are_kept_apart() -> None:
    default = open_model("default").model

    assert read_measurement(DOCS, DEFAULT_DRAWINGS)["model"] == default
    assert read_measurement(DOCS, DEFAULT_PHOTOS)["model"] == default
    assert [place_of(kind, default) for kind in (DRAWINGS, PHOTOS)] == [DEFAULT_DRAWINGS, DEFAULT_PHOTOS]
    assert [place_of(kind, "net@1") for kind in (DRAWINGS, PHOTOS)] == [DRAWINGS, PHOTOS]


def test_the_page_is_what_the_measurements_say(tmp_path: Path) -> None:
    shutil.copytree(DOCS / "accuracy", tmp_path / "accuracy")

    text = write_table(tmp_path)

    assert text == (DOCS / "accuracy.md").read_text(encoding="utf-8")


def test_the_kept_measurement_belongs_to_the_simulator_as_it_is() -> None:
    simulator = Path(__file__).resolve().parents[3] / "evaluation" / "galleries" / "simulate.py"

    kept = read_measurement(DOCS, SIMULATED)["simulator"]

    assert kept == hashlib.sha256(simulator.read_bytes()).hexdigest()[:16], (
        "simulate.py has changed since docs/accuracy was measured: run fungarium evaluate accuracy"
    )
