from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from indexer.photos.fetching import USER_AGENT, Fetcher, read_retry_after
from indexer.photos.finding import FoundPhoto, PhotoStore, open_photo
from indexer.photos.pacing import Pace
from indexer.records import ArchiveSource, Record, RejectedRecord
from tests.indexer.archives.samples import photo_bytes
from tests.indexer.photos.servers import LOOPBACK, Answer, PhotoServer, photo_server
from tests.replicas.serving import Clock


@pytest.fixture
def server() -> Iterator[PhotoServer]:
    with photo_server() as served:
        yield served


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> PhotoStore:
    return PhotoStore(tmp_path / "photos")


@pytest.fixture
def fetcher(store: PhotoStore, clock: Clock) -> Iterator[Fetcher]:
    pace = Pace(1.0, sleep=clock.sleep, clock=clock)
    with Fetcher(store, guard=LOOPBACK, attempts=3, largest=20_000, pace=pace) as fetches:
        yield fetches


def rejected(outcome: str | RejectedRecord) -> RejectedRecord:
    assert isinstance(outcome, RejectedRecord), outcome
    return outcome


def fetched(outcome: str | RejectedRecord) -> str:
    assert isinstance(outcome, str), outcome
    return outcome


def test_a_photo_is_fetched_once_and_then_remembered(
    server: PhotoServer, fetcher: Fetcher, store: PhotoStore, tmp_path: Path
) -> None:
    server.answers["/a.jpg"] = [Answer(body=photo_bytes())]

    first = fetched(fetcher.fetch(f"{server.address}/a.jpg"))
    again = fetcher.fetch(f"{server.address}/a.jpg")
    with Fetcher(PhotoStore(store.folder), guard=LOOPBACK) as other:
        later = other.fetch(f"{server.address}/a.jpg")

    assert first == again == later
    assert store.path(first).read_bytes() == photo_bytes()
    assert server.asked == ["/a.jpg"]
    assert server.agents == {USER_AGENT}


def test_one_host_is_not_asked_twice_within_the_delay(server: PhotoServer, fetcher: Fetcher, clock: Clock) -> None:
    for name in "abc":
        server.answers[f"/{name}.jpg"] = [Answer(body=photo_bytes((ord(name), 0, 0)))]

    for name in "abc":
        fetcher.fetch(f"{server.address}/{name}.jpg")

    assert clock.slept == [1.0, 1.0]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again_as_late_as_it_wants(
    server: PhotoServer, fetcher: Fetcher, clock: Clock, status: int
) -> None:
    server.answers["/a.jpg"] = [
        Answer(status, headers={"Retry-After": "7"}),
        Answer(status),
        Answer(body=photo_bytes()),
    ]

    outcome = fetcher.fetch(f"{server.address}/a.jpg")

    assert isinstance(outcome, str)
    assert clock.slept == [7.0, 2.0]  # what it asked for, then twice the delay


def test_a_server_that_stays_busy_is_given_up(server: PhotoServer, fetcher: Fetcher) -> None:
    server.answers["/a.jpg"] = [Answer(503)]

    outcome = fetcher.fetch(f"{server.address}/a.jpg")

    assert rejected(outcome).reason == "unreachable"
    assert "503" in rejected(outcome).detail
    assert len(server.asked) == 3


def test_a_server_that_wants_an_hour_is_left_alone(server: PhotoServer, fetcher: Fetcher, clock: Clock) -> None:
    server.answers["/a.jpg"] = [Answer(429, headers={"Retry-After": "3600"})]

    assert rejected(fetcher.fetch(f"{server.address}/a.jpg")).reason == "unreachable"
    assert (len(server.asked), clock.slept) == (1, [])


def test_a_server_that_delivers_nothing_is_not_asked_for_every_photo(server: PhotoServer, fetcher: Fetcher) -> None:
    for number in range(20):
        server.answers[f"/{number}.jpg"] = [Answer(503)]
    server.answers["/20.jpg"] = [Answer(body=photo_bytes())]

    reasons = [rejected(fetcher.fetch(f"{server.address}/{number}.jpg")).reason for number in range(20)]

    assert reasons == ["unreachable"] * 20
    assert len(server.asked) == 5 * 3  # attempts for five photos
    assert "not asked again in this run" in rejected(fetcher.fetch(f"{server.address}/20.jpg")).detail


def test_one_photo_that_does_not_come_counts_for_nothing_after_one_that_came(
    server: PhotoServer, fetcher: Fetcher
) -> None:
    for number in range(20):
        server.answers[f"/{number}.jpg"] = [Answer(503) if number % 2 else Answer(body=photo_bytes((number, 0, 0)))]

    outcomes = [fetcher.fetch(f"{server.address}/{number}.jpg") for number in range(20)]

    assert sum(isinstance(one, str) for one in outcomes) == 10


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(404), "unreachable"),
        (Answer(403), "unreachable"),
        (Answer(body=b"<html>no</html>", headers={"Content-Type": "text/html; charset=utf-8"}), "not-an-image"),
        (Answer(body=b"<html>no</html>", headers={"Content-Type": "image/jpeg"}), "not-an-image"),
        (Answer(body=photo_bytes(), claims=30_000), "too-large"),
        (Answer(body=bytes(30_000), claims=-1), "too-large"),
        (Answer(body=photo_bytes()[:-20]), "unreadable"),
        (Answer(301, headers={"Location": "file:///etc/passwd"}), "unreachable"),
        (Answer(301, headers={"Location": "/a.jpg"}), "unreachable"),
    ],
)  # fmt: skip
def test_what_is_no_photo_is_left_out_at_the_first_answer(
    server: PhotoServer, fetcher: Fetcher, store: PhotoStore, answer: Answer, expected: str
) -> None:
    server.answers["/a.jpg"] = [answer]

    outcome = fetcher.fetch(f"{server.address}/a.jpg")

    assert rejected(outcome).reason == expected
    assert not store.folder.exists()
    assert len(set(server.asked)) == 1
    assert len(server.asked) == 1 or answer.headers.get("Location") == "/a.jpg"


def test_a_download_that_breaks_off_is_begun_anew(server: PhotoServer, fetcher: Fetcher) -> None:
    photo = photo_bytes()
    server.answers["/a.jpg"] = [Answer(body=photo[:100], claims=len(photo)), Answer(body=photo)]

    assert isinstance(fetcher.fetch(f"{server.address}/a.jpg"), str)
    assert len(server.asked) == 2


def test_a_photo_that_does_not_come_in_time_is_given_up(server: PhotoServer, store: PhotoStore, clock: Clock) -> None:
    server.answers["/a.jpg"] = [Answer(body=photo_bytes())]

    with Fetcher(store, guard=LOOPBACK, attempts=1, patience=-1, pace=Pace(sleep=clock.sleep)) as fetcher:
        outcome = fetcher.fetch(f"{server.address}/a.jpg")

    assert rejected(outcome).reason == "unreachable"
    assert "did not come within" in rejected(outcome).detail


def test_no_server_at_all_is_unreachable(fetcher: Fetcher) -> None:
    with photo_server() as gone:
        address = gone.address

    assert rejected(fetcher.fetch(f"{address}/a.jpg")).reason == "unreachable"
    assert rejected(fetcher.fetch("ftp://photos.example/a.jpg")).reason == "bad-address"


def test_the_photo_of_a_record_is_fetched_into_the_store(
    server: PhotoServer, fetcher: Fetcher, store: PhotoStore, tmp_path: Path
) -> None:
    server.answers["/a.jpg"] = [Answer(body=photo_bytes())]
    source = ArchiveSource("csv", tmp_path / "photos.csv")

    found = open_photo(Record(f"{server.address}/a.jpg", file="photos.csv", line=2), source, store, fetcher)
    missing = open_photo(Record(f"{server.address}/b.jpg", file="photos.csv", line=3), source, store, fetcher)

    assert isinstance(found, FoundPhoto)
    assert found.location == f"store:{found.facts.sha256}"
    assert isinstance(missing, RejectedRecord)
    assert (missing.reason, missing.line) == ("unreachable", 3)


def test_a_server_may_ask_to_wait_in_seconds_or_until_a_date() -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)

    assert read_retry_after("12") == 12.0
    assert 50 < read_retry_after(in_a_minute) <= 60
    assert read_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert read_retry_after("soon") == read_retry_after("") == 0.0
