"""Every request has an id, a deadline and a log line; photos need admission; nothing private is logged."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from retrieval.models.descriptor import Descriptor
from retrieval.models.embedder import Embeddings, View
from tests.snapshots import MUSCARIA, Made, draw_photo
from tests.web.conftest import LIMITS, HeldPhotos, encode_photos
from web.application import create_app
from web.http.logging import JsonLines, make_formatter
from web.inference.snapshot import Published
from web.request_lifecycle import asked_seconds
from web.services import Services, Throughput

PHOTO = draw_photo(MUSCARIA, 9)
PATIENCE = 60


class Held(Descriptor):
    """The descriptor, which computes when it is let."""

    def __init__(self) -> None:
        self.begun, self.let = threading.Semaphore(0), threading.Semaphore(0)

    def embed(self, views: Sequence[View]) -> Embeddings:
        self.begun.release()
        assert self.let.acquire(timeout=PATIENCE)
        return super().embed(views)


@pytest.fixture
def held(made: Made) -> Iterator[tuple[Flask, Held]]:
    """An application of two places whose model waits."""
    embedder = Held()
    services = Services(Published(made.root), lambda: embedder, HeldPhotos({}), LIMITS, Throughput(queue=2))
    yield create_app(services), embedder
    embedder.let.release(1000)


def post(app: Flask, **headers: str) -> tuple[int, Any, Headers]:
    answer = app.test_client().post("/api/v1/identify", headers=headers, **encode_photos([PHOTO]))
    return answer.status_code, answer.get_json(), answer.headers


def test_an_id_that_a_client_gives_is_handed_back_and_another_made_up(client: FlaskClient) -> None:
    given = client.get("/healthz", headers={"X-Request-Id": "find-7.a_B"})
    made_up = client.get("/healthz")
    odd = client.get("/healthz", headers={"X-Request-Id": 'a"b' + "x" * 100})

    assert given.headers["X-Request-Id"] == "find-7.a_B"
    assert len(made_up.headers["X-Request-Id"]) == 32
    assert len(odd.headers["X-Request-Id"]) == 32
    assert client.get("/nothing").headers["X-Request-Id"]


def test_whoever_finds_no_place_is_told_at_once_when_to_come_again(held: tuple[Flask, Held]) -> None:
    app, embedder = held
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(post, app) for _ in range(2)]
        assert embedder.begun.acquire(timeout=PATIENCE)
        while app.extensions["serving"].gate.taken < 2:
            threading.Event().wait(0.001)

        status, problem, headers = post(app)

        assert (status, problem["type"]) == (503, "/api/v1/docs#overloaded")
        assert int(headers["Retry-After"]) > 0
        assert app.test_client().get("/healthz").status_code == 200
        embedder.let.release(10)
        assert [one.result(PATIENCE)[0] for one in running] == [200, 200]
    assert app.extensions["serving"].gate.taken == 0
    assert post(app)[0] == 200


def test_a_place_is_given_back_however_a_request_ends(app: Flask) -> None:
    for form in (encode_photos([b"no photo"]), encode_photos([]), encode_photos([PHOTO], flora="nowhere")):
        assert app.test_client().post("/api/v1/identify", **form).status_code in {400, 404, 415}

    assert app.extensions["serving"].gate.taken == 0


def test_an_answer_that_is_not_ready_in_time_is_given_up(held: tuple[Flask, Held]) -> None:
    app, embedder = held

    status, problem, _ = post(app, Prefer="wait=0.2")

    assert (status, problem["type"]) == (503, "/api/v1/docs#deadline-passed")
    embedder.let.release(10)
    assert post(app)[0] == 200


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 30),
        ("wait=5", 5),
        ("respond-async, wait=2.5", 2.5),
        ("wait=0", 0.001),
        ("wait=900", 30),
        ("await=5", 30),
        ("wait=x", 30),
        ("wait=-1", 30),
    ],
)
def test_a_client_may_wait_for_less_than_the_server_allows(prefer: str | None, seconds: float) -> None:
    assert asked_seconds(prefer, 30) == seconds


def test_the_log_says_what_was_done_and_nothing_of_the_find(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = ["55.676098", "12.568337", "2026-10-03", "photo 0.jpg", "sesame", "198.51.100.7"]
    headers = {"X-Request-Id": "one", "Authorization": "Basic sesame", "X-Forwarded-For": "198.51.100.7"}
    with caplog.at_level(logging.DEBUG):
        client.post(
            "/api/v1/identify",
            headers=headers,
            **encode_photos([PHOTO], latitude="55.676098", longitude="12.568337", date="2026-10-03"),
        )
        client.post("/api/v1/identify?word=sesame", **encode_photos([b"broken"], latitude="55.676098"))
        client.get("/nothing/sesame/55.676098?key=sesame")

    records = [record for record in caplog.records if record.name == "web.requests"]
    assert [(r.fields["route"], r.fields["status"]) for r in records] == [  # type: ignore[attr-defined]
        ("/api/v1/identify", 200),
        ("/api/v1/identify", 400),
        ("(none)", 404),
    ]
    written = "\n".join(JsonLines().format(record) for record in caplog.records)
    assert [secret for secret in secrets if secret in written] == []
    assert PHOTO[:16].hex() not in written


def test_a_line_of_the_log_is_json_with_the_error_that_happened() -> None:
    try:
        raise ValueError("not so")
    except ValueError as error:
        record = logging.LogRecord("web", logging.ERROR, "", 0, "it %s", ("broke",), (ValueError, error, None))

    line = json.loads(JsonLines().format(record))

    assert (line["level"], line["logger"], line["message"]) == ("error", "web", "it broke")
    assert "ValueError: not so" in line["exception"]
    assert "it broke" in make_formatter("text").format(record)


def test_metrics_count_what_was_done(made: Made) -> None:
    services = Services(Published(made.root), Descriptor, HeldPhotos({}), LIMITS)
    app = create_app(services)
    for _ in range(2):
        assert post(app)[0] == 200

    counts = app.test_client().get("/metrics").get_data(as_text=True)

    assert 'fungarium_request_seconds_count{method="POST",route="/api/v1/identify",status="200"} 2.0' in counts
    assert 'fungarium_cache_total{cache="answers",outcome="hit"} 1.0' in counts
    assert 'fungarium_cache_total{cache="answers",outcome="miss"} 1.0' in counts
    assert "fungarium_batch_views_count 1.0" in counts
    for stage in ("decode", "embed", "rank"):
        assert f'fungarium_stage_seconds_count{{stage="{stage}"}} 1.0' in counts
    assert f'fungarium_snapshot{{model="descriptor@1",snapshot="{made.manifest.name}"}} 1.0' in counts
    assert "fungarium_in_hand 0.0" in counts


@pytest.mark.parametrize(
    ("setting", "environ", "status"),
    [
        ("loopback", {}, 200),
        ("loopback", {"REMOTE_ADDR": "::1"}, 200),
        ("loopback", {"REMOTE_ADDR": "192.0.2.4"}, 403),
        ("loopback", {"HTTP_X_FORWARDED_FOR": "192.0.2.4"}, 403),
        ("loopback", {"REMOTE_ADDR": ""}, 403),
        ("everybody", {"REMOTE_ADDR": "192.0.2.4"}, 200),
        ("nobody", {}, 404),
    ],
)
def test_metrics_are_for_whom_the_setting_says(made: Made, setting: str, environ: dict[str, str], status: int) -> None:
    services = Services(Published(made.root), Descriptor, HeldPhotos({}), LIMITS, metrics_for=setting)

    answer = create_app(services).test_client().get("/metrics", environ_overrides=environ)

    assert answer.status_code == status
