"""The façade c4c, iNaturalist's score_image and the Danish imagevision: what their clients send and read."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from retrieval.domain import NOTICE
from tests.indexer.photos.servers import Answer, PhotoServer
from tests.snapshots import CIBARIUS, CITRINA, EMETICA, MUSCARIA, draw_photo
from tests.web.contracts.conftest import FIND, LIMITS, Part, images, multipart, strange_photo

Post = Callable[..., TestResponse]


def identified(client: FlaskClient, photos: Sequence[bytes] = FIND) -> dict[str, Any]:
    """What API v1 answers."""
    body: dict[str, Any] = client.post("/api/v1/identify", **multipart(images(photos))).get_json()
    return body


def test_c4c_ranks_as_api_v1_does_and_has_every_key_that_the_component_reads(client: FlaskClient, post: Post) -> None:
    ours = identified(client)

    body = post("/c4c/identify?lang=en", [Part("info", b"true"), *images(name="image")]).get_json()

    assert body["status"] == "ok"
    assert [result["name"] for result in body["results"]] == [
        candidate["taxon"]["scientificName"] for candidate in ours["species"]
    ]
    assert [result["score"] for result in body["results"]] == pytest.approx(
        [candidate["score"] for candidate in ours["species"]], abs=1e-5
    )
    first, last = body["results"][0], body["results"][-1]
    assert (first["gbif_id"], first["vernacularName"], first["family"]) == ("900011", "fly agaric", "Amanitaceae")
    assert last.keys() == first.keys()
    image = first["images"][0]
    assert image["rightsHolder"] in {"A. Author", "B. Author"}
    assert image["license"]
    assert image["url"].endswith("?size=640")


def test_c4c_fetches_addresses_too(client: FlaskClient, server: PhotoServer) -> None:
    server.answers["/a.jpg"] = [Answer(body=FIND[0])]

    body = client.get("/c4c/identify", query_string={"image": f"{server.address}/a.jpg"}).get_json()
    inside = client.get("/c4c/identify", query_string={"image": "http://127.0.0.2/a.jpg"})

    assert body["results"][0]["name"] == "Amanita muscaria"
    assert (inside.status_code, inside.get_json()["status"]) == (400, "error")


def test_c4c_lists_taxa_counts_queries_and_explains_itself(client: FlaskClient, post: Post) -> None:
    before = client.get("/c4c/status").get_json()["queries"]
    post("/c4c/identify", images(name="image"))

    taxa = client.get("/c4c/taxa").get_json()
    status = client.get("/c4c/status").get_json()

    assert len(taxa) == 6  # those with references
    assert taxa[1] == {
        "name": "Amanita muscaria",
        "species_id": "900011",
        "rank": "SPECIES",
        "authorship": "(L.) Lam.",
        "vernacularName": "fly agaric",
        "species": "Amanita muscaria",
        "genus": "Amanita",
        "family": "Amanitaceae",
    }
    assert status == {"status": "ok", "gbif_doi": "", "queries": before + 1}
    assert "/c4c/identify" in str(client.get("/c4c/help").get_json()["routes"])


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_inaturalist_scores_are_percents_of_ours(client: FlaskClient, post: Post, version: str) -> None:
    ours = identified(client, FIND[:1])
    parts = [
        *images(FIND[:1], "image"),
        Part("lat", b"56.1"),
        Part("lng", b"10.2"),
        Part("observed_on", b"2024-09-10"),
    ]

    answer = post(f"/{version}/computervision/score_image", parts, headers={"Authorization": "tok"})

    body = answer.get_json()
    assert answer.status_code == 200
    assert [result["taxon"]["id"] for result in body["results"]] == [
        candidate["taxon"]["taxonID"] for candidate in ours["species"]
    ]
    for result, candidate in zip(body["results"], ours["species"], strict=True):
        assert result["combined_score"] == pytest.approx(100 * candidate["score"], abs=1e-3)
        assert result["vision_score"] == pytest.approx(100 * candidate["share"], abs=1e-3)
        assert result["frequency_score"] == candidate["prior"]
    taxon = body["results"][0]["taxon"]
    assert (taxon["rank"], taxon["rank_level"], taxon["ancestor_ids"]) == ("species", 10, [1, 2, 4, MUSCARIA])
    assert (taxon["preferred_common_name"], taxon["iconic_taxon_name"]) == ("fly agaric", "Fungi")
    assert taxon["default_photo"]["attribution"].startswith("(c) ")
    assert body["notice"] == NOTICE


def test_the_common_ancestor_is_where_our_answer_stops(client: FlaskClient, post: Post) -> None:
    unsure = [draw_photo(CITRINA, 9)]
    ours = identified(client, unsure)["specificity"]

    body = post("/v1/computervision/score_image", images(unsure, "image")).get_json()

    assert body["common_ancestor"]["taxon"]["id"] == ours["taxon"]["taxonID"]
    assert body["common_ancestor"]["score"] == pytest.approx(100 * ours["probability"], abs=1e-3)


def test_a_taxon_that_is_sure_keeps_the_scores_within_it(post: Post) -> None:
    body = post("/v1/computervision/score_image", [*images(name="image"), Part("taxon_id", b"5")]).get_json()

    assert {5} <= {node for result in body["results"] for node in result["taxon"]["ancestor_ids"]}
    assert all(5 in result["taxon"]["ancestor_ids"] for result in body["results"])


def instances(*photos: bytes) -> dict[str, Any]:
    return {"instances": [{"image_in": {"b64": b64encode(photo).decode()}} for photo in photos]}


def test_the_danish_answer_is_an_array_of_taxa_with_what_clients_show(client: FlaskClient) -> None:
    ours = identified(client)

    taxa = client.post("/api/imagevision?limit=3&include=[]", json=instances(*FIND)).get_json()

    assert [(taxon["_id"], taxon["score"]) for taxon in taxa] == [
        (candidate["taxon"]["taxonID"], candidate["score"]) for candidate in ours["species"][:3]
    ]
    accepted = taxa[0]["acceptedTaxon"]
    assert taxa[0]["accepted_id"] == accepted["_id"] == MUSCARIA
    assert (accepted["FullName"], accepted["Author"]) == ("Amanita muscaria", "(L.) Lam.")
    assert accepted["Vernacularname_DK"] == {"vernacularname_dk": "rød fluesvamp"}
    assert accepted["attributes"] == {"spiselighedsrapport": "giftig: poisonous", "PresentInDK": None}
    assert accepted["Statistics"] == {"total_count": 6}
    assert accepted["images"][0]["uri"].startswith("http://localhost/api/v1/photos/")
    assert accepted["images"][0]["photographer"]


def test_nothing_is_said_of_eating_but_poison(client: FlaskClient) -> None:
    taxa = client.post("/api/imagevision?limit=100", json=instances(*FIND)).get_json()

    told = {taxon["_id"]: taxon["acceptedTaxon"]["attributes"]["spiselighedsrapport"] for taxon in taxa}
    assert {text for taxon, text in told.items() if taxon != MUSCARIA} <= {""}


def test_look_alikes_are_named(wary: FlaskClient) -> None:
    taxa = wary.post("/api/imagevision", json=instances(*FIND)).get_json()

    assert taxa[0]["acceptedTaxon"]["similarTaxa"] == [{"_id": EMETICA, "FullName": "Russula emetica"}]


def test_rejected_photos_give_empty_lists(wary: FlaskClient) -> None:
    strange = strange_photo()

    c4c = wary.post("/c4c/identify", **multipart(images([strange], "image"))).get_json()
    inaturalist = wary.post("/v1/computervision/score_image", **multipart(images([strange], "image"))).get_json()
    danish = wary.post("/api/imagevision", json=instances(strange)).get_json()

    assert (c4c["results"], c4c["rejected"]) == ([], True)
    assert (inaturalist["results"], inaturalist["rejected"], "common_ancestor" in inaturalist) == ([], True, False)
    assert danish == []


@pytest.mark.parametrize("route", ["/c4c/identify?flora=north", "/v1/computervision/score_image", "/api/imagevision"])
def test_a_flora_may_be_chosen(client: FlaskClient, post: Post, route: str) -> None:
    photo = draw_photo(CIBARIUS, 7)  # not of the north
    if "imagevision" in route:
        answer = client.post(f"{route}?flora=north", json=instances(photo)).get_json()
        names = {taxon["acceptedTaxon"]["FullName"] for taxon in answer}
    else:
        found = post(route, [*images([photo], "image"), Part("flora", b"north")]).get_json()["results"]
        names = {result["name"] if "name" in result else result["taxon"]["name"] for result in found}

    assert names
    assert "Cantharellus cibarius" not in names


@pytest.mark.parametrize(
    ("route", "parts", "status"),
    [
        ("/c4c/identify", [], 400),
        ("/c4c/identify", [Part("image", b"no photo", "a.jpg")], 415),
        ("/c4c/identify?flora=nowhere", images(name="image"), 404),
        ("/v1/computervision/score_image", [], 422),
        ("/v1/computervision/score_image", [*images(name="image"), Part("lat", b"1")], 400),
        ("/v1/computervision/score_image", [*images(name="image"), Part("taxon_id", b"999999")], 404),
        ("/v1/computervision/score_image", [*images(name="image"), Part("observed_on", b"today")], 400),
    ],
)
def test_refusals_have_each_contracts_own_shape(post: Post, route: str, parts: list[Part], status: int) -> None:
    answer = post(route, parts)

    body = answer.get_json()
    assert answer.status_code == status
    if route.startswith("/c4c"):
        assert (body["status"], body["statusCode"]) == ("error", status)
    else:
        assert body["status"] == status
        assert body["error"]["original"]["error"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"instances": []}, 400),
        ({"instances": [{"image_in": {}}]}, 400),
        ({"instances": "photo"}, 400),
        ([], 400),
        (instances(b"no photo"), 415),
        ({"instances": [{"image_in": {"b64": "*"}}]}, 400),
        (instances(*[FIND[0]] * (LIMITS.photos + 1)), 400),
        (instances(FIND[0] + bytes(LIMITS.bytes)), 413),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_body_that_is_none_is_refused_in_the_danish_shape(client: FlaskClient, body: Any, status: int) -> None:
    answer = client.post("/api/imagevision", json=body)

    assert answer.status_code == status
    assert answer.get_json().keys() == {"error", "message"}
