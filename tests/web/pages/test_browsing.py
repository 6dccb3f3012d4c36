from __future__ import annotations

import io
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from retrieval.domain import NOTICE
from tests.snapshots import CITRINA, COLOURS, EMETICA, FLORAS, MUSCARIA, PANTHERINA, TAXA, Made
from tests.web.conftest import make_app


def walk(client: FlaskClient, address: str, key: str) -> tuple[list[Any], int]:
    """All entries behind an address, page by page, and the number of pages."""
    found, pages, following = [], 0, address
    while following:
        page = client.get(following).get_json()
        found += page[key]
        pages += 1
        following = page["next"]
        assert pages < 50
    return found, pages


def test_floras_are_listed_with_their_coverage(client: FlaskClient, made: Made) -> None:
    answer = client.get("/api/v1/floras").get_json()

    assert answer["snapshot"] == made.manifest.name
    assert [flora["id"] for flora in answer["floras"]] == ["world", "north", "south"]
    assert answer["floras"][1] == {
        "id": "north",
        "title": "North",
        "species": 4,
        "covered": 3,
        "missing": 1,
        "references": 18,
        "url": "/api/v1/floras/north",
        "speciesUrl": "/api/v1/floras/north/species",
    }


def test_a_flora_has_an_address_of_its_own(client: FlaskClient, made: Made) -> None:
    listed = client.get("/api/v1/floras").get_json()["floras"][2]

    named = {"snapshot": made.manifest.name, "model": "descriptor@1", "notice": NOTICE}
    assert client.get(listed["url"]).get_json() == listed | named


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 500])
def test_the_pages_of_a_flora_hold_each_species_once(client: FlaskClient, limit: int) -> None:
    lines, pages = walk(client, f"/api/v1/floras/north/species?limit={limit}", "species")

    assert [line["taxon"]["taxonID"] for line in lines] == sorted(FLORAS["north"])
    assert pages == -(-4 // limit)
    assert [line["references"] for line in lines] == [6, 6, 0, 6]


@pytest.mark.parametrize(("covered", "expected"), [("true", [MUSCARIA, CITRINA, 21]), ("false", [PANTHERINA])])
def test_species_can_be_filtered_by_coverage(client: FlaskClient, covered: str, expected: list[int]) -> None:
    lines, _ = walk(client, f"/api/v1/floras/north/species?covered={covered}&limit=1", "species")

    assert [line["taxon"]["taxonID"] for line in lines] == expected
    assert client.get(f"/api/v1/floras/north/species?covered={covered}").get_json()["total"] == len(expected)


def test_a_species_has_its_names_its_lineage_and_the_number_of_its_references(client: FlaskClient) -> None:
    answer = client.get(f"/api/v1/species/{MUSCARIA}").get_json()

    assert answer["taxon"]["scientificName"] == "Amanita muscaria"
    assert answer["taxon"]["gbifKey"] == 900011
    assert answer["taxon"]["toxicity"] == "poisonous"
    assert answer["taxon"]["vernacularNames"] == [
        {"language": "da", "vernacularName": "rød fluesvamp"},
        {"language": "en", "vernacularName": "fly agaric"},
    ]
    assert [node["scientificName"] for node in answer["lineage"]] == [
        "Fungi",
        "Amanitaceae",
        "Amanita",
        "Amanita muscaria",
    ]
    assert answer["synonyms"] == ["Agaricus muscarius"]
    assert answer["references"] == 6


@pytest.mark.parametrize("limit", [1, 4, 5, 6, 100])
def test_the_pages_of_a_species_hold_each_reference_photo_once_with_author_and_licence(
    client: FlaskClient, made: Made, limit: int
) -> None:
    photos, _ = walk(client, f"/api/v1/species/{MUSCARIA}?limit={limit}", "photos")

    expected = [entry for entry in made.entries if entry.species == MUSCARIA]
    assert [(photo["photo"], photo["author"], photo["licence"], photo["source"]) for photo in photos] == [
        (entry.photo, entry.author, entry.licence, entry.source) for entry in expected
    ]


def test_a_species_without_references_is_shown_as_such(client: FlaskClient) -> None:
    answer = client.get(f"/api/v1/species/{PANTHERINA}").get_json()

    assert (answer["references"], answer["photos"], answer["next"]) == (0, [], None)


def test_the_front_door_lists_every_route_of_the_document(client: FlaskClient) -> None:
    overview = client.get("/api/v1/").get_json()
    document = client.get(overview["openapi"]).get_json()

    listed = {(route["method"].lower(), route["path"]) for route in overview["routes"]}

    assert listed == {(method, path) for path, operations in document["paths"].items() for method in operations} - {
        ("parameters", path) for path in document["paths"]
    }
    assert client.get(overview["docs"]).status_code == 200


def photo_with_metadata() -> bytes:
    """A JPEG whose left half is red, lying on its side, with a place and a comment."""
    image = Image.new("RGB", (300, 200), "blue")
    image.paste("red", (0, 0, 150, 200))
    exif = Image.Exif()
    exif[0x0112] = 6  # its top is on the right
    exif[0x010F] = "SECRET CAMERA"
    exif.get_ifd(0x8825).update({1: "N", 2: (55.0, 41.0, 12.0), 3: "E", 4: (12.0, 34.0, 5.0)})
    drawn = io.BytesIO()
    image.save(drawn, "JPEG", exif=exif, comment=b"SECRET GARDEN")
    return drawn.getvalue()


def test_pictures_are_upright_and_carry_no_metadata(made: Made) -> None:
    sha256 = made.entries[0].photo
    assert b"SECRET CAMERA" in photo_with_metadata()

    picture = make_app(made.root, {sha256: photo_with_metadata()}).test_client().get(f"/api/v1/photos/{sha256}").data

    assert not any(trace in picture for trace in (b"SECRET", b"Exif", b"GPS"))
    image = Image.open(io.BytesIO(picture))
    assert (image.format, image.size, dict(image.getexif())) == ("JPEG", (200, 300), {})
    assert image.getpixel((100, 30))[0] > 200  # type: ignore[index] # red above
    assert image.getpixel((100, 270))[2] > 200  # type: ignore[index] # blue below


@pytest.mark.parametrize("size", [160, 320, 640, 1280])
def test_pictures_have_the_size_that_was_asked_for_and_are_never_blown_up(made: Made, size: int) -> None:
    sha256, drawn = made.entries[0].photo, io.BytesIO()
    Image.new("RGB", (700, 350), "green").save(drawn, "PNG")

    answer = make_app(made.root, {sha256: drawn.getvalue()}).test_client().get(f"/api/v1/photos/{sha256}?size={size}")

    assert Image.open(io.BytesIO(answer.data)).size == (min(size, 700), min(size, 700) // 2)


def test_a_picture_may_be_kept_for_ever_and_is_not_sent_twice(made: Made) -> None:
    app = make_app(made.root, made.photos)
    client, source = app.test_client(), app.extensions["services"].photos
    address = f"/api/v1/photos/{made.entries[0].photo}?size=160"

    first = client.get(address)
    again = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
    other = client.get(address.replace("160", "320"), headers={"If-None-Match": first.headers["ETag"]})

    assert {"public", "immutable", "max-age=31536000"} == set(first.headers["Cache-Control"].split(", "))
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert other.status_code == 200
    assert len(source.asked) == 2  # the photo of a 304 is not even read


def test_a_reference_photo_whose_file_is_gone_or_damaged_is_not_found(made: Made) -> None:
    gone, damaged = made.entries[0].photo, made.entries[1].photo
    client = make_app(made.root, {damaged: made.photos[damaged][:500]}).test_client()

    for sha256 in (gone, damaged):
        answer = client.get(f"/api/v1/photos/{sha256}")

        assert answer.status_code == 404
        assert answer.get_json()["type"].endswith("#unknown-photo")
        assert answer.headers["Cache-Control"] == "no-store"


def test_only_reference_photos_of_the_snapshot_are_shown(made: Made) -> None:
    other = "0" * 64
    client = make_app(made.root, {other: next(iter(made.photos.values()))}).test_client()

    for name in (other, "..%2f..%2fetc%2fpasswd", "x"):
        assert client.get(f"/api/v1/photos/{name}").status_code == 404


def test_the_server_says_how_it_is(client: FlaskClient, made: Made) -> None:
    answer = client.get("/healthz")

    assert answer.status_code == 200
    assert answer.get_json() == {
        "status": "ok",
        "detail": "",
        "snapshot": made.manifest.name,
        "model": "descriptor@1",
        "references": len(COLOURS) * 6,
        "floras": 3,
        "index": "cpu",
    }


def test_every_taxon_above_a_species_is_refused_by_its_rank(client: FlaskClient) -> None:
    for taxon, _ in TAXA:
        answer = client.get(f"/api/v1/species/{taxon.id}")

        assert (answer.status_code == 200) == (taxon.rank == "species")
        if taxon.rank != "species":
            assert taxon.rank in answer.get_json()["detail"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("amanita", [CITRINA, MUSCARIA, PANTHERINA]),  # a genus, within the names of its species
        ("CITRI", [CITRINA]),
        ("RØD", [MUSCARIA]),  # a common name
        ("russulac", [EMETICA]),  # a family
        ("agaricus", []),  # synonyms are not searched
        ("girolle", []),  # of no species of this flora
        ("%", []),
    ],
)
def test_the_page_of_a_flora_finds_words_in_names_common_names_and_families(
    client: FlaskClient, words: str, expected: list[int]
) -> None:
    page = client.get("/floras/north", query_string={"q": words}).get_data(as_text=True)

    assert [int(taxon) for taxon in re.findall(r'<td><a href="/species/(\d+)"', page)] == expected
