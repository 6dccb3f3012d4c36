"""Keys and quotas as the contracts tell them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.web.contracts.conftest import images, multipart
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
    today = client.get(f"/v2/quota/daily?api-key={key}").get_json()[0]["quota"]["identify"]
    history = client.get(f"/v2/quota/history?year=2026&api-key={key}").get_json()
    assert today == {"count": 2, "total": 2, "remaining": 0}
    assert history == [{"day": "2026-05-17", "quota": {"identify": {"count": 2}}}]


def test_a_rejected_question_costs_nothing_that_was_never_answered(server: Server) -> None:
    key = server.key("olga", "identify", daily_quota=2)["X-API-Key"]
    client = server.visitor()

    client.post(f"/v2/identify/k-atlantis?api-key={key}", **multipart(images()))
    client.post(f"/v2/identify/all?api-key={key}", **multipart([]))

    assert client.get(f"/v2/quota?api-key={key}").get_json()[0]["quota"]["identify"]["count"] == 0


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
