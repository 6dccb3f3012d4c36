"""The coarse quantiser: the species of a flora whose mean embedding is nearest to a view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import DamagedSnapshot
from retrieval.models.embedder import DIM, unit_rows
from retrieval.search.faiss_coarse import MEANS, SCATTERED, SPECIES, CoarseQuantiser, write_coarse_quantiser

LINES = 200
MEANS_OF = unit_rows(np.random.default_rng(3).normal(size=(LINES, DIM))) * 7
TAXA = np.random.default_rng(4).permutation(1_000)[:LINES]
VIEWS = unit_rows(np.random.default_rng(5).normal(size=(4, DIM)))


@pytest.fixture(scope="module")
def quantiser(tmp_path_factory: pytest.TempPathFactory) -> CoarseQuantiser:
    folder = tmp_path_factory.mktemp("guide")
    write_coarse_quantiser(folder, TAXA, MEANS_OF, np.arange(len(TAXA)))
    return CoarseQuantiser(folder)


@given(st.sets(st.integers(0, LINES - 1), min_size=1), st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_the_nearest_species_are_those_of_brute_force(quantiser: CoarseQuantiser, chosen: set[int], count: int) -> None:
    lines = np.array(sorted(chosen), dtype=np.int64)

    found = quantiser.nearest(VIEWS, count, quantiser.cut(lines))

    near = VIEWS @ unit_rows(MEANS_OF).astype(np.float16).astype(np.float32)[lines].T
    for line, order in zip(found, np.argsort(-near, axis=1), strict=True):
        assert line.tolist() == lines[order[:count]].tolist()


def test_scattered_lines_are_compared_in_one_piece_and_long_stretches_where_they_lie(
    quantiser: CoarseQuantiser,
) -> None:
    scattered, stretch = quantiser.cut(np.arange(0, LINES, 2)), quantiser.cut(np.arange(30, 150))

    assert LINES // 2 > SCATTERED
    assert (len(scattered.firsts), len(stretch.firsts)) == (1, 1)
    assert len(quantiser.cut(np.array([1, 2, 3, 9, 20, 21])).firsts) == 3


def test_no_lines_and_no_views_give_none(quantiser: CoarseQuantiser) -> None:
    none = quantiser.cut(np.zeros(0, np.int64))

    assert quantiser.nearest(VIEWS, 5, none).shape == (4, 0)
    assert quantiser.nearest(VIEWS[:0], 5, quantiser.cut(np.arange(9))).shape == (0, 0)


def test_species_are_found_by_their_ids(quantiser: CoarseQuantiser) -> None:
    assert quantiser.lines_of(np.sort(TAXA[[7, 90]])).tolist() == [7, 90]
    assert quantiser.lines_of(np.array([2_000])).tolist() == []


def test_a_guide_of_other_species_or_cut_short_is_refused(tmp_path: Path) -> None:
    write_coarse_quantiser(tmp_path, TAXA, MEANS_OF, np.arange(len(TAXA)))
    np.save(tmp_path / SPECIES, TAXA[:-1])
    with pytest.raises(DamagedSnapshot, match="another type or width"):
        CoarseQuantiser(tmp_path)
    (tmp_path / MEANS).write_bytes(b"nonsense")
    with pytest.raises(DamagedSnapshot, match="cannot be read"):
        CoarseQuantiser(tmp_path)
