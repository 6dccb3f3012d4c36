"""A temporary Redis for tests: Debian's server on loopback, with a free port and its own folder."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_port


@dataclass
class RedisServer:
    """A Redis that only this test session knows of; it can be stopped and started again."""

    program: str
    port: int
    folder: Path
    process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        arguments = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--dir", str(self.folder)]
        self.process = subprocess.Popen([self.program, *arguments], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "Ready to accept connections" in line:
                return
        raise RuntimeError("redis-server ended before it was ready")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A running Redis; tests that need one are skipped where it or its client is not installed."""
    pytest.importorskip("redis", reason="no Redis client is installed (pip install -r requirements-redis.txt)")
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no Redis server is installed (Debian: apt-get install redis-server)")
    server = RedisServer(program, free_port(), tmp_path)
    server.start()
    yield server
    server.stop()
