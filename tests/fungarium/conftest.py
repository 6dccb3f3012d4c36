from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fungarium.cli import main
from tests.replicas.gbif import Replica, gbif_replica, make_taxa

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def replica() -> Iterator[Replica]:
    """GBIF over the records that a test gives it."""
    with gbif_replica(make_taxa(12), []) as served:
        yield served


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on a catalogue of its own; gives exit status, output and errors."""
    monkeypatch.setenv("FUNGARIUM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FUNGARIUM_FLORA_INDEXES", str(tmp_path / "flora_indexes"))

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


@pytest.fixture
def run_region(run: Run, monkeypatch: pytest.MonkeyPatch, replica: Replica) -> Run:
    """Does the same with the replica for GBIF."""
    monkeypatch.setenv("FUNGARIUM_GBIF", replica.base)
    monkeypatch.setenv("FUNGARIUM_FETCH_ALLOW", "127.0.0.1/32")
    monkeypatch.setenv("FUNGARIUM_FETCH_PAUSE", "0")
    monkeypatch.setenv("FUNGARIUM_MODEL", "descriptor")
    return run
