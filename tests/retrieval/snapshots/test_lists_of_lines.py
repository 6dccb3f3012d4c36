"""The list of a segment for each line of the coarse quantiser; species without a line get none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np

from retrieval.search.faiss_coarse import CoarseQuantiser
from retrieval.segments.segment import Segment
from retrieval.snapshots.flora import lists_of_lines


def test_what_a_segment_does_not_hold_has_no_list_and_neither_has_no_species() -> None:
    quantiser = cast(CoarseQuantiser, SimpleNamespace(species=np.array([3, 5, 8, 9])))
    segment = cast(Segment, SimpleNamespace(species=np.array([5, 9])))

    lists = lists_of_lines(quantiser, segment)

    assert lists.tolist() == [-1, 0, -1, 1, -1]
    assert lists[np.array([-1])].tolist() == [-1]  # the line of no species
