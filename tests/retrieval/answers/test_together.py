"""Many views in one call give bit-identical results to single calls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.domain import WORLD
from retrieval.models.embedder import DIM, Embeddings, unit_rows
from retrieval.search.recipes import PROTOTYPE_FIRST, Recipe
from retrieval.segments.store import MANY
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from retrieval.snapshots.withdrawals import withdraw_photos
from tests.floras import SPECIES, embed, make_entries, publish

ENTRIES = make_entries()
ROWS = embed(ENTRIES)
NOISE = np.random.default_rng(21)
VIEWS = unit_rows(ROWS[::13] + 0.05 * NOISE.normal(size=ROWS[::13].shape))


@pytest.fixture(scope="module", params=[1, 3], ids=["one-segment", "three-segments"])
def snapshot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    root = tmp_path_factory.mktemp("together")
    publish(root, ENTRIES, segments=request.param)
    withdraw_photos(root, [entry.photo for entry in ENTRIES[::9]])
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
