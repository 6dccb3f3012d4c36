"""What the default model promises on photographs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fungarium.cli import main


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
    assert result["voting"]["temperature"] == 0.08, "it belongs to the model's head"
    assert result["measures"]["top1"]["value"] >= 0.38
    assert result["measures"]["top5"]["value"] >= 0.53
