"""A loopback server with a log, faults on request, and a clock that may be a test's own."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from tests.loopback import serving

Query = list[tuple[str, str]]


@dataclass
class Reply:
    """What a server says."""

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    sent: int | None = None  # bytes of the body after which the server breaks off
    claims: int | None = None  # announced length, where it is not the true one; below 0: none is announced


@dataclass(frozen=True)
class Asked:
    """A request in the log."""

    at: float
    path: str
    query: tuple[tuple[str, str], ...]
    status: int

    @property
    def address(self) -> str:
        return json.dumps([self.path, self.query])


Answering = Callable[[str, Query], Reply]


@dataclass
class Site:
    """A running server: its address, its log, and the faults that its next requests meet."""

    address: str
    log: list[Asked] = field(default_factory=list)
    faults: list[Reply | None] = field(default_factory=list)  # of the next requests, in order; None: it is answered
    account: str = ""  # name:password that the private addresses ask for
    private: tuple[str, ...] = ()  # beginnings of paths, with the method for a POST
    authorised: list[str] = field(default_factory=list)  # paths that an account was sent to

    def answered(self, part: str = "") -> list[Asked]:
        """The requests that were answered whole, those whose path holds `part`."""
        return [one for one in self.log if part in one.path and one.status in (200, 404)]


class Clock:
    """Time that passes only when it is slept away."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@contextmanager
def site(answer: Answering, clock: Callable[[], float] = time.monotonic) -> Iterator[Site]:
    """Serve until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            self.respond("POST ", [("body", body)])

        def do_GET(self) -> None:
            self.respond()

        def respond(self, method: str = "", body: Query | None = None) -> None:
            parts = urlsplit(self.path)
            query = parse_qsl(parts.query) if body is None else body
            fault = served.faults.pop(0) if served.faults else None
            if "Authorization" in self.headers:
                served.authorised.append(parts.path)
            if fault is not None:
                reply = fault
            elif (method + parts.path).startswith(served.private or ("no such path",)) and not self.is_known():
                reply = Reply(401, b"", "")
            else:
                reply = continue_from(answer(method + parts.path, query), self.headers.get("Range", ""))
            served.log.append(Asked(clock(), parts.path, tuple(query), reply.status))
            self.send_response(reply.status)
            if reply.kind:
                self.send_header("Content-Type", reply.kind)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.claims is None or reply.claims >= 0:
                self.send_header("Content-Length", str(len(reply.body) if reply.claims is None else reply.claims))
            self.end_headers()
            try:
                self.wfile.write(reply.body[: reply.sent])
                self.close_connection = self.close_connection or reply.sent is not None
            except OSError:
                self.close_connection = True  # the client broke off, or was killed

        def is_known(self) -> bool:
            wanted = "Basic " + b64encode(served.account.encode()).decode()
            return self.headers.get("Authorization", "") == wanted

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of clients that were killed."""

    server = Server(("127.0.0.1", 0), Handler)
    served = Site(f"http://127.0.0.1:{server.server_port}")
    with serving(server):
        yield served


def continue_from(reply: Reply, asked: str) -> Reply:
    """The rest of a reply from the byte on that was asked for."""
    start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
    if not start or reply.status != 200:
        return reply
    if start >= len(reply.body):
        return Reply(416, b"", "", {"Content-Range": f"bytes */{len(reply.body)}"})
    span = {"Content-Range": f"bytes {start}-{len(reply.body) - 1}/{len(reply.body)}"}
    return Reply(206, reply.body[start:], reply.kind, reply.headers | span, reply.sent)


def as_json(value: object, status: int = 200) -> Reply:
    """A reply with JSON."""
    return Reply(status, json.dumps(value, ensure_ascii=False).encode())


HTML = Reply(200, b"<html><body>Service is being updated</body></html>", "text/html")


def busy(status: int = 503, seconds: str = "") -> Reply:
    """A server that has too much to do, with the wish to be left alone for so many seconds."""
    return Reply(status, b"busy", "text/plain", {"Retry-After": seconds} if seconds else {})
