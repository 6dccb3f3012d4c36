"""Month and cell of each observation: joined by number, validated when written and read, never finer than a cell."""

from __future__ import annotations

from dataclasses import replace
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
    renew_contexts,
    write_contexts,
)

HERE = cell_of(55.7, 12.5)


def test_months_and_cells_are_found_by_observation_and_0_means_unknown(tmp_path: Path) -> None:
    write_contexts(
        tmp_path, gather_contexts([ObservationContext(9, 10, HERE), ObservationContext(4, 3), ObservationContext(6)])
    )

    found = read_contexts(tmp_path)

    assert found is not None
    said = found.of(np.array([4, 9, 9, 6, 100, 1]))
    assert said["months"].tolist() == [3, 10, 10, 0, 0, 0]
    assert said["cells"].tolist() == [0, HERE, HERE, 0, 0, 0]
    assert found.only(np.array([9, 6])).listed() == [ObservationContext(9, 10, HERE)]


def test_habitats_and_substrates_are_kept_too_and_unknown_where_a_snapshot_is_older(tmp_path: Path) -> None:
    known = [ObservationContext(4, 3, 0, 12, 15), ObservationContext(7, 0, 0, 0, 1), ObservationContext(9, 0, 0, 2)]
    write_contexts(tmp_path, gather_contexts(known))

    found = read_contexts(tmp_path)
    with np.load(tmp_path / FILE) as held:
        np.savez(tmp_path / FILE, **{name: held[name] for name in ("observations", "months", "cells")})
    older = read_contexts(tmp_path)

    assert found is not None
    assert found.listed() == known
    assert found.of(np.array([9, 4, 5]))["habitats"].tolist() == [2, 12, 0]
    assert older is not None
    assert older.listed() == [replace(one, habitat=0, substrate=0) for one in known]
    renewed = renew_contexts(found, np.array([7]), gather_contexts([ObservationContext(4, 5, 0, 1)]))
    assert renewed.listed() == [ObservationContext(4, 5, 0, 1), known[2]]


@pytest.mark.parametrize("context", [ObservationContext(1, habitat=13), ObservationContext(1, substrate=16)])
def test_a_class_that_there_is_not_is_refused(tmp_path: Path, context: ObservationContext) -> None:
    with pytest.raises(ValueError, match="class"):
        write_contexts(tmp_path, gather_contexts([context]))


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
