"""The reference photos shown with a candidate, from hand-made neighbours."""

from __future__ import annotations

import numpy as np

from retrieval.answers.candidates import EVIDENCE, find_evidence
from retrieval.segments.store import NearestReferences


def make_neighbours(*photos: list[tuple[float, int, int, int]]) -> NearestReferences:
    """Make neighbours of each photo from (similarity, row, species, observation), best first."""
    similarities, rows, species, observations = (np.array(column) for column in np.array(photos).transpose(2, 0, 1))
    return NearestReferences(
        similarities.astype(np.float32), rows.astype(np.int64), species.astype(np.int64), observations.astype(np.int64)
    )


def test_of_several_photos_of_one_observation_the_closest_is_shown() -> None:
    found = find_evidence([7, 8], make_neighbours([(0.75, 1, 7, 50), (0.5, 2, 7, 50), (0.25, 3, 8, 51)]))

    assert found == {7: [(1, 0.75, 0)], 8: [(3, 0.25, 0)]}


def test_a_reference_is_shown_once_with_the_photo_that_is_most_like_it() -> None:
    found = find_evidence(
        [7], make_neighbours([(0.5, 1, 7, 50), (0.25, 2, 7, 51)], [(0.75, 2, 7, 51), (0.5, 1, 7, 50)])
    )

    assert found == {7: [(2, 0.75, 1), (1, 0.5, 0)]}  # of equal photos the first


def test_the_best_few_are_shown_and_missing_neighbours_are_not() -> None:
    many = [(1 - row / 8, row, 7, row) for row in range(6)]

    found = find_evidence([7, 9], make_neighbours([*many, (-1.0, -1, 7, -1)]))

    assert [row for row, _, _ in found[7]] == list(range(EVIDENCE))
    assert found[9] == []
