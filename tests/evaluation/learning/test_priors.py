"""Strengths of season and place, weights of aspects: an observation is never evidence for itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.galleries.gallery import Gallery, HeldOutQueries, NearestRows, hold_out_queries, read_gallery
from evaluation.learning.aspects import fit_aspects, mixed
from evaluation.learning.fit import log_loss
from evaluation.learning.priors import count_records, learn_season_place, log_lifts
from evaluation.learning.scoring import Method
from evaluation.measuring.ablate import nearest_ranks
from indexer.building.build import Catalogue, build_snapshot
from retrieval.domain import ASPECTS, HABITATS, SUBSTRATES, WORLD
from retrieval.models.embedder import unit_rows
from retrieval.ranking.calibration import Calibration
from retrieval.ranking.priors import class_records, month_records, nearby_lift, related_classes
from retrieval.ranking.votes import Voting
from retrieval.snapshots.cells import cell_of
from retrieval.snapshots.observation_context import ObservationContext
from retrieval.snapshots.publishing import publish_snapshot
from retrieval.snapshots.snapshot import open_snapshot
from tests.catalogues import CARD, SPECIES, TAXA, fill_store, make_references

THERE = cell_of(55.7, 12.5)


def make_gallery(species: int = 4, each: int = 40, seed: int = 1) -> Gallery:
    """Species that fruit in months of their own and cells of their own; embeddings say nothing."""
    rng = np.random.default_rng(seed)
    columns = np.repeat(np.arange(species), each)
    lineages = np.tile(np.arange(7), (species, 1))
    lineages[:, 6] = np.arange(species)
    months = 1 + (3 * columns + rng.integers(0, 2, len(columns))) % 12
    rows = unit_rows(rng.normal(size=(len(columns), 8)))
    return Gallery(rows, columns, np.arange(len(columns)), np.arange(species), lineages, months, 1 + columns)


def test_an_observation_does_not_vouch_for_its_own_month() -> None:
    gallery = make_gallery()
    queries = hold_out_queries(gallery, np.array([5]))
    others = gallery.select(gallery.observations != 5)
    month = int(gallery.months[5])  # type: ignore[index]

    lifts = log_lifts(count_records(gallery, lambda cell: [[cell]]), queries, "season", 3.0)

    records = count_records(others, None)
    expected = nearby_lift(month_records(records.months, month), records.months.sum(axis=1), smoothing=3.0)
    assert lifts[0] == pytest.approx(np.log(expected))


def test_seasons_are_learned_alike_on_both_sides_of_the_equator() -> None:
    """Half of the observations are in the south, half a year later: what is learned is what all in the north teach."""
    north = make_gallery()
    there = np.arange(len(north.columns)) % 2 == 0
    months = np.asarray(north.months)
    cells = np.where(there, cell_of(-42.88, 147.33), THERE)
    spread = replace(north, months=np.where(there, (months + 5) % 12 + 1, months), cells=cells)

    lifts = [
        log_lifts(count_records(gallery, lambda cell: [[cell]]), hold_out_queries(gallery), "season", 3.0)
        for gallery in (north, spread)
    ]

    assert lifts[1] == pytest.approx(lifts[0])


@pytest.mark.parametrize(("prior", "column"), [("habitat", "habitats"), ("substrate", "substrates")])
def test_a_habitat_that_tells_species_apart_is_learned_to_be_strong_and_vouches_for_no_observation(
    prior: str, column: str
) -> None:
    made = make_gallery()
    rng = np.random.default_rng(3)
    classes: dict[str, Any] = {column: 4 + made.columns + rng.integers(0, 2, len(made.columns))}
    told = replace(made, months=None, cells=None, **classes)
    classes = {column: 4 + rng.integers(0, 4, len(made.columns))}
    idle = replace(told, **classes)
    scores = np.full((len(made.columns), 4), 0.25)

    strengths = {}
    for name, gallery in (("told", told), ("idle", idle)):
        found, smoothing = learn_season_place(gallery, hold_out_queries(gallery), scores, None)
        assert set(found) == set(smoothing) == {prior}
        strengths[name] = found[prior]
    assert strengths["told"] > 0.8 > strengths["idle"]
    queries, others = hold_out_queries(told, np.array([5])), told.select(told.observations != 5)
    place = int(getattr(told, column)[5]) - 1
    counts = count_records(others, None).classes[prior]
    near = class_records(counts, place, related_classes(HABITATS if prior == "habitat" else SUBSTRATES, place))
    expected = nearby_lift(near, counts.sum(axis=1), smoothing=3.0)
    assert log_lifts(count_records(told, None), queries, prior, 3.0)[0] == pytest.approx(np.log(expected))


def test_an_observation_without_month_or_cell_is_lifted_by_nothing() -> None:
    gallery = replace(make_gallery(), months=np.zeros(160, dtype=np.int64))
    queries = hold_out_queries(gallery)
    records = count_records(gallery, lambda cell: [[cell]])

    assert not log_lifts(records, queries, "season", 3.0).any()
    assert log_lifts(records, queries, "place", 3.0).any(axis=1).all()
    assert records.months.sum() == 0


def test_what_tells_species_apart_is_learned_to_be_strong_and_what_does_not_weak() -> None:
    gallery = make_gallery()
    rng = np.random.default_rng(3)
    gallery = replace(gallery, cells=1 + rng.integers(0, 4, len(gallery.columns)))
    queries = hold_out_queries(gallery)
    scores = np.full((queries.count, 4), 0.25)

    strengths, smoothing = learn_season_place(gallery, queries, scores, lambda cell: [[cell]])

    assert strengths["season"] > 0.8
    assert strengths["place"] < strengths["season"]
    assert set(smoothing) == {"season", "place"}


def test_too_few_dates_teach_nothing() -> None:
    gallery = make_gallery()
    assert gallery.months is not None
    months = np.where(np.arange(160) < 10, gallery.months, 0)
    gallery = replace(gallery, months=months, cells=None)

    strengths, smoothing = learn_season_place(gallery, hold_out_queries(gallery), np.full((160, 4), 0.25), None)

    assert (strengths, smoothing) == ({}, {})


def make_pairs(count: int = 120) -> tuple[np.ndarray, HeldOutQueries]:
    """Observations of two photos: the cap says nothing, the gills are right; scores of both, over five species."""
    rng = np.random.default_rng(2)
    truth = np.repeat(rng.integers(0, 5, count), 2)
    shown = np.tile([0, 1], count)
    scores = np.where(shown[:, None] == 1, 0.05 + 0.75 * np.eye(5)[truth], rng.dirichlet(np.ones(5) * 0.5, 2 * count))
    rows = unit_rows(rng.normal(size=(2 * count, 16)))
    numbers = np.repeat(np.arange(count), 2)
    return scores, HeldOutQueries(rows, truth, numbers, np.full(2 * count, -1), aspects=shown)


def test_photos_that_show_what_matters_are_learned_to_count_more() -> None:
    scores, queries = make_pairs()
    method = Method(Voting(), Calibration())

    weights = fit_aspects(scores, queries, method, lambda fused: log_loss(fused, queries.truth))

    assert weights[ASPECTS[1]] > 1.5 > 1 > weights[ASPECTS[0]]


def test_aspects_that_nobody_gave_weigh_nothing() -> None:
    scores, queries = make_pairs()
    unknown = replace(queries, aspects=np.full(len(queries.columns), -1))

    assert not mixed(unknown).any()
    assert fit_aspects(scores, unknown, Method(Voting(), Calibration()), lambda fused: 0.0) == {}


def test_the_gallery_of_a_snapshot_knows_month_cell_and_aspect_of_each_photo(tmp_path: Path) -> None:
    references = [
        replace(entry, aspect="cap" if number % 2 else "") for number, entry in enumerate(make_references(SPECIES[:3]))
    ]
    contexts = [ObservationContext(SPECIES[0] * 1000, 9, THERE), ObservationContext(SPECIES[1] * 1000 + 1, 4)]
    with fill_store(tmp_path / "e", references) as store:
        build_snapshot(tmp_path / "a", Catalogue(references, TAXA, [], [], [], contexts=contexts), store, CARD)
    publish_snapshot(tmp_path / "a")
    snapshot = open_snapshot(tmp_path / "a")

    gallery = read_gallery(snapshot, snapshot.flora(WORLD))

    assert gallery.months is not None
    assert gallery.cells is not None
    assert gallery.aspects is not None
    by_hand = {one.observation: one for one in contexts}
    for row, observation in enumerate(gallery.observations.tolist()):
        known = by_hand.get(observation, ObservationContext(observation))
        assert (gallery.months[row], gallery.cells[row]) == (known.month, known.cell)
    shown = {snapshot.reference(row).photo: snapshot.reference(row).aspect for row in range(len(references))}
    assert sorted(shown.values()) == sorted(["cap" if code == 0 else "" for code in gallery.aspects.tolist()])


def test_nearest_neighbours_rank_species_by_their_closest_photo_to_any_of_the_photos() -> None:
    gallery = make_gallery(species=3, each=2)
    queries = HeldOutQueries(np.zeros((2, 8), np.float32), np.array([2, 2]), np.array([0, 0]), np.array([-1, -1]))
    found = NearestRows(np.array([[0.9, 0.8], [0.85, 0.1]], np.float32), np.array([[0, 2], [5, 1]]))

    assert nearest_ranks(gallery, queries, found).tolist() == [2]
    assert nearest_ranks(gallery, replace(queries, columns=np.array([1, 1])), found).tolist() == [3]
