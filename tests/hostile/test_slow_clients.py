"""Slow clients behind the shipped site of nginx: others are answered meanwhile."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.request import urlopen

import pytest

from benchmarks.server.slow_clients import ask_health, rehearsed, slow_clients

GENEROUS = 60  # seconds: without the proxy nothing is answered at all


@pytest.mark.skipif(
    shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None,
    reason="nginx is not installed (Debian: apt-get install nginx-light)",
)
def test_slow_headers_bodies_and_readers_occupy_the_proxy_and_not_the_server(tmp_path: Path) -> None:
    with rehearsed(tmp_path) as port, slow_clients(port, 60, 200, 200):
        for _ in range(3):
            ask_health(port, GENEROUS)
        with urlopen(f"http://127.0.0.1:{port}/api/v1/", timeout=GENEROUS) as answer:
            assert answer.status == 200

    said = (tmp_path / "fungarium.log").read_text(encoding="utf-8")
    assert "/healthz" in said
    assert "127.0.0.1" not in said
