"""Invalid input of any kind: a status below 500, no files left, bounded memory."""

from __future__ import annotations

import http.client
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok

from database.session import open_database, upgrade
from retrieval.models.descriptor import Descriptor
from tests.ports import free_port
from tests.snapshots import Made, make_snapshot
from tests.web.conftest import LIMITS, HeldPhotos
from tests.web.http.corpus import EDGE, form, forms, part, pictures
from tests.web.test_server import FIND, PATIENCE, Running, serving
from web.application import create_app
from web.inference.snapshot import Published
from web.services import Services

SEED = 20261120
ROOM = 150_000  # kilobytes that a worker may grow by: one photo of the largest size in hand for each core, and caches
BOUNDS = {
    "FUNGARIUM_WORKERS": "1",
    "FUNGARIUM_MAX_PHOTO_BYTES": "1000000",
    "FUNGARIUM_MAX_PHOTO_PIXELS": "4000000",
    "FUNGARIUM_CACHE_MEGABYTES": "8",
    "FUNGARIUM_LOG_LEVEL": "error",
}


def most_memory(server: Running) -> int:
    """Kilobytes that a worker of the server has ever had at once."""
    pid = server.process.pid
    worker = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()[0]
    lines = Path(f"/proc/{worker}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def files_under(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "fungarium-metrics-" not in str(path)}


def send(connection: http.client.HTTPConnection, body: bytes, kind: str, path: str = "/api/v1/identify") -> int:
    connection.request("POST", path, body, {"Content-Type": kind})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def send_raw(port: int, head: bytes) -> bytes:
    """The first bytes of the answer to bytes that are no request, or nothing."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
        try:
            line.sendall(head)
            line.shutdown(socket.SHUT_WR)
            return line.recv(100)
        except OSError:
            return b""


RAW = (
    b"POST /api/v1/identify HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nshort",
    b"POST /api/v1/identify HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST /api/v1/identify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX-Giant: " + b"y" * 1_000_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /api/v1/photos/../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /static/..%2f..%2fapp.py HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(200),
    b"GET / HTTP/9.9\r\n\r\n",
    b"\0" * 1000,
)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not say how much memory is used")
def test_spoilt_pictures_and_forms_break_nothing_and_leave_nothing_behind(tmp_path: Path) -> None:
    make_snapshot(tmp_path / "flora_indexes")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    spoilt = list(pictures(SEED))
    bodies = [form(part("photos", photo)) for photo in spoilt] + list(forms(SEED))
    assert len(bodies) >= 500
    kind = f"multipart/form-data; boundary={EDGE.decode()}"
    port, statuses = free_port(), Counter[int]()
    with serving(tmp_path, [sys.executable, "app.py"], port, TMPDIR=str(temporary), **BOUNDS) as server:
        assert server.post("/api/v1/identify", FIND)[0] == 200
        before, files = most_memory(server), files_under(tmp_path)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

        for body in bodies:
            statuses[send(connection, body, kind)] += 1
        for other in (
            "",
            "multipart/form-data",
            "multipart/form-data; boundary=" + "x" * 300,
            "text/plain",
            "a/b" * 99,
        ):
            statuses[send(connection, bodies[0], other)] += 1
        for path in ("/api/v1/similar", "/api/v1/embeddings", "/api/v1/identify/batch", "/"):
            for body in bodies[::25]:
                statuses[send(connection, body, kind, path)] += 1
        for body in spoilt[::25]:
            statuses[send(connection, body, "application/x-ndjson", "/api/v1/identify/batch")] += 1
        answers = [send_raw(port, head) for head in RAW]

        assert {status for status in statuses if status >= 500} == set(), statuses
        assert not any(answer.startswith(b"HTTP/1.1 5") for answer in answers), answers
        assert server.post("/api/v1/identify", FIND)[0] == 200
        assert server.process.poll() is None
        assert files_under(tmp_path) == files
        assert most_memory(server) - before < ROOM
        connection.close()


@pytest.fixture
def whole_app(made: Made, tmp_path: Path) -> Iterator[Flask]:
    """An application with a database, so that no route is without what it needs."""
    url = f"sqlite:///{tmp_path / 'fungarium.sqlite'}"
    upgrade(url)
    with open_database(url) as database:
        published = Published(made.root)
        yield create_app(Services(published, Descriptor, HeldPhotos({}), LIMITS, database=lambda: database))
        published.close()


def test_the_api_answers_what_its_document_allows_and_what_it_does_not(whole_app: Flask) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", whole_app)
    asked = 0

    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()

        @seed(SEED)
        @settings(
            max_examples=6,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case[Any]) -> None:
            nonlocal asked
            asked += 1
            answer = case.call()
            case.validate_response(answer, checks=[not_a_server_error])
            if answer.status_code >= 400 and case.operation.path.startswith("/api/v1/"):
                assert answer.headers["content-type"][0].startswith("application/problem+json"), case.operation.label

        ask()

    assert asked > 50
