"""Reading arrays from several threads at once, as requests do that meet a new snapshot."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from retrieval.search.arrays import load_array, load_arrays


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
