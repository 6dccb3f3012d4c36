"""Photos made to cost time or memory: each is answered, and an ordinary find beside them too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from benchmarks.server import bombs
from tests.snapshots import MUSCARIA, draw_photo
from tests.web.conftest import app, client, encode_photos, made
from tests.web.people import Server, server, start
from web.http.admission import Gate, Overloaded
from web.services import Throughput

__all__ = ["app", "client", "made", "server", "start"]  # fixtures

SMALL: dict[str, Callable[[], bytes]] = {
    "chunks": lambda: bombs.png_of_chunks(60_000),
    "texts": lambda: bombs.png_of_texts(3, 2_000_000),
    "scans": lambda: bombs.jpeg_of_scans(64, 60),
    "segments": lambda: bombs.jpeg_of_segments(12_000),
    "fill": lambda: bombs.jpeg_of_fill(12_000),
    "frames": lambda: bombs.animation(900, 501),
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("route", ["/api/v1/identify", "/", "/similar"])
def test_a_photo_of_too_many_parts_is_refused_before_it_is_decoded(client: FlaskClient, name: str, route: str) -> None:
    photo = SMALL[name]()
    limits = client.application.extensions["services"].limits
    assert name == "chunks" or len(photo) <= limits.bytes

    answer = client.post(route, **encode_photos([photo]))

    expected = {"texts": 200}.get(name, 413)  # texts are not read at all
    assert answer.status_code == expected
    ordinary = client.post("/api/v1/identify", **encode_photos([draw_photo(MUSCARIA, 7)]))
    assert ordinary.status_code == 200


def test_uploads_in_hand_are_bounded_by_their_bytes() -> None:
    gate = Gate(10, room=100)

    gate.enter(300)  # alone
    with pytest.raises(Overloaded, match="large uploads"):
        gate.enter(1)
    gate.leave(300)
    gate.enter(60)
    gate.enter(40)
    with pytest.raises(Overloaded):
        gate.enter(1)


@pytest.mark.parametrize("system", ["sqlite"], indirect=True)
def test_an_upload_that_finds_no_room_is_asked_to_come_back(start: Callable[..., Server]) -> None:
    server = start(throughput=Throughput(upload_bytes=1_000_000))
    gate = server.app.extensions["serving"].gate
    gate.enter(999_000)

    answer = server.visitor().post("/api/v1/identify", **encode_photos([draw_photo(MUSCARIA, 7)]))
    gate.leave(999_000)

    assert (answer.status_code, answer.get_json()["type"]) == (503, "/api/v1/docs#overloaded")
    assert int(answer.headers["Retry-After"]) > 0
    assert server.visitor().post("/api/v1/identify", **encode_photos([draw_photo(MUSCARIA, 7)])).status_code == 200
    assert gate._bytes == 0


@pytest.mark.parametrize("system", ["sqlite"], indirect=True)
def test_health_says_that_photos_wait_for_decoders(server: Server) -> None:
    decoders = server.app.extensions["services"].decoders
    before = server.visitor().get("/healthz").get_json()
    waiting = object()
    decoders._waiting[waiting] = -1e9

    try:
        health = server.visitor().get("/healthz").get_json()
    finally:
        del decoders._waiting[waiting]

    assert (before["status"], health["status"]) == ("ok", "degraded")
    assert "waited" in health["detail"]
