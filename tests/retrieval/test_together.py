"""Many views in one call: what they share must not show. Each gets what it gets alone, to the last bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.grow import withdraw_references
from retrieval.arrays import widen
from retrieval.domain import WORLD
from retrieval.embedder import DIM, Embeddings, unit_rows
from retrieval.faiss_guide import Guide, write_guide
from retrieval.faiss_index import FaissIndex, write_index
from retrieval.flora import Flora
from retrieval.publishing import publish_snapshot
from retrieval.recipes import PROTOTYPE_FIRST, Recipe
from retrieval.snapshot import Snapshot, open_snapshot
from retrieval.store import MANY
from tests.floras import SPECIES, embed, make_entries, publish

ENTRIES = make_entries()
ROWS = embed(ENTRIES)
NOISE = np.random.default_rng(21)
VIEWS = unit_rows(ROWS[::13] + 0.05 * NOISE.normal(size=ROWS[::13].shape))


@pytest.fixture(scope="module", params=[1, 3], ids=["one-segment", "three-segments"])
def snapshot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    root = tmp_path_factory.mktemp("together")
    publish(root, ENTRIES, segments=request.param)
    withdraw_references(root, [entry.photo for entry in ENTRIES[::9]])
    publish_snapshot(root)
    return open_snapshot(root)


def check_together(flora: Flora, views: Embeddings, k: int, threads: int) -> None:
    """Compare the answer to all views with the answers to each."""
    together = flora.search(views, k, threads=threads)
    alone = [flora.search(views[view : view + 1], k) for view in range(len(views))]
    for name in ("similarities", "rows", "species", "observations"):
        assert np.array_equal(getattr(together, name), np.concatenate([getattr(found, name) for found in alone])), name


@pytest.mark.parametrize("threads", [1, 2, 3, 2 * len(VIEWS)], ids=["1", "2", "3", "more-than-views"])
@pytest.mark.parametrize(("probes", "k"), [(1, 3), (3, 1), (6, 8), (20, 50), (500, 12)])
def test_each_view_gets_what_it_gets_alone(snapshot: Snapshot, probes: int, k: int, threads: int) -> None:
    assert len(VIEWS) >= MANY
    for flora in (snapshot.flora(WORLD), snapshot.flora("south"), snapshot.flora_of(SPECIES[::4])):
        for chosen in (flora, flora.under(["CC0-1.0", "CC-BY-4.0"])):
            check_together(replace(chosen, recipe=Recipe(PROTOTYPE_FIRST, probes=probes)), VIEWS, k, threads)


def test_views_that_resemble_nothing_are_answered_too(snapshot: Snapshot) -> None:
    world = replace(snapshot.flora(WORLD), recipe=Recipe(PROTOTYPE_FIRST, probes=4))

    check_together(world, np.concatenate([-VIEWS, VIEWS, np.zeros((2, DIM), np.float32)]), 5, 2)


def test_ties_are_settled_as_they_are_for_one_view(tmp_path: Path) -> None:
    """The photos of twelve species are one picture, so that the last place is tied across species and segments."""
    same = np.array([[entry.species in SPECIES[:24:2]] for entry in ENTRIES])
    answers = []
    for segments in (1, 3):
        publish(tmp_path / str(segments), ENTRIES, segments=segments, rows=np.where(same, VIEWS[:1], ROWS))
        opened = open_snapshot(tmp_path / str(segments))
        world = replace(opened.flora(WORLD), recipe=Recipe(PROTOTYPE_FIRST, probes=40))
        views = np.concatenate([np.repeat(VIEWS[:1], MANY, axis=0), VIEWS])
        for k in (1, 9, 30, 70):
            check_together(world, views, k, 2)
        found = world.search(views, 30, threads=2)
        answers.append([opened.reference(row).photo for row in found.rows[0].tolist()])

    expected = [entry.photo for entry, (one,) in zip(ENTRIES, same.tolist(), strict=True) if one][:30]
    assert answers == [expected, expected]


@given(st.integers(0, 2**32), st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_the_guide_gives_many_views_the_species_that_it_gives_one(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int
) -> None:
    """Among means of which some are the same, and some almost."""
    noise = np.random.default_rng(seed)
    means = noise.normal(size=(700, DIM))
    means[100:200] = means[:100]
    means[200:300] = means[:100] + 1e-4 * noise.normal(size=(100, DIM))
    folder = tmp_path_factory.mktemp("guide")
    write_guide(folder, np.arange(700), means)
    guide = Guide(folder)
    lines = np.flatnonzero(noise.random(700) < noise.choice([0.02, 0.3, 1.0]))
    views = unit_rows(means[noise.integers(0, 300, 40)] + 0.1 * noise.normal(size=(40, DIM)))
    cut = guide.cut(lines)

    found = guide.nearest_of_many(views, count, cut)

    assert np.array_equal(np.sort(found, axis=1), np.sort(guide.nearest(views, count, cut), axis=1))


@given(st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_all_rows_above_each_views_floor_are_found_and_few_below(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    noise = np.random.default_rng(seed)
    rows = unit_rows(np.repeat(noise.normal(size=(30, DIM)), 8, axis=0) + noise.normal(size=(240, DIM)))
    path = tmp_path_factory.mktemp("above") / "a.npy"
    write_index(path, rows)
    index = FaissIndex(path, np.arange(0, 241, 8))
    views = rows[noise.integers(0, 240, 17)]
    lists = np.stack([noise.permutation(30)[:9] for _ in views])
    lists[noise.random(lists.shape) < 0.3] = -1
    floors = noise.uniform(0.1, 0.9, len(views)).astype(np.float32)

    seen, found = index.above(views, floors, lists)

    near = views.astype(np.float64) @ np.load(path).astype(np.float64).T
    listed = np.array([[row // 8 in own for row in range(240)] for own in lists.tolist()])
    certain, possible = listed & (near >= floors[:, None]), listed & (near >= floors[:, None] - 2e-5)
    answer = np.zeros_like(listed)
    answer[seen, found] = True
    assert len(seen) == answer.sum()
    assert not np.any(certain & ~answer)
    assert not np.any(answer & ~possible)


def test_no_lists_have_nothing_above_a_floor(tmp_path: Path) -> None:
    write_index(tmp_path / "a", ROWS[:20])
    index = FaissIndex(tmp_path / "a", np.array([0, 20]))

    for lists in (np.zeros((2, 0), np.int64), np.full((2, 3), -1)):
        assert [len(found) for found in index.above(VIEWS[:2], np.full(2, 0.5, np.float32), lists)] == [0, 0]


def test_every_finite_half_is_widened_to_what_it_is() -> None:
    every = np.arange(65_536, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]

    wide = widen(finite)

    assert wide.dtype == np.float32
    assert np.array_equal(wide, finite.astype(np.float32))
    assert np.array_equal(np.signbit(wide), np.signbit(finite))
