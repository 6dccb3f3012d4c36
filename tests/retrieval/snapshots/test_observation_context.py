"""Month and cell of each observation: joined by number, checked on the way in and out, never finer than a cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrieval.errors import DamagedSnapshot
from retrieval.snapshots.cells import RINGS, cell_of, cells_around, rings_around
from retrieval.snapshots.observation_context import (
    FILE,
    ObservationContext,
    gather_contexts,
    read_contexts,
    write_contexts,
)

HERE = cell_of(55.7, 12.5)


def test_months_and_cells_are_found_by_observation_and_0_means_unknown(tmp_path: Path) -> None:
    write_contexts(
        tmp_path, gather_contexts([ObservationContext(9, 10, HERE), ObservationContext(4, 3), ObservationContext(6)])
    )

    found = read_contexts(tmp_path)

    assert found is not None
    months, cells = found.of(np.array([4, 9, 9, 6, 100, 1]))
    assert months.tolist() == [3, 10, 10, 0, 0, 0]
    assert cells.tolist() == [0, HERE, HERE, 0, 0, 0]
    assert found.only(np.array([9, 6])).listed() == [ObservationContext(9, 10, HERE)]


def test_nothing_known_is_no_file(tmp_path: Path) -> None:
    write_contexts(tmp_path, gather_contexts([ObservationContext(1)]))

    assert not (tmp_path / FILE).exists()
    assert read_contexts(tmp_path) is None


def test_a_place_finer_than_a_cell_is_refused_on_the_way_in_and_out(tmp_path: Path) -> None:
    import h3

    fine = int(h3.str_to_int(h3.latlng_to_cell(55.7, 12.5, 9)))

    with pytest.raises(ValueError, match="width of a cell"):
        write_contexts(tmp_path, gather_contexts([ObservationContext(1, 5, fine)]))
    np.savez(tmp_path / FILE, observations=[1], months=np.array([5], np.uint8), cells=np.array([fine], np.uint64))
    with pytest.raises(DamagedSnapshot, match="width of a cell"):
        read_contexts(tmp_path)


def test_rings_of_a_cell_are_those_of_any_place_in_it() -> None:
    assert rings_around(HERE) == cells_around(55.7, 12.5)
    assert [len(ring) for ring in rings_around(HERE)] == [1, 6, 12][:RINGS]
