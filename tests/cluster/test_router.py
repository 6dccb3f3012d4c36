"""Through shards, every flora answers as one process does, to the neighbour and to the last bit of its similarity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.domain import WORLD
from retrieval.embedder import unit_rows
from retrieval.flora import Flora
from retrieval.recipes import EXACT, PROTOTYPE_FIRST, TWO_STAGE, Recipe
from retrieval.snapshot import open_snapshot
from tests.cluster.shards import Routed, routed
from tests.floras import embed, make_entries, publish

ENTRIES = make_entries()
ROWS = embed(ENTRIES)
QUERIES = unit_rows(ROWS[::11] + 0.05 * np.random.default_rng(3).normal(size=ROWS[::11].shape))
RECIPES = {
    "exact": Recipe(EXACT),
    "two-stage": Recipe(TWO_STAGE, 90),
    "shallow": Recipe(TWO_STAGE, 8),
    "prototypes": Recipe(PROTOTYPE_FIRST, 0, probes=6),
    "prototypes and codes": Recipe(PROTOTYPE_FIRST, 60, probes=9),
    "few prototypes": Recipe(PROTOTYPE_FIRST, 7, probes=1),
}


@pytest.fixture(scope="module", params=[1, 3], ids=["one-segment", "three-segments"])
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shards")
    publish(root, ENTRIES, segments=request.param)
    return root


@pytest.fixture(scope="module", params=[1, 3, 7])
def cluster(request: pytest.FixtureRequest, root: Path) -> Iterator[Routed]:
    with routed(root, open_snapshot(root), open_snapshot(root), shards=request.param) as made:
        yield made


def assert_same(ours: Flora, theirs: Flora, k: int = 20) -> None:
    one, other = ours.search(QUERIES, k), theirs.search(QUERIES, k)
    assert np.array_equal(one.rows, other.rows)
    assert np.array_equal(one.similarities, other.similarities)
    assert np.array_equal(one.species, other.species)
    assert np.array_equal(one.observations, other.observations)


@pytest.mark.parametrize("flora", [WORLD, "north", "south", "few"])
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_neighbours_are_those_of_a_single_process(cluster: Routed, flora: str, recipe: Recipe) -> None:
    ours, theirs = (replace(s.flora(flora), recipe=recipe) for s in (cluster.snapshot, cluster.single))

    assert_same(ours, theirs)
    assert_same(ours, theirs, k=1)
