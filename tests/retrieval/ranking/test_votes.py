"""Voting, compared with hand-made tables, with its properties and with the reference implementation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.domain import Neighbour
from retrieval.ranking.votes import vote, vote_shares
from tests.retrieval.ranking.plain_votes import cast_votes, share_votes

T = 0.05
LN2 = math.log(2)


def neighbour(row: int, species: int, observation: int, similarity: float) -> Neighbour:
    return Neighbour(row, species, observation, similarity)


def shares_of(found: Sequence[Neighbour], temperature: float) -> dict[int, float]:
    """The shares of one view, by species; neighbours are put in their order first."""
    near = sorted(found, key=lambda each: (-each.similarity, each.row))
    species = sorted({each.species for each in near})
    shares = vote_shares(
        np.array([[each.similarity for each in near]]).reshape(1, -1),
        np.array([[each.observation for each in near]], dtype=np.int64).reshape(1, -1),
        np.array([[species.index(each.species) for each in near]], dtype=np.int64).reshape(1, -1),
        len(species),
        temperature,
    )
    return dict(zip(species, shares[0].tolist(), strict=True))


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
    similarities = np.array([[0.9, 0.9 - T * LN2, 0.8, 0.9 - T * math.log(4), -np.inf]])
    observations = np.array([[1, 2, 1, 3, -1]])  # the third is of the same find as the first: silent

    votes = vote(similarities, observations, T)

    assert votes[0] == pytest.approx([4 / 7, 2 / 7, 0, 1 / 7, 0])
    shares = vote_shares(similarities, observations, np.array([[0, 1, 0, 1, -1]]), 3, T)
    assert shares[0] == pytest.approx([4 / 7, 3 / 7, 0])


def test_an_observation_that_stands_in_a_line_twice_votes_through_the_closer() -> None:
    votes = vote(np.array([[0.9, 0.8, 0.8, 0.7]]), np.array([[5, 4, 5, 4]]), T)

    assert (votes > 0).tolist() == [[True, True, False, False]]


def test_a_lower_temperature_lets_the_closest_decide_more() -> None:
    near = [neighbour(0, 1, 1, 0.9), neighbour(1, 2, 2, 0.8), neighbour(2, 2, 3, 0.8)]

    assert shares_of(near, 0.02)[1] > 0.98
    assert shares_of(near, 1.0)[2] > 0.6


def test_no_neighbours_give_no_votes_and_no_shares() -> None:
    nothing = np.full((2, 3), -1)

    assert not vote(np.full((2, 3), -np.inf), nothing, T).any()
    assert vote_shares(np.full((2, 3), -np.inf), nothing, nothing, 4, T).tolist() == [[0.0] * 4] * 2
    assert vote_shares(np.zeros((2, 0)), nothing[:, :0], nothing[:, :0], 4, T).shape == (2, 4)


@given(neighbourhoods())
def test_the_arrays_say_what_the_plain_rule_says(found: list[Neighbour]) -> None:
    plain = share_votes(cast_votes(found, temperature=T))

    assert shares_of(found, T) == pytest.approx(plain, abs=1e-12)


@given(neighbourhoods(), st.data())
def test_a_worse_photo_of_a_known_observation_changes_nothing(found: list[Neighbour], data: st.DataObject) -> None:
    known = data.draw(st.sampled_from(found))
    worse = Neighbour(
        1000, known.species, known.observation, known.similarity - data.draw(st.floats(0, 0.5, allow_subnormal=False))
    )

    assert shares_of([worse, *found], T) == pytest.approx(shares_of(found, T), abs=1e-15)


@given(neighbourhoods(), st.randoms(use_true_random=False))
def test_the_order_of_neighbours_shows_in_no_digit(found: list[Neighbour], rng: Random) -> None:
    assert shares_of(rng.sample(found, len(found)), T) == shares_of(found, T)


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

    shares = shares_of(found, 0.2)

    assert shares == pytest.approx(expected)
    assert math.fsum(shares.values()) == pytest.approx(1)
    assert all(0 <= share <= 1 + 1e-15 for share in shares.values())


def test_huge_similarities_and_tiny_temperatures_do_not_overflow() -> None:
    near = [neighbour(0, 1, 1, 1e6), neighbour(1, 2, 2, -1e6), neighbour(2, 3, 3, 1e6)]

    assert shares_of(near, 1e-6) == {1: 0.5, 2: 0.0, 3: 0.5}


@given(neighbourhoods(), neighbourhoods())
def test_views_are_counted_apart(one: list[Neighbour], other: list[Neighbour]) -> None:
    width = max(len(one), len(other))
    near = [sorted(view, key=lambda each: (-each.similarity, each.row)) for view in (one, other)]
    lines = [[*view, *[Neighbour(-1, -1, -1, -np.inf)] * (width - len(view))] for view in near]

    both = vote_shares(
        np.array([[each.similarity for each in line] for line in lines]),
        np.array([[each.observation for each in line] for line in lines]),
        np.array([[each.species for each in line] for line in lines]),
        5,
        T,
    )

    for line, view in zip(both, near, strict=True):
        alone = shares_of(view, T)
        assert line == pytest.approx([alone.get(species, 0.0) for species in range(5)])
