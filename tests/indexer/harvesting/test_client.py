from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from indexer.harvesting.client import ApiClient
from indexer.photos.pacing import Budget, Pace
from retrieval.errors import BudgetSpent, ServiceRefusal, ServiceUnavailable
from tests.indexer.photos.servers import LOOPBACK
from tests.replicas.serving import HTML, Clock, Query, Reply, Site, as_json, busy, site

PAUSE = 0.5


def echo(path: str, query: Query) -> Reply:
    return as_json({"path": path, "query": query}) if path != "/nothing" else as_json({}, 404)


def die(seconds: float) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[Site]:
    with site(echo, clock) as served:
        yield served


def make_client(folder: Path, clock: Clock, *, budget: Budget | None = None, file: Path | None = None) -> ApiClient:
    pace = Pace(PAUSE, file=file, sleep=clock.sleep, clock=clock, wall=clock)
    return ApiClient(folder, guard=LOOPBACK, pace=pace, budget=budget)


def test_what_was_answered_is_not_asked_again_by_a_later_run(server: Site, clock: Clock, tmp_path: Path) -> None:
    with make_client(tmp_path, clock) as client:
        first = client.get(f"{server.address}/a", (("q", "ø"),))
        nothing = client.get(f"{server.address}/nothing")
    with make_client(tmp_path, clock) as client:
        again = client.get(f"{server.address}/a", (("q", "ø"),))
        still_nothing = client.get(f"{server.address}/nothing")

    assert first == again == {"path": "/a", "query": [["q", "ø"]]}
    assert nothing is still_nothing is None
    assert len(server.log) == 2


def test_forgotten_replies_are_asked_again(server: Site, clock: Clock, tmp_path: Path) -> None:
    with make_client(tmp_path, clock) as client:
        for group in ("one", "other"):
            client.get(f"{server.address}/{group}", keep=group)
        client.forget("one")
        for group in ("one", "other"):
            client.get(f"{server.address}/{group}", keep=group)

    assert [asked.path for asked in server.log] == ["/one", "/other", "/one"]


def test_a_host_is_never_asked_earlier_than_its_pace_allows(server: Site, clock: Clock, tmp_path: Path) -> None:
    with make_client(tmp_path, clock) as client:
        for number in range(20):
            client.get(f"{server.address}/{number}")

    times = [asked.at for asked in server.log]
    assert min(later - earlier for earlier, later in pairwise(times)) >= PAUSE


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again_as_late_as_it_wants(
    server: Site, clock: Clock, tmp_path: Path, status: int
) -> None:
    server.faults = [busy(status, "40"), busy(status), None]

    with make_client(tmp_path, clock) as client:
        client.get(f"{server.address}/a")

    first, second, third = (asked.at for asked in server.log)
    assert second - first >= 40
    assert third - second >= 2 * PAUSE  # nothing was asked for: the pause doubles


def test_a_run_that_was_killed_remembers_how_long_a_host_wants_to_be_left_alone(
    server: Site, clock: Clock, tmp_path: Path
) -> None:
    server.faults = [busy(429, "100"), None]
    wishes = tmp_path / "wishes.json"
    killed = Pace(PAUSE, file=wishes, sleep=die, clock=clock, wall=clock)
    with ApiClient(tmp_path, guard=LOOPBACK, pace=killed) as client, pytest.raises(KeyboardInterrupt):
        client.get(f"{server.address}/a")

    with make_client(tmp_path, clock, file=wishes) as client:
        client.get(f"{server.address}/a")

    first, second = (asked.at for asked in server.log)
    assert second - first >= 100


def test_a_service_that_asks_for_an_hour_ends_the_run_and_is_left_alone(
    server: Site, clock: Clock, tmp_path: Path
) -> None:
    server.faults = [busy(429, "3600")]

    with make_client(tmp_path, clock, file=tmp_path / "wishes.json") as client, pytest.raises(ServiceUnavailable):
        client.get(f"{server.address}/a")
    with (
        make_client(tmp_path, clock, file=tmp_path / "wishes.json") as client,
        pytest.raises(ServiceUnavailable, match="left alone"),
    ):
        client.get(f"{server.address}/b")

    assert len(server.log) == 1


def test_a_host_has_so_many_requests_a_day_and_no_more_whatever_runs_they_come_from(
    server: Site, clock: Clock, tmp_path: Path
) -> None:
    def ask(number: int) -> None:
        daily = {server.address.removeprefix("http://"): 5}
        pace = Pace(PAUSE, daily=daily, file=tmp_path / "wishes.json", sleep=clock.sleep, clock=clock, wall=clock)
        with ApiClient(tmp_path, guard=LOOPBACK, pace=pace) as client:
            client.get(f"{server.address}/{number}")

    for number in range(5):
        ask(number)
    with pytest.raises(ServiceUnavailable, match="at most 5 requests a day"):
        ask(5)
    clock.now += 86_400
    ask(5)

    assert [asked.path for asked in server.log] == ["/0", "/1", "/2", "/3", "/4", "/5"]


@pytest.mark.parametrize("fault", [HTML, Reply(200, b'{"results": [', claims=999), Reply(200, b'{"cut": ')])
def test_what_is_no_json_is_asked_for_again(server: Site, clock: Clock, tmp_path: Path, fault: Reply) -> None:
    server.faults = [fault, None]

    with make_client(tmp_path, clock) as client:
        assert client.get(f"{server.address}/a")["path"] == "/a"

    assert len(server.log) == 2


def test_a_service_that_only_sends_pages_is_given_up_with_a_sentence(
    server: Site, clock: Clock, tmp_path: Path
) -> None:
    server.faults = [HTML] * 20

    with make_client(tmp_path, clock) as client, pytest.raises(ServiceUnavailable, match="text/html that is no JSON"):
        client.get(f"{server.address}/a")

    assert len(server.log) == 6


def test_a_refused_request_is_not_repeated(server: Site, clock: Clock, tmp_path: Path) -> None:
    server.faults = [as_json({"message": "Max offset exceeded"}, 400)]

    with make_client(tmp_path, clock) as client, pytest.raises(ServiceRefusal, match="400"):
        client.get(f"{server.address}/a")

    assert len(server.log) == 1


def test_no_more_requests_are_sent_than_the_budget_has(server: Site, clock: Clock, tmp_path: Path) -> None:
    with make_client(tmp_path, clock, budget=Budget(requests=3)) as client:
        for number in range(3):
            client.get(f"{server.address}/{number}")
        with pytest.raises(BudgetSpent):
            client.get(f"{server.address}/3")

    assert len(server.log) == 3


@pytest.mark.parametrize("spare", [0, -1], ids=["enough", "a byte short"])
def test_the_budget_of_bytes_is_kept_to_the_byte(server: Site, clock: Clock, tmp_path: Path, spare: int) -> None:
    whole = sum(len(echo(f"/{number}", []).body) for number in range(5))
    budget = Budget(byte_count=whole + spare)

    with make_client(tmp_path, clock, budget=budget) as client:
        for number in range(4):
            client.get(f"{server.address}/{number}")
        if spare:
            with pytest.raises(BudgetSpent):
                client.get(f"{server.address}/4")
        else:
            client.get(f"{server.address}/4")

    assert budget.byte_count == whole - (len(echo("/4", []).body) if spare else 0)


def test_bytes_are_counted_as_they_are_sent(clock: Clock, tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps({"long": "a" * 100_000}).encode())
    reply = Reply(200, packed, headers={"Content-Encoding": "gzip"}, claims=-1)
    budget = Budget(byte_count=10_000)

    with site(lambda path, query: reply, clock) as served, make_client(tmp_path, clock, budget=budget) as client:
        client.get(f"{served.address}/a")

    assert budget.byte_count == len(packed)


@pytest.mark.parametrize("left", [1, 10, 1000, 50_000])
def test_a_reply_of_unknown_length_never_exceeds_the_budget(clock: Clock, tmp_path: Path, left: int) -> None:
    body = json.dumps({"long": [number**7 for number in range(20_000)]}).encode()
    budget = Budget(byte_count=left)

    with (
        site(lambda path, query: Reply(200, body, claims=-1), clock) as served,
        make_client(tmp_path, clock, budget=budget) as client,
        pytest.raises(BudgetSpent),
    ):
        client.get(f"{served.address}/a")

    assert budget.byte_count <= left


def test_a_redirect_is_a_request_with_a_pace_of_its_own(server: Site, clock: Clock, tmp_path: Path) -> None:
    server.faults = [Reply(302, headers={"Location": f"{server.address}/moved"}), None]
    budget = Budget()

    with make_client(tmp_path, clock, budget=budget) as client:
        assert client.get(f"{server.address}/a")["path"] == "/moved"

    first, second = (asked.at for asked in server.log)
    assert second - first >= PAUSE
    assert budget.requests == 2
