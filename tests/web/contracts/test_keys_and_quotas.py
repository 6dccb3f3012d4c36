"""Keys and quotas as the contracts tell them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.web.contracts.conftest import FIND, Part, images, multipart
from tests.web.people import Server, server, start
from web.services import Policy

__all__ = ["server", "start"]


@pytest.fixture
def system() -> str:
    return "sqlite"


def test_a_key_in_the_query_counts_and_says_what_is_left(server: Server) -> None:
    key = server.key("olga", "identify", daily_quota=2)["X-API-Key"]
    client = server.visitor()

    answers = [client.post(f"/v2/identify/all?api-key={key}", **multipart(images())) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.get_json().get("remainingIdentificationRequests") for answer in answers] == [1, 0, None]
    assert answers[0].headers["RateLimit-Policy"].startswith('"dailyQuota";q=2;w=86400;pk=:')
    assert answers[0].headers["RateLimit"].startswith('"dailyQuota";r=1;t=')
    assert answers[0].headers["X-RateLimit-Remaining"] == "1"
    assert answers[2].get_json() == {
        "statusCode": 429,
        "error": "Too Many Requests",
        "message": "The daily quota of 2 identifications is used up; it resets at 00:00 UTC.",
    }
    today = client.get(f"/v2/quota/daily?api-key={key}").get_json()["quota"]["identify"]
    day_before = client.get(f"/v2/quota/daily?day=2026-05-16&api-key={key}").get_json()["quota"]["identify"]
    history = client.get(f"/v2/quota/history?year=2026&api-key={key}").get_json()
    assert today == client.get(f"/v2/quota?api-key={key}").get_json()["quota"]["identify"]
    assert today == {"count": 2, "total": 2, "remaining": 0}
    assert day_before == {"count": 0, "total": 2, "remaining": 2}
    assert history == [{"day": "2026-05-17", "quota": {"identify": {"count": 2}}}]


def test_a_rejected_question_costs_nothing_that_was_never_answered(server: Server) -> None:
    key = server.key("olga", "identify", daily_quota=2)["X-API-Key"]
    client = server.visitor()

    client.post(f"/v2/identify/k-atlantis?api-key={key}", **multipart(images()))
    client.post(f"/v2/identify/all?api-key={key}", **multipart([]))

    assert client.get(f"/v2/quota?api-key={key}").get_json()["quota"]["identify"]["count"] == 0


@pytest.mark.parametrize("token", ["k", "2b10abcdefghijklmnopqrstuv"])
def test_a_key_for_somebody_elses_server_is_no_key(server: Server, token: str) -> None:
    client = server.visitor()

    by_query = client.post(f"/v2/identify/all?api-key={token}", **multipart(images()))
    by_header = client.post("/v2/identify/all", headers={"Authorization": f"Bearer {token}"}, **multipart(images()))

    assert (by_query.status_code, by_header.status_code) == (200, 200)


@pytest.mark.parametrize("token", ["", "k", "fungarium_" + "x" * 43])
def test_where_identifying_is_keyed_no_other_key_opens(start: Callable[..., Server], token: str) -> None:
    client = start(policy=Policy(identify_open=False)).visitor()

    answer = client.post(f"/v2/identify/all?api-key={token}", **multipart(images()))

    assert (answer.status_code, answer.get_json()) == (
        401,
        {"statusCode": 401, "error": "Unauthorized", "message": "Unauthorized"},
    )


def test_clients_of_inaturalist_send_the_key_alone(start: Callable[..., Server]) -> None:
    server = start(policy=Policy(identify_open=False))
    key = server.key("olga", "identify")["X-API-Key"]

    answer = server.visitor().post(
        "/v1/computervision/score_image", headers={"Authorization": key}, **multipart(images(name="image"))
    )

    assert answer.status_code == 200


NAMES_A_KEY = [
    "GET /v2/projects",
    "GET /v2/projects/north/species",
    "GET /v2/projects/north/species/align?name=Amanita",
    "GET /v2/species",
    "GET /v2/languages",
    "GET /v2/diseases",
    "GET /v2/varieties",
    "GET /v2/quota",
    "GET /v2/quota/daily",
    "GET /v2/quota/history",
    "GET /v2/subscription",
    "GET /v2/cost/survey/all?size=9x9",
    "POST /v2/cost/survey/all",
    "POST /v2/diseases/identify",
    "POST /v2/varieties/identify",
    "POST /v2/identify/all",
    "POST /v2/survey/tiles/all",
    "POST /v2/embeddings",
]
"""Routes of Pl@ntNet that take `api-key`: all but that of the status."""

OPEN_WITHOUT = ["GET /c4c/taxa", "GET /c4c/status", "GET /v1/taxa/1", "GET /v1/taxa/autocomplete?q=a"]


def test_where_identifying_is_keyed_every_route_that_names_a_key_checks_it(start: Callable[..., Server]) -> None:
    server = start(policy=Policy(identify_open=False))
    right, client = server.key("olga", "identify"), server.visitor()

    def ask(route: str, headers: dict[str, str], **query: str) -> int:
        method, _, address = route.partition(" ")
        joined = address + ("&" if "?" in address else "?") + "&".join(f"{name}={key}" for name, key in query.items())
        return client.open(joined, method=method, headers=headers).status_code

    for route in (*NAMES_A_KEY, *OPEN_WITHOUT):
        assert ask(route, right) != 401, route
        for wrong in ("k", "2b10abcdefghijklmnopqrstuv", "fungarium_" + "x" * 43):
            assert ask(route, {}, **{"api-key": wrong}) == 401, route
            assert ask(route, {"Authorization": f"Bearer {wrong}"}) == 401, route
            assert ask(route, {"X-API-Key": wrong}) == 401, route
    assert {ask(route, {}) for route in NAMES_A_KEY} == {401}
    assert {ask(route, {}) for route in OPEN_WITHOUT} == {200}
    assert ask("GET /v2/_status", {}) == 200


@pytest.mark.parametrize("route", [*NAMES_A_KEY, *OPEN_WITHOUT])
def test_where_everybody_identifies_a_key_for_another_server_is_ignored(client: FlaskClient, route: str) -> None:
    method, _, address = route.partition(" ")

    answer = client.open(address, method=method, headers={"X-API-Key": "2b10abcdefghijklmnopqrstuv"})

    assert answer.status_code != 401


def test_each_tile_of_a_survey_is_an_identification(server: Server) -> None:
    key = server.key("olga", "identify", daily_quota=5)["X-API-Key"]
    client = server.visitor()
    asked = {"tile_size": 100, "tile_stride": 60}

    def survey() -> TestResponse:
        parts = [*images(FIND[:1], "image"), *(Part(name, str(value).encode()) for name, value in asked.items())]
        return client.post(f"/v2/survey/tiles/all?api-key={key}", **multipart(parts))

    cost = client.post(f"/v2/cost/survey/all?api-key={key}", data={"size": "140x120", **asked}).get_json()
    first, second = survey(), survey()

    assert cost["estimated_cost"] == first.get_json()["results"]["nb_sub_queries"] == 4
    assert first.get_json()["remainingIdentificationRequests"] == 1
    assert (second.status_code, second.get_json()["message"]) == (
        429,
        "This needs 4 identifications, and 1 of the daily quota of 5 are left; it resets at 00:00 UTC.",
    )
    assert client.get(f"/v2/quota?api-key={key}").get_json()["quota"]["identify"] == {
        "count": 4,
        "total": 5,
        "remaining": 1,
    }
