"""A small server with the protocol of TensorFlow Serving, and failures on request."""

from __future__ import annotations

import io
import json
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

MATRIX = np.random.default_rng(8).normal(size=(3, 256))


@dataclass
class Served:
    """What the server does, and what it was asked."""

    address: str = ""
    versions: list[dict[str, str]] = field(
        default_factory=lambda: [{"version": "3", "state": "AVAILABLE"}, {"version": "4", "state": "LOADING"}]
    )
    broken: int = 0  # requests of a prediction to answer with 503 before answering well
    answer: Callable[[list[np.ndarray]], Any] = lambda squares: {"predictions": embed(squares)}
    status: int = 200
    raw: bytes | None = None  # instead of an answer
    dribble: threading.Event | None = None  # bytes come one by one until it is set
    asked: list[str] = field(default_factory=list)


def embed(squares: list[np.ndarray]) -> list[list[float]]:
    """The mean colour of each picture, times a matrix: an embedding that a test can work out."""
    return [((square / 255.0).mean(axis=(0, 1)) @ MATRIX).tolist() for square in squares]


@contextmanager
def serve() -> Iterator[Served]:
    """Serve on loopback until the test ends."""
    told = Served()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - the name of its base
            pass

        def do_GET(self) -> None:
            told.asked.append(f"GET {self.path}")
            self.send(200, json.dumps({"model_version_status": told.versions}).encode())

        def do_POST(self) -> None:
            told.asked.append(f"POST {self.path}")
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if told.broken:
                told.broken -= 1
                self.send(503, b'{"error": "overloaded"}')
                return
            squares = [np.asarray(Image.open(io.BytesIO(b64decode(row["b64"])))) for row in body["instances"]]
            answer = told.raw if told.raw is not None else json.dumps(told.answer(squares)).encode()
            self.send(told.status, answer)

        def send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if told.dribble is not None and self.command == "POST":
                for byte in body:
                    if told.dribble.wait(0.02):
                        return
                    try:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                    except OSError:  # whoever asked has gone
                        return
                return
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.address = f"http://127.0.0.1:{server.server_port}/v1/models/fungi"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield told
    finally:
        if told.dribble is not None:
            told.dribble.set()
        server.shutdown()
        server.server_close()
