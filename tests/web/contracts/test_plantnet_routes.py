"""Pl@ntNet's other routes: addresses of photos, projects, species, names, languages, quotas, tiles, embeddings."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from database.errors import DatabaseError
from retrieval.models.descriptor import Descriptor
from retrieval.photos.addresses import Guard
from retrieval.photos.views import PhotoLimits, decode_view
from tests.indexer.photos.servers import LOOPBACK, Answer, PhotoServer
from tests.snapshots import CITRINA, FLORAS, MUSCARIA, Made
from tests.web.conftest import make_app
from tests.web.contracts.conftest import FIND, LIMITS, Part, images, multipart
from web.catalogue import DatabaseCatalogue
from web.http.refusals import RemoteServersBusy
from web.photos.remote_photos import RemotePhotos

Post = Callable[..., TestResponse]


def test_photos_behind_addresses_are_answered_as_if_they_had_been_sent(
    post: Post, client: FlaskClient, server: PhotoServer
) -> None:
    server.answers |= {f"/{number}.jpg": [Answer(body=photo)] for number, photo in enumerate(FIND)}
    addresses = [f"{server.address}/{number}.jpg" for number in range(2)]

    fetched = client.get("/v2/identify/all", query_string={"images": addresses, "organs": ["cap", "stipe"]})
    sent = post("/v2/identify/all?organs=cap&organs=stipe")

    assert fetched.status_code == 200
    assert fetched.get_json() == sent.get_json()
    assert sorted(server.asked) == ["/0.jpg", "/1.jpg"]


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("{server}/missing.jpg", 400, "its server answers 404"),
        ("{server}/page.html", 415, "Unsupported file type"),
        ("{server}/large.jpg", 413, "most accepted"),
        ("http://127.0.0.2:80/a.jpg", 400, "not on the public internet"),
        ("http://169.254.169.254/latest/meta-data/", 400, "not on the public internet"),
        ("http://[::1]/a.jpg", 400, "not on the public internet"),
        ("http://2130706433/a.jpg", 400, "a number"),
        ("http://localhost:22/", 400, "port 22"),
        ("file:///etc/passwd", 400, "http://"),
        ("not an address", 400, "http://"),
        ("http://photos.example/" + "a" * 2000, 400, "2,000 letters"),
    ],
)
def test_what_cannot_be_fetched_is_told_in_a_sentence(
    client: FlaskClient, server: PhotoServer, address: str, status: int, words: str
) -> None:
    server.answers["/page.html"] = [Answer(body=b"<html>")]
    server.answers["/large.jpg"] = [Answer(body=FIND[0] + bytes(LIMITS.bytes))]

    answer = client.get("/v2/identify/all", query_string={"images": address.format(server=server.address)})

    assert (answer.status_code, answer.get_json()["statusCode"]) == (status, status)
    assert words in answer.get_json()["message"]


def test_no_address_is_400_and_a_long_one_is_414(client: FlaskClient) -> None:
    none = client.get("/v2/identify/all")
    long = client.get("/v2/identify/all", query_string={"images": ["http://photos.example/" + "a" * 1500] * 5})

    assert (none.status_code, none.get_json()["message"]) == (400, '"images" is required')
    assert (long.status_code, long.get_json()["error"]) == (414, "URI Too Long")


def test_so_many_requests_wait_for_other_servers_and_no_more(server: PhotoServer) -> None:
    server.answers["/0.jpg"] = [Answer(body=FIND[0])]
    waiting, go_on = threading.Event(), threading.Event()

    def resolve(host: str, port: int) -> list[str]:
        waiting.set()
        go_on.wait(20)
        return ["127.0.0.1"]

    port = int(server.address.rpartition(":")[2])
    remote = RemotePhotos(Guard(LOOPBACK.allowed, frozenset({port}), resolve), PhotoLimits(), at_once=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(remote.fetch, [f"http://photos.example:{port}/0.jpg"])
        assert waiting.wait(20)

        with pytest.raises(RemoteServersBusy):
            remote.fetch([f"http://photos.example:{port}/1.jpg"])
        go_on.set()

        assert first.result(20) == [FIND[0]]
    assert remote.fetch([f"{server.address}/0.jpg"]) == [FIND[0]]  # the place is free again


def test_projects_are_the_floras_under_all_their_names(client: FlaskClient) -> None:
    listed = client.get("/v2/projects?lang=en&type=kt&api-key=k").get_json()

    assert [project["id"] for project in listed] == ["world", "k-world-flora", "north", "k-northern-europe", "south"]
    assert listed[2] | {"id": ""} == listed[3] | {"id": ""}
    assert listed[2]["speciesCount"] == len(FLORAS["north"])
    assert all(project["title"] and project["description"] for project in listed)


@pytest.mark.parametrize(
    ("place", "first"),
    [("lat=55.6&lon=12.5", "north"), ("lat=41.9&lon=12.5", "south"), ("lat=35.9&lon=14.5", "south")],
)
def test_with_a_place_the_nearest_project_comes_first(client: FlaskClient, place: str, first: str) -> None:
    listed = client.get(f"/v2/projects?{place}").get_json()

    assert listed[0]["id"] == first
    assert len(listed) == 5


def test_half_a_place_is_refused(client: FlaskClient) -> None:
    assert client.get("/v2/projects?lat=55.6").status_code == 400


def test_species_of_a_project_are_flat_and_have_every_key(client: FlaskClient) -> None:
    listed = client.get("/v2/projects/k-northern-europe/species?lang=da").get_json()

    names = [species["scientificNameWithoutAuthor"] for species in listed]
    assert names == sorted(names) == ["Amanita citrina", "Amanita muscaria", "Amanita pantherina", "Russula emetica"]
    assert listed[1] == {
        "id": str(MUSCARIA),
        "commonNames": ["rød fluesvamp"],
        "genus": "Amanita",
        "family": "Amanitaceae",
        "scientificNameWithoutAuthor": "Amanita muscaria",
        "scientificNameAuthorship": "(L.) Lam.",
        "gbifId": 900011,
        "powoId": None,
        "iucnCategory": None,
    }
    assert "; ".join(listed[0]["commonNames"]) == ""


def test_all_species_come_in_pages_that_make_up_the_whole(client: FlaskClient) -> None:
    whole = client.get("/v2/species").get_json()
    pages = [client.get(f"/v2/species?pageSize=3&page={page}").get_json() for page in (1, 2, 3, 4)]

    assert [species for page in pages for species in page] == whole
    assert [len(page) for page in pages] == [3, 3, 1, 0]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("prefix=aman", 3),
        ("prefix=AMANITA%20m", 1),
        ("prefix=fly", 1),
        ("prefix=girolle", 0),
        ("prefix=gir&lang=fr", 1),
    ],
)
def test_species_are_found_by_how_any_name_begins(client: FlaskClient, query: str, found: int) -> None:
    assert len(client.get(f"/v2/species?{query}").get_json()) == found


@pytest.mark.parametrize(
    "query",
    ["pageSize=&page=", "pageSize=", "page=", "prefix=", "lang=", "images=&type=", "pageSize=&page=&prefix=&lang="],
)
def test_an_empty_value_is_as_if_it_was_not_sent(client: FlaskClient, query: str) -> None:
    assert client.get(f"/v2/species?{query}").get_json() == client.get("/v2/species").get_json()


@pytest.mark.parametrize(
    "query", ["pageSize=3", "pageSize=3&page=", "page=1", "images=true", "images=true&pageSize=101&page=1", "page=x"]
)
def test_half_a_page_and_too_many_images_are_refused(client: FlaskClient, query: str) -> None:
    assert client.get(f"/v2/species?{query}").status_code == 400


def test_species_of_a_page_may_come_with_images(client: FlaskClient) -> None:
    listed = client.get("/v2/projects/north/species?images=true&pageSize=10&page=1").get_json()

    assert [len(species["images"]) for species in listed] == [3, 3, 0, 3]
    assert listed[0]["images"][0].keys() == {"organ", "author", "license", "date", "citation", "url"}


@pytest.mark.parametrize(
    ("name", "authorship", "species", "how"),
    [
        ("Amanita muscaria", "", MUSCARIA, "exact"),
        ("amanita MUSCARIA", "", MUSCARIA, "exact"),
        ("Amanita muscaria (L.) Lam.", "", MUSCARIA, "exact"),
        ("Amanita muscaria (L.) Lam.", "(L.) Lam.", MUSCARIA, "exact"),
        ("Agaricus muscarius", "L.", MUSCARIA, "synonym"),
        ("Amanita muscarla", "", MUSCARIA, "close"),
        ("Amanita citrna", "", CITRINA, "close"),
    ],
)
def test_a_name_is_matched_with_a_species(
    client: FlaskClient, name: str, authorship: str, species: int, how: str
) -> None:
    query = {"name": name, "authorship": authorship}

    found = client.get("/v2/projects/north/species/align", query_string=query).get_json()

    assert (found["id"], found["matchType"]) == (str(species), how)


@pytest.mark.parametrize(
    ("query", "how"),
    [
        ("name=Amanita muscaria (L.) Lam.&authorship=true", "exact"),
        ("name=Amanita muscaria&authorship=false", "exact"),
        ("name=Amanita muscaria&authorship=True&fuzzy=true", "exact"),
        ("name=Agaricus muscarius L.&authorship=true&synonyms=true", "synonym"),
        ("name=Agaricus muscarius&synonyms=false", ""),
        ("name=Amanita muscarla&fuzzy=true", "close"),
        ("name=Amanita muscarla&fuzzy=false", ""),
        ("name=Amanita muscarla&fuzzy=0", ""),
        ("name=Amanita muscaria&authorship=&fuzzy=&synonyms=", "exact"),
    ],
)
def test_a_name_is_matched_as_far_as_the_caller_allows(client: FlaskClient, query: str, how: str) -> None:
    answer = client.get(f"/v2/projects/north/species/align?{query}")

    assert answer.status_code == (200 if how else 404)
    if how:
        found = answer.get_json()
        assert (found["matchType"], found["id"]) == (how, str(MUSCARIA))
        assert found["acceptedName"] == "Amanita muscaria (L.) Lam."
        assert found["matchingName"] == ("Agaricus muscarius" if how == "synonym" else "Amanita muscaria")


@pytest.mark.parametrize(
    ("route", "part"),
    [
        ("/v2/identify/all", "images"),
        ("/v2/survey/tiles/all", "image"),
        ("/v2/embeddings", "image"),
        ("/c4c/identify", "image"),
        ("/v1/computervision/score_image", "image"),
    ],
)
@pytest.mark.parametrize(
    "sent", [[], [Part("photo", FIND[0], "a.jpg")], [Part("lang", b"en")]], ids=["none", "other", "text"]
)
def test_a_refusal_names_the_part_that_is_missing(post: Post, route: str, part: str, sent: list[Part]) -> None:
    answer = post(route, sent)

    assert f'\\"{part}\\" is required' in answer.get_data(as_text=True)
    assert answer.status_code == (422 if route.startswith("/v1") else 400)


@pytest.mark.parametrize(
    ("name", "status"), [("Boletus edulis", 404), ("Cantharellus cibarius", 404), ("", 400), ("?", 404)]
)
def test_a_name_that_means_none_of_the_project_is_404(client: FlaskClient, name: str, status: int) -> None:
    answer = client.get("/v2/projects/north/species/align", query_string={"name": name})

    assert answer.status_code == status


def test_languages_are_those_of_the_common_names(client: FlaskClient) -> None:
    assert client.get("/v2/languages").get_json() == ["da", "en", "fr"]


@pytest.mark.parametrize(
    "route", ["/v2/quota", "/v2/quota/daily", "/v2/quota/daily?day=2024-01-01", "/v2/quota/daily?day="]
)
def test_a_quota_is_one_day_with_three_numbers(client: FlaskClient, route: str) -> None:
    day = client.get(route).get_json()

    assert day.keys() == {"day", "quota"}
    assert day["quota"].keys() == {"identify"}
    assert day["quota"]["identify"] == {"count": 0, "total": 1_000_000, "remaining": 1_000_000}  # nothing is limited
    assert day["day"] == "2024-01-01" if "2024" in route else day["day"] > "2024-01-01"


def test_a_history_is_an_array_of_days(client: FlaskClient) -> None:
    assert client.get("/v2/quota/history?year=2024").get_json() == []
    assert client.get("/v2/quota/history?year=").get_json() == []
    assert client.get("/v2/quota/daily?day=yesterday").status_code == 400
    assert client.get("/v2/subscription").get_json().keys() == {"account", "contract", "history", "billing", "security"}


@pytest.mark.parametrize("kind", ["diseases", "varieties"])
def test_diseases_and_varieties_of_plants_are_clearly_not_ours(client: FlaskClient, post: Post, kind: str) -> None:
    listed = client.get(f"/v2/{kind}?lang=en&prefix=a&api-key=k")
    answer = post(f"/v2/{kind}/identify")

    assert (listed.status_code, listed.get_json()) == (200, [])
    assert (answer.status_code, answer.get_json()["error"]) == (404, "Not Found")
    assert "fungi" in answer.get_json()["message"]


def test_an_embedding_is_the_models_own(post: Post) -> None:
    body = post("/v2/embeddings", images(FIND[:1], "image")).get_json()

    expected = Descriptor().embed([decode_view(FIND[0], Descriptor.short_side)])[0]
    assert body["embeddings"] == pytest.approx(expected.tolist(), abs=1e-6)
    assert body["version"] == "descriptor@1"


def test_without_a_database_projects_keep_their_own_names(made: Made) -> None:
    def lost() -> Any:
        raise DatabaseError("the database is away")

    client = make_app(made.root, made.photos, catalogue=DatabaseCatalogue(lost)).test_client()

    listed = client.get("/v2/projects?lat=55&lon=12").get_json()
    related = client.post("/v2/identify/north?include-related-images=true", **multipart(images())).get_json()

    assert [project["id"] for project in listed] == ["world", "k-world-flora", "north", "south"]
    assert related["results"][0]["images"][0]["date"] == {"timestamp": None, "string": ""}
