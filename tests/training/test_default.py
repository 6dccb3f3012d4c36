"""The way from nothing to the model that is shipped, walked in small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fungarium.cli import main

pytest.importorskip("torch", reason="needs requirements-train.txt")

import torch

from retrieval.models.card import digest_model
from retrieval.models.embedder import View
from retrieval.models.handles import SHIPPED, open_model
from training.recipes.default import JUDGED, RECIPE, DefaultPlan


@pytest.mark.slow
def test_a_rehearsal_goes_from_an_empty_folder_to_a_model_with_card_and_measured_accuracy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    out = tmp_path / "made" / "tiny.onnx"
    small = ["--genera", "2", "--things", "2", "--steps", "2", "--processes", "1"]

    assert main(["model", "make-default", "--work", str(tmp_path / "work"), "--out", str(out), *small]) == 0

    rows = open_model(f"onnx:{out}").embed([View(np.full((128, 160, 3), 90, np.uint8))])
    about = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert rows.shape == (1, 256)
    assert float(np.linalg.norm(rows)) == pytest.approx(1, abs=1e-5)
    assert about["digest"] == digest_model(out)
    assert about["made"].startswith("a rehearsal, no default model")
    assert about["parts"] == ["2 x 4 x 2 things", "2 x 3 x 4 fungi"]
    measured = about["measured on drawings never trained on"]["0.75"]
    assert set(measured) == {
        f"{part}_{photos}" for part in ("fungi", "other_forms", "other_things") for photos in ("all", "one")
    }
    assert all(0 <= share <= 1 for share in measured.values())
    assert json.loads(capsys.readouterr().out)["0.75"] == measured


def test_only_the_whole_plan_may_take_the_place_of_the_shipped_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = SHIPPED.stat()

    command = ["model", "make-default", "--work", str(tmp_path / "work"), "--out"]
    assert main([*command, str(SHIPPED), "--steps", "3"]) == 1
    assert "error: a rehearsal must not take the place" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "a.onnx"), "--genera", "1"]) == 1
    assert "at least 2 genera" in capsys.readouterr().err

    assert not (tmp_path / "work").exists()
    assert SHIPPED.stat() == before
    assert DefaultPlan().recipe == RECIPE
    assert DefaultPlan().judged == JUDGED


def test_the_card_of_the_shipped_model_is_of_the_whole_plan() -> None:
    about = json.loads(SHIPPED.with_suffix(".json").read_text(encoding="utf-8"))

    assert about["parts"] == [
        f"{part.units} x {part.individuals} x {part.photos} {part.name}" for part in DefaultPlan().parts
    ]
    assert about["recipe"]["steps"] == DefaultPlan().steps
