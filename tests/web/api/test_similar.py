"""Similar reference photos of a photo, a reference and an embedding, with filters and pages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from retrieval.models.descriptor import Descriptor
from tests.snapshots import CITRINA, FLORAS, LICENCES, MUSCARIA, Made, draw_photo
from tests.web.conftest import LIMITS, HeldPhotos, encode_photos
from web.application import create_app
from web.catalogue import Catalogue
from web.inference.snapshot import Published
from web.services import Services

FIND = [draw_photo(MUSCARIA, 7), draw_photo(MUSCARIA, 7, 1)]


def ranked(made: Made, rows: np.ndarray[Any, Any], fits: Callable[[Any], bool] = lambda _: True) -> list[str]:
    """The photos most similar to any of the rows, by comparing all of them."""
    stored = made.embeddings.astype(np.float16).astype(np.float64)
    best = (stored @ np.asarray(rows, dtype=np.float64).T).max(axis=1)
    order = sorted(range(len(best)), key=lambda row: (-best[row], row))
    return [made.entries[row].photo for row in order if fits(made.entries[row])]


def embed(client: FlaskClient, photos: list[bytes], **form: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/embeddings", **encode_photos(photos, **form))
    assert answer.status_code == 200, answer.get_data()
    body: dict[str, Any] = answer.get_json()
    return body


def day_of(photo: str) -> date | None:
    """An invented day for each photo; some have none."""
    month = int(photo[:2], 16) % 5 + 7
    return None if month == 11 else date(2026, month, 3)


class Dated(Catalogue):
    """A catalogue that knows when photos were taken."""

    def event_dates(self, photos: Sequence[str]) -> Mapping[str, date]:
        return {photo: day for photo in photos if (day := day_of(photo))}


@pytest.fixture
def dated(made: Made) -> FlaskClient:
    """A client of a server that knows when photos were taken."""
    services = Services(
        Published(made.root),
        Descriptor,
        HeldPhotos({}),
        LIMITS,
        catalogue=Dated(),
    )
    return create_app(services).test_client()


def test_embeddings_are_those_of_the_model_and_of_length_1(client: FlaskClient, made: Made) -> None:
    body = embed(client, FIND)

    rows = np.array(body["embeddings"])
    assert (rows.shape, body["dimension"], body["model"]) == ((2, 256), 256, "descriptor@1")
    assert np.allclose(np.linalg.norm(rows, axis=1), 1)
    assert (body["snapshot"], bool(body["notice"])) == (made.manifest.name, True)


def test_the_pages_of_similar_photos_are_what_comparing_all_gives(
    client: FlaskClient, made: Made, ask: Callable[..., TestResponse]
) -> None:
    expected = ranked(made, embed(client, FIND)["embeddings"])
    found, cursor = [], ""
    while cursor is not None:
        body = ask("/api/v1/similar", FIND, count=7, cursor=cursor).get_json()
        found += [reference["photo"] for reference in body["references"]]
        cursor = body["cursor"]

    assert found == expected


@pytest.mark.parametrize(
    ("filters", "fits"),
    [
        ({"flora": "south"}, lambda entry: entry.species in FLORAS["south"]),
        ({"taxon": CITRINA}, lambda entry: entry.species == CITRINA),
        ({"taxon": 4}, lambda entry: entry.species in {MUSCARIA, CITRINA}),  # a genus
        ({"taxon": 4, "flora": "south"}, lambda entry: entry.species == CITRINA),
        ({"licences": LICENCES[1]}, lambda entry: entry.licence == LICENCES[1]),
        ({"months": 9}, lambda entry: (day := day_of(entry.photo)) is not None and day.month == 9),
        ({"months": 9, "taxon": 4, "licences": LICENCES[0]}, None),
    ],
    ids=["flora", "species", "genus", "genus-in-flora", "licence", "month", "all-three"],
)
def test_filters_leave_out_what_does_not_fit_and_nothing_else(
    dated: FlaskClient, made: Made, filters: dict[str, Any], fits: Callable[[Any], bool] | None
) -> None:
    def all_three(entry: Any) -> bool:
        day = day_of(entry.photo)
        right = entry.species in {MUSCARIA, CITRINA} and entry.licence == LICENCES[0]
        return right and day is not None and day.month == 9

    answer = dated.post("/api/v1/similar", **encode_photos(FIND, count=100, **filters)).get_json()

    expected = ranked(made, embed(dated, FIND)["embeddings"], fits or all_three)
    assert [reference["photo"] for reference in answer["references"]] == expected
    assert answer["cursor"] is None


def test_a_filter_that_nothing_fits_gives_nothing(ask: Callable[..., TestResponse]) -> None:
    assert ask("/api/v1/similar", FIND, licences="WTFPL").get_json()["references"] == []
    assert ask("/api/v1/similar", FIND, taxon=13).get_json()["references"] == []  # a species without references


def test_a_reference_has_its_neighbours_and_is_not_one_of_them(client: FlaskClient, made: Made) -> None:
    entry = made.entries[3]
    found, address = [], f"/api/v1/similar/{entry.photo}?count=10&flora=north"
    while address:
        body = client.get(address).get_json()
        found += [reference["photo"] for reference in body["references"]]
        address = body["next"]

    own = made.embeddings[3:4].astype(np.float16)
    expected = ranked(made, own, lambda other: other.photo != entry.photo and other.species in FLORAS["north"])
    assert found == expected


def test_embeddings_find_what_their_photos_find(client: FlaskClient, ask: Callable[..., TestResponse]) -> None:
    rows = embed(client, FIND)

    by_rows = client.post(
        "/api/v1/similar/embeddings", json={"embeddings": rows["embeddings"], "model": rows["model"], "count": 9}
    ).get_json()

    by_photos = ask("/api/v1/similar", FIND, count=9).get_json()
    assert [r["photo"] for r in by_rows["references"]] == [r["photo"] for r in by_photos["references"]]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"embeddings": [[0.0] * 256], "model": "descriptor@1"}, 400),
        ({"embeddings": [[1.0] * 255], "model": "descriptor@1"}, 422),
        ({"embeddings": [], "model": "descriptor@1"}, 422),
        ({"embeddings": [[1.0] * 256], "model": "other@2"}, 400),
        ({"embeddings": [[1.0] * 256]}, 422),
        ({"embeddings": [["NaN"] * 256], "model": "descriptor@1"}, 422),
        ([1, 2], 422),
        ("x" * 1_200_000, 413),
    ],
    ids=lambda value: str(value)[:30],
)
def test_embeddings_that_cannot_be_meant_are_refused(client: FlaskClient, body: Any, status: int) -> None:
    assert client.post("/api/v1/similar/embeddings", json=body).status_code == status


def test_a_cursor_of_another_query_is_refused(ask: Callable[..., TestResponse], client: FlaskClient) -> None:
    cursor = ask("/api/v1/similar", FIND, count=5).get_json()["cursor"]

    other = ask("/api/v1/similar", FIND[:1], count=5, cursor=cursor)

    assert (other.status_code, "another query" in other.get_json()["detail"]) == (400, True)
    for strange in ("x", "WzFd", "W10", cursor[:-3], "9" * 400, "é"):
        assert ask("/api/v1/similar", FIND, cursor=strange).status_code == 400


def test_answers_about_a_snapshot_are_not_sent_twice(client: FlaskClient, made: Made) -> None:
    for address in (
        "/api/v1/floras",
        "/api/v1/floras/north",
        "/api/v1/floras/north/species?limit=2",
        f"/api/v1/species/{MUSCARIA}",
        f"/api/v1/similar/{made.entries[0].photo}",
    ):
        first = client.get(address)
        again = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
        other = client.get(address + ("&" if "?" in address else "?") + "limit=3", headers=again.headers)

        assert (first.status_code, again.status_code, again.data) == (200, 304, b"")
        assert "no-cache" in first.headers["Cache-Control"]
        assert ("private" in first.headers["Cache-Control"]) == ("similar" in address)  # which keys may be asked for
        assert other.headers.get("ETag") != first.headers["ETag"]


def test_an_etag_changes_with_the_snapshot(made: Made, app: Flask, tmp_path: Any) -> None:
    from tests.snapshots import drawn_references, make_snapshot
    from tests.web.conftest import make_app

    entries, embeddings, _ = drawn_references()
    other = make_snapshot(tmp_path, entries[:-1], embeddings[:-1])

    tags = [one.test_client().get("/api/v1/floras").headers["ETag"] for one in (app, make_app(other.root, {}))]

    assert tags[0] != tags[1]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("aman", [11, 12, 13]), ("Agaricus m", [11]), ("FLY", [11]), ("rød", [11]), ("%", []), ("_manita", [])],
)
def test_species_are_found_by_the_beginning_of_any_of_their_names(
    client: FlaskClient, prefix: str, expected: list[int]
) -> None:
    answer = client.get("/api/v1/floras/north/species", query_string={"prefix": prefix}).get_json()

    assert [line["taxon"]["taxonID"] for line in answer["species"]] == expected
    assert (answer["covered"], answer["missing"]) == (len(set(expected) - {13}), len(set(expected) & {13}))


def test_a_species_page_names_aspects_and_datasets(client: FlaskClient) -> None:
    answer = client.get(f"/api/v1/species/{MUSCARIA}").get_json()
    caps = client.get(f"/api/v1/species/{MUSCARIA}?aspect=cap").get_json()

    assert answer["aspects"] == [{"aspect": "cap", "photos": 3}, {"aspect": "", "photos": 3}]
    assert answer["credits"] == [{"dataset": "drawn", "photos": 6}]
    assert (answer["months"], answer["cells"], answer["lookalikes"]) == ([], [], [])
    assert [photo["aspect"] for photo in caps["photos"]] == ["cap"] * 3


def test_a_photo_id_is_a_digest(client: FlaskClient) -> None:
    assert client.get(f"/api/v1/similar/{hashlib.sha256(b'').hexdigest()}").status_code == 404
    assert client.get("/api/v1/similar/short").status_code == 404
