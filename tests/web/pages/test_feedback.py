"""“Was this right?”: an anonymous count for each answer, and an identification for an observation of one's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

import web.pages.feedback
from database.field.models import AnswerFeedback
from database.session import open_database, upgrade
from database.taxonomy.taxa import TaxonEntry, TaxonRegister
from tests.snapshots import MUSCARIA, Made, draw_photo
from tests.web.conftest import encode_photos
from tests.web.people import Server, close, serve
from web.inference.answer_tokens import read_answer_token

FIND = [draw_photo(MUSCARIA, 7)]
Say = Callable[..., TestResponse]


@pytest.fixture(scope="module")
def server(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests; each counts what it added itself."""
    folder = tmp_path_factory.mktemp("feedback")
    url = f"sqlite:///{folder / 'database.sqlite'}"
    upgrade(url)
    with open_database(url) as database:
        running = serve(database, made.root, photos_at=folder / "photos")
        yield running
        close(running)


@pytest.fixture
def visitor(server: Server) -> FlaskClient:
    return server.visitor()


def identify(client: FlaskClient, **form: str) -> TestResponse:
    return client.post("/", **encode_photos(FIND, **form), follow_redirects=True)


def token_in(page: TestResponse) -> str:
    found = re.search(r'name="answer" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def rows(server: Server) -> list[AnswerFeedback]:
    with server.database.reading() as session:
        return list(session.scalars(select(AnswerFeedback)))


def row_of(server: Server, before: list[AnswerFeedback]) -> AnswerFeedback:
    """The only row that was not there before."""
    known = {row.digest for row in before}
    (new,) = [row for row in rows(server) if row.digest not in known]
    return new


@pytest.mark.parametrize(
    ("form", "verdict", "rank"),
    [
        ({"verdict": "yes"}, "yes", 1),
        ({"verdict": "yes", "rank": ""}, "yes", 1),  # the browser sends the empty choice too
        ({"verdict": "no"}, "no", None),
        ({"verdict": "unknown"}, "unknown", None),
        ({"verdict": "other", "rank": "2"}, "other", 2),
        ({"verdict": "other", "rank": "0"}, "other", 0),
    ],
)
def test_every_answer_can_be_judged_without_a_script(
    server: Server, visitor: FlaskClient, form: dict[str, str], verdict: str, rank: int | None
) -> None:
    before = rows(server)
    token = token_in(identify(visitor, flora="north"))

    thanks = visitor.post("/feedback", data={"answer": token, **form})

    row = row_of(server, before)
    with server.app.app_context():
        score = read_answer_token(token).score
    assert thanks.status_code == 200
    assert "Thank you" in thanks.text
    assert (row.flora, row.verdict, row.right_rank) == ("north", verdict, rank)
    assert row.score_band == (None if score is None else min(9, int(score * 10)))


def test_an_answer_counts_once_however_often_it_is_sent(server: Server, visitor: FlaskClient) -> None:
    before = rows(server)
    form = {"answer": token_in(identify(visitor)), "verdict": "yes"}

    statuses = [visitor.post("/feedback", data=form).status_code for _ in range(3)]

    assert statuses == [200, 200, 200]
    assert row_of(server, before).verdict == "yes"


def test_two_answers_to_the_same_photos_count_apart(server: Server, visitor: FlaskClient) -> None:
    before = len(rows(server))

    for _ in range(2):
        visitor.post("/feedback", data={"answer": token_in(identify(visitor)), "verdict": "no"})

    assert len(rows(server)) == before + 2


@pytest.mark.parametrize(
    "change",
    [
        {"answer": ""},
        {"answer": "x" * 5000},
        {"answer": "WyJhIl0.xyz.abc"},
        {"verdict": "maybe"},
        {"verdict": ""},
        {"verdict": "other"},
        {"verdict": "other", "rank": ""},
        {"verdict": "other", "rank": "1"},
        {"verdict": "other", "rank": "99"},
        {"verdict": "other", "rank": "-1"},
        {"verdict": "other", "rank": "²"},
    ],
)
def test_what_cannot_be_counted_is_refused_and_not_counted(
    server: Server, visitor: FlaskClient, change: dict[str, str]
) -> None:
    before = len(rows(server))
    token = token_in(identify(visitor))

    answer = visitor.post("/feedback", data={"answer": token, "verdict": "yes", **change})

    assert 400 <= answer.status_code < 500
    assert len(rows(server)) == before


def test_an_address_may_judge_so_many_answers_a_day(
    server: Server, visitor: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = token_in(identify(visitor))
    monkeypatch.setattr(web.pages.feedback, "FEEDBACK_A_DAY", 2)
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}

    statuses = [
        visitor.post("/feedback", data={"answer": token, "verdict": "yes"}, environ_base=elsewhere).status_code
        for _ in range(3)
    ]

    assert statuses == [200, 200, 429]
    assert "192.0.2.7" not in str([vars(row) for row in rows(server)])


def test_a_script_receives_the_thanks_alone(visitor: FlaskClient) -> None:
    form = {"answer": token_in(identify(visitor)), "verdict": "yes"}

    thanks = visitor.post("/feedback", data=form, headers={"X-Fragment": "yes", "Accept-Language": "de"})

    assert thanks.text.strip().startswith("<p")
    assert "Danke" in thanks.text


def test_the_owner_of_an_observation_answers_with_an_identification(server: Server) -> None:
    olga, before = server.signed_in("olga"), len(rows(server))
    recorded = olga.client.post("/api/v1/observations", **encode_photos(FIND), headers=olga.token).get_json()
    page = f"/observations/{recorded['id']}"
    shown = olga.client.get(page).text
    name = re.search(r'name="scientificName" value="(\w+ \w+)"', shown)
    assert "Was this right?" in shown
    assert name is not None
    with server.database.writing() as session:
        TaxonRegister().file(session, TaxonEntry(name[1]))

    form = {"act": "propose", "certainty": "probable", "scientificName": name[1]}
    olga.client.post(f"{page}/verdicts", data=form, headers=olga.token)

    after = olga.client.get(f"/api/v1{page}").get_json()
    assert after["taxon"]["scientificName"] == name[1]
    assert "Was this right?" not in olga.client.get(page).text
    assert "Was this right?" not in server.signed_in("omar").client.get(page).text
    assert len(rows(server)) == before
