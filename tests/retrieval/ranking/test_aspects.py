"""Aspects of photos, predicted from embeddings, and their weights in an answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation.learning.calibrate import write_calibrated
from evaluation.learning.scoring import Method
from retrieval.answers.identify import identify_embeddings
from retrieval.answers.present import identification_json, identification_text
from retrieval.domain import ASPECTS, WORLD
from retrieval.errors import DamagedSnapshot
from retrieval.models.embedder import unit_rows
from retrieval.ranking.aspects import (
    AspectClassifier,
    code_aspects,
    fit_aspect_classifier,
    name_aspects,
)
from retrieval.ranking.calibration import Calibration
from retrieval.ranking.options import IdentifyOptions
from retrieval.ranking.votes import Voting
from retrieval.snapshots.learned_arrays import read_aspect_classifier, write_aspect_classifier
from retrieval.snapshots.publishing import publish_snapshot
from retrieval.snapshots.snapshot import open_snapshot
from tests.catalogues import build, make_references


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Photos whose first numbers say what they show, beneath a species' part that says far more."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, count)
    rows = 3 * np.eye(20)[10 + rng.integers(0, 8, count)] + rng.normal(size=(count, 20)) * 0.3
    return unit_rows(rows + 1.0 * np.eye(20)[codes]), codes


def test_aspects_are_told_although_species_differ_more() -> None:
    rows, codes = draw(600, 1)
    others, truth = draw(300, 2)

    model = fit_aspect_classifier(rows, codes, 10)

    assert model is not None
    assert (model.predict(others) == truth).mean() > 0.9


def test_rare_aspects_and_unlabelled_photos_teach_nothing() -> None:
    rows, codes = draw(60, 1)

    assert fit_aspect_classifier(rows, np.where(codes == 0, 0, -1), 10) is None
    found = fit_aspect_classifier(rows, np.where(codes == 2, -1, codes), 10)
    assert found is not None
    assert found.codes.tolist() == [0, 1]


def test_what_is_written_is_read_and_damage_is_seen(tmp_path: Path) -> None:
    rows, codes = draw(200, 1)
    model = fit_aspect_classifier(rows, codes, 10)
    assert model is not None

    write_aspect_classifier(tmp_path, model)

    assert np.array_equal(read_aspect_classifier(tmp_path).predict(rows), model.predict(rows))
    (tmp_path / "aspects.npz").write_bytes(b"no")
    with pytest.raises(DamagedSnapshot):
        read_aspect_classifier(tmp_path)


def test_names_and_codes_are_the_same_words() -> None:
    assert name_aspects(code_aspects([*ASPECTS, "", "what"])) == [*ASPECTS, "", ""]


def test_photos_weigh_by_the_aspect_that_is_given_or_else_told(tmp_path: Path) -> None:
    build(tmp_path / "a", tmp_path / "e", make_references())
    publish_snapshot(tmp_path / "a")
    plain = open_snapshot(tmp_path / "a")
    one, other = (plain.references_of(species)[0] for species in plain.all_species[:2].tolist())
    stored = [plain.segments[0].store.take(np.array([reference.row])) for reference in (one, other)]
    rows = unit_rows(np.concatenate(stored).astype(np.float32))
    model = AspectClassifier(np.array([0, 1]), np.stack([rows[0], rows[1]]).astype(float), np.zeros(2))
    learned = Calibration(aspects={"cap": 1.0, "hymenium": 5.0}, tells_aspects=True, fitted={"logLoss": 1.0})
    name = write_calibrated(tmp_path / "a", plain, Method(Voting(), learned, aspect_model=model))
    snapshot = open_snapshot(tmp_path / "a", name)

    def ask(*aspects: str) -> tuple[int, tuple[str, ...], bool]:
        answer = identify_embeddings(
            rows, snapshot, flora=WORLD, voting=Voting(), candidates=3, options=IdentifyOptions(aspects=aspects)
        )
        assert identification_json(answer, snapshot)["photoAspects"] == list(answer.aspects)
        assert any("decided" in line for line in identification_text(answer, snapshot))
        return answer.species[0].taxon.id, answer.aspects, answer.aspects_predicted

    assert ask("hymenium", "cap") == (one.species, ("hymenium", "cap"), False)
    assert ask("cap", "hymenium") == (other.species, ("cap", "hymenium"), False)
    assert ask() == (other.species, ("cap", "hymenium"), True)
