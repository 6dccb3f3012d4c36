"""The voting rules by hand-made tables, and what must hold for every set of neighbours."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.domain import Neighbour, Vote
from retrieval.ranking.votes import cast_votes, fuse_shares, rank_taxa, share_votes, sum_shares

T = 0.05
LN2 = math.log(2)


def neighbour(row: int, species: int, observation: int, similarity: float) -> Neighbour:
    return Neighbour(row, species, observation, similarity)


@st.composite
def neighbourhoods(draw: st.DrawFn) -> list[Neighbour]:
    """Rows are distinct, and an observation is of one species, as in a snapshot."""
    rows = draw(st.lists(st.integers(0, 500), unique=True, min_size=1, max_size=40))
    found = []
    for row in rows:
        observation = draw(st.integers(0, 15))
        similarity = draw(st.one_of(st.floats(-1, 1), st.sampled_from([0.5, 0.75, 1.0])))
        found.append(Neighbour(row, observation % 5, observation, similarity))
    return found


def test_a_table_of_votes() -> None:
    near = [
        neighbour(0, species=7, observation=1, similarity=0.9),
        neighbour(1, species=7, observation=1, similarity=0.8),  # the same find: silent
        neighbour(2, species=8, observation=2, similarity=0.9 - T * LN2),
        neighbour(3, species=8, observation=3, similarity=0.9 - T * math.log(4)),
    ]

    votes = cast_votes(near, temperature=T)

    assert [(vote.species, vote.observation, vote.row) for vote in votes] == [(7, 1, 0), (8, 2, 2), (8, 3, 3)]
    assert [vote.weight for vote in votes] == pytest.approx([1, 1 / 2, 1 / 4])
    assert share_votes(votes) == pytest.approx({7: 4 / 7, 8: 3 / 7})


def test_a_lower_temperature_lets_the_closest_decide_more() -> None:
    near = [neighbour(0, 1, 1, 0.9), neighbour(1, 2, 2, 0.8), neighbour(2, 2, 3, 0.8)]

    cold, warm = (share_votes(cast_votes(near, temperature=temperature)) for temperature in (0.02, 1.0))

    assert cold[1] > 0.98
    assert warm[2] > 0.6


def test_no_neighbours_give_no_votes_and_no_shares() -> None:
    assert cast_votes([], temperature=T) == []
    assert share_votes([]) == {}
    assert fuse_shares([]) == {}
    assert fuse_shares([{}, {}]) == {}


@given(neighbourhoods(), st.data())
def test_a_worse_photo_of_a_known_observation_changes_nothing(found: list[Neighbour], data: st.DataObject) -> None:
    known = data.draw(st.sampled_from(found))
    worse = Neighbour(
        1000, known.species, known.observation, known.similarity - data.draw(st.floats(0, 0.5, allow_subnormal=False))
    )

    assert cast_votes([worse, *found], temperature=T) == cast_votes(found, temperature=T)


@given(neighbourhoods(), st.randoms(use_true_random=False))
def test_the_order_of_neighbours_never_matters(found: list[Neighbour], rng: Random) -> None:
    shuffled = rng.sample(found, len(found))

    votes, others = cast_votes(found, temperature=T), cast_votes(shuffled, temperature=T)

    assert votes == others
    assert share_votes(votes) == share_votes(others)


@given(neighbourhoods(), st.randoms(use_true_random=False))
def test_the_order_of_votes_never_shows_in_the_last_digit(found: list[Neighbour], rng: Random) -> None:
    votes = cast_votes(found, temperature=0.3)

    assert share_votes(rng.sample(votes, len(votes))) == share_votes(votes)


@given(neighbourhoods())
def test_each_observation_votes_once_through_its_closest_photo(found: list[Neighbour]) -> None:
    votes = cast_votes(found, temperature=T)

    assert sorted(vote.observation for vote in votes) == sorted({near.observation for near in found})
    for vote in votes:
        own = [near for near in found if near.observation == vote.observation]
        assert vote.similarity == max(near.similarity for near in own)
        assert vote.row == min(near.row for near in own if near.similarity == vote.similarity)


@given(neighbourhoods())
def test_shares_are_what_the_formula_says_and_add_up_to_1(found: list[Neighbour]) -> None:
    closest: dict[int, Neighbour] = {}
    for near in found:
        if near.observation not in closest or near.similarity > closest[near.observation].similarity:
            closest[near.observation] = near
    weights = {near: math.exp(near.similarity / 0.2) for near in closest.values()}
    expected = {
        species: sum(weight for near, weight in weights.items() if near.species == species) / sum(weights.values())
        for species in {near.species for near in found}
    }

    shares = share_votes(cast_votes(found, temperature=0.2))

    assert shares == pytest.approx(expected)
    assert math.fsum(shares.values()) == pytest.approx(1)
    assert all(0 <= share <= 1 for share in shares.values())


def test_huge_similarities_and_tiny_temperatures_do_not_overflow() -> None:
    near = [neighbour(0, 1, 1, 1e6), neighbour(1, 2, 2, -1e6), neighbour(2, 3, 3, 1e6)]

    shares = share_votes(cast_votes(near, temperature=1e-6))

    assert shares == {1: 0.5, 2: 0.0, 3: 0.5}


def test_fusion_is_the_mean_over_the_views() -> None:
    fused = fuse_shares([{1: 0.8, 2: 0.2}, {2: 0.5, 3: 0.5}])

    assert fused == pytest.approx({1: 0.4, 2: 0.35, 3: 0.25})


def test_a_view_without_neighbours_does_not_speak() -> None:
    assert fuse_shares([{1: 0.75, 2: 0.25}, {}]) == {1: 0.75, 2: 0.25}


@given(st.lists(neighbourhoods(), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_photos_never_matters(views: list[list[Neighbour]], rng: Random) -> None:
    shares = [share_votes(cast_votes(view, temperature=T)) for view in views]

    fused = fuse_shares(shares)

    assert fused == fuse_shares(rng.sample(shares, len(shares)))
    assert math.fsum(fused.values()) == pytest.approx(1)


def test_the_same_photo_twice_says_no_more_than_once() -> None:
    shares = {1: 0.7, 2: 0.3}

    assert fuse_shares([shares, shares]) == pytest.approx(shares)


@given(st.dictionaries(st.integers(0, 30), st.floats(0, 1), max_size=20))
def test_a_genus_is_the_sum_of_its_species_and_who_has_none_is_left_out(shares: dict[int, float]) -> None:
    parent = {species: species % 3 for species in shares if species % 7}

    sums = sum_shares(shares, parent)

    assert set(sums) == set(parent.values())
    for genus, total in sums.items():
        assert total == pytest.approx(sum(shares[species] for species in parent if parent[species] == genus))


def test_taxa_are_ranked_by_share_then_by_name_then_by_id() -> None:
    shares = {5: 0.2, 9: 0.4, 3: 0.2, 7: 0.2, 1: 0.0}
    names = {5: "Russula emetica", 3: "Russula emetica", 7: "Amanita citrina", 9: "Boletus edulis"}

    assert rank_taxa(shares, names) == [9, 7, 3, 5, 1]


@given(st.dictionaries(st.integers(0, 50), st.sampled_from([0.1, 0.2, 0.3]), min_size=1), st.randoms())
def test_a_ranking_does_not_depend_on_how_the_shares_were_gathered(shares: dict[int, float], rng: Random) -> None:
    gathered = dict(rng.sample(sorted(shares.items()), len(shares)))
    names = {taxon: "abc"[taxon % 3] for taxon in shares}

    assert rank_taxa(gathered, names) == rank_taxa(shares, names)


def test_votes_are_values() -> None:
    assert cast_votes([neighbour(4, 7, 1, 0.5)], temperature=T) == [Vote(7, 1, 4, 0.5, 1.0)]
