"""A small published snapshot behind the application, asked through Flask's client."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from retrieval.errors import UnknownPhoto
from retrieval.models.descriptor import Descriptor
from retrieval.photos.addresses import Guard
from retrieval.photos.views import PhotoLimits
from tests.snapshots import Made, make_snapshot
from tests.web.people import server, start
from web.application import create_app
from web.catalogue import Catalogue
from web.inference.kept_answers import KeptAnswers
from web.inference.snapshot import Published
from web.services import Services

__all__ = ["server", "start"]

LIMITS = PhotoLimits(bytes=400_000, pixels=1_000_000, photos=3)


@dataclass
class HeldPhotos:
    """A photo source in memory."""

    photos: Mapping[str, bytes]
    asked: list[str] = field(default_factory=list)
    lasting: bool = True
    withdrawn: bool = False

    def is_cacheable(self, sha256: str) -> bool:
        if self.withdrawn:
            raise UnknownPhoto(f"reference photo {sha256} was withdrawn")
        return self.lasting

    def read(self, sha256: str) -> bytes:
        self.asked.append(sha256)
        if sha256 not in self.photos:
            raise UnknownPhoto(f"the file of reference photo {sha256} is gone")
        return self.photos[sha256]


def make_app(
    root: Path,
    photos: Mapping[str, bytes],
    *,
    patience: float = 0.0,
    limits: PhotoLimits | None = LIMITS,
    catalogue: Catalogue | None = None,
    guard: Guard | None = None,
    cors_origins: tuple[str, ...] = (),
    project_aliases: Mapping[str, str] | None = None,
) -> Flask:
    """The application over the snapshots under `root`, with the descriptor and small limits."""
    embedder = Descriptor()
    published = Published(root, lambda snapshot: snapshot.require_model(embedder.model), patience=patience)
    given = Services(
        published,
        lambda: embedder,
        HeldPhotos(photos),
        limits or PhotoLimits(),
        catalogue=catalogue or Catalogue(),
        guard=guard or Guard(),
        cors_origins=cors_origins,
        project_aliases=project_aliases or {},
        answers=KeptAnswers(root / "answers", days=30),
    )
    return create_app(given)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The snapshot of tests/snapshots.py."""
    return make_snapshot(tmp_path_factory.mktemp("flora_indexes"))


@pytest.fixture(scope="session")
def app(made: Made) -> Iterator[Flask]:
    application = make_app(made.root, made.photos)
    yield application
    application.extensions["services"].published.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def encode_photos(photos: Sequence[bytes], *, part: str = "photos", **form: Any) -> dict[str, Any]:
    """A form with each photo as a file, as Flask's client takes it; in memory, where the client would use the disk."""
    files = [FileStorage(io.BytesIO(photo), f"photo {number}.jpg") for number, photo in enumerate(photos)]
    boundary, body = encode_multipart({part: files, **{name: str(value) for name, value in form.items()}})
    return {"data": body, "content_type": f"multipart/form-data; boundary={boundary}"}


@pytest.fixture
def ask(client: FlaskClient) -> Callable[..., TestResponse]:
    """Post photos to an address, each as a file."""

    def post(address: str, photos: Sequence[bytes], **form: Any) -> TestResponse:
        return client.post(address, **encode_photos(photos, **form))

    return post
