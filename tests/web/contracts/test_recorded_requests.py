"""The recorded requests of real clients, replayed part by part. They lie beside the repository, read in place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.indexer.photos.servers import Answer, PhotoServer
from tests.snapshots import MUSCARIA, draw_photo
from tests.web.contracts.conftest import Part, multipart

PHOTOS_AT = "http://127.0.0.1:18799"  # where the recorded client had its photos
COUNT = 18


@pytest.fixture(scope="module")
def recorded(shared: Path) -> list[dict[str, Any]]:
    path = shared / "samples" / "plantnet-contract" / "recorded_requests.jsonl"
    if not path.exists():
        pytest.skip(f"no recorded requests: {path} is absent")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def photo_of(length: int) -> bytes:
    """A photo with just so many bytes: what follows the end of a JPEG is not looked at."""
    photo = draw_photo(MUSCARIA, 7)
    return photo + bytes(length - len(photo))


def replay(client: FlaskClient, asked: Mapping[str, Any], photos_at: str) -> TestResponse:
    """Send a recorded request: method, path, query, headers, and each part in its order with its own headers."""
    query = [[name, value.replace(PHOTOS_AT, photos_at)] for name, value in asked["query"]]
    headers = {"User-Agent": asked["ua"], "Accept": asked["accept"]}
    headers |= {"Authorization": asked["auth"]} if asked["auth"] else {}
    parts = [
        Part(part["name"], (part["value"] or "").encode() or photo_of(part["len"]), part["filename"], part["type"])
        for part in asked["parts"]
    ]
    form = multipart(parts) if parts else {}
    return client.open(
        asked["path"], method=asked["method"], query_string=[tuple(each) for each in query], headers=headers, **form
    )


@pytest.mark.parametrize("number", range(COUNT))
def test_a_recorded_request_is_answered_with_what_its_client_reads(
    client: FlaskClient, server: PhotoServer, recorded: list[dict[str, Any]], number: int
) -> None:
    server.answers["/img/1.jpg"] = server.answers["/img/2.jpg"] = [Answer(body=draw_photo(MUSCARIA, 7))]
    asked = recorded[number]
    if asked["path"].startswith("/img/"):  # was asked of the server of photos, not of the one that identifies
        assert requests.get(f"{server.address}{asked['path']}", timeout=20).status_code == 200
        return

    answer = replay(client, asked, server.address)

    assert answer.status_code == 200, answer.get_data(as_text=True)
    body, query = answer.get_json(), dict(asked["query"])
    if asked["path"].startswith("/v2/identify/"):
        assert body["bestMatch"] == "Amanita muscaria (L.) Lam."
        assert 1 <= len(body["results"]) <= int(query.get("nb-results", 10))
        related = query.get("include-related-images") == "true"
        for result in body["results"]:
            assert isinstance(result["images"], list)
            assert result["gbif"].get("id", "") is not None
            assert result["species"]["family"]["scientificName"] is not None
            assert all(image["url"]["m"] and image["citation"] for image in result["images"])
        assert bool(body["results"][0]["images"]) == related
    elif asked["path"] == "/c4c/identify":
        assert body["results"][0]["name"] == "Amanita muscaria"
    elif asked["path"] == "/v1/computervision/score_image":
        assert body["results"][0]["taxon"]["name"] == "Amanita muscaria"
    elif asked["path"] in {"/v2/_status", "/c4c/status"}:
        assert body["status"] == "ok"
    elif asked["path"] == "/v2/projects":
        assert body[0]["id"] == "north"  # nearest to 55.6, 12.5
    elif asked["path"] == "/v2/quota/daily":
        assert body["day"] == query["day"]
        assert body["quota"]["identify"]["count"] == 0
    else:
        assert isinstance(body, list)
        assert body


def test_all_recorded_requests_are_replayed(recorded: list[dict[str, Any]]) -> None:
    assert len(recorded) == COUNT


def test_the_example_answer_has_no_key_that_ours_lacks(client: FlaskClient, shared: Path) -> None:
    example = json.loads(
        (shared / "samples" / "plantnet-contract" / "example_response_200.json").read_text(encoding="utf-8")
    )
    photos = [Part("images", draw_photo(MUSCARIA, 7), "image_1.jpeg", "image/jpeg")]

    ours = client.post(
        "/v2/identify/k-northern-europe?include-related-images=true&detailed=true", **multipart(photos)
    ).get_json()

    lacking = list_keys(example) - list_keys(ours)
    of_plants = {"powo", "iucn"}  # left out where they are not known, and of fungi they are not
    assert {key for key in lacking if not of_plants & set(key.split("/"))} == {
        "/otherResults/genus/gbif/id",  # nor are those of the genera drawn here
    }


def list_keys(value: Any, above: str = "") -> set[str]:
    """The paths of all keys; those of a list's items together."""
    if isinstance(value, dict):
        return {f"{above}/{key}" for key in value}.union(*(list_keys(v, f"{above}/{k}") for k, v in value.items()))
    return set().union(*(list_keys(each, above) for each in value)) if isinstance(value, list) else set()
