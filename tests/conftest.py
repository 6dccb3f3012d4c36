"""What all tests share: the folder of sample files, read in place, and how two processes divide the tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import database, database_url, empty_tables, postgres, system

__all__ = ["database", "database_url", "empty_tables", "postgres", "shared", "system"]

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
WHOLE = ("tests/cluster", "tests/pages")
"""Folders whose tests stay in one process: they share a Ray cluster, or a site and a browser."""

LONG = (
    *WHOLE,
    "tests/indexer/building/test_grow.py",
    "tests/test_real_photographs.py",
    "tests/training/test_trainer.py",
)
"""What begins first, the longest before others, so that both processes end at about the same time."""


COMPUTE_ALONE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Threads wait for each other by turning round: two processes with two each take six times as long on two cores."""


def pytest_configure(config: pytest.Config) -> None:
    """Where several processes run tests, each computes on one core; they and what they start inherit it."""
    if config.getoption("numprocesses", None):
        for name in COMPUTE_ALONE:
            os.environ.setdefault(name, "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How often what is left to chance is tried."""
    parser.addoption("--exhaustive", action="store_true", help="try chance as often as the documents say: minutes more")


@pytest.fixture(scope="session")
def rounds(pytestconfig: pytest.Config) -> Callable[..., int]:
    """How often a test of random moments is repeated: a few times with every change, all of them on request."""
    exhaustive = pytestconfig.getoption("--exhaustive")

    def choose(quick: int, *, exhaustively: int) -> int:
        return exhaustively if exhaustive else quick

    return choose


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the repository; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"no sample files: {SHARED} is absent")
    return SHARED


def group_of(test: str) -> str:
    """The tests that one process runs one after another: those of a file, or of a whole folder."""
    file = test.partition("::")[0]
    return next((folder for folder in WHOLE if file.startswith(f"{folder}/")), file)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Several processes begin with what takes long; a single one keeps the order of files."""
    if config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
        places = {group: place for place, group in enumerate(LONG)}
        items.sort(key=lambda item: places.get(group_of(item.nodeid), len(LONG)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out groups as `group_of` makes them, in the order in which they were collected."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

        def remove_node(self, node: Any) -> str | None:
            """A test at which a process ended has failed; the rest of its group goes on elsewhere, without it."""
            units = self.assigned_work[node].values()
            lost = next(((unit, test) for unit in units for test, done in unit.items() if not done), None)
            if lost is not None:
                unit, test = lost
                unit[test] = True  # else it would be run again by one process after another
            super().remove_node(node)
            return lost and lost[1]

    config.option.loadscopereorder = False  # by number of tests, which says nothing about how long they take
    return Groups(config, log)
