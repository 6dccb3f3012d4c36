"""A running server stops showing a withdrawn photo at once, as evidence and as an image."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from retrieval.snapshots.withdrawals import readmit_photos, withdraw_photos
from tests.snapshots import MUSCARIA, Made, draw_photo, make_snapshot
from tests.web.conftest import encode_photos, make_app

FIND = draw_photo(MUSCARIA, 0)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_snapshot(tmp_path)


@pytest.fixture
def client(made: Made) -> FlaskClient:
    return make_app(made.root, made.photos).test_client()


def evidence(client: FlaskClient) -> set[str]:
    """The photos that speak for the species of an answer; the same question each time."""
    body = client.post("/api/v1/identify", **encode_photos([FIND])).get_json()
    return {one["photo"] for candidate in body["species"] for one in candidate["evidence"]}


def similar(client: FlaskClient) -> set[str]:
    body = client.post("/api/v1/similar", **encode_photos([FIND], count=40)).get_json()
    return {one["photo"] for one in body["references"]}


def test_a_withdrawn_photo_is_shown_nowhere_by_a_server_that_runs(client: FlaskClient, made: Made) -> None:
    gone = sha256(FIND).hexdigest()
    picture, page = f"/api/v1/photos/{gone}?size=160", f"/species/{MUSCARIA}"
    shown, floras = client.get(page), client.get("/api/v1/floras")
    assert gone in evidence(client) & similar(client)
    assert gone in shown.get_data(as_text=True)
    assert client.get(picture).status_code == 200
    references = client.get("/healthz").get_json()["references"]

    withdraw_photos(made.root, [gone])

    assert gone not in evidence(client) | similar(client)
    assert client.get(picture).status_code == 404
    assert client.get("/api/v1/floras", headers={"If-None-Match": floras.headers["ETag"]}).status_code == 200
    assert gone not in client.get(page).get_data(as_text=True)
    assert client.get("/healthz").get_json()["references"] == references - 1

    readmit_photos(made.root, [gone])

    assert gone in evidence(client) & similar(client)
    assert client.get(picture).status_code == 200
