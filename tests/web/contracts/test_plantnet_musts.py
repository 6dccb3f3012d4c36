"""What each real client of Pl@ntNet's API breaks without: one test for each point of the contract, by its number."""

from __future__ import annotations

import http.client
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.ports import free_port
from tests.snapshots import CIBARIUS, draw_photo, make_snapshot
from tests.web.conftest import make_app
from tests.web.contracts.conftest import FIND, Part, contract_app, images, multipart, strange_photo
from tests.web.test_server import serving

Post = Callable[..., TestResponse]


def test_1_images_is_always_an_array(post: Post) -> None:
    without = post("/v2/identify/all").get_json()["results"]
    related = post("/v2/identify/all?include-related-images=true&detailed=true").get_json()

    assert without
    assert [result["images"] for result in without] == [[]] * len(without)
    assert all(isinstance(result["images"], list) for result in related["results"])
    assert related["results"][0]["images"]
    assert all(result["images"] == [] for rank in related["otherResults"].values() for result in rank)


def test_2_what_is_not_known_is_empty_or_left_out_and_never_null(post: Post) -> None:
    body = post("/v2/identify/all?detailed=true").get_json()

    by_name = {result["species"]["scientificNameWithoutAuthor"]: result for result in body["results"]}
    assert by_name["Amanita muscaria"]["gbif"] == {"id": "900011"}
    assert by_name["Russula emetica"]["gbif"] == {}
    assert all(result["gbif"] == {} for rank in body["otherResults"].values() for result in rank)
    assert not {"powo", "iucn"} & by_name["Russula emetica"].keys()
    assert "null" not in json.dumps([body["results"], body["otherResults"]])


@pytest.mark.parametrize(
    "parts",
    [
        [*images(), Part("organs", b"auto"), Part("organs", b"flower")],
        [Part("organs", b"auto"), images()[0], Part("organs", b"flower"), images()[1]],
        images(),
    ],
    ids=["after", "interleaved", "none"],
)
@pytest.mark.parametrize("query", ["", "?organs=leaf&organs=leaf"])
def test_3_organs_come_as_parts_as_query_interleaved_or_not_at_all(post: Post, parts: list[Part], query: str) -> None:
    answer = post(f"/v2/identify/all{query}", parts)

    told = ["auto", "flower"] if len(parts) == 4 else ["leaf", "leaf"] if query else ["auto", "auto"]
    assert answer.status_code == 200
    assert answer.get_json()["query"]["organs"] == told


def test_3_as_many_organs_as_images_or_none(post: Post) -> None:
    answer = post("/v2/identify/all", [*images(), Part("organs", b"auto")])

    assert answer.status_code == 400
    assert answer.get_json()["message"] == "1 organs were given for 2 images: give as many, or none."


def test_3_our_own_aspects_may_be_told_as_organs_and_weigh(post: Post) -> None:
    answer = post("/v2/identify/all?organs=cap&organs=hymenium").get_json()

    assert [organ["organ"] for organ in answer["predictedOrgans"]] == ["cap", "hymenium"]


@pytest.mark.parametrize("organ", ["aerial", "sheet", "seed", "bud", "anatomy", "scan", "drawing", "branch", "habit"])
def test_3_every_organ_that_clients_may_name_is_taken(post: Post, organ: str) -> None:
    body = post("/v2/identify/all", [*images(FIND[:1]), Part("organs", organ.encode())]).get_json()

    assert body["query"]["organs"] == [organ]


@pytest.mark.parametrize(
    ("filename", "shown"),
    [
        ("/home/user/photos/my.find/data/image_1.jpeg", "image_1.jpeg"),
        ("C:\\photos\\..\\..\\image 1", "C:photos....image 1"),
        ("../../../etc/passwd", "passwd"),
        ("cap.exe", "cap.exe"),
        ("\N{MUSHROOM}.jpg", "\N{MUSHROOM}.jpg"),
        ("..", ".."),
    ],
)
@pytest.mark.parametrize("kind", [None, "application/octet-stream", "text/plain"])
def test_4_parts_need_no_type_and_no_sensible_name(post: Post, filename: str, shown: str, kind: str | None) -> None:
    answer = post("/v2/identify/all", [Part("images", FIND[0], filename, kind)])

    assert answer.status_code == 200
    assert [organ["filename"] for organ in answer.get_json()["predictedOrgans"]] == [shown]


def test_4_what_is_no_photo_is_told_by_its_bytes(post: Post) -> None:
    answer = post("/v2/identify/all", [Part("images", b"%PDF-1.7 no photo", "photo.jpg", "image/jpeg")])

    assert (answer.status_code, answer.get_json()) == (
        415,
        {"statusCode": 415, "error": "Unsupported Media Type", "message": "Unsupported file type"},
    )


def test_5_a_rejected_photo_is_404_with_these_very_words(wary: FlaskClient) -> None:
    strange = multipart(images([strange_photo()]))

    answer = wary.post("/v2/identify/all", **strange)
    asked_all_the_same = wary.post("/v2/identify/all?no-reject=true", **strange)

    expected = {"statusCode": 404, "error": "Not Found", "message": "Species not found"}
    assert (answer.status_code, answer.mimetype, answer.get_json()) == (404, "application/json", expected)
    assert asked_all_the_same.status_code == 200
    assert asked_all_the_same.get_json()["results"]


def test_5_an_answer_without_species_is_404_with_these_very_words(tmp_path: Path) -> None:
    made = make_snapshot(tmp_path, floras={"north": (13,)})  # A. pantherina, which has no reference photo
    client = contract_app(made).test_client()

    answer = client.post("/v2/identify/north", **multipart(images()))

    assert (answer.status_code, answer.get_json()["message"]) == (404, "Species not found")


def test_6_scores_are_sorted_and_best_match_and_organs_are_there(post: Post) -> None:
    body = post("/v2/identify/all").get_json()

    scores = [result["score"] for result in body["results"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert body["bestMatch"] == "Amanita muscaria (L.) Lam." == body["results"][0]["species"]["scientificName"]
    assert body["predictedOrgans"] == [
        {"image": body["query"]["images"][number], "filename": f"{number}.jpg", "organ": "other", "score": 0.0}
        for number in (0, 1)
    ]


ROUTES = [
    "/v2/identify/all",
    "/v2/projects",
    "/v2/projects/north/species",
    "/v2/projects/north/species/align",
    "/v2/species",
    "/v2/languages",
    "/v2/quota",
    "/v2/quota/daily",
    "/v2/quota/history",
    "/v2/subscription",
    "/v2/_status",
    "/v2/survey/tiles/all",
    "/v2/cost/survey/all",
    "/v2/diseases",
    "/v2/varieties",
    "/v2/embeddings",
    "/c4c/identify",
    "/c4c/taxa",
    "/c4c/status",
    "/c4c/help",
    "/v1/computervision/score_image",
    "/v2/computervision/score_image",
    "/v1/computervision/score_observation/1",
    "/v1/taxa/1",
    "/v1/taxa/autocomplete",
    "/api/imagevision",
    "/api/v1/identify",
    "/api/v1/floras",
    "/v2/nothing",
]


@pytest.mark.parametrize("route", ROUTES)
def test_7_pages_of_others_may_ask_every_route(client: FlaskClient, route: str) -> None:
    preflight = client.options(
        route,
        headers={
            "Origin": "https://fungi.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        },
    )
    answer = client.get(route, headers={"Origin": "https://fungi.example"})
    stranger = client.get(route, headers={"Origin": "https://other.example"})

    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://fungi.example"
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert answer.headers["Access-Control-Allow-Origin"] == "https://fungi.example"  # refusals, too
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Origin" not in stranger.headers
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "asked",
    [
        "x-via",
        "authorization,x-via,access-control-allow-methods",  # an upload by inaturalistjs
        "content-type,x-http-method-override",
        "user-agent,x-user-agent,x-requested-with",
        ",".join(f"x-{number}" for number in range(20)),
    ],
)
def test_7_pages_of_others_may_send_the_headers_that_their_browser_asks_for(client: FlaskClient, asked: str) -> None:
    question = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": asked}

    preflight = client.options("/v1/taxa/1", headers={"Origin": "https://fungi.example", **question})
    stranger = client.options("/v1/taxa/1", headers={"Origin": "https://other.example", **question})

    allowed = {name.strip().lower() for name in preflight.headers["Access-Control-Allow-Headers"].split(",")}
    assert set(asked.split(",")) <= allowed
    assert "Access-Control-Request-Headers" in preflight.headers["Vary"]
    assert "Access-Control-Allow-Headers" not in stranger.headers


@pytest.mark.parametrize("asked", ["x y", "x:y", "é", "", "x" * 65])
def test_7_what_is_no_name_of_a_header_is_not_repeated(client: FlaskClient, asked: str) -> None:
    headers = {"Origin": "https://fungi.example", "Access-Control-Request-Method": "POST"}

    plain = client.options("/v1/taxa/1", headers=headers)
    odd = client.options("/v1/taxa/1", headers={**headers, "Access-Control-Request-Headers": asked})

    assert odd.headers["Access-Control-Allow-Headers"] == plain.headers["Access-Control-Allow-Headers"]


def test_8_unknown_query_parameters_and_keys_are_taken(post: Post) -> None:
    answer = post("/v2/identify/all?api-key=k&authenix-access-token=t&moon=full&nb-results=2")

    assert answer.status_code == 200
    assert len(answer.get_json()["results"]) == 2


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server on loopback."""
    folder = tmp_path_factory.mktemp("live")
    make_snapshot(folder / "flora_indexes")
    port = free_port()
    with serving(folder, [sys.executable, "app.py"], port, FUNGARIUM_WORKERS="1"):
        yield f"http://127.0.0.1:{port}"


def test_9_uploads_may_come_in_chunks(live: str) -> None:
    form = multipart(images())
    body, kind = form["data"], form["content_type"]
    connection = http.client.HTTPConnection(urlsplit(live).netloc, timeout=60)
    headers = {"Content-Type": kind, "Transfer-Encoding": "chunked"}
    pieces = (body[start : start + 1000] for start in range(0, len(body), 1000))

    connection.request("POST", "/v2/identify/all?nb-results=1", pieces, headers, encode_chunked=True)
    answer = connection.getresponse()

    assert answer.status == 200
    assert json.loads(answer.read())["bestMatch"] == "Amanita muscaria (L.) Lam."
    connection.close()


def test_9_chunks_without_an_end_are_refused(live: str) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=edge", "Transfer-Encoding": "chunked"}
    start = b'--edge\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n\r\n'
    pieces = itertools.chain([start], itertools.repeat(bytes(1 << 20), 60))

    with closing(http.client.HTTPConnection(urlsplit(live).netloc, timeout=60)) as connection:
        try:
            connection.request("POST", "/v2/identify/all", pieces, headers, encode_chunked=True)
            status = connection.getresponse().status
        except (BrokenPipeError, ConnectionResetError):
            status = 413  # it was closed under the flood, whose refusal could not be read

    assert status == 413


def test_10_what_is_left_of_the_day_is_a_number(post: Post) -> None:
    left = post("/v2/identify/all").get_json()["remainingIdentificationRequests"]

    assert isinstance(left, int)


@pytest.mark.parametrize(
    ("project", "flora", "switched"),
    [
        ("all", "k-world-flora", None),
        ("world", "k-world-flora", None),
        ("k-world-flora", "k-world-flora", None),
        ("north", "k-northern-europe", None),
        ("k-northern-europe", "k-northern-europe", None),
        ("south", "south", None),
        ("best", "k-northern-europe", "k-northern-europe"),  # of the floras with A. muscaria
        ("best?lat=40&lon=10", "south", "south"),
        ("best?lat=60&lon=10", "k-northern-europe", "k-northern-europe"),
    ],
)
def test_11_floras_are_projects_under_all_their_names(
    post: Post, project: str, flora: str, switched: str | None
) -> None:
    answer = post(f"/v2/identify/{project}")

    body = answer.get_json()
    assert answer.status_code == 200
    assert (body["preferedReferential"], body.get("switchToProject")) == (flora, switched)
    assert body["query"]["project"] == project.partition("?")[0]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_11_an_unknown_project_is_404(client: FlaskClient, method: str) -> None:
    form: dict[str, Any] = multipart(images()) if method == "POST" else {}

    answer = client.open("/v2/identify/k-atlantis", method=method, **form)

    assert (answer.status_code, answer.get_json()) == (
        404,
        {"statusCode": 404, "error": "Not Found", "message": "Unknown project"},
    )


def test_12_every_related_image_has_date_sizes_and_citation(post: Post, client: FlaskClient) -> None:
    body = post("/v2/identify/all?include-related-images=true").get_json()

    related = [image for result in body["results"] for image in result["images"]]
    assert len(related) > 3
    for image in related:
        assert image.keys() == {"organ", "author", "license", "date", "citation", "url"}
        assert isinstance(image["date"]["string"], str)
        assert image["author"] in image["citation"]
        assert image["url"].keys() == {"o", "m", "s"}
        assert all(address.startswith("http://localhost/api/v1/photos/") for address in image["url"].values())
    known = {"timestamp": 1467763200000, "string": "Jul 6, 2016"}
    assert known in [image["date"] for image in related]
    assert client.get(related[0]["url"]["m"]).mimetype == "image/jpeg"


def test_the_species_of_unknown_genus_and_family_has_names_all_the_same(post: Post) -> None:
    body = post("/v2/identify/all?no-reject=true", images([draw_photo(CIBARIUS, 7)])).get_json()

    species = body["results"][0]["species"]
    assert species["genus"]["scientificName"] == "Cantharellus"
    assert species["family"] == {
        "scientificNameWithoutAuthor": "",
        "scientificNameAuthorship": "",
        "scientificName": "",
    }


@pytest.mark.parametrize(
    ("language", "names"), [("en", ["fly agaric"]), ("da", ["rød fluesvamp"]), ("pt-br", []), ("DA", ["rød fluesvamp"])]
)
def test_common_names_are_in_the_language_asked_for(post: Post, language: str, names: list[str]) -> None:
    body = post(f"/v2/identify/all?lang={language}").get_json()

    assert (body["language"], body["results"][0]["species"]["commonNames"]) == (language, names)


@pytest.mark.parametrize(
    "query",
    ["nb-results=0", "nb-results=many", "type=moon", "lang=no+language", "organs=moon", "lat=1", "lat=91&lon=1"],
)
def test_impossible_values_are_400_in_plantnets_shape(post: Post, query: str) -> None:
    answer = post(f"/v2/identify/all?{query}")

    body = answer.get_json()
    assert (answer.status_code, body["statusCode"], body["error"]) == (400, 400, "Bad Request")
    assert body.keys() == {"statusCode", "error", "message"}


def test_no_image_is_400_and_too_many_are_400(post: Post) -> None:
    none = post("/v2/identify/all", [Part("organs", b"auto")])
    many = post("/v2/identify/all", images([FIND[0]] * 6))

    assert (none.status_code, none.get_json()["message"]) == (400, '"images" is required')
    assert (many.status_code, many.get_json()["message"][:20]) == (400, "6 photos were given;")


def test_what_is_too_large_is_413_and_what_is_no_form_is_415(post: Post, client: FlaskClient) -> None:
    large = post("/v2/identify/all", [Part("images", FIND[0] + bytes(400_001), "a.jpg")])
    whole = client.post("/v2/identify/all", data=bytes(60_000_000), content_type="multipart/form-data; boundary=e")
    bare = client.post("/v2/identify/all", data=FIND[0], content_type="image/jpeg")

    assert (large.status_code, large.get_json()["error"]) == (413, "Payload Too Large")
    assert (whole.status_code, whole.get_json()["error"]) == (413, "Payload Too Large")
    assert (bare.status_code, bare.get_json()["error"]) == (415, "Unsupported Media Type")


def test_a_fault_of_the_server_is_told_in_the_same_shape(tmp_path: Path) -> None:
    answer = make_app(tmp_path, {}).test_client().get("/v2/languages")

    assert (answer.status_code, answer.get_json()["error"]) == (503, "Service Unavailable")
    assert answer.headers["Retry-After"] == "10"


def test_every_identification_names_snapshot_model_and_notice(post: Post) -> None:
    body = post("/v2/identify/all").get_json()

    assert "descriptor@1" in body["version"]
    assert "Never eat a fungus" in body["notice"]
