"""Placement of lists: each reference once, evenly, similar species together, and few moves when the index grows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.placement import CONFUSION, GENUS, METHODS, RANDOM, SHARES, Lists, Placement, place, rebalance
from cluster.placement_files import _read, ensure_placement, find_latest, read_placement, replace_placement
from retrieval.errors import ClusterError
from retrieval.models.embedder import DIM, unit_rows
from retrieval.snapshots.snapshot import open_snapshot
from tests.floras import make_entries, publish


def make_lists(species: int, seed: int = 1, *, per_genus: int = 5, largest: int = 60) -> Lists:
    """Species in genera that look alike."""
    draw = np.random.default_rng(seed)
    genera = np.arange(species) // per_genus
    centres = draw.normal(size=(species // per_genus + 1, DIM))
    means = unit_rows(centres[genera] + 0.4 * draw.normal(size=(species, DIM)))
    return Lists(np.arange(species) * 3 + 7, draw.integers(1, largest, species), genera, means)


def assert_whole(placement: Placement, lists: Lists) -> None:
    """Every species is placed, from its first share to its last, without a gap."""
    for species in lists.species.tolist():
        own = placement.species == species
        borders = sorted(zip(placement.first[own].tolist(), placement.last[own].tolist(), strict=True))
        assert borders[0][0] == 0
        assert borders[-1][1] == SHARES
        assert [last for _, last in borders[:-1]] == [first for first, _ in borders[1:]]
    assert set(placement.species.tolist()) == set(lists.species.tolist())


@pytest.mark.parametrize("method", METHODS)
@given(species=st.integers(1, 60), shards=st.integers(1, 9), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_every_reference_has_one_place(method: str, species: int, shards: int, seed: int) -> None:
    lists = make_lists(species, seed)

    placement = place(lists, shards, method)

    assert_whole(placement, lists)
    assert placement.rows(lists).sum() == lists.sizes.sum()
    assert 0 <= placement.shard.min() <= placement.shard.max() < shards


@pytest.mark.parametrize("method", METHODS)
def test_no_shard_holds_much_more_than_its_share(method: str) -> None:
    lists = make_lists(600)

    rows = place(lists, 6, method).rows(lists)

    assert rows.max() <= 1.25 * rows.mean()


def test_a_species_larger_than_a_share_is_cut_and_its_pieces_lie_apart() -> None:
    lists = make_lists(40)
    lists.sizes[3] = 3 * lists.sizes.sum()

    placement = place(lists, 4)

    assert_whole(placement, lists)
    pieces = placement.shard[placement.species == lists.species[3]]
    assert len(pieces) >= 3
    assert len(set(pieces.tolist())) >= 3
    rows = placement.rows(lists)
    assert rows.max() <= 1.35 * rows.mean()


def pairs_together(placement: Placement, lists: Lists) -> float:
    """Of all pairs of species of one genus, how many lie on one shard."""
    home = dict(zip(placement.species.tolist(), placement.shard.tolist(), strict=True))
    shard = np.array([home[species] for species in lists.species.tolist()])
    same_genus = lists.genera[:, None] == lists.genera[None]
    np.fill_diagonal(same_genus, val=False)
    return float((shard[:, None] == shard[None])[same_genus].mean())


def test_what_is_alike_comes_together_by_genus_and_by_confusion_but_not_by_chance() -> None:
    lists = make_lists(300)

    together = {method: pairs_together(place(lists, 5, method), lists) for method in METHODS}

    assert together[GENUS] == 1
    assert together[CONFUSION] > 0.8
    assert together[RANDOM] < 0.4


def test_the_same_lists_get_the_same_places_and_the_same_name() -> None:
    one, other = place(make_lists(90), 4), place(make_lists(90), 4)

    assert one.id == other.id
    assert one.id != place(make_lists(90), 4, RANDOM).id


def test_what_has_a_place_keeps_it_when_species_are_added() -> None:
    lists = make_lists(500)
    before = np.sort(np.random.default_rng(2).choice(500, 450, replace=False))
    few = Lists(lists.species[before], lists.sizes[before], lists.genera[before], lists.means[before])
    old = place(few, 5)

    new = rebalance(old, lists)

    assert_whole(new, lists)
    home = dict(zip(old.species.tolist(), old.shard.tolist(), strict=True))
    moved = sum(home[s] != n for s, n in zip(new.species.tolist(), new.shard.tolist(), strict=True) if s in home)
    assert moved <= 0.05 * len(home)
    rows = new.rows(lists)
    assert rows.max() <= 1.25 * rows.mean()


def test_a_shard_that_grew_too_full_gives_away_no_more_than_it_must() -> None:
    lists = make_lists(500)
    old = place(lists, 5)
    grown = lists.sizes.copy()
    swollen = np.isin(lists.species, old.species[old.shard == 2])
    grown[swollen] *= 2
    more = Lists(lists.species, grown, lists.genera, lists.means)
    before = old.rows(more)

    new = rebalance(old, more)

    rows = new.rows(more)
    assert before.max() > 1.5 * before.mean()
    assert rows.max() <= 1.25 * rows.mean()
    stayed = new.shard[swollen[np.searchsorted(more.species, new.species)]] == 2
    assert stayed.mean() > 0.4


def test_impossible_wishes_are_refused() -> None:
    with pytest.raises(ClusterError, match="at least 1 shard"):
        place(make_lists(5), 0)
    with pytest.raises(ClusterError, match="random, genus, confusion"):
        place(make_lists(5), 2, "alphabet")


def test_everybody_reads_what_the_first_one_placed(tmp_path: Path) -> None:
    publish(tmp_path, make_entries())
    snapshot = open_snapshot(tmp_path)

    first = ensure_placement(tmp_path, snapshot, 3)
    second = ensure_placement(tmp_path, snapshot, 3, RANDOM)  # too late to wish

    assert first.id == second.id
    assert ensure_placement(tmp_path, snapshot, 2).id != first.id
    assert replace_placement(tmp_path, snapshot, 3, RANDOM).id == ensure_placement(tmp_path, snapshot, 3).id != first.id
    snapshot.close()


def test_a_later_snapshot_starts_from_the_placement_before(tmp_path: Path) -> None:
    publish(tmp_path, make_entries(3))
    snapshot = open_snapshot(tmp_path)
    old = ensure_placement(tmp_path, snapshot, 3)
    snapshot.close()
    publish(tmp_path, make_entries())
    snapshot = open_snapshot(tmp_path)

    new = ensure_placement(tmp_path, snapshot, 3)

    home = dict(zip(old.species.tolist(), old.shard.tolist(), strict=True))
    stayed = [home[s] == n for s, n in zip(new.species.tolist(), new.shard.tolist(), strict=True)]
    assert np.mean(stayed) > 0.7
    assert find_latest(tmp_path, 3) is not None
    snapshot.close()


@pytest.mark.parametrize("left", [0, 3, 100, 0.5, 0.99])
def test_a_placement_that_was_cut_short_is_one_sentence_and_can_be_made_anew(tmp_path: Path, left: float) -> None:
    publish(tmp_path, make_entries(2))
    snapshot = open_snapshot(tmp_path)
    placement = ensure_placement(tmp_path, snapshot, 2)
    path = tmp_path / "placements" / f"{placement.id}.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(left if left > 1 else left * len(whole))])
    _read.cache_clear()  # as another process

    with pytest.raises(ClusterError, match="--anew confusion"):
        ensure_placement(tmp_path, snapshot, 2)
    replace_placement(tmp_path, snapshot, 2, CONFUSION)

    assert ensure_placement(tmp_path, snapshot, 2).id == placement.id
    assert path.read_bytes() == whole
    assert path.stat().st_mode & 0o777 == 0o644
    assert not [left for left in path.parent.iterdir() if left.name.startswith(".")]
    snapshot.close()


def test_a_pointer_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    publish(tmp_path, make_entries(2))
    snapshot = open_snapshot(tmp_path)
    (tmp_path / "placements" / f"{snapshot.name}-2").mkdir(parents=True)

    with pytest.raises(ClusterError, match="cannot be read"):
        ensure_placement(tmp_path, snapshot, 2)
    snapshot.close()


def test_a_placement_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    publish(tmp_path, make_entries(2))
    snapshot = open_snapshot(tmp_path)
    placement = ensure_placement(tmp_path, snapshot, 2)
    path = tmp_path / "placements" / f"{placement.id}.npz"
    path.rename(path.with_name("0123456789abcdef.npz"))

    with pytest.raises(ClusterError, match="cannot be read"):
        read_placement(tmp_path, "0123456789abcdef")
    snapshot.close()
