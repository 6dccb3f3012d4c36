"""Every route of the API x a stale version, the same request twice, null for each field, and filters that cannot match.

The rows are the routes of the OpenAPI document; one that is in no table fails. No answer is a 500, none says yes to
what it did not do, and nothing that was sent is ignored without a word.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import UUID

import pytest
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from database.session import open_database, upgrade
from database.tables import Base
from database.taxonomy.taxa import TaxonEntry, TaxonRegister
from tests.snapshots import EMETICA, MUSCARIA, Made, draw_photo
from tests.web.conftest import encode_photos
from tests.web.people import PASSWORD, Server, close, serve

SPOT = {"decimalLatitude": "55.676098", "decimalLongitude": "12.568337", "coordinateUncertaintyInMeters": "8"}
COUNTS = frozenset({"uses"})
OTHER = 'W/"0123456789abcdef.0123456789abcdef"'


@pytest.fixture(scope="module")
def server(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all rows; each row records what it needs."""
    folder = tmp_path_factory.mktemp("table")
    url = f"sqlite:///{folder / 'database.sqlite'}"
    upgrade(url)
    database = open_database(url)
    running = serve(database, made.root, photos_at=folder / "photos")
    with database.writing() as session:
        TaxonRegister().file(session, TaxonEntry("Amanita muscaria"))
    yield running
    close(running)
    database.engine.dispose()


class Asking:
    """Requests of an administrator, who may do everything, about an observation and a key of their own."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.ada = server.signed_in("ada")

    def fresh(self) -> dict[str, str]:
        """What stands in the routes: an observation with two photos and an opinion, a key, a person."""
        photos = encode_photos(
            [draw_photo(MUSCARIA, 7), draw_photo(EMETICA, 3)],
            suggest="false",
            scientificName="Amanita muscaria",
            **SPOT,
        )
        body = self.post("/api/v1/observations", **photos).get_json()
        key = self.post("/api/v1/keys", json={"scopes": ["read"]}).get_json()
        self.call("PUT", f"{body['url']}/approval", json={"scientificName": "Amanita muscaria"})
        return {
            "key": body["id"],
            "sha256": body["photos"][0]["sha256"],
            "version": body["version"],
            "number": str(key["id"]),
            "person": str(self.server.ids["omar"]),
        }

    def post(self, path: str, **more: Any) -> TestResponse:
        return self.call("POST", path, **more)

    def call(self, method: str, path: str, **more: Any) -> TestResponse:
        token = self.ada.client.get("/api/v1/session").get_json()["csrfToken"]  # a new password brings a new one
        headers = {"X-CSRFToken": token or ""} | more.pop("headers", {})
        return self.ada.client.open(path, method=method, headers=headers, buffered=True, **more)


@pytest.fixture
def asking(server: Server) -> Asking:
    return Asking(server)


def find(*taxa: int, **form: str) -> dict[str, Any]:
    return encode_photos([draw_photo(taxon, 9) for taxon in taxa or (MUSCARIA,)], **form)


NAME = {"scientificName": "Amanita muscaria"}
Row = tuple[str, Callable[[dict[str, str]], dict[str, Any]], int, tuple[int, int]]
CHANGING: Final[dict[str, Row]] = {
    # route: address, request, answer to a stale If-Match, answers to the same request sent twice
    "POST /observations": (
        "/observations",
        lambda row: find(suggest="false", id=str(UUID(int=UUID(row["key"]).int ^ 1))),
        412,
        (201, 200),
    ),
    "PATCH /observations/{key}": (
        "/observations/{key}",
        lambda row: {"json": {"habitat": "moss", "version": row["version"]}},
        412,
        (200, 412),
    ),
    "DELETE /observations/{key}": ("/observations/{key}", lambda row: {}, 412, (204, 404)),
    "POST /observations/{key}/photos": ("/observations/{key}/photos", lambda row: find(31), 412, (200, 200)),
    "DELETE /observations/{key}/photos/{sha256}": (
        "/observations/{key}/photos/{sha256}",
        lambda row: {},
        412,
        (200, 404),
    ),
    "POST /observations/{key}/verdicts": ("/observations/{key}/verdicts", lambda row: {"json": NAME}, 412, (200, 200)),
    "DELETE /observations/{key}/verdicts": ("/observations/{key}/verdicts", lambda row: {}, 412, (200, 422)),
    "PUT /observations/{key}/approval": ("/observations/{key}/approval", lambda row: {"json": NAME}, 412, (200, 200)),
    "DELETE /observations/{key}/approval": ("/observations/{key}/approval", lambda row: {}, 412, (200, 422)),
    "POST /identify": ("/identify", lambda row: find(), 412, (200, 200)),
    "POST /identify/batch": ("/identify/batch", lambda row: batch(), 412, (200, 200)),
    "POST /similar": ("/similar", lambda row: find(), 412, (200, 200)),
    "POST /similar/embeddings": (
        "/similar/embeddings",
        lambda row: {"json": {"embeddings": [[1.0] + [0.0] * 255], "model": "descriptor@1"}},
        412,
        (200, 200),
    ),
    "POST /embeddings": ("/embeddings", lambda row: find(), 412, (200, 200)),
    "PATCH /session/person": ("/session/person", lambda row: {"json": {"name": "Ada"}}, 412, (200, 200)),
    "POST /people": (
        "/people",
        lambda row: {"json": {"login": f"new{row['number']}", "password": "long enough to pass"}},
        412,
        (201, 422),
    ),
    "PATCH /people/{person}": ("/people/{person}", lambda row: {"json": {"name": "Omar"}}, 412, (200, 200)),
    "POST /keys": ("/keys", lambda row: {"json": {"scopes": ["read"], "requestId": row["key"]}}, 412, (201, 201)),
    "DELETE /keys/{key}": ("/keys/{number}", lambda row: {}, 412, (204, 204)),
    "PUT /session/password": (
        "/session/password",
        lambda row: {"json": {"current": PASSWORD, "password": PASSWORD}},
        412,
        (200, 200),
    ),
    "POST /session": ("/session", lambda row: {"json": {"login": "ada", "password": PASSWORD}}, 412, (200, 200)),
    "DELETE /session": ("/session", lambda row: {}, 412, (204, 401)),  # the last: it signs out
}


def batch() -> dict[str, Any]:
    line = {"id": "one", "photos": [b64encode(draw_photo(MUSCARIA, 9)).decode()]}
    return {"data": json.dumps(line).encode(), "content_type": "application/x-ndjson"}


def described(server: Server) -> dict[str, Any]:
    """The OpenAPI document."""
    document: dict[str, Any] = server.visitor().get("/api/v1/openapi.json").get_json()
    return document


def routes_of(document: dict[str, Any], *methods: str) -> list[str]:
    """Routes as the tables write them."""
    return [
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, operations in document["paths"].items()
        for method in operations
        if method in methods and path.startswith("/api/v1/")
    ]


def rows_of(server: Server) -> int:
    """Rows of all tables but the counts of what was used."""
    kept = [table for name, table in Base.metadata.tables.items() if name not in COUNTS]
    with server.database.reading() as session:
        return sum(session.scalar(select(func.count()).select_from(table)) or 0 for table in kept)


def test_every_route_that_changes_or_asks_is_in_the_table(server: Server) -> None:
    assert set(routes_of(described(server), "post", "put", "patch", "delete")) == set(CHANGING)


@pytest.mark.parametrize("route", CHANGING)
def test_a_stale_version_changes_nothing(asking: Asking, route: str) -> None:
    address, request, wanted, _ = CHANGING[route]
    row = asking.fresh()
    before = rows_of(asking.server)

    answer = asking.call(
        route.partition(" ")[0], "/api/v1" + address.format(**row), headers={"If-Match": OTHER}, **request(row)
    )

    assert answer.status_code == wanted, answer.get_json()
    assert rows_of(asking.server) == before


@pytest.mark.parametrize("route", CHANGING)
def test_the_same_request_twice_is_answered_twice_and_kept_once(asking: Asking, route: str) -> None:
    address, request, _, wanted = CHANGING[route]
    row = asking.fresh()

    statuses, rows = [], []
    for _ in range(2):
        answer = asking.call(route.partition(" ")[0], "/api/v1" + address.format(**row), **request(row))
        statuses.append(answer.status_code)
        rows.append(rows_of(asking.server))

    assert tuple(statuses) == wanted, answer.get_data()
    assert rows[0] == rows[1]


NULLS: Final = {
    # route: fields whose null is refused by name; every other null takes the value out
    "PATCH /observations/{key}": {"decimalLatitude", "decimalLongitude"},  # half a place
    "POST /observations/{key}/verdicts": {"scientificName", "certainty"},
    "PUT /observations/{key}/approval": {"scientificName"},
    "POST /similar/embeddings": {
        "embeddings", "model", "flora", "licences", "months", "count", "partial", "cursor"
    },
    "PATCH /session/person": {"name", "obscures"},
    "POST /people": {"login", "name", "role", "password"},
    "PATCH /people/{person}": {"name", "obscures", "role", "active", "password"},
    "POST /keys": {"scopes", "label"},
    "PUT /session/password": {"current", "password"},
    "POST /session": {"login", "password"},
}  # fmt: skip


def json_fields(document: dict[str, Any], route: str) -> list[str]:
    """The fields of a route's JSON body."""
    method, path = route.split(" ")
    operation = document["paths"]["/api/v1" + path][method.lower()]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return []
    name = content["schema"]["$ref"].rpartition("/")[2]
    properties = document["components"]["schemas"][name]["properties"]
    return [field for field in properties if field != "csrf_token"]


def test_null_for_each_field_takes_it_out_or_is_refused_by_name(server: Server) -> None:
    document, asking = described(server), Asking(server)
    row = asking.fresh()
    refused: dict[str, set[str]] = {}

    for route in routes_of(document, "post", "put", "patch"):
        for field in json_fields(document, route):
            address, request, _, _ = CHANGING[route]
            if route == "PATCH /observations/{key}":
                row["version"] = asking.call("GET", f"/api/v1/observations/{row['key']}").get_json()["version"]
            sent = request(row)["json"] | {field: None}
            answer = asking.call(route.partition(" ")[0], "/api/v1" + address.format(**row), json=sent)
            if answer.status_code < 300:
                body = answer.get_json()
                assert body.get(field) in (None, "", False, []) or field not in body, (route, field, body.get(field))
            elif answer.status_code == 428:
                assert field == "version"
            else:
                assert answer.status_code == 422, (route, field, answer.get_data())
                assert field in json.dumps(answer.get_json()) or "latitude" in answer.get_json()["detail"]
                refused.setdefault(route, set()).add(field)

    assert refused == NULLS


def test_a_query_that_nobody_reads_is_refused_by_name(server: Server) -> None:
    asking, document = Asking(server), described(server)
    row = asking.fresh() | {"flora": "north", "species": str(MUSCARIA), "photo": "0" * 64, "name": "x"}
    answers = {}

    for route in routes_of(document, "get", "post", "put", "patch", "delete"):
        method, path = route.split(" ")
        if route == "DELETE /session":
            continue
        template, request, _, _ = CHANGING.get(route, (path, lambda row: {}, 0, (0, 0)))
        address = "/api/v1" + template.format(**row)
        answer = asking.call(method, address + "?nonsense=north", **request(row))
        answers[route] = answer.status_code
        assert 400 <= answer.status_code < 500, (route, answer.status_code)
        assert "nonsense" in answer.get_data(as_text=True), (route, answer.get_data())

    assert len(answers) > 35
    assert asking.call("GET", f"/api/v1/observations/{row['key']}").status_code == 200  # nothing was done by halves


UNMATCHED: Final = {
    # query: the status, and a word that the answer names
    "near=91,12": (400, "near"),
    "near=151.2,-33.9": (400, "latitude comes first"),
    "near=55.68,12.57,1": (400, "near"),
    "near=55,68,12,57": (400, "points in numbers"),
    "near=north": (400, "near"),
    "near=nan,1": (400, "near"),
    "near=0,181": (400, "near"),
    "radius=5": (400, "near"),
    "near=0,0&radius=0": (422, "radius"),
    "box=12,56,13,55": (400, "lies north of its north"),
    "box=55,12,56,91": (400, "longitude comes first"),
    "box=-190,1,3,4": (400, "box"),
    "box=1,2,3": (400, "box"),
    "from=2026-05-04&to=2026-05-03": (400, "`from`"),
    "taxon=999999": (422, "999999"),
    "person=999999": (404, "999999"),
    "flora=nowhere": (404, "nowhere"),
    "flora=": (200, ""),
    "status=unknown": (422, "status"),
    "statuz=approved": (422, "statuz"),
    "near=-60,-150&radius=3": (200, "near=-60,-150 and radius=3"),
    "box=0,-60,1,-59": (200, "box=0,-60,1,-59"),
    "from=1950-01-01&to=1950-01-02": (200, "from=1950-01-01 and to=1950-01-02"),
}


@pytest.mark.parametrize("query", UNMATCHED)
def test_a_search_that_matches_nothing_says_so(asking: Asking, query: str) -> None:
    status, word = UNMATCHED[query]

    answer = asking.call("GET", f"/api/v1/observations?{query}")

    body = answer.get_json()
    assert answer.status_code == status, body
    assert word in (body["detail"] if status >= 400 else body["notice"] or "")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/near?latitude=151.2&longitude=-33.9", {"en": "wrong way round", "de": "vertauscht", "da": "byttet"}),
        ("/near?latitude=95&longitude=200", {"en": "latitude must be", "de": "Breitengrad", "da": "breddegrad"}),
        ("?statuz=approved", {"en": "“statuz”", "de": "„statuz“", "da": "”statuz”"}),
        ("?from=2026-05-04&to=2026-05-03", {"en": "last day", "de": "letzten Tag", "da": "sidste dag"}),
    ],
)
@pytest.mark.parametrize("language", ["en", "de", "da"])
def test_a_page_names_the_field_in_the_visitors_language(
    server: Server, address: str, said: dict[str, str], language: str
) -> None:
    answer = server.visitor().get(f"/observations{address}", headers={"Accept-Language": language})

    assert answer.status_code == 400
    assert said[language].lower() in answer.get_data(as_text=True).lower()


def test_links_that_other_sites_lengthened_still_work(server: Server) -> None:
    assert server.visitor().get("/observations?utm_source=letter&fbclid=1").status_code == 200


@pytest.mark.parametrize("written", ["55,676098", "55.676098"])
def test_a_decimal_comma_is_a_decimal_point_in_forms(asking: Asking, written: str) -> None:
    place = {"decimalLatitude": written, "decimalLongitude": written.replace("55", "12"), "suggest": "false"}

    body = asking.post("/api/v1/observations", **find(**place)).get_json()
    asked = asking.post("/api/v1/identify", **find(latitude=written, longitude="12,5"))
    near = asking.server.visitor().get(f"/observations/near?latitude={written}&longitude={place['decimalLongitude']}")
    thousands = asking.post("/api/v1/observations", **find(**place | {"coordinateUncertaintyInMeters": "1,000,000"}))

    assert (body["decimalLatitude"], body["decimalLongitude"]) == (55.676098, 12.676098)
    assert asked.status_code == 200
    assert body["id"] in near.get_data(as_text=True)
    assert thousands.status_code == 422


def test_swapped_coordinates_of_a_form_are_named_as_such(asking: Asking) -> None:
    swapped = {"decimalLatitude": "151.2", "decimalLongitude": "-33.9"}

    answers = [
        asking.post("/api/v1/observations", **find(suggest="false", **swapped)),
        asking.post("/api/v1/identify", **find(latitude="151.2", longitude="-33.9")),
    ]

    for answer in answers:
        assert answer.status_code == 422
        assert "wrong way round" in answer.get_json()["detail"]
