"""Child processes for heavy runtimes, and their messages: a header as one line of JSON, then a binary body."""

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
    """Write a whole message and flush."""
    stream.write(json.dumps({**header, "bytes": len(body)}).encode() + b"\n" + body)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read a message, blocking; raises EOFError where the other side has closed the pipe."""
    line = stream.readline()
    if not line:
        raise EOFError
    header: dict[str, Any] = json.loads(line)
    body = stream.read(header["bytes"])
    if len(body) < header["bytes"]:
        raise EOFError
    return header, body


class Child:
    """A child process that answers messages. Spawned, not forked: TensorFlow hangs in forked processes.

    It ends with its parent, since it exits when its input closes. Thread-safe: one message at a time.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, header: dict[str, Any], body: bytes = b"", *, seconds: float) -> tuple[dict[str, Any], bytes]:
        """Send a message and return the header and body of the answer.

        Raises ModelError with the child's error message, ModelUnavailable where it dies or does not answer within
        `seconds`.
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
                    f"the process that runs {self._name} ended without an answer; is there enough memory for it?"
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
            self._end()  # the pipes of a dead process are still open
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
        """Read a whole message; the time limit covers all of it, however slowly its bytes arrive."""
        deadline = time.monotonic() + seconds
        line = bytearray()
        while not line.endswith(b"\n"):
            line += self._some(stream, 1, deadline, seconds)  # one byte at a time: the line's length is unknown
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
