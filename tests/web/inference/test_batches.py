"""Batches of observations: answers in order, errors affect only their line, interrupted batches resume."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from retrieval.models.descriptor import Descriptor
from tests.snapshots import COLOURS, MUSCARIA, Made, draw_photo
from tests.web.conftest import LIMITS, HeldPhotos, encode_photos
from web.application import create_app
from web.inference.snapshot import Published
from web.services import Services, Throughput

NDJSON = "application/x-ndjson"
ADDRESS = "/api/v1/identify/batch"
FINDS = {f"find-{species}": draw_photo(species, 8) for species in COLOURS}


def lines_of(observations: list[Any]) -> bytes:
    return b"\n".join(json.dumps(observation).encode() for observation in observations)


def in_base64(name: str, *photos: bytes, **options: Any) -> dict[str, Any]:
    return {"id": name, "photos": [base64.b64encode(photo).decode() for photo in photos], **options}


def post(client: FlaskClient, body: bytes, address: str = ADDRESS) -> list[dict[str, Any]]:
    answer = client.post(address, data=body, content_type=NDJSON)
    assert (answer.status_code, answer.mimetype) == (200, NDJSON), answer.get_data()
    return [json.loads(line) for line in answer.get_data().splitlines()]


def test_each_find_is_answered_as_if_it_had_been_asked_alone(client: FlaskClient) -> None:
    found = post(client, lines_of([in_base64(name, photo, flora="north") for name, photo in FINDS.items()]))

    assert [line["id"] for line in found[:-1]] == list(FINDS)
    for line in found[:-1]:
        alone = client.post("/api/v1/identify", **encode_photos([FINDS[line["id"]]], flora="north")).get_json()
        assert line["identification"] == alone
    assert {name: found[-1][name] for name in ("done", "observations", "failed")} == {
        "done": True,
        "observations": len(FINDS),
        "failed": 0,
    }
    assert all(found[-1][name] for name in ("snapshot", "model", "notice"))


def test_photos_may_come_as_parts_of_a_form(client: FlaskClient) -> None:
    lines = lines_of([{"id": "one", "photos": ["a", "b"], "detail": "brief"}, {"id": "two", "photos": ["b", "c"]}])
    form = {
        "observations": lines.decode(),
        "a": (io.BytesIO(draw_photo(MUSCARIA, 8)), "../../etc/passwd"),
        "b": (io.BytesIO(draw_photo(MUSCARIA, 8, 1)), ""),
    }

    answer = client.post(ADDRESS, data=form, content_type="multipart/form-data")

    one, two, done = [json.loads(line) for line in answer.get_data().splitlines()]
    assert one["identification"]["species"][0]["taxon"]["taxonID"] == MUSCARIA
    assert "evidence" not in one["identification"]["species"][0]
    assert "the form has no part 'c'" in two["problem"]["detail"]
    assert (done["observations"], done["failed"]) == (2, 1)


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        (b"{", 400, "Line 2 is not JSON"),
        (b"[" * 100_000, 400, "Line 2 is not JSON"),
        (b'{"id": "\\ud800", "photos": ["a"]}', 400, "Line 2 is not JSON"),
        (b'{"id": "x", "flora": "\\udfff", "photos": ["a"]}', 400, "Line 2 is not JSON"),
        (b'{"id": "x", "\\ud800": 1, "photos": ["a"]}', 400, "Line 2 is not JSON"),
        (b'{"id": ' + b"9" * 6000 + b"}", 400, "Line 2 is not JSON"),
        (b"3", 422, ""),
        (b'{"photos": []}', 422, "id"),
        (b'{"id": "x", "photos": []}', 400, "at least one photo"),
        (b'{"id": "x", "photos": ["***"]}', 400, "not valid base64"),
        (b'{"id": "x", "photos": ["aGVsbG8="]}', 415, "not a JPEG"),
        (b'{"id": "x", "photos": ["/9j/4AAQSkZJRg=="]}', 400, "damaged"),
        (b'{"id": "x", "photos": [], "floar": "north"}', 422, "floar"),
        (b'{"id": "x", "photos": ["a", "a", "a", "a"]}', 422, "at most 3"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_with_one_find_spoils_no_other(client: FlaskClient, line: bytes, status: int, words: str) -> None:
    good = lines_of([in_base64("good", draw_photo(MUSCARIA, 8))])

    found = post(client, b"\n".join([good, line, good]))

    assert [("identification" in one) for one in found] == [True, False, True, False]
    assert found[1]["problem"]["status"] == status
    assert words in found[1]["problem"]["detail"]
    assert (found[-1]["observations"], found[-1]["failed"]) == (3, 1)


@pytest.mark.parametrize("read", [1, 3, len(COLOURS)])
def test_a_batch_that_was_cut_off_goes_on_behind_the_last_cursor(client: FlaskClient, read: int) -> None:
    body = lines_of([in_base64(name, photo) for name, photo in FINDS.items()])
    whole = post(client, body)

    rest = post(client, body, f"{ADDRESS}?cursor={whole[read - 1]['cursor']}")

    assert [line["id"] for line in rest[:-1]] == list(FINDS)[read:]
    assert rest[:-1] == whole[read:-1]


def test_a_cursor_of_another_batch_is_refused(client: FlaskClient) -> None:
    body = lines_of([in_base64(name, photo) for name, photo in FINDS.items()])
    cursor = post(client, body)[2]["cursor"]
    shuffled = b"\n".join(reversed(body.split(b"\n")))

    for address, sent in ((f"{ADDRESS}?cursor={cursor}", shuffled), (f"{ADDRESS}?cursor=WyJiYXRjaCIsMCwiYSJd", body)):
        assert client.post(address, data=sent, content_type=NDJSON).status_code == 400


def limited(made: Made, **bounds: int) -> Flask:
    services = Services(Published(made.root), Descriptor, HeldPhotos({}), LIMITS, Throughput(**bounds))
    return create_app(services)


def test_a_batch_has_bounds(made: Made) -> None:
    line = lines_of([in_base64("one", draw_photo(MUSCARIA, 8))])
    app = limited(made, batch_lines=2, batch_bytes=60_000)
    client = app.test_client()

    many = client.post(ADDRESS, data=b"\n".join([line] * 3), content_type=NDJSON)
    large = client.post(ADDRESS, data=b" " * 70_000, content_type=NDJSON)

    assert (many.status_code, large.status_code) == (413, 413)
    assert "at most 2 observations" in many.get_json()["detail"]
    assert client.post(ADDRESS, data=b"", content_type=NDJSON).status_code == 400
    assert client.post(ADDRESS, data=line, content_type="text/plain").status_code == 415
    assert app.extensions["serving"].batches.taken == 0


def test_a_batch_takes_a_place_until_its_last_line_is_read_or_nobody_reads_any_more(made: Made) -> None:
    app = limited(made, batches=1)
    client = app.test_client()
    body = lines_of([in_base64(name, photo) for name, photo in FINDS.items()])
    places = app.extensions["serving"].batches

    running = client.post(ADDRESS, data=body, content_type=NDJSON, buffered=False)
    refused = client.post(ADDRESS, data=body, content_type=NDJSON)
    assert (places.taken, refused.status_code) == (1, 503)
    running.close()

    assert places.taken == 0
    assert app.extensions["serving"].gate.taken == 0
    assert len(post(client, body)) == len(FINDS) + 1
