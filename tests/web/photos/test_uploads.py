from __future__ import annotations

import io
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from retrieval.models.descriptor import Descriptor
from retrieval.photos.heif import register_heif
from retrieval.photos.views import decode_view
from tests.retrieval.photos.oddities import exif, png_header, save, scene
from tests.snapshots import MUSCARIA, Made, draw_photo, make_entry, make_snapshot
from tests.web.conftest import LIMITS, encode_photos, make_app

Ask = Callable[..., TestResponse]
PHOTO = draw_photo(MUSCARIA, 7)


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """The image as a camera that writes this orientation stores it: the inverse of the turn that makes it upright."""
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return image.transpose(turn[orientation]) if orientation in turn else image


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """References that show the same scene upright, in grey, and turned in each of the other ways."""
    shown = {"upright": scene(), "grey": scene().convert("L").convert("RGB")}
    shown |= {f"turned {orientation}": turned(scene(), orientation) for orientation in range(2, 9)}
    views = [decode_view(save(image, "PNG"), Descriptor.short_side) for image in shown.values()]
    entries = [make_entry(name, number, MUSCARIA) for number, name in enumerate(shown)]
    root = tmp_path_factory.mktemp("scenes")
    make_snapshot(root, entries, Descriptor().embed(views))
    app = make_app(root, {})
    yield app.test_client()
    app.extensions["services"].published.close()


def most_similar(client: FlaskClient, photo: bytes) -> tuple[str, float]:
    """The reference most similar to a photo, and how similar it is."""
    answer = client.post("/api/v1/similar", **encode_photos([photo], count=1))
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()["references"][0]["photo"], answer.get_json()["references"][0]["similarity"]


@pytest.mark.parametrize("orientation", range(9))
def test_every_orientation_is_compared_upright(scenes: FlaskClient, orientation: int) -> None:
    stored = turned(scene(), orientation)

    found, similarity = most_similar(scenes, save(stored, "PNG", exif=exif(orientation)))

    assert (found, similarity > 0.99) == ("upright", True)
    if orientation > 1:
        assert most_similar(scenes, save(stored, "PNG"))[0] == f"turned {orientation}"


def odd_photos() -> dict[str, bytes]:
    """The same scene in every format and mode that is accepted."""
    rgb = scene()
    white = Image.new("RGB", rgb.size, "white")
    deep = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    return {
        "jpeg": save(rgb),
        "progressive jpeg": save(rgb, progressive=True),
        "cmyk": save(rgb.convert("CMYK")),
        "grey": save(rgb.convert("L")),
        "grey of 16 bits": save(deep, "PNG"),
        "palette": save(rgb.quantize(256), "PNG"),
        "transparent": save(rgb.convert("RGBA"), "PNG"),
        "webp": save(rgb, "WEBP", lossless=True),
        "moving webp": save(rgb, "WEBP", save_all=True, append_images=[white], lossless=True),
        "moving png": save(rgb, "PNG", save_all=True, append_images=[white]),
    }


@pytest.mark.parametrize("kind", odd_photos())
def test_every_accepted_kind_of_photo_is_compared_as_the_scene_it_shows(scenes: FlaskClient, kind: str) -> None:
    found, similarity = most_similar(scenes, odd_photos()[kind])

    assert found == ("grey" if "grey" in kind else "upright")
    assert similarity > 0.9


def test_heic_photos_are_compared_where_pillow_heif_is_installed(scenes: FlaskClient) -> None:
    pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    register_heif()

    found, similarity = most_similar(scenes, save(scene(), "HEIF", quality=95))

    assert (found, similarity > 0.9) == ("upright", True)


REFUSED = {
    "nothing": (b"", 400, "unreadable-photo", "empty"),
    "text": (b"hello", 415, "unsupported-photo", "not a JPEG"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported-photo", "not a JPEG"),
    "gif": (save(scene(), "GIF"), 415, "unsupported-photo", "not a JPEG"),
    "tiff": (save(scene(64, 64), "TIFF"), 415, "unsupported-photo", "not a JPEG"),
    "cut short": (save(scene())[:3000], 400, "unreadable-photo", "damaged or cut short"),
    "only a beginning": (b"\xff\xd8\xff\xe0", 400, "unreadable-photo", "header"),
    "pixel bomb": (png_header(60_000, 60_000), 413, "photo-too-large", "too many pixels"),
    "over a million pixels": (save(scene(1250, 801)), 413, "photo-too-large", "1,000,000"),
    "too many bytes": (b"\xff\xd8\xff" + bytes(LIMITS.bytes), 413, "photo-too-large", "400,000 bytes"),
    "a dot": (save(scene(3, 3)), 400, "unreadable-photo", "nothing can be seen"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("address", ["/api/v1/identify", "/api/v1/similar"])
def test_every_refusal_is_a_clear_sentence_that_names_the_photo(ask: Ask, address: str, kind: str) -> None:
    photo, status, name, words = REFUSED[kind]

    answer = ask(address, [PHOTO, photo])

    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert answer.get_json()["type"] == f"/api/v1/docs#{name}"
    assert answer.get_json()["detail"].startswith("Photo 2 of 2: ")
    assert words in answer.get_json()["detail"]


def test_no_photo_and_too_many_photos_are_told_apart(ask: Ask) -> None:
    none, many = ask("/api/v1/identify", []), ask("/api/v1/identify", [PHOTO] * 4)

    assert (none.status_code, none.get_json()["type"]) == (400, "/api/v1/docs#no-photo")
    assert (many.status_code, many.get_json()["type"]) == (422, "/api/v1/docs#too-many-photos")
    assert many.get_json()["detail"] == "4 photos were given; one observation may have at most 3."
    assert ask("/api/v1/identify", [PHOTO] * 3).status_code == 200


def test_photos_and_images_count_together(client: FlaskClient) -> None:
    form = {"photos": [(io.BytesIO(PHOTO), "a.jpg") for _ in range(3)], "images": (io.BytesIO(PHOTO), "b.jpg")}

    assert client.post("/api/v1/identify", data=form).get_json()["detail"].startswith("4 photos")


def test_an_upload_larger_than_all_photos_together_is_refused_before_it_is_read(ask: Ask) -> None:
    answer = ask("/api/v1/identify", [bytes(800_000), bytes(800_000), bytes(800_000)])

    assert answer.status_code == 413
    assert "photos and text, may have 2,200,000 bytes" in answer.get_json()["detail"]


def test_a_form_with_far_too_many_parts_is_refused_as_such(ask: Ask) -> None:
    answer = ask("/api/v1/identify", [b"x"] * 100)

    assert answer.status_code == 413
    assert "too many parts" in answer.get_json()["detail"]


def post_parts(client: FlaskClient, *parts: bytes) -> TestResponse:
    """A form written by hand."""
    body = b"".join(b"--edge\r\n" + part + b"\r\n" for part in parts) + b"--edge--\r\n"
    return client.post("/api/v1/identify", data=body, content_type="multipart/form-data; boundary=edge")


@pytest.mark.parametrize(
    "disposition",
    [
        b'filename="/home/someone/../secret/a.jpg"',
        b'filename="C:\\\\photos\\\\a.jpg"',
        b'filename="a.gif"',
        b'filename="\xf0\x9f\x8d\x84.exe"',
        b"filename*=UTF-8''r%C3%B8d.heic",
        b'filename=""',
    ],
)
def test_file_names_and_content_types_do_not_matter(ask: Ask, client: FlaskClient, disposition: bytes) -> None:
    expected = ask("/api/v1/identify", [PHOTO]).get_json()
    head = b'Content-Disposition: form-data; name="photos"; ' + disposition
    for content_type in (b"", b"\r\nContent-Type: application/octet-stream", b"\r\nContent-Type: image/gif"):
        answer = post_parts(client, head + content_type + b"\r\n\r\n" + PHOTO)

        assert answer.get_json() == expected


def test_what_a_browser_sends_for_no_file_is_no_photo(client: FlaskClient) -> None:
    empty = b'Content-Disposition: form-data; name="photos"; filename=""\r\n\r\n'

    assert post_parts(client, empty).get_json()["type"] == "/api/v1/docs#no-photo"


def test_a_photo_sent_as_text_is_explained(client: FlaskClient) -> None:
    answer = post_parts(client, b'Content-Disposition: form-data; name="photos"\r\n\r\nabc')

    assert answer.status_code == 422
    assert "part with a filename" in answer.get_json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"json": {"photos": []}},
        {"data": b"raw", "content_type": "image/jpeg"},
        {"data": {"flora": "world"}},
        {},
    ],
)
def test_bodies_other_than_a_multipart_form_are_refused(client: FlaskClient, body: dict[str, Any]) -> None:
    body = {"content_type": "application/x-www-form-urlencoded", **body} if "data" in body else body

    answer = client.post("/api/v1/identify", **body)

    assert answer.status_code == 415
    assert "multipart/form-data" in answer.get_json()["detail"]


def test_a_form_that_ends_in_the_middle_is_refused_or_has_no_photo(client: FlaskClient) -> None:
    for body in (b"", b"--edge", b'--edge\r\nContent-Disposition: form-data; name="photos"; filename="a"\r\n\r\n\xff'):
        answer = client.post("/api/v1/identify", data=body, content_type="multipart/form-data; boundary=edge")

        assert 400 <= answer.status_code < 500
        assert answer.mimetype == "application/problem+json"


def test_no_place_of_a_photo_leaves_the_server(ask: Ask) -> None:
    photo = save(scene(), exif=exif(6, secret="SECRET GARDEN"))
    assert b"SECRET GARDEN" in photo

    for address in ("/api/v1/identify", "/api/v1/similar", "/"):
        answer = ask(address, [photo]).get_data(as_text=True)

        assert "SECRET" not in answer
        for shown in re.findall(r"data:image/jpeg;base64,([^\"]+)", answer):
            drawn = b64decode(shown)
            assert b"SECRET" not in drawn
            assert not Image.open(io.BytesIO(drawn)).getexif()


def test_no_photo_is_written_to_disk(app: Flask) -> None:
    with app.test_request_context("/", method="POST", **encode_photos([bytes(2_000_000)])):
        stream = request.files["photos"].stream

        assert isinstance(stream, io.BytesIO)
        assert len(stream.read()) == 2_000_000


def test_odd_photographs_of_others_are_read_or_refused_in_words(shared: Path, made: Made) -> None:
    client = make_app(made.root, {}, limits=None).test_client()
    for path in sorted((shared / "samples" / "images").rglob("*.jp*g")):
        answer = client.post("/api/v1/identify", **encode_photos([path.read_bytes()]))

        expected = 400 if "truncated" in path.name else 200
        assert answer.status_code == expected, (path.name, answer.get_json())
