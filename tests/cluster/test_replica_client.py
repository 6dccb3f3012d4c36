"""Queries share calls, any live replica answers, and no query waits for ever."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import pytest

from cluster.messages import Answer, ShardReply, ShardRequest, ShardState
from cluster.replica_client import CALLS, VIEWS, ReplicaClient
from retrieval.errors import DamagedSnapshot, FungariumError, ShardUnavailable


@dataclass
class Scripted:
    """A replica whose answers a test gives when it wants to."""

    name: str
    node: str = "a machine"
    asked: list[tuple[Sequence[ShardRequest], Future[list[Answer]]]] = field(default_factory=list)

    def ask(self, asks: Sequence[ShardRequest]) -> Future[list[Answer]]:
        answer: Future[list[Answer]] = Future()
        self.asked.append((asks, answer))
        return answer

    def reply(self, call: int = 0) -> None:
        asks, answer = self.asked.pop(call)
        answer.set_result([reply_to(ask, self.name) for ask in asks])

    def fail(self, error: FungariumError | None = None) -> None:
        self.asked.pop(0)[1].set_exception(error or ShardUnavailable(f"{self.name} is gone"))

    def open(self, snapshot: str, placement: str) -> Future[ShardState]:
        raise NotImplementedError

    def release(self, snapshot: str) -> None:
        raise NotImplementedError

    def state(self) -> Future[ShardState]:
        raise NotImplementedError


def make_ask(k: int = 1, views: int = 1) -> ShardRequest:
    return ShardRequest("snapshot", "placement", b"\xff", (), np.zeros((views, 4), np.float32), k)


def reply_to(ask: ShardRequest, by: str) -> ShardReply:
    """A reply that shows who answered what."""
    return ShardReply(np.full((len(ask.views), 1), ord(by), np.float32), np.full((len(ask.views), 1), ask.k))


def answered_by(answer: Future[ShardReply]) -> str:
    return chr(int(answer.result(0).similarities[0, 0]))


@pytest.fixture
def replicas() -> list[Scripted]:
    return [Scripted("a"), Scripted("b")]


@pytest.fixture
def seen() -> list[str]:
    return []


@pytest.fixture
def client(replicas: list[Scripted], seen: list[str]) -> ReplicaClient:
    return ReplicaClient(7, replicas, seen.append)


def asked(replicas: Sequence[Scripted]) -> tuple[Scripted, Scripted]:
    """The replica that has a call, and the other."""
    one, other = replicas
    return (one, other) if one.asked else (other, one)


def test_what_comes_while_calls_are_on_their_way_shares_the_next(seen: list[str]) -> None:
    only = Scripted("a")
    client = ReplicaClient(0, [only], seen.append)

    jobs = [client.submit(make_ask(k)) for k in range(10)]

    assert [len(asks) for asks, _ in only.asked] == [1] * CALLS
    only.reply()
    assert [len(asks) for asks, _ in only.asked] == [1] * (CALLS - 1) + [10 - CALLS]
    while only.asked:
        only.reply()
    assert [int(job.answer.result(0).rows[0, 0]) for job in jobs] == list(range(10))


def test_a_call_has_a_bound() -> None:
    only = Scripted("a")
    client = ReplicaClient(0, [only])
    for _ in range(CALLS):
        client.submit(make_ask())
    for _ in range(5):
        client.submit(make_ask(views=VIEWS // 2))

    only.reply()

    assert [len(asks) for asks, _ in only.asked][-1] == 2


def test_a_failover_is_one_line_with_shard_and_nodes_until_the_replica_answers_again(
    client: ReplicaClient, replicas: list[Scripted], caplog: pytest.LogCaptureFixture
) -> None:
    for replica, node in zip(replicas, ("oak", "elm"), strict=True):
        replica.node = node

    def ask_and_fail(failing: Scripted) -> None:
        job = client.submit(make_ask())
        while not job.answer.done():
            one, _ = asked(replicas)
            one.fail() if one is failing else one.reply()

    failing, other = replicas
    for _ in range(4):
        ask_and_fail(failing)

    (line,) = caplog.records
    assert line.getMessage() == f"searches of shard 7 go to {other.name}: {failing.name} is gone"
    expected = {"shard": 7, "replica": failing.name, "node": "oak", "goesTo": [{"replica": other.name, "node": "elm"}]}
    assert vars(line)["fields"] == expected
    client.welcome(failing)
    for _ in range(4):
        job = client.submit(make_ask())
        asked(replicas)[0].reply()
        assert job.answer.done()
    client.welcome(failing)
    for _ in range(4):
        ask_and_fail(failing)
    assert len(caplog.records) == 2


def test_a_replica_that_gives_no_answer_fails_over_in_one_line_too(caplog: pytest.LogCaptureFixture) -> None:
    only = Scripted("a")
    client = ReplicaClient(7, [only])

    jobs = [client.submit(make_ask()) for _ in range(3)]
    for job in jobs:
        client.give_up(job, 5)

    (line,) = caplog.messages
    assert line == "searches of shard 7 go to none, as no other replica answers: a gave no answer within 5 seconds"


def test_replicas_take_turns(client: ReplicaClient, replicas: list[Scripted]) -> None:
    for _ in range(4):
        client.submit(make_ask())

    assert [len(replica.asked) for replica in replicas] == [2, 2]


def test_where_one_is_lost_the_other_answers(client: ReplicaClient, replicas: list[Scripted], seen: list[str]) -> None:
    job = client.submit(make_ask())
    lost, other = asked(replicas)

    lost.fail()
    other.reply()

    assert answered_by(job.answer) == other.name
    assert seen == ["failed", "answered"]


def test_one_that_failed_is_asked_last_for_a_while(client: ReplicaClient, replicas: list[Scripted]) -> None:
    client.submit(make_ask())
    lost, other = asked(replicas)
    lost.fail()
    other.reply()

    for _ in range(CALLS):
        client.submit(make_ask())

    assert (len(lost.asked), len(other.asked)) == (0, CALLS)


def test_where_all_are_lost_the_last_reason_is_told(client: ReplicaClient, replicas: list[Scripted]) -> None:
    job = client.submit(make_ask())
    first, second = asked(replicas)

    first.fail()
    second.fail(DamagedSnapshot("a file is missing"))

    with pytest.raises(DamagedSnapshot, match="a file is missing"):
        job.answer.result(0)


def test_a_late_one_is_answered_by_the_other(client: ReplicaClient, replicas: list[Scripted], seen: list[str]) -> None:
    job = client.submit(make_ask())
    late, other = asked(replicas)

    client.hedge(job)
    other.reply()
    late.reply()

    assert answered_by(job.answer) == other.name
    assert seen == ["hedged", "answered", "answered"]


def test_there_is_nobody_else_to_ask_of_a_single_replica() -> None:
    only = Scripted("a")
    client = ReplicaClient(0, [only])
    job = client.submit(make_ask())

    client.hedge(job)

    assert len(only.asked) == 1
    assert not job.answer.done()


def test_who_was_given_up_is_asked_nothing_until_it_shows_a_sign_of_life() -> None:
    only = Scripted("a")
    client = ReplicaClient(3, [only])
    job = client.submit(make_ask())

    error = client.give_up(job, 2)
    refused = client.submit(make_ask())

    assert "part 3 of the references (a) gave no answer within 2 seconds" in str(error)
    with pytest.raises(ShardUnavailable, match="cannot be reached"):
        refused.answer.result(0)
    only.reply()  # at last
    again = client.submit(make_ask())
    only.reply()
    assert answered_by(again.answer) == "a"


def test_whoever_looks_after_replicas_may_welcome_one_back() -> None:
    only = Scripted("a")
    client = ReplicaClient(3, [only])
    client.give_up(client.submit(make_ask()), 2)

    client.welcome(only)
    job = client.submit(make_ask())

    assert len(only.asked) == 2  # the first is lost for good
    only.reply(1)
    assert answered_by(job.answer) == "a"


def test_what_nobody_waits_for_is_not_sent() -> None:
    only = Scripted("a")
    client = ReplicaClient(0, [only])
    running = [client.submit(make_ask()) for _ in range(CALLS)]
    waiting = client.submit(make_ask(k=9))

    client.drop(waiting)
    only.reply()

    assert running[0].answer.done()
    assert len(only.asked) == CALLS - 1
