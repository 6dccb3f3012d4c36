"""`fungarium cluster`, and `fungarium identify` on a cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.supervisor import stop_shards
from fungarium.cli import main
from tests.cluster.conftest import Machines
from tests.snapshots import MUSCARIA, draw_photo, make_snapshot

ROOT = Path(__file__).resolve().parents[2]
END = """
import os, signal, sys
from cluster.connection import connect, disconnect
signal.signal(signal.SIGTERM, lambda *_: print("ended in order", flush=True))
connect(sys.argv[1])
os.kill(os.getpid(), signal.SIGTERM)
print("went on", flush=True)
disconnect()
"""


@pytest.fixture
def operated(machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A published snapshot and the settings of a cluster of two shards."""
    make_snapshot(tmp_path)
    for name, value in {
        "CLUSTER": machines.address,
        "FLORA_INDEXES": str(tmp_path),
        "SHARDS": "2",
        "REPLICAS": "1",
        "MODEL": "descriptor",
    }.items():
        monkeypatch.setenv(f"FUNGARIUM_{name}", value)
    yield tmp_path
    stop_shards(machines.ray)


def test_starting_showing_and_stopping(
    operated: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["cluster", "status"]) == 1
    assert "shard 1 replica 0: not started" in capsys.readouterr().out

    assert main(["cluster", "start"]) == 0
    assert "2 processes started, 0 were running" in (said := capsys.readouterr().out)
    assert "2 of 2 have opened snapshot" in said

    assert main(["cluster", "start"]) == 0
    assert "0 processes started, 2 were running" in capsys.readouterr().out

    assert main(["cluster", "status", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(r["shard"], r["alive"], len(r["snapshots"])) for r in shown["replicas"]] == [(0, True, 1), (1, True, 1)]
    assert main(["cluster", "status"]) == 0
    assert "every shard is served" in capsys.readouterr().out

    with monkeypatch.context() as fewer:
        fewer.setenv("FUNGARIUM_SHARDS", "1")
        assert main(["cluster", "status"]) == 0
        assert "shard 1 runs too, although FUNGARIUM_SHARDS is 1" in capsys.readouterr().out

    (operated / "CURRENT").write_text("0123456789abcdef\n")  # published, and not opened by anything yet
    assert main(["cluster", "status"]) == 1
    said = capsys.readouterr().out
    assert "no replica of shard 0, 1 has opened the published snapshot 0123456789abcdef" in said
    assert "every shard is served" not in said

    assert main(["cluster", "stop"]) == 0
    assert capsys.readouterr().out == "2 processes stopped\n"
    assert main(["cluster", "stop"]) == 0
    assert capsys.readouterr().out == "0 processes stopped\n"


def test_an_identification_is_the_same_on_the_cluster(
    operated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = operated / "find.jpg"
    photo.write_bytes(draw_photo(MUSCARIA, 9))
    command = ["identify", "--flora", "north", "--json", str(photo)]

    assert main(command) == 0
    on_cluster = capsys.readouterr().out
    monkeypatch.delenv("FUNGARIUM_CLUSTER")
    assert main(command) == 0

    assert capsys.readouterr().out == on_cluster


def test_where_lists_lie_is_shown_and_can_be_made_anew(operated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "place"]) == 0
    shown = capsys.readouterr().out
    assert main(["cluster", "place", "--anew", "random"]) == 0

    assert shown.count("shard ") == 2
    assert sum(int(line.split()[2]) for line in shown.splitlines()[1:]) == 36


def test_without_the_setting_there_is_nothing_to_look_after(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FUNGARIUM_CLUSTER", raising=False)

    assert main(["cluster", "status"]) == 1

    assert "FUNGARIUM_CLUSTER is not set" in capsys.readouterr().err


def test_a_server_on_a_cluster_ends_in_its_own_order(machines: Machines) -> None:
    """Ray would put itself between the process and its signals, and write a stack trace at each."""
    ran = subprocess.run(
        [sys.executable, "-c", END, machines.address], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert ran.stdout.split("\n")[:2] == ["ended in order", "went on"]
    assert "SIGTERM received" not in ran.stderr
    assert ran.returncode == 0
