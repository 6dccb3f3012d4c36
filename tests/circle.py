"""A complete installation in a folder: an imported and published collection, a server, and people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from database.accounts.api_keys import issue_key
from database.accounts.people import SCOPES_OF, add_person
from database.session import Database, open_database
from fungarium.cli import main
from settings import Settings, read_settings
from tests.indexer.collections import line, write_table
from tests.snapshots import COLOURS, EMETICA, MUSCARIA, draw_photo
from tests.web.conftest import encode_photos
from web.application import create_app
from web.services import make_services

NAMES = {MUSCARIA: "Amanita muscaria", EMETICA: "Russula emetica"}
PEOPLE = {"olga": "observer", "omar": "observer", "erna": "expert", "ada": "administrator"}
PAGE = "https://fungi.example.org"


@dataclass
class Installation:
    """What a society runs: settings, an application over them, and keys of four people."""

    folder: Path
    settings: Settings
    app: Flask
    database: Database
    keys: dict[str, dict[str, str]] = field(default_factory=dict)

    def client(self) -> FlaskClient:
        return self.app.test_client()

    def record(self, photos: list[bytes], login: str = "olga", **form: Any) -> dict[str, Any]:
        """Record an observation; gives the answer."""
        form = {"suggest": "false", "licence": "CC-BY-4.0", "eventDate": "2026-05-03"} | form
        form = {name: value for name, value in form.items() if value != ""}
        sent = self.client().post("/api/v1/observations", headers=self.keys[login], **encode_photos(photos, **form))
        body: dict[str, Any] = sent.get_json()
        assert sent.status_code == 201, body
        return body

    def approve(self, key: str, name: str = "Russula emetica") -> TestResponse:
        """Let the expert settle what it is."""
        path = f"/api/v1/observations/{key}/approval"
        return self.client().put(path, json={"scientificName": name}, headers=self.keys["erna"])

    def approved(self, photos: list[bytes], name: str = "Russula emetica", **form: Any) -> dict[str, Any]:
        """An observation that the expert has approved."""
        body = self.record(photos, **form)
        approval = self.approve(body["id"], name)
        assert approval.status_code == 200, approval.get_json()
        answer: dict[str, Any] = approval.get_json()
        return answer

    def identify(self, photo: bytes, **options: str) -> dict[str, Any]:
        """What the server says of a photo."""
        answer: dict[str, Any] = self.client().post("/api/v1/identify", **encode_photos([photo], **options)).get_json()
        return answer

    def evidence(self, photo: bytes) -> dict[str, dict[str, Any]]:
        """The reference photos that an answer shows, by their digest."""
        species = self.identify(photo)["species"]
        return {one["photo"]: one for candidate in species for one in candidate["evidence"]}


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """Two species with two observations each, published; nobody has observed anything yet."""
    with installed(tmp_path, monkeypatch) as made:
        yield made


@contextmanager
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """An installation for as long as it is used; commands use its settings as long as the environment is patched."""
    environment = {
        "FUNGARIUM_DATA": str(tmp_path / "data"),
        "FUNGARIUM_FLORA_INDEXES": str(tmp_path / "flora_indexes"),
        "FUNGARIUM_PUBLIC_URL": PAGE,
        "FUNGARIUM_MODEL": "descriptor",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    rows = []
    for species, name in NAMES.items():
        for number in range(2):
            path = tmp_path / "walks" / f"{species}-{number}.jpg"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(draw_photo(species, number))
            rows.append(line(path.name, name, eventDate="2025-09-01"))
    table = write_table(tmp_path / "walks", rows)
    assert main(["collection", "import", "csv", str(table), "--dataset", "walks"]) == 0
    for command in ("embed", "build", "publish"):
        assert main(["index", command]) == 0
    settings = read_settings(environment)
    services = make_services(settings)
    with open_database(settings.database_url) as database:
        made = Installation(tmp_path, settings, create_app(services), database)
        with database.writing() as session:
            for login, role in PEOPLE.items():
                person = add_person(session, login, f"{login.title()} Ohm", role)
                made.keys[login] = {"X-API-Key": issue_key(session, person.id, SCOPES_OF[role])[0]}
        yield made
        made.app.extensions["serving"].close()
        services.counts.close()
        services.published.close()
        services.database().close()


__all__ = ["COLOURS", "Installation", "installation"]
