from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from database.errors import DatabaseError
from retrieval import errors
from tests.snapshots import MUSCARIA, Made, draw_photo
from tests.web.conftest import encode_photos, make_app
from web.http.errors import KINDS

PHOTO = draw_photo(MUSCARIA, 7)
BUILDING = {errors.BuildError, *errors.BuildError.__subclasses__(), errors.ArchiveError, errors.SettingsError}
"""Never met by a request."""


def assert_problem(answer: TestResponse, status: int, kind: str | None = None) -> str:
    """Check the one shape of all errors; give its sentence."""
    body = answer.get_json()
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert {"type", "title", "status", "detail"} <= body.keys() <= {"type", "title", "status", "detail", "errors"}
    assert body["status"] == status
    assert body["type"] == (f"/api/v1/docs#{kind}" if kind else "about:blank")
    assert body["title"]
    assert body["detail"].endswith(".")
    assert "Traceback" not in answer.get_data(as_text=True)
    return str(body["detail"])


@pytest.mark.parametrize(
    ("method", "address", "status", "kind"),
    [
        ("GET", "/api/v1/nothing", 404, None),
        ("GET", "/nothing", 404, None),
        ("GET", "/static/nothing.css", 404, None),
        ("GET", "/static/../app.py", 404, None),
        ("GET", "/api/v1/identify", 405, None),
        ("DELETE", "/api/v1/floras", 405, None),
        ("POST", "/api/v1/identify", 415, None),
        ("GET", "/api/v1/floras/nowhere", 404, "unknown-flora"),
        ("GET", "/api/v1/floras/nowhere/species", 404, "unknown-flora"),
        ("GET", "/api/v1/floras/north/species?limit=0", 422, "invalid-request"),
        ("GET", "/api/v1/floras/north/species?limit=501", 422, "invalid-request"),
        ("GET", "/api/v1/floras/north/species?cursor=x", 400, "impossible-wish"),
        ("GET", "/api/v1/floras/north/species?covered=perhaps", 422, "invalid-request"),
        ("GET", "/api/v1/species/999999", 404, "unknown-taxon"),
        ("GET", "/api/v1/species/99999999999999999999999999", 404, None),
        ("GET", "/api/v1/floras/north/species?limit=99999999999999999999999999", 422, "invalid-request"),
        ("GET", "/api/v1/species/4", 404, "unknown-taxon"),
        ("GET", "/api/v1/species/muscaria", 404, None),
        ("GET", "/api/v1/species/11?limit=1000", 422, "invalid-request"),
        ("GET", "/api/v1/species/11?cursor=WyJwaG90b3MiLCJhYmMiXQ", 404, "unknown-photo"),
        ("GET", "/api/v1/photos/abc", 404, "unknown-photo"),
        ("GET", "/api/v1/photos/abc?size=641", 422, "invalid-request"),
    ],
)
def test_every_error_has_the_same_shape(
    client: FlaskClient, method: str, address: str, status: int, kind: str | None
) -> None:
    assert_problem(client.open(address, method=method), status, kind)


def test_wrong_values_are_named_one_by_one(client: FlaskClient) -> None:
    form = {"count": "many", "flora": "x" * 501, "flroa": "north"}

    answer = client.post("/api/v1/identify", **encode_photos([PHOTO], **form))

    detail = assert_problem(answer, 422, "invalid-request")
    assert answer.get_json()["errors"].keys() == {"count", "flora", "flroa"}
    assert all(name in detail for name in form)


def test_an_unknown_flora_is_told_before_the_photos_are_compared(client: FlaskClient) -> None:
    answer = client.post("/api/v1/identify", **encode_photos([PHOTO], flora="nowhere"))

    assert "north, south, world" in assert_problem(answer, 404, "unknown-flora")


def test_a_wrong_method_names_the_right_ones(client: FlaskClient) -> None:
    answer = client.get("/api/v1/identify")

    assert "POST" in assert_problem(answer, 405)
    assert "POST" in answer.headers["Allow"]


def test_without_a_snapshot_everything_says_so_and_when_to_come_back(tmp_path: Path) -> None:
    client = make_app(tmp_path, {}).test_client()

    for answer in (
        client.get("/api/v1/floras"),
        client.get(f"/api/v1/species/{MUSCARIA}"),
        client.get("/api/v1/photos/abc"),
        client.post("/api/v1/similar", **encode_photos([PHOTO])),
    ):
        assert "fungarium index publish" in assert_problem(answer, 503, "no-snapshot")
        assert answer.headers["Retry-After"] == "10"
    health = client.get("/healthz")
    assert (health.status_code, health.get_json()["status"]) == (503, "unavailable")


def test_a_fault_of_ours_shows_no_traceback(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(made.root, made.photos)

    @app.get("/fault")
    def fault() -> str:
        raise RuntimeError("a secret of the server")

    @app.get("/our-fault")
    def our_fault() -> str:
        raise errors.BuildError("another secret of the server")

    client = app.test_client()
    for address in ("/fault", "/our-fault"):
        answer = client.get(address)

        assert "secret" not in assert_problem(answer, 500)
    assert "a secret of the server" in caplog.text
    assert "another secret of the server" in caplog.text


def test_each_error_of_the_engine_has_a_status() -> None:
    kinds = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.FungariumError)}
    bases = {errors.FungariumError, errors.IdentificationError}

    for kind in kinds - bases - BUILDING | {DatabaseError}:
        assert any(base in KINDS for base in kind.__mro__), kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_table_of_statuses_is_kept(made: Made, kind: type[errors.FungariumError]) -> None:
    app = make_app(made.root, made.photos)

    @app.get("/raise")
    def fail() -> str:
        raise kind("it is so")

    expected = {
        "UnreadablePhoto": 400,
        "InvalidOption": 400,
        "PlaceUnavailable": 400,
        "UnsupportedPhoto": 415,
        "PhotoTooLarge": 413,
        "TooManyPhotos": 422,
        "NoPhoto": 400,
        "PhotoNotFetched": 400,
        "ForbiddenAddress": 400,
        "UnknownFlora": 404,
        "UnknownLine": 404,
        "UnknownLink": 404,
        "UnknownTaxon": 404,
        "UnknownPhoto": 404,
        "UnknownAnswer": 404,
        "UnknownExport": 404,
        "NotSignedIn": 401,
        "NotAllowed": 403,
        "QuotaSpent": 429,
        "ChangedMeanwhile": 412,
        "VersionMissing": 428,
        "TakenId": 409,
        "TooManyAttempts": 429,
        "UnknownPerson": 404,
        "UnknownKey": 404,
        "UnknownRun": 404,
        "PersonError": 422,
        "UnknownObservation": 404,
        "UnknownFieldPhoto": 404,
        "NotOwner": 403,
        "UnknownName": 422,
        "FieldError": 422,
        "StoreFull": 507,
        "DatabaseFull": 507,
    }.get(kind.__name__, 503)

    words = assert_problem(app.test_client().get("/raise"), expected, KINDS[kind].name)

    assert words == (KINDS[kind].said or "It is so.")


def test_no_problem_names_a_file_or_an_address_of_the_server(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(made.root, made.photos)
    secret = "/srv/fungi/model.onnx at postgresql://keeper@db/x"

    @app.get("/raise/<name>")
    def fail(name: str) -> str:
        raise {kind.__name__: kind for kind in KINDS}[name](f"there is no file {secret}")

    silent = {kind for kind, problem in KINDS.items() if problem.said}
    for kind in silent:
        answer = app.test_client().get(f"/raise/{kind.__name__}")

        assert secret not in answer.get_data(as_text=True)
    speaking = {kind.__name__ for kind, problem in KINDS.items() if problem.status == 503} - {
        k.__name__ for k in silent
    }
    assert speaking == {
        "SnapshotMismatch",
        "Overloaded",
        "DeadlinePassed",
        "RemoteServersBusy",
    }  # their words name no file
    assert secret in caplog.text  # whoever runs the server reads it there


def test_each_type_of_problem_is_explained_where_it_points(client: FlaskClient) -> None:
    docs = client.get("/api/v1/docs").get_data(as_text=True)

    for kind in KINDS.values():
        assert f'id="{kind.name}"' in docs
    assert 'id="invalid-request"' in docs


def test_a_browser_gets_its_errors_as_a_page_and_a_program_as_json(client: FlaskClient) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}

    page = client.get("/nothing", headers=browser)
    program = client.get("/api/v1/nothing", headers=browser)

    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert "Page not found" in page.get_data(as_text=True)
    assert_problem(program, 404)


def test_every_answer_forbids_scripts_and_guessing(client: FlaskClient, app: Flask) -> None:
    for address in ("/", "/healthz", "/api/v1/floras", "/nothing", "/api/v1/docs", "/static/fungarium.css"):
        answer = client.get(address)

        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert "unsafe-inline" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        answer.close()
