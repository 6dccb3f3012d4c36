"""Forms in parts as clients send them: file names in any encoding, and a form that cannot be read is named as such."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.snapshots import MUSCARIA, draw_photo

PHOTO = draw_photo(MUSCARIA, 7)
KIND = "multipart/form-data; boundary=xx"


def part(disposition: bytes, content: bytes = PHOTO) -> bytes:
    return b"--xx\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + content + b"\r\n"


def named(name: bytes) -> bytes:
    return b'form-data; name="photos"; filename="' + name + b'"'


NAMES = {
    "Latin-1": named("Fliegenpilz grün.jpg".encode("latin-1")),
    "Windows-1252": named("Pilz – 1.jpg".encode("cp1252")),
    "Shift-JIS": named("キノコ.jpg".encode("cp932")),
    "UTF-8": named("キノコ.jpg".encode()),
    "RFC 5987": b"form-data; name=\"photos\"; filename*=iso-8859-1''gr%FCn.jpg",
    "without quotes": "form-data; name=photos; filename=grün.jpg".encode("latin-1"),
    "with a quote": named(b'a\\"b.jpg'),
    "a path": named(b"C:\\\\photos\\\\a.jpg"),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("address", ["/api/v1/identify", "/"])
def test_a_file_may_have_any_name_in_any_encoding(client: FlaskClient, name: str, address: str) -> None:
    answer = client.post(address, data=part(NAMES[name]) + b"--xx--\r\n", content_type=KIND)

    assert answer.status_code == 200, answer.get_data(as_text=True)


def test_text_in_latin_1_is_read(client: FlaskClient) -> None:
    flora = part(b'form-data; name="flora"', "grün".encode("latin-1"))

    answer = client.post("/api/v1/identify", data=flora + part(named(b"a.jpg")) + b"--xx--\r\n", content_type=KIND)

    assert "'grün'" in answer.get_json()["detail"]


WHOLE = part(named(b"a.jpg")) + b"--xx--\r\n"
BROKEN = {
    "no boundary": (WHOLE, "multipart/form-data", "names no boundary"),
    "an empty boundary": (WHOLE, "multipart/form-data; boundary=", "names no boundary"),
    "another boundary": (WHOLE, "multipart/form-data; boundary=yy", "`--yy`"),
    "cut short": (WHOLE[:-300], KIND, "cut short"),
    "no disposition": (b"--xx\r\nContent-Type: image/jpeg\r\n\r\nx\r\n--xx--\r\n", KIND, "cannot be read"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("address", ["/api/v1/identify", "/", "/similar", "/v2/identify/all"])
def test_a_form_that_cannot_be_read_is_named_as_such(client: FlaskClient, case: str, address: str) -> None:
    body, kind, said = BROKEN[case]

    answer = client.post(address, data=body, content_type=kind)

    assert answer.status_code == 400
    assert said in answer.get_data(as_text=True).replace("<code>", "`").replace("</code>", "`")


def test_no_form_at_all_is_a_form_without_photos(client: FlaskClient) -> None:
    answer = client.post("/api/v1/identify", data=b"", content_type=KIND)

    assert answer.get_json()["type"].endswith("#no-photo")
