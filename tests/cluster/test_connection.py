"""Connecting to a cluster: by one setting, or an error in one sentence within a bounded time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster.connection import Address, _join, connect, parse_address, require_listener
from retrieval.errors import ClusterError

ROOT = Path(__file__).resolve().parents[2]
JOIN = """
import os, sys
from cluster.connection import connect
from retrieval.errors import ClusterError
try:
    connect(sys.argv[1], timeout=1)
except ClusterError as error:
    print(error, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("local", Address("local")),
        ("10.0.0.7:6379", Address("10.0.0.7:6379", "10.0.0.7", 6379)),
        ("ray://head.example.org:10001", Address("ray://head.example.org:10001", "head.example.org", 10001)),
        ("[fd00::7]:6379", Address("[fd00::7]:6379", "fd00::7", 6379)),
    ],
)
def test_an_address_is_read(text: str, read: Address) -> None:
    assert parse_address(text) == read


@pytest.mark.parametrize(
    "text", ["head", "head:", ":6379", "head:port", "head:0", "head:70000", "http://head:80", "auto"]
)
def test_what_is_no_address_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(ClusterError, match="HOST:PORT, ray://HOST:PORT or local"):
        parse_address(text)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_where_nobody_listens_the_sentence_says_what_to_do(scheme: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        port = taken.getsockname()[1]

        with pytest.raises(ClusterError, match=f"nothing answers at {scheme}127.0.0.1:{port}.*ray start --head"):
            require_listener(parse_address(f"{scheme}127.0.0.1:{port}"), 2)


def test_what_listens_but_is_no_cluster_is_given_up_in_bounded_time() -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(8)
        address = f"127.0.0.1:{other.getsockname()[1]}"
        asked = subprocess.run(  # in a process of its own: Ray goes on trying beside
            [sys.executable, "-c", JOIN, address], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
        )

    assert "not a Ray cluster, is too busy, or has another token" in asked.stdout


def test_who_does_not_answer_is_given_up_in_bounded_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        address = parse_address(f"127.0.0.1:{silent.getsockname()[1]}")

        def knock() -> None:
            for _ in range(4):  # the kernel lets one or two in, whom nobody ever greets
                require_listener(address, 0.2)

        with pytest.raises(ClusterError, match="nothing answers"):
            knock()


def test_a_local_cluster_lives_as_long_as_the_command() -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    program = """
from cluster.connection import connected
with connected("local", cores=1) as ray:
    print(ray.get(ray.remote(lambda: 7).remote(), timeout=40))
"""

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=90)

    assert (ran.returncode, ran.stdout.strip()) == (0, "7"), ran.stderr


def test_whoever_tries_again_waits_for_the_attempt_that_is_on_its_way() -> None:
    """Ray cannot be told to give up: each attempt of its own would leave a thread behind."""
    attempts, let = [], threading.Event()

    def init(**options: object) -> None:
        attempts.append(options)
        let.wait(60)

    ray = SimpleNamespace(init=init, exceptions=SimpleNamespace(RayError=LookupError))
    address = parse_address("10.0.0.9:6379")
    for _ in range(3):
        with pytest.raises(ClusterError, match="did not accept the connection"):
            _join(ray, address, {}, 0.01)

    let.set()
    _join(ray, address, {}, 60)

    assert len(attempts) == 1


@pytest.mark.parametrize("where", ["file", "variable", "nowhere"])
def test_a_token_that_is_there_is_shown_to_the_cluster(tmp_path: Path, where: str) -> None:
    """Ray looks at it only where a variable says so, and a cluster that wants it lets nobody else in."""
    pytest.importorskip("ray", reason="Ray is not installed")
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {"HOME": str(tmp_path)}
    if where == "file":
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text("a" * 64)
    if where == "variable":
        env["RAY_AUTH_TOKEN"] = "a" * 64
    program = "import os; from cluster.connection import load_ray; load_ray(); print(os.environ.get('RAY_AUTH_MODE'))"

    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == ("None" if where == "nowhere" else "token")


@pytest.mark.parametrize(("mode", "warned"), [("token", 0), ("disabled", 1), (None, 1)])
def test_a_cluster_that_lets_anybody_in_is_joined_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mode: str | None, warned: int
) -> None:
    ray = SimpleNamespace(
        is_initialized=lambda: False, init=lambda **_: None, exceptions=SimpleNamespace(RayError=LookupError)
    )
    monkeypatch.setattr("cluster.connection.load_ray", lambda: ray)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with socket.socket() as head:
        head.bind(("127.0.0.1", 0))
        head.listen()

        connect(f"127.0.0.1:{head.getsockname()[1]}", timeout=2)

    assert len(caplog.records) == warned
    assert all("run code on all its machines" in record.message for record in caplog.records)
