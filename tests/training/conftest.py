from __future__ import annotations

import os

import pytest

from training.drawn.drawing import PoolPart
from training.pool import Pool, draw_pool

PARTS = (PoolPart("fungi", 3, 3, 2), PoolPart("things", 4, 3, 2))


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """96 small pictures: 12 species of fungi in 3 genera, 4 classes of things."""
    return draw_pool(tmp_path_factory.mktemp("pool") / "drawn", PARTS, seed=1, side=48, processes=1)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch sums in another order with other numbers of threads."""
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")
