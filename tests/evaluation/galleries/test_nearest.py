"""The highest scores of wide tables, compared with sorting."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.galleries.nearest import MANY, RUN, nearest_among, nearest_of

K = 3


@pytest.mark.parametrize("width", [K, 40, MANY * K * RUN, MANY * K * RUN + 17])
def test_the_highest_scores_of_a_row_are_those_of_a_sorted_one(width: int) -> None:
    scores = np.random.default_rng(width).permutation(4 * width).reshape(4, width).astype(np.float32)
    scores[1, : width - 2] = -np.inf  # so that fewer than K are left

    found, near = nearest_of(scores, K)

    order = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    assert found.tolist() == np.take_along_axis(scores, order, axis=1).tolist()
    assert near[[0, 2, 3]].tolist() == order[[0, 2, 3]].tolist()
    assert near[1].tolist() == [*order[1, :2].tolist(), -1]


def test_among_some_rows_the_others_are_not_there() -> None:
    scores = np.array([[0.1, 0.9, 0.3, 0.7], [0.4, 0.2, 0.8, 0.6]], dtype=np.float32)

    found, near = nearest_among(scores, np.array([0, 2]), 3)

    assert near.tolist() == [[2, 0, -1], [2, 0, -1]]
    assert np.isneginf(found[:, 2]).all()
    assert nearest_among(scores, np.zeros(0, np.int64), 3)[1].tolist() == [[-1] * 3] * 2
