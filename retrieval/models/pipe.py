"""Messages between this process and one that a heavy runtime lives in: a line of JSON, then the bytes it announces."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from retrieval.errors import ModelError, ModelUnavailable

ROOT = Path(__file__).resolve().parents[2]


def write_message(stream: IO[bytes], header: dict[str, Any], body: bytes = b"") -> None:
    """Send a message whole."""
    stream.write(json.dumps({**header, "bytes": len(body)}).encode() + b"\n" + body)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Wait for a message; raises EOFError where the other side has gone."""
    line = stream.readline()
    if not line:
        raise EOFError
    header: dict[str, Any] = json.loads(line)
    body = stream.read(header["bytes"])
    if len(body) < header["bytes"]:
        raise EOFError
    return header, body


class Child:
    """A process of our own that answers messages. Started fresh, not forked: TensorFlow hangs in forked processes.

    It ends with us, for it reads until its input closes. Safe for threads: one message at a time.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, header: dict[str, Any], body: bytes = b"", *, seconds: float) -> tuple[dict[str, Any], bytes]:
        """Send a message and wait for its answer.

        Raises ModelError with what the child says went wrong, ModelUnavailable where it says nothing in time or dies.
        """
        with self._lock:
            process = self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                write_message(process.stdin, header, body)
                found, answer = self._read(process.stdout, seconds)
            except (EOFError, OSError, ValueError) as error:
                self._end()
                raise ModelUnavailable(
                    f"the process that runs {self._name} ended without an answer; is there memory enough for it?"
                ) from error
        if "error" in found:
            raise ModelError(found["error"])
        return found, answer

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def _started(self) -> subprocess.Popen[bytes]:
        if not self.running:
            self._end()  # of one that died, the pipes are still open
            paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", self._module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "3"},
            )
        assert self._process is not None
        return self._process

    def _read(self, stream: IO[bytes], seconds: float) -> tuple[dict[str, Any], bytes]:
        """A whole message within the time limit, however slowly its bytes come."""
        deadline = time.monotonic() + seconds
        line = bytearray()
        while not line.endswith(b"\n"):
            line += self._some(stream, 1, deadline, seconds)  # no more: its end is not known
        header: dict[str, Any] = json.loads(line)
        body = bytearray()
        while len(body) < header["bytes"]:
            body += self._some(stream, header["bytes"] - len(body), deadline, seconds)
        return header, bytes(body)

    def _some(self, stream: IO[bytes], count: int, deadline: float, seconds: float) -> bytes:
        ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            self._end()
            raise ModelUnavailable(f"{self._name} gave no answer within {seconds:.0f} seconds")
        some = os.read(stream.fileno(), min(count, 1 << 20))
        if not some:
            raise EOFError
        return some

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
            process.wait()

    def __del__(self) -> None:
        self._end()
