"""Recipes: chosen by cost, deep enough for what they are measured to find, kept while the flora stays as large."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.recall import draw_queries, measure_recipes
from retrieval.domain import WORLD
from retrieval.embedder import unit_rows
from retrieval.recipes import EXACT, PROTOTYPE_FIRST, TWO_STAGE, Recipe, cheapest, cost, recipe_for
from retrieval.snapshot import Snapshot, open_snapshot
from tests.catalogues import make_reference
from tests.floras import SPECIES, make_entries, publish


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    root = tmp_path_factory.mktemp("recall")
    publish(root, make_entries(), segments=2)
    return open_snapshot(root)


def test_small_floras_are_cheaper_exactly_and_large_ones_in_two_stages() -> None:
    exact, coded = Recipe(), Recipe(TWO_STAGE, 800)
    guided = Recipe(PROTOTYPE_FIRST, 800, probes=16, looked_at=20_000)

    assert cheapest([exact, coded, guided], 1_000, 50) == exact
    assert cheapest([exact, coded], 1_000_000, 5_000) == coded
    assert cheapest([exact, coded, guided], 1_000_000, 5_000) == guided
    assert cheapest([exact, coded, replace(guided, looked_at=950_000)], 1_000_000, 5_000) == coded
    assert cost(exact, 2_000_000, 1) == 2 * cost(exact, 1_000_000, 1)


def test_a_flora_of_the_moment_takes_what_does_for_most_that_were_measured() -> None:
    measured = [Recipe(TWO_STAGE, 300), Recipe(TWO_STAGE, 800), Recipe()]
    guided = Recipe(PROTOTYPE_FIRST, 400, probes=16, looked_at=9_000)

    assert recipe_for(500_000, 2_000, measured) == Recipe(TWO_STAGE, 800, 0.0, 0.0, 0, 500_000)
    assert recipe_for(500_000, 2_000, [*measured, guided]) == Recipe(
        PROTOTYPE_FIRST, 400, 0.0, 0.0, 0, 500_000, 16, 9_000
    )
    assert recipe_for(500, 20, measured).kind == EXACT
    assert recipe_for(500_000, 2_000, []).kind == EXACT


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
