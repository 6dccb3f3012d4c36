"""What iNaturalist's clients send beside a photo, and the routes of taxa and observations that they go on to."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.snapshots import CIBARIUS, EMETICA, MUSCARIA, Made, draw_photo
from tests.web.conftest import encode_photos
from tests.web.contracts.conftest import FIND, Part, images, multipart
from tests.web.people import Server, server, start
from web.contracts.inaturalist_taxa import restrict

__all__ = ["server", "start"]

Post = Callable[..., TestResponse]
SCORE = "/v1/computervision/score_image"


@pytest.fixture
def system() -> str:
    return "sqlite"


def text(**values: str) -> list[Part]:
    """A photo and parts of text."""
    return [*images(FIND[:1], "image"), *(Part(name, value.encode()) for name, value in values.items())]


@pytest.mark.parametrize("value", ["47170", "48460", "", " 47170 "])
def test_all_fungi_are_no_restriction(post: Post, value: str) -> None:
    free = post(SCORE, text()).get_json()

    assert post(SCORE, text(taxon_id=value)).get_json() == free
    assert post(f"{SCORE}?taxon_id={value}", text()).get_json() == free


@pytest.mark.parametrize("value", ["47170", " 48460", None])
def test_all_fungi_leave_out_no_species_of_unknown_kingdom(made: Made, value: str | None) -> None:
    with closing(made.open()) as snapshot:
        assert restrict(value, snapshot) == ()  # slime moulds and species without a kingdom are answered, too
        assert restrict("1", snapshot) == (1,)


@pytest.mark.parametrize(
    ("value", "taxon"),
    [
        ("5", 5),  # an id of this server
        ("900011", MUSCARIA),  # a key at GBIF
        ("gbif:900011", MUSCARIA),
        ("https://www.gbif.org/species/900011", MUSCARIA),
        ("https://www.gbif.org/de/species/900011", MUSCARIA),
        ("Russula", 5),
        ("russula  EMETICA", EMETICA),
        ("Agaricus muscarius", MUSCARIA),  # a synonym
    ],
)
def test_a_taxon_is_meant_by_its_id_its_key_or_its_name(post: Post, value: str, taxon: int) -> None:
    body = post(SCORE, text(taxon_id=value)).get_json()

    assert body["results"]
    assert all(taxon in result["taxon"]["ancestor_ids"] for result in body["results"])


@pytest.mark.parametrize("value", ["999999", "-5", "gbif:1", "Boletus edulis", "9" * 30, "5,6"])
def test_a_taxon_that_is_not_here_is_said_to_be_missing(post: Post, value: str) -> None:
    answer = post(SCORE, text(taxon_id=value))

    assert (answer.status_code, answer.get_json()["status"]) == (404, 404)
    assert value[:60] in answer.get_json()["error"]["original"]["error"]


@pytest.mark.parametrize(
    ("sent", "name"), [("da", "rød fluesvamp"), ("en", "fly agaric"), ("da-DK", "rød fluesvamp"), ("", "fly agaric")]
)
def test_the_locale_may_be_in_the_query(post: Post, sent: str, name: str) -> None:
    by_query = post(f"{SCORE}?locale={sent}", text()).get_json()
    by_part = post(SCORE, text(locale=sent)).get_json()

    assert by_query["results"][0]["taxon"]["preferred_common_name"] == name
    assert by_part == by_query
    assert post(f"{SCORE}?locale=fr", text(locale=sent or "en")).get_json() == by_query  # a part comes first


@pytest.mark.parametrize(
    "values",
    [
        {"lat": "", "lng": "", "observed_on": ""},
        {"lat": "", "lng": ""},
        {"observed_on": ""},
        {"lat": "", "lng": "", "observed_on": "", "taxon_id": "", "locale": "", "flora": ""},
    ],
)
def test_empty_values_are_as_if_they_were_not_sent(post: Post, values: dict[str, str]) -> None:
    assert post(SCORE, text(**values)).get_json() == post(SCORE, text()).get_json()


@pytest.mark.parametrize(
    "moment",
    [
        "2024-09-10T23:30:00Z",
        "2024-09-10T00:30:00+02:00",
        "2024-09-10T14:03:22.123-07:00",
        "2024-09-10 14:03",
        "2024/09/10 2:03 PM",
        "2024.9.10",
        "20240910T140322",
        "Tue Sep 10 2024 14:03:22 GMT+0200 (Central European Summer Time)",
        "Tue, 10 Sep 2024 14:03:22 GMT",
        "Sep 10, 2024",
    ],
)
def test_a_moment_is_the_day_that_it_names(post: Post, moment: str) -> None:
    day = post(SCORE, text(observed_on="2024-09-10"))

    answer = post(SCORE, text(observed_on=moment))

    assert answer.status_code == 200
    assert answer.get_json() == day.get_json()


@pytest.mark.parametrize(
    "moment", ["today", "2024-02-30", "2024-13-01T10:00:00Z", "10/09/2024", "Tue Foo 10 2024", "2024", "0"]
)
def test_what_is_no_day_is_refused_by_name(post: Post, moment: str) -> None:
    answer = post(SCORE, text(observed_on=moment))

    assert answer.status_code == 400
    assert "observed_on" in answer.get_json()["error"]["original"]["error"]


@pytest.mark.parametrize(
    "sent",
    [
        multipart([Part("lat", b"1"), Part("lng", b"1")]),
        multipart([Part("image", b"", "")]),
        {"data": b"{}", "content_type": "application/json"},
        {"data": {"lat": "1"}},
        {},
    ],
    ids=["other parts", "empty part", "json", "form", "nothing"],
)
def test_a_missing_image_is_422(client: FlaskClient, sent: dict[str, Any]) -> None:
    answer = client.post(SCORE, **sent)

    assert (answer.status_code, answer.get_json()["status"]) == (422, 422)
    assert "image" in answer.get_json()["error"]["original"]["error"]


def test_a_part_that_is_no_photo_is_415_all_the_same(post: Post) -> None:
    assert post(SCORE, [Part("image", b"%PDF-1.7", "a.jpg")]).status_code == 415


@pytest.mark.parametrize("asked", [str(MUSCARIA), "900011", "gbif:900011", "Amanita muscaria", "Agaricus muscarius"])
def test_a_taxon_comes_with_those_around_it(client: FlaskClient, asked: str) -> None:
    body = client.get(f"/v1/taxa/{asked}?locale=da").get_json()

    assert (body["total_results"], body["page"]) == (1, 1)
    taxon = body["results"][0]
    assert (taxon["id"], taxon["name"], taxon["rank"], taxon["rank_level"]) == (
        MUSCARIA,
        "Amanita muscaria",
        "species",
        10,
    )
    assert (taxon["parent_id"], taxon["ancestry"], taxon["ancestor_ids"]) == (4, "1/2/4", [1, 2, 4, MUSCARIA])
    assert (taxon["iconic_taxon_id"], taxon["iconic_taxon_name"]) == (47170, "Fungi")
    assert taxon["preferred_common_name"] == "rød fluesvamp"
    assert [ancestor["name"] for ancestor in taxon["ancestors"]] == ["Fungi", "Amanitaceae", "Amanita"]
    assert taxon["children"] == []
    assert taxon["default_photo"] == taxon["taxon_photos"][0]["photo"]
    assert taxon["default_photo"]["attribution_name"] in taxon["default_photo"]["attribution"]
    assert client.get(taxon["default_photo"]["medium_url"]).status_code == 200


def test_wider_taxa_have_children_and_no_photo(client: FlaskClient) -> None:
    taxa = client.get("/v1/taxa/4,47170").get_json()["results"]

    assert [taxon["name"] for taxon in taxa] == ["Amanita", "Fungi"]
    assert [child["name"] for child in taxa[0]["children"]] == [
        "Amanita citrina",
        "Amanita muscaria",
        "Amanita pantherina",
    ]
    assert [child["name"] for child in taxa[1]["children"]] == ["Amanitaceae", "Cantharellus cibarius", "Russulaceae"]
    assert taxa[1]["ancestry"] is taxa[1]["parent_id"] is None
    assert all(taxon["default_photo"] is None and taxon["taxon_photos"] == [] for taxon in taxa)


@pytest.mark.parametrize(
    "asked", ["987654", "Boletus", "0", "gbif:5", "4,987654", "9" * 20, "9" * 6000, "gbif:" + "9" * 6000]
)
def test_a_taxon_that_there_is_not_is_404_in_their_shape(client: FlaskClient, asked: str) -> None:
    answer = client.get(f"/v1/taxa/{asked}")

    assert (answer.status_code, answer.get_json()["status"]) == (404, 404)
    assert answer.get_json()["error"]["original"]["error"]


@pytest.mark.parametrize(
    ("query", "names", "matched"),
    [
        ("q=aman", ["Amanita", "Amanitaceae", "Amanita citrina", "Amanita muscaria", "Amanita pantherina"], "Amanita"),
        ("q=AMANITA%20m", ["Amanita muscaria"], "Amanita muscaria"),
        ("q=fly", ["Amanita muscaria"], "fly agaric"),
        ("q=agaric", ["Russula emetica", "Amanita muscaria"], "Agaricus emeticus"),
        ("q=flues", ["Amanita muscaria"], "rød fluesvamp"),
        ("q=aman&rank=genus,family", ["Amanita", "Amanitaceae"], "Amanita"),
        ("q=aman&per_page=1", ["Amanita"], "Amanita"),
        ("q=aman&rank=species&per_page=1&is_active=true&locale=", ["Amanita citrina"], "Amanita citrina"),
        ("q=", [], None),
        ("q=zzz", [], None),
    ],
)
def test_taxa_are_found_by_how_any_name_begins(
    client: FlaskClient, query: str, names: list[str], matched: str | None
) -> None:
    body = client.get(f"/v1/taxa/autocomplete?{query}").get_json()

    assert [taxon["name"] for taxon in body["results"]] == names
    assert body["total_results"] == len(names)
    assert [taxon["matched_term"] for taxon in body["results"][:1]] == ([matched] if matched else [])


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("/v1/taxa/4", {"fields": {"name": True}}),
        ("/v1/taxa/4?locale=en", {"fields": "all", "locale": "en", "preferred_place_id": 1}),
        ("/v1/taxa/autocomplete", {"q": "aman", "per_page": 2, "fields": {"name": True}}),
        ("/v1/taxa/autocomplete?q=aman", {"per_page": 2, "is_active": True, "rank": ["genus"]}),
        ("/v2/species", {"prefix": "aman", "pageSize": 2, "page": 1}),
    ],
)
def test_a_question_too_long_for_an_address_may_come_as_a_post(
    client: FlaskClient, address: str, body: dict[str, Any]
) -> None:
    query = {name: value for name, value in body.items() if not isinstance(value, dict)}
    question = client.get(address, query_string=None if "?" in address else query)
    if "?" in address:
        question = client.get(
            address + "&" + "&".join(f"{name}={value}" for name, value in query.items() if name != "rank")
        )

    answer = client.post(address, json=body, headers={"X-HTTP-Method-Override": "GET"})

    assert answer.status_code == question.status_code == 200
    if "rank" in body:
        assert answer.get_json()["results"] == question.get_json()["results"][:1]
    else:
        assert answer.get_json() == question.get_json()


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ({"X-HTTP-Method-Override": "DELETE"}, {"json": {}}),
        ({"X-HTTP-Method-Override": "PATCH"}, {"json": {}}),
        ({}, {"json": {}}),
    ],
)
def test_nothing_but_a_question_can_be_asked_so(
    client: FlaskClient, headers: dict[str, str], sent: dict[str, Any]
) -> None:
    assert client.post("/v1/taxa/4", headers=headers, **sent).status_code == 405
    assert client.post("/api/v1/floras", headers={"X-HTTP-Method-Override": "GET"}).status_code == 405


@pytest.mark.parametrize("body", [b"", b"{}", b'{"q": null}', b'{"fields": {"name": true}}'])
def test_a_body_without_values_asks_what_the_address_asks(client: FlaskClient, body: bytes) -> None:
    answer = client.post("/v1/taxa/4", data=body, headers={"X-HTTP-Method-Override": "get"})

    assert answer.get_json() == client.get("/v1/taxa/4").get_json()


@pytest.mark.parametrize(
    "body", [b"{", b"[1, 2]", b"[" * 5000, b"\xff\xfe", b" " * 200_000, b'{"q": ' + b"9" * 5000 + b"}"]
)
@pytest.mark.parametrize("length", [True, False], ids=["whole", "chunks"])
def test_a_body_that_is_no_question_is_refused(client: FlaskClient, body: bytes, *, length: bool) -> None:
    given = {"content_length": len(body)} if length else {"environ_base": {"wsgi.input_terminated": True}}
    answer = client.post(
        "/v1/taxa/4", input_stream=io.BytesIO(body), headers={"X-HTTP-Method-Override": "GET"}, **given
    )

    assert (answer.status_code, answer.get_json()["status"]) == (400, 400)
    assert "JSON object" in answer.get_json()["error"]["original"]["error"]


def test_a_question_may_come_in_chunks(client: FlaskClient) -> None:
    stream, headers = io.BytesIO(b'{"q": "aman", "per_page": 2}'), {"X-HTTP-Method-Override": "GET"}
    chunks = {"wsgi.input_terminated": True}

    answer = client.post("/v1/taxa/autocomplete", input_stream=stream, headers=headers, environ_base=chunks)

    assert len(answer.get_json()["results"]) == 2


def test_an_observation_of_this_server_is_scored_with_its_own_day_and_place(server: Server) -> None:
    olga, omar = server.key("olga"), server.key("omar")
    find = {"eventDate": "2025-09-10", "decimalLatitude": "55.7", "decimalLongitude": "12.5", "suggest": "false"}
    client = server.visitor()
    recorded = client.post("/api/v1/observations", headers=olga, **encode_photos(FIND, **find)).get_json()
    key = recorded["id"]

    scored = client.get(f"/v1/computervision/score_observation/{key}?locale=da", headers=omar)

    parts = {"date": "2025-09-10", "latitude": "55.7", "longitude": "12.5"}
    kept = [client.get(photo["url"] + "?size=1280", headers=olga).data for photo in recorded["photos"]]
    ours = client.post("/api/v1/identify", headers=olga, **encode_photos(kept, **parts)).get_json()
    body = scored.get_json()
    assert scored.status_code == 200
    assert [row["taxon"]["id"] for row in body["results"]] == [one["taxon"]["taxonID"] for one in ours["species"]]
    assert body["results"][0]["taxon"]["preferred_common_name"] == "rød fluesvamp"
    assert client.get("/v1/computervision/score_observation/123", headers=olga).get_json()["status"] == 404
    assert client.get(f"/v1/computervision/score_observation/{key}?taxon_id=Russula", headers=olga).get_json()[
        "results"
    ]
    assert client.get("/v2/quota", headers=omar).get_json()["quota"]["identify"]["count"] == 1


def test_photos_of_different_species_are_not_confused(post: Post) -> None:
    body = post(f"{SCORE}?taxon_id=47170", images([draw_photo(CIBARIUS, 7)], "image")).get_json()

    assert body["results"][0]["taxon"]["name"] == "Cantharellus cibarius"
