"""Every flora gives the same neighbours and bit-identical similarities through shards as in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cluster.placement import METHODS, SHARES, Placement
from cluster.placement_files import FOLDER, ensure_placement, write_pointer
from cluster.router import Router, Timeouts
from retrieval.domain import WORLD
from retrieval.errors import ClusterError, DamagedSnapshot, ShardUnavailable
from retrieval.models.embedder import unit_rows
from retrieval.search.partial_results import PartialSearch
from retrieval.search.recipes import EXACT, PROTOTYPE_FIRST, TWO_STAGE, Recipe
from retrieval.segments.store import sort_distinct
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.snapshot import open_snapshot
from retrieval.snapshots.withdrawals import withdraw_photos
from tests.cluster.shards import Routed, routed
from tests.floras import LICENCES, SPECIES, embed, make_entries, publish

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


@pytest.mark.parametrize("method", METHODS)
def test_however_lists_are_placed_the_answer_is_the_same(tmp_path: Path, method: str) -> None:
    publish(tmp_path, ENTRIES)
    with routed(tmp_path, open_snapshot(tmp_path), open_snapshot(tmp_path), method=method) as made:
        assert_same(made.snapshot.flora(WORLD), made.single.flora(WORLD))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_licences_hold_on_every_shard(cluster: Routed, recipe: Recipe) -> None:
    ours, theirs = (
        replace(s.flora("north"), recipe=recipe).under(LICENCES[:1]) for s in (cluster.snapshot, cluster.single)
    )

    assert_same(ours, theirs)


def test_floras_of_the_moment_are_searched_too(cluster: Routed) -> None:
    ours, theirs = (
        (s.flora("north") & s.flora("south")) | s.flora_of(SPECIES[3:5]) for s in (cluster.snapshot, cluster.single)
    )

    assert_same(ours, theirs)
    assert_same(cluster.snapshot.flora_of([]), cluster.single.flora_of([]))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_species_that_lies_on_several_shards_is_found_whole(root: Path, recipe: Recipe) -> None:
    """Every species is cut in two, and its halves lie on different shards."""
    snapshot = open_snapshot(root)
    halves = np.repeat(np.array(SPECIES), 2)
    first = np.tile([0, SHARES // 2], len(SPECIES))
    shard = (np.arange(len(halves)) * 2) % 5
    cut = Placement(5, halves, first, first + SHARES // 2, shard)
    pointer = root / FOLDER / f"{snapshot.name}-5"
    pointer.unlink(missing_ok=True)
    write_pointer(root, pointer, cut)
    with routed(root, open_snapshot(root), snapshot, shards=5) as made:
        assert made.placement.id == cut.id
        ours, theirs = (replace(s.flora("north"), recipe=recipe) for s in (made.snapshot, made.single))

        assert_same(ours, theirs)
        assert_same(ours.under(LICENCES[:1]), theirs.under(LICENCES[:1]))
    pointer.unlink()


def test_a_placement_that_leaves_out_a_species_is_refused(tmp_path: Path) -> None:
    publish(tmp_path, ENTRIES)
    snapshot = open_snapshot(tmp_path)
    some = np.array(SPECIES[1:])
    short = Placement(2, some, np.zeros_like(some), np.full_like(some, SHARES), np.arange(len(some)) % 2)

    with pytest.raises(ClusterError, match="leaves out 1 species"):
        Router(snapshot, short, [])
    snapshot.close()


def test_only_shards_with_species_of_the_flora_are_asked(root: Path) -> None:
    with routed(root, open_snapshot(root), open_snapshot(root), shards=7) as made:
        home = dict(zip(made.placement.species.tolist(), made.placement.shard.tolist(), strict=True))
        listed = SPECIES[:3]

        made.snapshot.flora_of(listed).search(QUERIES[:2], 5)

        asked = {number for number, own in enumerate(made.replicas) if own[0].calls}
        assert asked == {home[species] for species in listed}
        assert made.asked == [(len(asked), 7)]


def test_of_these_only_the_ones_that_the_means_lead_to(root: Path) -> None:
    with routed(root, open_snapshot(root), open_snapshot(root), shards=7) as made:
        world = replace(made.snapshot.flora(WORLD), recipe=Recipe(PROTOTYPE_FIRST, 0, probes=1))

        found = world.search(QUERIES[:1], 1)

        home = dict(zip(made.placement.species.tolist(), made.placement.shard.tolist(), strict=True))
        asked = {number for number, own in enumerate(made.replicas) if own[0].calls}
        assert asked == {home[int(found.species[0, 0])]}


def test_without_a_part_there_is_no_answer_unless_gaps_are_allowed(root: Path) -> None:
    with routed(root, open_snapshot(root), open_snapshot(root), timeouts=Timeouts(5, 0.01)) as made:
        made.replicas[1][0].failing = True
        ours, theirs = (replace(s.flora("north"), recipe=Recipe()) for s in (made.snapshot, made.single))
        partial = PartialSearch()

        some = ours.with_partial(partial).search(QUERIES, 20)

        with pytest.raises(ShardUnavailable, match="1/0 is gone"):
            ours.search(QUERIES, 20)
        lost = set(made.placement.species[made.placement.shard == 1].tolist()) & set(ours.species.tolist())
        rest = made.single.flora_of(sorted(set(theirs.species.tolist()) - lost))
        assert np.array_equal(some.rows, replace(rest, recipe=Recipe()).search(QUERIES, 20).rows)
        assert partial.skipped is not None
        assert partial.skipped.parts == (1,)
        assert set(partial.skipped.species) == lost
        assert partial.skipped.references == made.single.count_references(np.array(sorted(lost))).sum()


def test_where_nothing_is_missing_there_are_no_gaps(cluster: Routed) -> None:
    partial = PartialSearch()

    cluster.snapshot.flora(WORLD).with_partial(partial).search(QUERIES, 5)

    assert partial.skipped is None


def test_a_late_part_is_given_up(root: Path) -> None:
    with routed(root, open_snapshot(root), open_snapshot(root), timeouts=Timeouts(0.05, 0.01)) as made:
        made.replicas[2][0].silent = True
        world = replace(made.snapshot.flora(WORLD), recipe=Recipe())

        with pytest.raises(ShardUnavailable, match=r"gave no answer within 0.05 seconds"):
            world.search(QUERIES[:1], 20)

        assert made.replicas[2][0].kept


def test_what_a_shard_that_starts_again_finds_damaged_is_told(
    tmp_path: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    publish(tmp_path, ENTRIES)
    with routed(tmp_path, open_snapshot(tmp_path), open_snapshot(tmp_path)) as made:
        for own in made.replicas:
            own[0].shard.close()
        path = next((tmp_path / "segments").rglob("offsets.npy"))
        path.unlink()  # what is mapped here stays as it is
        path.write_bytes(b"")
        told: list[str] = []

        def is_told() -> bool:
            try:
                made.snapshot.flora(WORLD).search(QUERIES, 20)
            except ShardUnavailable:
                return False  # it is still opening
            except DamagedSnapshot as error:
                told.append(str(error))
            return True

        until(is_told)

    assert "offsets.npy" in told[0]


def test_a_closed_snapshot_is_released_on_every_shard(tmp_path: Path) -> None:
    publish(tmp_path, ENTRIES)
    with routed(tmp_path, open_snapshot(tmp_path), open_snapshot(tmp_path), replicas=2) as made:
        made.snapshot.close()

        assert [replica.released for own in made.replicas for replica in own] == [[made.snapshot.name]] * 6


def test_an_old_router_goes_on_with_its_placement_when_lists_are_placed_anew(tmp_path: Path) -> None:
    publish(tmp_path, ENTRIES)
    with routed(tmp_path, open_snapshot(tmp_path), open_snapshot(tmp_path)) as made:
        pointer = tmp_path / FOLDER / f"{made.snapshot.name}-3"
        pointer.unlink()
        write_pointer(tmp_path, pointer, replace(made.placement, shard=(made.placement.shard + 1) % 3))
        assert ensure_placement(tmp_path, made.snapshot, 3).id != made.placement.id

        assert_same(made.snapshot.flora(WORLD), made.single.flora(WORLD))


def test_rows_that_look_alike_are_settled_by_what_is_known_of_them_and_others_by_similarity_alone() -> None:
    near = np.array([[0.9, 0.5, 0.7, 0.1]], np.float32)
    at = np.array([[3, 1, 2, 4]])

    similarities, rows = sort_distinct(near, at, 2) or pytest.fail("no two are as similar as each other")

    assert (similarities.tolist(), rows.tolist()) == ([[pytest.approx(0.9), pytest.approx(0.7)]], [[3, 2]])
    assert near.tolist()[0][1] == 0.5  # nothing was changed
    assert sort_distinct(near, at, 5) is None  # too few
    assert sort_distinct(np.array([[0.9, 0.7, 0.7, 0.1]], np.float32), at, 2) is None  # a tie at the border
    assert sort_distinct(np.array([[0.9, 0.9, 0.7, 0.1]], np.float32), at, 3) is None  # and one before it
    assert sort_distinct(np.array([[0.9, -np.inf, -np.inf, 0.1]], np.float32), at, 3) is None  # too few again


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_shards_obey_the_list_of_withdrawals_and_give_way_to_another(tmp_path: Path, recipe: str) -> None:
    publish(tmp_path, ENTRIES, segments=2)
    before = open_snapshot(tmp_path)
    with routed(tmp_path, before, open_snapshot(tmp_path), shards=3) as old:
        withdraw_photos(tmp_path, [entry.photo for entry in ENTRIES[::3]])
        with routed(tmp_path, open_snapshot(tmp_path), open_snapshot(tmp_path), shards=3) as new:
            for made in (old, new):  # who asks for the snapshot as it was before gets it for as long as it is open
                single, shared = made.single.flora(WORLD), made.snapshot.flora(WORLD)
                assert_same(replace(single, recipe=RECIPES[recipe]), replace(shared, recipe=RECIPES[recipe]))
            found = new.snapshot.flora(WORLD).search(QUERIES, 20).rows
            shown = {new.snapshot.reference(row).photo for row in found.ravel().tolist() if row >= 0}
            assert not shown & {entry.photo for entry in ENTRIES[::3]}
            with pytest.raises(ShardUnavailable, match="list of withdrawn photos"):
                new.replicas[0][0].shard.open(before.edition, new.placement.id)
