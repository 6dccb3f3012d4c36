"""Search recipes: chosen by cost, deep enough for their measured recall, kept while the flora's size stays similar."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.building.codes import codes_pay
from indexer.building.recall import OWN, draw_queries, measure_depths, measure_recipes, try_probes
from retrieval.domain import WORLD
from retrieval.models.embedder import unit_rows
from retrieval.search.recipes import (
    ALIKE,
    DEPTHS,
    EXACT,
    PROTOTYPE_FIRST,
    TWO_STAGE,
    Probed,
    Recipe,
    cheapest,
    cost,
    pool_tried,
    read_recipe,
    recipe_for,
)
from retrieval.segments.store import choose_rows
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from tests.catalogues import make_reference
from tests.floras import SPECIES, make_entries, publish


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    root = tmp_path_factory.mktemp("recall")
    publish(root, make_entries(), segments=2)
    return open_snapshot(root)


def test_small_floras_are_cheaper_exactly_and_large_ones_in_two_stages() -> None:
    exact, coded = Recipe(), Recipe(TWO_STAGE, 800)
    coarse = Recipe(PROTOTYPE_FIRST, 800, probes=16, looked_at=20_000)

    assert cheapest([exact, coded, coarse], 1_000, 50) == exact
    assert cheapest([exact, coded], 1_000_000, 5_000) == coded
    assert cheapest([exact, coded, coarse], 1_000_000, 5_000) == coarse
    assert cheapest([exact, coded, replace(coarse, looked_at=950_000)], 1_000_000, 5_000) == coded
    assert cost(exact, 2_000_000, 1) == 2 * cost(exact, 1_000_000, 1)


def test_a_flora_of_the_moment_takes_what_does_for_most_that_were_measured() -> None:
    measured = [Recipe(TWO_STAGE, 300), Recipe(TWO_STAGE, 800), Recipe()]
    coarse = Recipe(PROTOTYPE_FIRST, 400, probes=16, looked_at=9_000)

    assert recipe_for(500_000, 2_000, measured) == Recipe(TWO_STAGE, 800, 0.0, 0.0, 0, 500_000)
    assert recipe_for(500_000, 2_000, [*measured, coarse]) == Recipe(
        PROTOTYPE_FIRST, 400, 0.0, 0.0, 0, 500_000, 16, 9_000
    )
    assert recipe_for(500, 20, measured).kind == EXACT
    assert recipe_for(500_000, 2_000, []).kind == EXACT


FEW = (Probed(4, 0.98, 0.97, 800), Probed(6, 1.0, 0.99, 900), Probed(8, 1.0, 0.998, 1_000))
MORE = (Probed(6, 0.99, 0.95, 2_000), Probed(8, 1.0, 0.994, 3_000), Probed(10, 1.0, 1.0, 4_000))


def test_what_floras_found_together_is_their_mean_a_flora_that_found_all_staying_as_it_was() -> None:
    pooled = pool_tried([FEW, MORE])

    assert [one.probes for one in pooled][:4] == [6, 8, 10, 12]
    assert [round(one.recall_at_50, 6) for one in pooled][:4] == [0.97, 0.996, 0.999, 0.999]
    assert [one.looked_at for one in pooled][:4] == [1_450, 2_000, 2_500, 2_500]
    assert pool_tried([]) == []


def test_a_flora_of_the_moment_probes_as_many_as_measured_floras_of_its_size_need_together() -> None:
    large = [
        Recipe(PROTOTYPE_FIRST, references=900_000 + n, probes=10, looked_at=4_000, tried=MORE) for n in range(ALIKE)
    ]
    small = [Recipe(PROTOTYPE_FIRST, references=20_000 + n, probes=8, looked_at=1_000, tried=FEW) for n in range(ALIKE)]

    assert recipe_for(800_000, 3_000, small + large) == Recipe(PROTOTYPE_FIRST, 0, 0, 0, 0, 800_000, 10, 4_000)
    assert recipe_for(30_000, 200, small + large) == Recipe(PROTOTYPE_FIRST, 0, 0, 0, 0, 30_000, 8, 1_000)
    half = recipe_for(100_000, 900, small[: ALIKE // 2] + large[: ALIKE // 2])
    assert (half.probes, half.looked_at) == (8, 2_000)


def test_recipes_of_before_that_do_not_say_what_was_tried_speak_by_their_number_of_species() -> None:
    before = [
        Recipe(PROTOTYPE_FIRST, references=n, probes=probes, looked_at=100 * probes) for n, probes in ((9, 8), (8, 32))
    ]

    assert recipe_for(500_000, 2_000, before) == Recipe(PROTOTYPE_FIRST, 0, 0, 0, 0, 500_000, 32, 3_200)


def test_what_was_tried_comes_back_from_the_manifest() -> None:
    recipe = Recipe(PROTOTYPE_FIRST, probes=8, looked_at=1_000, tried=FEW)

    assert read_recipe(json.loads(json.dumps(recipe.described()))) == recipe
    before = {name: value for name, value in Recipe(TWO_STAGE, 300).described().items() if name != "tried"}
    assert read_recipe(before) == Recipe(TWO_STAGE, 300)


def test_what_probing_is_said_to_find_is_what_searching_finds(snapshot: Snapshot) -> None:
    world = snapshot.flora(WORLD)
    parts, coarse = world.prepared.parts, world.prepared.coarse
    assert coarse is not None
    queries = unit_rows(draw_queries(parts)[0] + 0.05 * np.random.default_rng(4).normal(size=(192, 256)))
    truth = world.search(queries, 8)

    tried = try_probes(parts, coarse, queries, truth.species, list(truth.rows >= 0))

    assert [one.probes for one in tried] == sorted(one.probes for one in tried)
    assert len(tried) > 3
    for one in tried:
        found = replace(world, recipe=Recipe(PROTOTYPE_FIRST, probes=one.probes)).search(queries, 8)
        same = np.mean([np.isin(a, b).mean() for a, b in zip(truth.rows, found.rows, strict=True)])
        assert round(float(same), 5) == one.recall_at_50
        lines = coarse.quantiser.nearest(queries, one.probes, coarse.cut)
        sizes = snapshot.count_references(coarse.quantiser.species[lines.ravel()]).sum()
        assert one.looked_at == round(sizes / len(queries))


def test_a_recipe_is_kept_while_its_flora_is_about_as_large(snapshot: Snapshot) -> None:
    world = snapshot.flora(WORLD)
    size = world.card.references
    same = Recipe(TWO_STAGE, 400, 0.999, 0.995, 192, size - size // 50)
    other = Recipe(TWO_STAGE, 400, 0.999, 0.995, 192, size // 2)

    assert measure_recipes([world], {WORLD: same}) == {WORLD: same}
    assert measure_recipes([world], {WORLD: other}) == {}  # measured anew: exact is cheaper for so few


def test_queries_are_references_that_may_answer_and_the_same_each_time(snapshot: Snapshot) -> None:
    north = snapshot.flora("north")

    once, again = draw_queries(north.parts()), draw_queries(north.parts())

    assert np.array_equal(once[0], again[0])
    assert np.allclose(np.linalg.norm(once[0], axis=1), 1, atol=1e-5)
    nearest = replace(north).search(once[0], 1)
    assert np.array_equal(nearest.observations[:, 0], once[1])


def test_a_large_flora_is_looked_for_where_prototypes_point_and_finds_what_it_says(tmp_path: Path) -> None:
    """Forty species far apart with three hundred photos each: a few of them hold all neighbours."""
    noise = np.random.default_rng(12)
    species = SPECIES[:40]
    entries = [make_reference(taxon, 1_000 * taxon + n // 2, n % 2) for taxon in species for n in range(300)]
    entries.sort(key=lambda entry: entry.place)
    centres = dict(zip(species, noise.normal(size=(40, 256)), strict=True))
    rows = unit_rows(np.stack([centres[entry.species] for entry in entries]) + noise.normal(size=(12_000, 256)))
    publish(tmp_path, entries, rows=rows)
    opened = open_snapshot(tmp_path)
    world = opened.flora(WORLD)

    assert world.recipe.kind == PROTOTYPE_FIRST
    assert 0 < world.recipe.looked_at < 6_000
    assert world.recipe.recall_at_10 >= 0.997
    queries = unit_rows(rows[::600] + 0.02 * noise.normal(size=rows[::600].shape))
    exact = replace(world, recipe=Recipe()).search(queries, 50)
    found = world.search(queries, 50)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(exact.rows, found.rows, strict=True)]) > 0.98
    for depth in (0, 60):  # where the nearest species has too few, others are looked at
        few = replace(world, recipe=Recipe(PROTOTYPE_FIRST, depth, probes=1)).search(queries, 400)
        assert np.all(few.rows >= 0)


def test_a_snapshot_without_codes_is_searched_exactly(tmp_path: Path) -> None:
    publish(tmp_path, make_entries()[:100], codes=False)
    opened = open_snapshot(tmp_path)

    assert opened.manifest.codebook == ""
    assert all(segment.codes is None for segment in opened.segments)
    assert replace(opened.flora(WORLD), recipe=Recipe(TWO_STAGE, 60)).neighbours(np.eye(1, 256, dtype=np.float32), 3)[0]


@pytest.mark.parametrize("probes", [0, 3])
@pytest.mark.parametrize("alike", [False, True])
def test_one_scan_measures_every_depth_as_a_search_for_each_would(tmp_path: Path, probes: int, *, alike: bool) -> None:
    """Of a flora whose rows differ, and of one in which so many are alike that few stand out."""
    entries = make_entries()
    rows = np.random.default_rng(3).normal(size=(len(entries), 256))
    rows[: len(rows) // 2 * alike] = rows[0]
    publish(tmp_path, entries, rows=unit_rows(rows), segments=2)
    opened = open_snapshot(tmp_path)
    world = opened.flora(WORLD)
    parts, coarse = world.prepared.parts, world.prepared.coarse if probes else None
    queries = draw_queries(parts)[0][::6]
    targets = [line[line >= 0] for line in replace(world, recipe=Recipe()).search(queries, 50).rows]
    recipe = Recipe(PROTOTYPE_FIRST if probes else TWO_STAGE, probes=probes)

    measured = list(measure_depths(parts, queries, targets, recipe, coarse))

    assert [one.depth for one in measured] == list(DEPTHS)
    for one in measured:
        chosen = choose_rows(parts, queries, 50 + OWN, replace(recipe, depth=one.depth), coarse)
        for recall, k in ((one.recall_at_10, 10), (one.recall_at_50, 50)):
            found = [np.isin(target[:k], rows).mean() for target, rows in zip(targets, chosen, strict=True)]
            assert recall == round(float(np.mean(found)), 5)


def test_codes_pay_where_species_have_enough_references_to_fill_a_block(tmp_path: Path) -> None:
    def lay(name: str, sizes: list[int]) -> None:
        (tmp_path / "segments" / name).mkdir(parents=True)
        np.save(tmp_path / "segments" / name / "offsets.npy", np.append(0, np.cumsum(sizes)))

    lay("few", [2] * 100)  # 3,200 codes of 200 rows
    lay("many", [40] * 100)  # 6,400 codes of 4,000 rows
    lay("none", [0])

    assert not codes_pay(tmp_path, ["few"])
    assert codes_pay(tmp_path, ["many"])
    assert codes_pay(tmp_path, ["few", "many"])
    assert not codes_pay(tmp_path, ["none"])


def test_where_codes_do_not_pay_floras_are_still_looked_for_where_prototypes_point(tmp_path: Path) -> None:
    noise = np.random.default_rng(5)
    entries = [make_reference(taxon, 1_000 * taxon + n, 0) for taxon in SPECIES for n in range(2)]
    entries.sort(key=lambda entry: entry.place)
    rows = unit_rows(np.repeat(noise.normal(size=(len(SPECIES), 256)), 2, axis=0) + noise.normal(size=(120, 256)))

    publish(tmp_path, entries, rows=rows)

    opened = open_snapshot(tmp_path)
    assert opened.manifest.codebook == ""
    assert opened.flora(WORLD).prepared.coarse is not None
