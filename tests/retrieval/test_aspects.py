"""What a photo shows, told from its embedding, and how that weighs photos in an answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrieval.aspects import code_aspects, make_aspect_model, name_aspects, read_aspect_model, write_aspect_model
from retrieval.domain import ASPECTS
from retrieval.embedder import unit_rows
from retrieval.errors import DamagedSnapshot


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Photos whose first numbers say what they show, beneath a species' part that says far more."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, count)
    rows = 3 * np.eye(20)[10 + rng.integers(0, 8, count)] + rng.normal(size=(count, 20)) * 0.3
    return unit_rows(rows + 1.0 * np.eye(20)[codes]), codes


def test_aspects_are_told_although_species_differ_more() -> None:
    rows, codes = draw(600, 1)
    others, truth = draw(300, 2)

    model = make_aspect_model(rows, codes, 10)

    assert model is not None
    assert (model.tell(others) == truth).mean() > 0.9


def test_rare_aspects_and_unlabelled_photos_teach_nothing() -> None:
    rows, codes = draw(60, 1)

    assert make_aspect_model(rows, np.where(codes == 0, 0, -1), 10) is None
    found = make_aspect_model(rows, np.where(codes == 2, -1, codes), 10)
    assert found is not None
    assert found.codes.tolist() == [0, 1]


def test_what_is_written_is_read_and_damage_is_seen(tmp_path: Path) -> None:
    rows, codes = draw(200, 1)
    model = make_aspect_model(rows, codes, 10)
    assert model is not None

    write_aspect_model(tmp_path, model)

    assert np.array_equal(read_aspect_model(tmp_path).tell(rows), model.tell(rows))
    (tmp_path / "aspects.npz").write_bytes(b"no")
    with pytest.raises(DamagedSnapshot):
        read_aspect_model(tmp_path)


def test_names_and_codes_are_the_same_words() -> None:
    assert name_aspects(code_aspects([*ASPECTS, "", "what"])) == [*ASPECTS, "", ""]
