"""Reading arrays from several threads at once, as requests do after a new snapshot."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from retrieval.search.arrays import load_array, load_arrays, map_array, write_rows


def test_what_was_saved_is_read_mapped_or_not(tmp_path: Path) -> None:
    saved = np.arange(12, dtype=np.int64).reshape(3, 4)
    np.save(tmp_path / "a.npy", saved)
    np.savez(tmp_path / "b.npz", one=saved, other=saved[0])

    assert np.array_equal(load_array(tmp_path / "a.npy"), saved)
    assert np.array_equal(load_array(tmp_path / "a.npy", mapped=True), saved)
    assert not load_array(tmp_path / "a.npy", mapped=True).flags.writeable
    assert load_arrays(tmp_path / "b.npz")["other"].tolist() == [0, 1, 2, 3]


def test_many_threads_read_at_once(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: load_array(tmp_path / "a.npy", mapped=True).sum(), range(2000)))

    assert set(found) == {10}


def test_an_array_of_an_archive_is_mapped_with_its_own_numbers_and_not_writeable(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    saved = {"a": draw.normal(size=(70, 3)), "long name": draw.integers(0, 9, 11), "none": np.zeros((0, 4))}
    saved["turned"] = np.asfortranarray(saved["a"].astype(np.float16))
    np.savez(tmp_path / "b.npz", allow_pickle=False, **saved)

    mapped = {name: map_array(tmp_path / "b.npz", name) for name in saved}

    for name, array in saved.items():
        assert mapped[name].dtype == array.dtype
        assert np.array_equal(mapped[name], array)
    assert not mapped["a"].flags.writeable
    assert np.array_equal(mapped["a"].sum(axis=0), saved["a"].sum(axis=0))


def test_an_archive_that_cannot_be_mapped_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "small.npz", a=np.zeros(1000))
    np.save(tmp_path / "single.npy", np.zeros(3))
    np.savez(tmp_path / "whole.npz", a=np.arange(5000))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:3000])

    for name in ("small.npz", "single.npy", "cut.npz"):
        with pytest.raises(ValueError, match=name.split(".")[0]):
            map_array(tmp_path / name, "a")
    with pytest.raises(KeyError):
        map_array(tmp_path / "whole.npz", "b")


def test_rows_written_in_blocks_are_the_bytes_of_the_whole_saved_at_once(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(50, 8))
    np.save(tmp_path / "whole.npy", rows.astype(np.float16))

    write_rows(tmp_path / "blocks.npy", (rows[start : start + 7] for start in range(0, 50, 7)), rows.shape, np.float16)

    assert (tmp_path / "blocks.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
