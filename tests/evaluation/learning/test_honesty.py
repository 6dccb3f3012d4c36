"""No metric uses data that it was fitted on, duplicates count once, and only finite numbers are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.galleries.gallery import read_gallery, read_lists
from evaluation.measuring.leave_one_out import judge_snapshot
from evaluation.measuring.nested import Trial, cross_validate
from evaluation.reports.promises import judge_promises
from fungarium.cli import main
from indexer.building.build import FloraPlan, build_snapshot
from indexer.embedding.embeddings import EmbeddingStore
from retrieval.domain import WORLD
from retrieval.errors import BuildError
from retrieval.models.embedder import DIM, unit_rows
from retrieval.models.provenance import note_taught
from retrieval.segments.segment import ReferenceEntry
from retrieval.snapshots.publishing import publish_snapshot
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from tests.catalogues import CARD, SPECIES, make_catalogue, make_reference, make_references


def publish_rows(
    folder: Path,
    references: list[ReferenceEntry],
    rows: np.ndarray,
    card: dict[str, Any] | None = None,
    floras: tuple[FloraPlan, ...] = (),
) -> Snapshot:
    """A published snapshot of references with the embeddings given."""
    with EmbeddingStore(folder / "e", "made@1") as store:
        store.add([entry.photo for entry in references], unit_rows(rows))
        build_snapshot(folder / "a", make_catalogue(references, floras), store, {**CARD, **(card or {})})
    publish_snapshot(folder / "a")
    return open_snapshot(folder / "a")


def make_taught(trained_on: int, count: int = 6) -> tuple[list[ReferenceEntry], np.ndarray, dict[str, Any]]:
    """Observations of which a head learned the first `trained_on` of each species by heart, and no others."""
    rng = np.random.default_rng(4)
    references = make_references(observations=count)
    by_heart = [entry.observation_id % 1000 < trained_on for entry in references]
    centres = {species: rng.normal(size=DIM) for species in SPECIES}
    rows = np.stack(
        [
            centres[entry.species] + 0.35 * rng.normal(size=DIM) if known else rng.normal(size=DIM)
            for entry, known in zip(references, by_heart, strict=True)
        ]
    )
    photos = [entry.photo for entry, known in zip(references, by_heart, strict=True) if known]
    return references, rows, {"head": {"kind": "learned", "taught": note_taught(photos)}}


def test_what_a_head_learned_by_heart_is_not_asked_to_judge_it(tmp_path: Path) -> None:
    references, rows, card = make_taught(4)

    told = judge_snapshot(publish_rows(tmp_path / "told", references, rows, card), flora=WORLD)
    untold = judge_snapshot(publish_rows(tmp_path / "untold", references, rows), flora=WORLD)

    assert np.mean([outcome.rank == 1 for outcome in untold]) > 0.6  # what a leak claims
    assert {outcome.observation % 1000 for outcome in told} == {4, 5}
    assert np.mean([outcome.rank == 1 for outcome in told]) < 0.3  # what new finds get: chance is one of ten


@pytest.mark.parametrize("command", ["calibrate", "report"])
def test_a_model_that_was_fitted_on_everything_has_no_judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    publish_rows(tmp_path, *make_taught(6))

    code = main(["evaluate", command, "--indexes", str(tmp_path / "a")])

    assert code == 1
    assert "--held-out" in capsys.readouterr().err


def test_a_find_that_was_filed_twice_is_no_evidence_for_itself(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    once = [make_reference(species, species * 1000 + number) for species in SPECIES for number in range(4)]
    again = [make_reference(entry.species, entry.observation_id + 500) for entry in once]
    rows = rng.normal(size=(len(once), DIM))
    copies = rows + 0.05 * rng.normal(size=rows.shape)  # saved again: cosine .998

    snapshot = publish_rows(tmp_path, [*once, *again], np.concatenate([rows, copies]))

    gallery = read_gallery(snapshot, snapshot.flora(WORLD))
    assert len(np.unique(gallery.groups)) == len(once)
    assert np.mean([outcome.rank == 1 for outcome in judge_snapshot(snapshot, flora=WORLD)]) < 0.3


ODD = {
    "one species": (SPECIES[:1], 24, "normal"),
    "identical rows": (SPECIES, 4, "identical"),
    "two observations a species": (SPECIES, 2, "normal"),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_collection_gives_finite_numbers_and_promises_nothing_that_does_not_hold(
    tmp_path: Path, case: str
) -> None:
    species, observations, kind = ODD[case]
    references = [make_reference(one, one * 1000 + n) for one in species for n in range(observations)]
    rng = np.random.default_rng(6)
    rows = np.ones((len(references), DIM)) if kind == "identical" else rng.normal(size=(len(references), DIM))
    # identical photos are one find: they are told apart by next to nothing
    rows = rows + (0.4 * rng.normal(size=rows.shape) if kind == "identical" else 0)
    snapshot = publish_rows(tmp_path, references, rows, floras=(FloraPlan("n", "N", frozenset(SPECIES[:1])),))
    gallery = read_gallery(snapshot, snapshot.flora(WORLD))
    lists = list(read_lists(snapshot, gallery).values())

    if case == "two observations a species":  # half of the finds leave nothing to hold out
        with pytest.raises(BuildError, match="too few"):
            cross_validate(gallery, Trial(lists=lists), folds=2)
        return
    judged = cross_validate(gallery, Trial(lists=lists), folds=2)

    for method in judged.methods:
        json.dumps(method.calibration.as_json(), allow_nan=False)
    sizes = ["1"] * len(judged.truth)
    told = judge_promises(judged.conditions, ["n"] * len(lists), sizes, ["1"])
    json.dumps(told, allow_nan=False)
    if len(species) > 1:  # nothing tells its species apart
        stops = told[WORLD]["allPhotos"]["byRank"]["species"]
        assert stops["observations"] < 5
        assert (judged.rank == 1).mean() < 0.4


def test_too_few_observations_stay_uncalibrated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references = [make_reference(one, one * 1000 + n) for one in SPECIES[:3] for n in range(3)]
    publish_rows(tmp_path, references, np.random.default_rng(7).normal(size=(9, DIM)))

    assert main(["evaluate", "calibrate", "--indexes", str(tmp_path / "a")]) == 1
    assert "too few" in capsys.readouterr().err
