from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.snapshots import Made
from tests.web.conftest import make_app
from web.services import Policy, services

ARCHIVE = b"PK\x05\x06" + bytes(18)  # an empty zip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "fungi.zip").write_bytes(ARCHIVE)
    (folder / "fungi.zip.json").write_text("{}")
    (folder / ".fungi.zip").write_bytes(b"half an archive")
    (tmp_path / "secret.zip").write_bytes(b"not exported")
    return folder


@pytest.fixture
def asking(made: Made, folder: Path) -> FlaskClient:
    app = make_app(made.root, made.photos)
    with app.app_context():
        app.extensions["services"] = replace(services(), exports=folder)
    return app.test_client()


def test_whole_archives_are_listed_and_nothing_else_of_the_folder(asking: FlaskClient) -> None:
    body = asking.get("/api/v1/exports/").get_json()

    assert [(export["name"], export["bytes"]) for export in body["exports"]] == [("fungi.zip", len(ARCHIVE))]


def test_an_archive_is_fetched_by_its_address_and_once_only_while_it_is_unchanged(asking: FlaskClient) -> None:
    href = asking.get("/api/v1/exports/").get_json()["exports"][0]["href"]

    with asking.get(href) as first:
        assert (first.status_code, first.mimetype, first.data) == (200, "application/zip", ARCHIVE)
    with asking.get(href, headers={"If-None-Match": first.headers["ETag"]}) as again:
        assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    "name", ["other.zip", ".fungi.zip", "fungi.zip.json", "%2e%2e%2fsecret.zip", "..%5csecret.zip", "secret.zip"]
)
def test_nothing_is_fetched_that_is_not_listed(asking: FlaskClient, name: str) -> None:
    answer = asking.get(f"/api/v1/exports/{name}")

    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


def test_before_the_first_export_the_list_is_empty(client: FlaskClient) -> None:
    assert client.get("/api/v1/exports/").get_json()["exports"] == []


def test_a_trusted_proxy_sends_archives_itself_and_nobody_else_can_ask_for_that(asking: FlaskClient) -> None:
    app, wanted = asking.application, {"X-Accel-Mapping": "/_exports/"}
    alone = asking.get("/api/v1/exports/fungi.zip", headers=wanted)
    app.extensions["services"] = replace(app.extensions["services"], policy=Policy(proxies=1))

    left = asking.get("/api/v1/exports/fungi.zip", headers=wanted)
    plain = asking.get("/api/v1/exports/fungi.zip")
    known = asking.get("/api/v1/exports/fungi.zip", headers=wanted | {"If-None-Match": plain.headers["ETag"]})

    assert (alone.data, plain.data) == (ARCHIVE, ARCHIVE)
    assert (left.status_code, left.data, left.headers["X-Accel-Redirect"]) == (200, b"", "/_exports/fungi.zip")
    assert known.status_code == 304
    for answer in (alone, plain, left, known):
        answer.close()
