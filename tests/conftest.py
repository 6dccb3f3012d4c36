"""What all tests share: the folder of real photographs and sample archives, read in place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgres import database, database_url, empty_tables, postgres, system

__all__ = ["database", "database_url", "empty_tables", "postgres", "shared", "system"]

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the repository; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"no sample files: {SHARED} is absent")
    return SHARED
