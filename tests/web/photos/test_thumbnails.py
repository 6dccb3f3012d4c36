"""Thumbnails: in a format that the browser accepts, in a bounded cache, and removed with their photo."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from PIL import Image

from retrieval.errors import UnknownPhoto
from tests.snapshots import Made
from tests.web.conftest import make_app
from tests.web.pages.test_browsing import photo_with_metadata
from web.application import create_app
from web.photos.thumbnails import SHELVES, Thumbnails

BROWSER = {"Accept": "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"}


def held(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def name(number: int, shelf: str = "ab") -> str:
    return f"{shelf}{number:062x}-320"


@pytest.mark.parametrize(
    ("accepted", "form"),
    [
        (BROWSER["Accept"], "WEBP"),
        ("image/webp", "WEBP"),
        ("IMAGE/WEBP;q=0.1", "WEBP"),
        ("image/webp;q=0, image/jpeg", "JPEG"),
        ("image/jpeg", "JPEG"),
        ("image/*", "JPEG"),  # programs that say so know JPEG for sure
        ("*/*", "JPEG"),
        ("", "JPEG"),
    ],
)
def test_a_picture_has_the_form_that_was_asked_for(made: Made, accepted: str, form: str) -> None:
    client = make_app(made.root, made.photos).test_client()

    answer = client.get(f"/api/v1/photos/{made.entries[0].photo}?size=160", headers={"Accept": accepted})

    assert Image.open(io.BytesIO(answer.data)).format == form
    assert answer.mimetype == f"image/{form.lower()}"
    assert answer.headers["Vary"] == "Accept"
    assert "immutable" in answer.headers["Cache-Control"]


def test_each_form_has_an_etag_of_its_own(made: Made, client: FlaskClient) -> None:
    address = f"/api/v1/photos/{made.entries[0].photo}?size=160"
    jpeg, webp = client.get(address), client.get(address, headers=BROWSER)

    again = client.get(address, headers={**BROWSER, "If-None-Match": webp.headers["ETag"]})
    other = client.get(address, headers={"If-None-Match": webp.headers["ETag"]})

    assert jpeg.headers["ETag"] != webp.headers["ETag"]
    assert (again.status_code, again.headers["Vary"], again.data) == (304, "Accept", b"")
    assert (other.status_code, other.mimetype) == (200, "image/jpeg")


def test_a_webp_is_upright_smaller_and_carries_no_metadata(made: Made) -> None:
    sha256 = made.entries[0].photo
    client = make_app(made.root, {sha256: photo_with_metadata()}).test_client()

    picture = client.get(f"/api/v1/photos/{sha256}", headers=BROWSER).data

    assert not any(trace in picture for trace in (b"SECRET", b"Exif", b"EXIF", b"GPS", b"XMP"))
    image = Image.open(io.BytesIO(picture))
    assert (image.format, image.size, dict(image.getexif())) == ("WEBP", (200, 300), {})
    assert len(picture) < len(client.get(f"/api/v1/photos/{sha256}").data)


def test_a_picture_is_drawn_once_and_then_kept_for_every_worker(made: Made, tmp_path: Path) -> None:
    apps = [make_app(made.root, made.photos) for _ in range(2)]
    for app in apps:
        given = app.extensions["services"]
        app.extensions["services"] = replace(given, thumbnails=Thumbnails(tmp_path, 10_000_000))
    address = f"/api/v1/photos/{made.entries[0].photo}?size=160"

    first = apps[0].test_client().get(address).data
    second = apps[1].test_client().get(address).data
    other = apps[1].test_client().get(address, headers=BROWSER).data

    assert first == second != other
    assert [len(app.extensions["services"].photos.asked) for app in apps] == [1, 1]  # the second for the WebP alone


def test_what_somebody_may_remove_at_any_moment_is_not_kept(made: Made, tmp_path: Path) -> None:
    app = make_app(made.root, made.photos)
    given = app.extensions["services"]
    given.photos.lasting = False
    app.extensions["services"] = replace(given, thumbnails=Thumbnails(tmp_path, 10_000_000))

    assert app.test_client().get(f"/api/v1/photos/{made.entries[0].photo}?size=160").status_code == 200

    assert held(tmp_path) == 0


def test_a_photo_that_was_withdrawn_is_not_shown_from_what_was_kept(made: Made, tmp_path: Path) -> None:
    app = make_app(made.root, made.photos)
    given = app.extensions["services"]
    app.extensions["services"] = replace(given, thumbnails=Thumbnails(tmp_path, 10_000_000))
    address = f"/api/v1/photos/{made.entries[0].photo}?size=160"
    before = app.test_client().get(address)

    given.photos.withdrawn = True  # while the snapshot still has it
    after = app.test_client().get(address)
    again = app.test_client().get(address, headers={"If-None-Match": before.headers["ETag"]})

    assert held(tmp_path) > 0
    assert (before.status_code, after.status_code, again.status_code) == (200, 404, 404)


def test_the_pictures_never_take_more_than_their_bound(tmp_path: Path) -> None:
    dice, kept = random.Random(3), Thumbnails(tmp_path, 2000 * SHELVES)

    for number in range(60):
        picture = bytes([7]) * dice.randrange(1, 900)
        kept.draw(name(number), partial(bytes, picture))

        assert held(tmp_path) <= 2000


def test_what_was_unused_for_longest_makes_way(tmp_path: Path) -> None:
    kept, drawn = Thumbnails(tmp_path, 300 * SHELVES), []

    def draw(number: int) -> Callable[[], bytes]:
        return lambda: drawn.append(number) or bytes([number]) * 100  # type: ignore[func-returns-value]

    for number in (1, 2, 3):
        kept.draw(name(number), draw(number))
    for place, path in enumerate(sorted(tmp_path.rglob("*-320"))):
        os.utime(path, (10_000 + place, 10_000 + place))
    kept.draw(name(1), draw(1))  # used again: now the one used last
    kept.draw(name(4), draw(4))
    drawn.clear()

    for number in (1, 3, 4, 2):
        assert kept.draw(name(number), draw(number)) == bytes([number]) * 100

    assert drawn == [2]


def test_a_picture_larger_than_a_shelf_is_given_and_not_kept(tmp_path: Path) -> None:
    kept = Thumbnails(tmp_path, 100 * SHELVES)

    assert kept.draw(name(1), lambda: bytes(101)) == bytes(101)
    assert held(tmp_path) == 0


def test_a_file_that_a_power_cut_left_empty_is_drawn_anew(tmp_path: Path) -> None:
    kept = Thumbnails(tmp_path, 1000 * SHELVES)
    kept.draw(name(1), lambda: b"picture")
    next(tmp_path.rglob("*-320")).write_bytes(b"")

    assert kept.draw(name(1), lambda: b"again") == b"again"


@pytest.mark.parametrize("thumbnails", [Thumbnails(), Thumbnails(Path("/proc/nowhere"), 10**9)], ids=["none", "full"])
def test_where_nothing_can_be_kept_pictures_are_drawn_all_the_same(made: Made, thumbnails: Thumbnails) -> None:
    app = make_app(made.root, made.photos)
    given = replace(app.extensions["services"], thumbnails=thumbnails)

    answer = create_app(given).test_client().get(f"/api/v1/photos/{made.entries[0].photo}?size=160")

    assert answer.status_code == 200


def test_what_cannot_be_drawn_is_not_kept(tmp_path: Path) -> None:
    kept = Thumbnails(tmp_path, 1000 * SHELVES)

    def fail() -> bytes:
        raise UnknownPhoto("gone")

    for _ in range(2):
        with pytest.raises(UnknownPhoto):
            kept.draw(name(1), fail)
    assert held(tmp_path) == 0
