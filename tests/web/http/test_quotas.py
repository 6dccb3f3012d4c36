"""Quotas behave the same in memory and in Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest

from retrieval.errors import SettingsError
from tests.web.http.redis import RedisServer, redis
from tests.web.people import NOON
from web.http.quotas import Counts, Throttle

__all__ = ["redis"]


@pytest.fixture(params=["memory", "redis"])
def storage(request: pytest.FixtureRequest) -> str:
    """The address of each kind of store."""
    if request.param == "memory":
        return "memory://"
    server: RedisServer = request.getfixturevalue("redis")
    return server.address


@pytest.fixture
def count(storage: str) -> Iterator[Callable[[], Counts]]:
    """What another worker would count with."""
    made: list[Counts] = []

    def make() -> Counts:
        made.append(Counts(storage, now=lambda: NOON))
        return made[-1]

    yield make
    for counts in made:
        counts.close()


def test_no_more_is_spent_than_there_is_however_many_ask_at_once(count: Callable[[], Counts]) -> None:
    counts = count()

    with ThreadPoolExecutor(8) as pool:
        spent = list(pool.map(lambda _: counts.spend("person:1", "identify", 25), range(100)))

    assert sum(quota is not None for quota in spent) <= 25
    assert counts.left("person:1", "identify", 25).remaining == 25 - sum(quota is not None for quota in spent)


def test_what_would_be_too_much_leaves_the_day_as_it_was(count: Callable[[], Counts]) -> None:
    counts = count()
    counts.spend("person:1", "identify", 10, amount=8)

    assert counts.spend("person:1", "identify", 10, amount=3) is None
    assert counts.left("person:1", "identify", 10).remaining == 2
    counts.give_back("person:1", "identify", amount=8)
    assert counts.left("person:1", "identify", 10).remaining == 10


def test_one_persons_day_is_not_anothers(count: Callable[[], Counts]) -> None:
    counts = count()
    counts.spend("person:1", "identify", 1)

    assert counts.spend("person:2", "identify", 1) is not None
    assert counts.spend("person:11", "identify", 1) is not None


def test_attempts_are_counted_and_those_that_were_right_taken_back(count: Callable[[], Counts]) -> None:
    counts, few = count(), Throttle(2, 15)

    for _ in range(5):
        assert counts.attempt("olga", few)
        counts.forgive("olga", few)
    assert [counts.attempt("olga", few) for _ in range(3)] == [True, True, False]
    assert counts.attempt("omar", few)


def test_attempts_are_allowed_again_when_their_time_is_over() -> None:
    now = [NOON]
    counts = Counts(now=lambda: now[0])
    assert [counts.attempt("olga", Throttle(1, 15)) for _ in range(2)] == [True, False]

    now[0] += timedelta(minutes=15)

    assert counts.attempt("olga", Throttle(1, 15))


def test_of_many_attempts_at_once_no_more_pass_than_one_after_another(count: Callable[[], Counts]) -> None:
    counts = count()
    with ThreadPoolExecutor(8) as pool:
        passed = list(pool.map(lambda _: counts.attempt("olga", Throttle(10, 15)), range(100)))

    assert sum(passed) == 10


def test_workers_count_together_in_redis(redis: RedisServer) -> None:
    with (
        closing(Counts(redis.address, now=lambda: NOON)) as one,
        closing(Counts(redis.address, now=lambda: NOON)) as other,
    ):
        one.spend("person:1", "identify", 3, amount=2)

        assert other.spend("person:1", "identify", 3, amount=2) is None
        assert other.spend("person:1", "identify", 3) is not None


def test_while_redis_is_away_each_counts_for_itself_and_nobody_is_refused(redis: RedisServer) -> None:
    counts = Counts(redis.address, now=lambda: NOON)
    counts.spend("person:1", "identify", 3)
    redis.stop()

    away = counts.spend("person:1", "identify", 3)
    attempt = counts.attempt("olga", Throttle(2, 15))
    redis.start()
    back = counts.spend("person:1", "identify", 3)
    counts.close()

    assert away is not None
    assert attempt
    assert back is not None


def test_an_address_that_leads_nowhere_is_refused_without_its_password() -> None:
    with pytest.raises(SettingsError, match="FUNGARIUM_LIMITS cannot be") as refusal:
        Counts("rodis://me:secret@host/0").spend("person:1", "identify", 1)

    assert "secret" not in str(refusal.value)
