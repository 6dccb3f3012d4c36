"""A server with a database, a caller for every role, and the application."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from database.accounts.api_keys import issue_key
from database.accounts.people import SCOPES_OF, add_person, person_by_login
from database.field.photo_files import PhotoFiles
from database.session import Database
from retrieval.models.descriptor import Descriptor
from retrieval.photos.views import PhotoLimits
from tests.snapshots import Made
from web.application import create_app
from web.http.quotas import Counts
from web.inference.snapshot import Published
from web.photos.reference_photos import LocatedPhotos
from web.services import Policy, Services

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "a sentence for tests"
NOON = datetime(2026, 5, 17, 12, tzinfo=UTC)
PEOPLE = {"olga": "observer", "omar": "observer", "erna": "expert", "ada": "administrator"}


@dataclass
class Server:
    """An application, its database, and the people in it."""

    app: Flask
    database: Database
    ids: dict[str, int]
    files: PhotoFiles
    keys: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)

    def key(self, login: str, *scopes: str, **more: Any) -> dict[str, str]:
        """Headers with a key of a person; without scopes it opens all that the role does."""
        if more or (login, scopes) not in self.keys:
            with self.database.writing() as session:
                wanted = scopes or SCOPES_OF[PEOPLE[login]]
                self.keys[login, scopes], _ = issue_key(session, self.ids[login], wanted, **more)
        return {"X-API-Key": self.keys[login, scopes]}

    def visitor(self) -> FlaskClient:
        """A browser that nobody has signed in with."""
        return self.app.test_client()

    def signed_in(self, login: str) -> Browser:
        """A browser of a person who signed in a while ago: hashing a password takes its time."""
        client = self.app.test_client()
        with self.database.reading() as reading:
            epoch = person_by_login(reading, login).epoch
        with client.session_transaction() as session:
            session.update(person=self.ids[login], epoch=epoch, id=uuid4().hex, since=int(time.time()) - 60)
        return Browser(client, {"X-CSRFToken": client.get("/api/v1/session").get_json()["csrfToken"]})


@dataclass
class Browser:
    """A client with a session, and the header that its changes need."""

    client: FlaskClient
    token: dict[str, str]


def serve(
    database: Database,
    root: Path,
    *,
    photos_at: Path,
    policy: Policy | None = None,
    counts: Counts | None = None,
    **more: Any,
) -> Server:
    """The application over a snapshot and a database with four people."""
    with database.writing() as session:
        ids = {
            login: add_person(session, login, login.title(), role, PASSWORD, hasher=QUICK).id
            for login, role in PEOPLE.items()
        }
    embedder = Descriptor()
    published = Published(root, lambda snapshot: snapshot.require_model(embedder.model))
    services = Services(
        published, lambda: embedder, LocatedPhotos(str, Path), PhotoLimits(400_000, 1_000_000, 3), flora_indexes=root
    )
    counts = counts or Counts(database=lambda: database, now=lambda: NOON)
    files = PhotoFiles(str(photos_at))
    given = {"policy": policy or Policy(), "counts": counts, "photo_files": lambda: files, **more}
    return Server(create_app(replace(services, database=lambda: database, **given)), database, ids, files)


def close(server: Server) -> None:
    """End what the server keeps running."""
    server.app.extensions["serving"].close()
    server.app.extensions["rescoring"].close()
    server.app.extensions["errands"].close()
    server.app.extensions["services"].counts.close()
    server.app.extensions["services"].published.close()


@pytest.fixture
def start(database: Database, made: Made, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes a server; what it is given differs from test to test."""
    made_servers: list[Server] = []

    def make(root: Path = made.root, **more: Any) -> Server:
        made_servers.append(serve(database, root, photos_at=tmp_path / "observations", **more))
        return made_servers[-1]

    yield make
    for server in made_servers:
        close(server)


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    """A server as it is by default."""
    return start()
