"""The application of tests/web, with floras that lie somewhere, and photos that can be fetched from loopback."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from database.taxonomy.flora_places import FloraPlace
from database.taxonomy.regions import OWN, WGSRPD, RegionEntry
from retrieval.photos.views import PhotoLimits
from retrieval.snapshots.manifest import switch_current
from tests.indexer.photos.servers import LOOPBACK, PhotoServer, photo_server
from tests.snapshots import EMETICA, MUSCARIA, Made, draw_photo, make_snapshot
from tests.web.conftest import make_app
from web.catalogue import Catalogue

LIMITS = PhotoLimits(bytes=400_000, pixels=4_000_000, photos=5)
FIND = (draw_photo(MUSCARIA, 7), draw_photo(MUSCARIA, 7, 1))
DAY = date(2016, 7, 6)
STRANGE = 0.8


def strange_photo() -> bytes:
    """A photo that looks like nothing in the collection."""
    drawn = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (160, 160, 3), dtype=np.uint8)).save(drawn, "PNG")
    return drawn.getvalue()


def box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    """GeoJSON of a rectangle."""
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


PLACES = (
    FloraPlace("world", ()),
    FloraPlace("north", (RegionEntry("wgsrpd-10", "Northern Europe", WGSRPD, ("DK", "SE"), box(5, 54, 30, 71)),)),
    FloraPlace("south", (RegionEntry("my-south", "The south", OWN, ("IT",), box(-10, 36, 20, 47)),)),
    FloraPlace("elsewhere", ()),  # defined, but not in the snapshot
)


def dates_of(photos: Sequence[str]) -> Mapping[str, date]:
    """The day of every other photo."""
    return dict.fromkeys(sorted(photos)[::2], DAY)


class Placed(Catalogue):
    """A catalogue that knows where floras lie, and the day of every other photo."""

    def flora_places(self) -> Sequence[FloraPlace]:
        return PLACES

    def event_dates(self, photos: Sequence[str]) -> Mapping[str, date]:
        return dates_of(photos)


@dataclass(frozen=True)
class Part:
    """A part of a form, as it goes over the line."""

    name: str
    body: bytes
    filename: str | None = None
    type: str | None = None

    def encoded(self) -> bytes:
        named = f'form-data; name="{self.name}"' + (f'; filename="{self.filename}"' if self.filename else "")
        kind = f"\r\nContent-Type: {self.type}" if self.type else ""
        return f"Content-Disposition: {named}{kind}\r\n\r\n".encode() + self.body + b"\r\n"


def multipart(parts: Sequence[Part]) -> dict[str, Any]:
    """A form of parts in just this order, as Flask's client takes it."""
    body = b"".join(b"--edge\r\n" + part.encoded() for part in parts) + b"--edge--\r\n"
    return {"data": body, "content_type": "multipart/form-data; boundary=edge"}


def images(photos: Sequence[bytes] = FIND, name: str = "images") -> list[Part]:
    """Photos as files."""
    return [Part(name, photo, f"{number}.jpg", "image/jpeg") for number, photo in enumerate(photos)]


def contract_app(made: Made) -> Flask:
    origins = ("https://fungi.example",)
    return make_app(made.root, made.photos, limits=LIMITS, catalogue=Placed(), guard=LOOPBACK, cors_origins=origins)


@pytest.fixture(scope="session")
def app(made: Made) -> Iterator[Flask]:
    application = contract_app(made)
    yield application
    application.extensions["services"].published.close()


@pytest.fixture(scope="session")
def wary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """The same over a snapshot that rejects what is less similar than `STRANGE` to anything it knows."""
    root = tmp_path_factory.mktemp("wary")
    made = make_snapshot(root)
    weights = {"constant": -9.0, "similarity": 0.0, "entropy": 0.0, "strange": STRANGE}
    wary = replace(made.manifest, calibration={"rejection": weights, "lookalikes": [[MUSCARIA, EMETICA, 0.1]]})
    folder = root / "snapshots" / wary.name
    shutil.copytree(root / "snapshots" / made.manifest.name, folder)
    (folder / "manifest.json").write_text(wary.text(), encoding="utf-8")
    switch_current(root, wary.name)
    application = contract_app(made)
    yield application.test_client()
    application.extensions["services"].published.close()


@pytest.fixture
def post(client: FlaskClient) -> Callable[..., TestResponse]:
    """Post parts to an address."""

    def send(address: str, parts: Sequence[Part] | None = None, **other: Any) -> TestResponse:
        return client.post(address, **multipart(images() if parts is None else parts), **other)

    return send


@pytest.fixture
def server() -> Iterator[PhotoServer]:
    with photo_server() as served:
        yield served
