"""The model that comes with the program: its promises on photographs, on drawings it never saw, and on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.models.default_model import tabulate
from fungarium.cli import main
from retrieval.models.card import digest_model
from retrieval.models.embedder import View
from retrieval.models.handles import SHIPPED, open_model


def test_the_default_model_is_small_and_its_card_is_of_this_very_file() -> None:
    about: dict[str, Any] = json.loads(SHIPPED.with_suffix(".json").read_text(encoding="utf-8"))

    assert SHIPPED.stat().st_size <= 8_000_000
    assert about["digest"] == digest_model(SHIPPED)
    assert open_model("default").card["preprocessing"]["licence"] == "Apache-2.0"
    assert "never seen a photograph" in about["unsuitable"]


def test_several_photos_of_a_drawn_species_never_trained_on_say_more_than_one() -> None:
    pytest.importorskip("torch", reason="needs requirements-train.txt")
    from training.drawn.drawing import PoolPart, draw_unit
    from training.measure import find_species

    part = PoolPart("fungi", 6, 5, 3)
    drawn = [picture for unit in range(part.units) for picture in draw_unit(part, 77, unit, 128)]
    embeddings = open_model("default").embed([View(picture.pixels) for picture in drawn])
    names = [picture.observation for picture in drawn], [picture.species for picture in drawn]

    together, alone = (find_species(embeddings, *names, photos=photos) for photos in (None, 1))

    assert len(together.first) == 6 * 4 * 5
    assert together.top1 >= alone.top1 + 0.08
    assert together.top5 >= 0.9
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_the_page_gives_the_figures_on_drawn_species_that_were_kept_and_they_hold_what_was_promised() -> None:
    root = Path(__file__).resolve().parents[1]
    kept = json.loads((root / "benchmarks" / "results" / "default-model.json").read_text(encoding="utf-8"))
    page = (root / "docs" / "training.md").read_text(encoding="utf-8")

    table = tabulate(kept)

    assert f"<!-- default on drawings: begin -->\n{table}\n<!-- default on drawings: end -->" in page
    assert kept["collection"]["species"] == 60
    assert kept["holds"] is True
    best = kept["rows"]["calibrated"]
    assert best["allPhotos"]["top1"]["value"] >= 0.80
    assert best["gain"]["low"] >= 8


@pytest.mark.slow
def test_the_default_model_finds_the_promised_share_of_real_species(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNGARIUM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FUNGARIUM_FLORA_INDEXES", str(tmp_path / "flora_indexes"))
    table = str(shared / "photos" / "photos.csv")

    steps = [
        ["collection", "import", "csv", table, "--dataset", "photos", "--licences", "any"],
        *(["index", name] for name in ("embed", "build", "publish")),
    ]
    ended = [main(step) for step in (*steps, ["evaluate", "measure", "--json", str(tmp_path / "result.json")])]

    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert ended == [0, 0, 0, 0, 0]
    assert result["observations"] == 264
    assert result["measures"]["top1"]["value"] >= 0.20
    assert result["measures"]["top5"]["value"] >= 0.38
