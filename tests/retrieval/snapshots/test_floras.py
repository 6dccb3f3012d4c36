"""Floras of any species give the same results as brute force over their references."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.domain import WORLD
from retrieval.errors import UnknownTaxon
from retrieval.models.embedder import unit_rows
from retrieval.search.recipes import EXACT, TWO_STAGE, Recipe
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from tests.floras import GENERA, PER_GENUS, SPECIES, embed, make_entries, publish

ENTRIES = make_entries()
ROWS = embed(ENTRIES)
QUERIES = unit_rows(ROWS[::37] + 0.05 * np.random.default_rng(3).normal(size=ROWS[::37].shape))
DEEP = Recipe(TWO_STAGE, 120)


@pytest.fixture(scope="module", params=[1, 3], ids=["one-segment", "three-segments"])
def snapshot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    root = tmp_path_factory.mktemp("floras")
    publish(root, ENTRIES, segments=request.param)
    return open_snapshot(root)


def brute_force(allowed: NDArray[np.bool_], k: int) -> list[list[str]]:
    """Photos of the nearest references among those allowed, for each query."""
    near = np.where(allowed, QUERIES @ ROWS.T, -np.inf)
    return [[ENTRIES[row].photo for row in np.argsort(-line)[: min(k, int(allowed.sum()))]] for line in near]


def photos(snapshot: Snapshot, flora: Flora, k: int) -> list[list[str]]:
    return [[snapshot.reference(n.row).photo for n in view] for view in flora.neighbours(QUERIES, k)]


def of_species(species: set[int]) -> NDArray[np.bool_]:
    return np.array([entry.species in species for entry in ENTRIES])


def test_a_list_of_taxa_nobody_prepared_answers_as_brute_force(snapshot: Snapshot) -> None:
    chosen = set(SPECIES[3:50:4])

    flora = snapshot.flora_of(chosen)

    assert photos(snapshot, flora, 12) == brute_force(of_species(chosen), 12)
    assert flora.species.tolist() == sorted(chosen)
    assert flora.card.references == int(of_species(chosen).sum())


def test_a_genus_stands_for_its_species(snapshot: Snapshot) -> None:
    flora = snapshot.flora_of([12, SPECIES[0]])

    assert flora.species.tolist() == [SPECIES[0], *SPECIES[2 * PER_GENUS : 3 * PER_GENUS]]


def test_a_kingdom_is_the_world(snapshot: Snapshot) -> None:
    assert photos(snapshot, snapshot.flora_of([1]), 9) == photos(snapshot, snapshot.flora(WORLD), 9)


def test_a_taxon_the_snapshot_does_not_know_is_refused(snapshot: Snapshot) -> None:
    with pytest.raises(UnknownTaxon):
        snapshot.flora_of([SPECIES[0], 987_654])


@pytest.mark.parametrize("recipe", [Recipe(), DEEP], ids=["exact", "two-stage"])
def test_unions_intersections_and_differences_are_those_of_the_species(snapshot: Snapshot, recipe: Recipe) -> None:
    north, south = snapshot.flora("north"), snapshot.flora("south")
    n, s = set(north.species.tolist()), set(south.species.tolist())

    for flora, species in ((north | south, n | s), (north & south, n & s), (north - south, n - s)):
        assert set(flora.species.tolist()) == species
        assert photos(snapshot, replace(flora, recipe=recipe), 10) == brute_force(of_species(species), 10)


@pytest.mark.parametrize("recipe", [Recipe(), DEEP], ids=["exact", "two-stage"])
@pytest.mark.parametrize("licences", [{"CC0-1.0"}, {"CC-BY-4.0", "CC0-1.0"}, {"unheard of"}])
def test_a_licence_filter_lets_only_those_references_answer(
    snapshot: Snapshot, licences: set[str], recipe: Recipe
) -> None:
    north = snapshot.flora("north")
    allowed = of_species(set(north.species.tolist())) & np.array([e.licence in licences for e in ENTRIES])

    found = photos(snapshot, replace(north.under(licences), recipe=recipe), 10)

    assert found == brute_force(allowed, 10)


def test_combined_floras_keep_the_licences_that_both_allow(snapshot: Snapshot) -> None:
    north, south = snapshot.flora("north"), snapshot.flora("south")

    assert (north.under(["a", "b"]) & south.under(["b", "c"])).licences == ("b",)
    assert (north.under(["a"]) | south).licences == ("a",)
    with pytest.raises(ValueError, match="no licence"):
        north.under(["a"]) & south.under(["b"])


def test_floras_of_two_snapshots_do_not_mix(snapshot: Snapshot, tmp_path: Path) -> None:
    publish(tmp_path, ENTRIES[:40])

    with pytest.raises(ValueError, match="two snapshots"):
        snapshot.flora("north") | open_snapshot(tmp_path).flora("south")


def test_an_empty_flora_answers_nothing(snapshot: Snapshot) -> None:
    nothing = snapshot.flora("north") - snapshot.flora("north")

    assert nothing.neighbours(QUERIES[:2], 5) == [[], []]
    assert replace(nothing, recipe=DEEP).neighbours(QUERIES[:2], 5) == [[], []]


def test_membership_is_of_species_listed(snapshot: Snapshot) -> None:
    few = snapshot.flora("few")

    assert SPECIES[0] in few
    assert SPECIES[1] not in few
    assert 5 not in few
    assert 10**9 not in few
    asked = np.array([10**9, *SPECIES, 5, -1, SPECIES[0]])
    assert few.contains(asked).tolist() == [int(species) in few for species in asked]
    assert few.contains(np.zeros(0, np.int64)).tolist() == []
    assert np.array_equal(few.counts, snapshot.count_references(few.species))


@pytest.mark.parametrize("recipe", [Recipe(), DEEP], ids=["exact", "two-stage"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_many_observations_in_one_call_get_what_each_gets_alone(
    snapshot: Snapshot, threads: int, recipe: Recipe
) -> None:
    flora = replace(snapshot.flora("south"), recipe=recipe)
    observations = [QUERIES[:1], QUERIES[1:4], QUERIES[4:4], QUERIES[4:6], *([QUERIES[:3]] * 40)]

    together = flora.neighbours_of_many(observations, 20, threads=threads)

    assert together == [flora.neighbours(views, 20) for views in observations]
    assert flora.neighbours_of_many([], 20) == []


def test_two_stages_find_what_one_finds_on_every_flora(snapshot: Snapshot) -> None:
    for card in snapshot.floras:
        flora = snapshot.flora(card.id)

        assert photos(snapshot, replace(flora, recipe=DEEP), 10) == photos(snapshot, flora, 10), card.id


def test_a_shallow_first_stage_misses_some_and_never_answers_a_wrong_similarity(snapshot: Snapshot) -> None:
    world = snapshot.flora(WORLD)
    truth = world.search(QUERIES, 50)

    found = replace(world, recipe=Recipe(TWO_STAGE, 55)).search(QUERIES, 50)

    assert np.all(found.similarities <= truth.similarities)
    for view in range(len(QUERIES)):
        exact = dict(zip(truth.rows[view].tolist(), truth.similarities[view].tolist(), strict=True))
        both = [row for row in found.rows[view].tolist() if row in exact]
        assert len(both) >= 25
        similarities = dict(zip(found.rows[view].tolist(), found.similarities[view].tolist(), strict=True))
        assert {row: similarities[row] for row in both} == {row: exact[row] for row in both}


def test_small_floras_are_searched_exactly(snapshot: Snapshot) -> None:
    assert {snapshot.flora(card.id).recipe.kind for card in snapshot.floras} == {EXACT}
    assert snapshot.flora_of(SPECIES[:3]).recipe.kind == EXACT


def test_equal_pictures_are_settled_by_species_observation_and_photo_whatever_the_segments(tmp_path: Path) -> None:
    same = {entry.photo for entry in ENTRIES if entry.species in SPECIES[:4]}
    rows = np.where(np.array([[entry.photo in same] for entry in ENTRIES]), QUERIES[:1], ROWS)
    answers = []
    for segments in (1, 3):
        publish(tmp_path / str(segments), ENTRIES, segments=segments, rows=rows)
        opened = open_snapshot(tmp_path / str(segments))
        for recipe in (Recipe(), Recipe(TWO_STAGE, 6)):
            flora = replace(opened.flora(WORLD), recipe=recipe)
            answers.append([opened.reference(n.row).photo for n in flora.neighbours(QUERIES[:1], 9)[0]])

    assert answers == [[entry.photo for entry in ENTRIES[:9]]] * 4


def test_genera_are_as_many_as_the_tests_think() -> None:
    assert len(SPECIES) == GENERA * PER_GENUS
