from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from database.accounts.api_keys import MARK, find_key, issue_key
from database.accounts.models import ApiKey, Person, Use
from database.accounts.people import person_by_login
from database.collection.uses import used_on
from database.session import Database
from retrieval.errors import SettingsError
from tests.snapshots import MUSCARIA, draw_photo
from tests.web.conftest import encode_photos
from tests.web.people import NOON, PASSWORD, PEOPLE, Server
from web.http.quotas import Counts
from web.http.secret import read_secret
from web.services import Policy

FIND = [draw_photo(MUSCARIA, 7)]


@pytest.fixture
def system() -> str:
    """One is enough here: what differs between the two is tested in tests/database."""
    return "sqlite"


def sign_in(server: Server, login: str, password: str = PASSWORD, address: str = "192.0.2.1") -> int:
    answer = server.visitor().post(
        "/api/v1/session", json={"login": login, "password": password}, environ_overrides={"REMOTE_ADDR": address}
    )
    return answer.status_code


def test_a_key_is_kept_as_a_digest_and_found_by_it(database: Database, server: Server) -> None:
    with database.writing() as session:
        key, entry = issue_key(session, server.ids["olga"], ["read", "identify"], label="phone")

    with database.reading() as session:
        kept = session.get_one(ApiKey, entry.id)
        found = find_key(session, key)

    assert key.startswith(MARK)
    assert len(key) > len(MARK) + 40
    assert key not in str(vars(kept))
    assert found is not None
    assert (found[0].scopes, found[1].login) == (("identify", "read"), "olga")


@pytest.mark.parametrize("where", ["bearer", "header", "query", "raw"])
def test_a_key_is_taken_from_wherever_clients_put_it(server: Server, where: str) -> None:
    key = server.key("olga", "read")["X-API-Key"]
    headers = {
        "bearer": {"Authorization": f"bearer {key}"},
        "header": {"X-API-Key": key},
        "query": {},
        "raw": {"Authorization": key},
    }

    answer = server.visitor().get(
        "/api/v1/session", query_string={"api-key": key} if where == "query" else {}, headers=headers[where]
    )

    assert answer.get_json()["person"]["login"] == "olga"
    assert answer.get_json()["scopes"] == ["read"]


def test_a_revoked_or_expired_key_and_one_of_somebody_shut_out_open_nothing(server: Server) -> None:
    ada = server.signed_in("ada")
    revoked, left = server.key("olga"), server.key("omar")
    expired = server.key("erna", expires=datetime(2020, 1, 1))  # noqa: DTZ001 - as the tables keep times
    keys = server.signed_in("olga").client.get("/api/v1/keys").get_json()["keys"]

    assert ada.client.delete(f"/api/v1/keys/{keys[0]['id']}", headers=ada.token).status_code == 204
    shut = ada.client.patch(f"/api/v1/people/{server.ids['omar']}", json={"active": False}, headers=ada.token)

    assert shut.status_code == 200
    for headers in (revoked, left, expired):
        assert server.visitor().get("/api/v1/quota", headers=headers).status_code == 401
        assert server.visitor().post("/api/v1/identify", headers=headers).status_code == 401


def test_a_key_loses_what_its_person_loses(server: Server) -> None:
    headers = server.key("ada")
    with server.database.writing() as session:
        session.get_one(Person, server.ids["ada"]).role = "observer"

    assert server.visitor().get("/api/v1/people", headers=headers).status_code == 403


def test_an_observer_can_neither_see_nor_revoke_anothers_key(server: Server) -> None:
    key = server.key("omar")
    omars = server.signed_in("omar").client.get("/api/v1/keys").get_json()["keys"][0]["id"]
    olga = server.signed_in("olga")

    assert olga.client.get("/api/v1/keys").get_json()["keys"] == []
    assert olga.client.delete(f"/api/v1/keys/{omars}", headers=olga.token).status_code == 404
    assert server.visitor().get("/api/v1/quota", headers=key).status_code == 200


def test_a_key_is_shown_once(server: Server) -> None:
    olga = server.signed_in("olga")

    issued = olga.client.post("/api/v1/keys", json={"scopes": ["read"], "days": 3}, headers=olga.token).get_json()
    listed = olga.client.get("/api/v1/keys").get_json()["keys"]

    assert issued.pop("key").startswith(issued["prefix"])
    assert listed == [issued]


def test_nobody_gets_a_key_for_more_than_their_role(server: Server) -> None:
    olga = server.signed_in("olga")

    answer = olga.client.post("/api/v1/keys", json={"scopes": ["administer"]}, headers=olga.token)

    assert answer.status_code == 422
    assert answer.get_json()["type"] == "/api/v1/docs#impossible-account"


@pytest.mark.parametrize("route", ["PATCH /api/v1/session/person", "POST /api/v1/keys", "DELETE /api/v1/session"])
def test_a_session_changes_nothing_without_its_token(server: Server, route: str) -> None:
    method, path = route.split()
    client = server.signed_in("olga").client

    forged = client.open(path, method=method, json={"name": "Mallory", "scopes": ["read"]})

    assert forged.status_code == 400
    assert "CSRF" in forged.get_json()["detail"]
    assert client.get("/api/v1/session").get_json()["person"]["name"] == "Olga"


@pytest.mark.parametrize("end", ["API", "page", "password", "90 days"])
def test_a_copied_cookie_is_worth_nothing_once_its_session_has_ended(server: Server, end: str) -> None:
    olga, other, thief = server.signed_in("olga"), server.signed_in("olga"), server.visitor()
    cookie = olga.client.get_cookie("session")
    assert cookie is not None
    thief.set_cookie("session", cookie.value)
    assert thief.get("/api/v1/session").get_json()["by"] == "session"

    if end == "API":
        assert olga.client.delete("/api/v1/session", headers=olga.token).status_code == 204
    elif end == "page":
        assert olga.client.post("/sign-out", data={"csrf_token": olga.token["X-CSRFToken"]}).status_code == 303
    elif end == "password":
        words = {"current": PASSWORD, "password": "another sentence for tests"}
        assert olga.client.put("/api/v1/session/password", json=words, headers=olga.token).status_code == 200
    else:
        with thief.session_transaction() as session:
            session["since"] -= 90 * 86_400

    assert thief.get("/api/v1/session").get_json()["by"] == "nobody"
    assert thief.get("/me").status_code == 401
    thief.get("/api/v1/")  # does not bring it back
    assert thief.get("/api/v1/session").get_json()["by"] == "nobody"
    assert other.client.get("/api/v1/session").get_json()["by"] == ("nobody" if end == "password" else "session")


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(start: Callable[..., Server]) -> None:
    answer = (
        start(policy=Policy(https=True)).visitor().post("/api/v1/session", json={"login": "olga", "password": PASSWORD})
    )

    cookie = answer.headers["Set-Cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=Lax", "Secure", "Expires"))


def test_an_unknown_login_and_a_wrong_password_are_refused_alike(server: Server) -> None:
    post = server.visitor().post

    answers = [
        post("/api/v1/session", json={"login": login, "password": "not the right sentence"})
        for login in ("olga", "nobody-of-that-name")
    ]

    assert answers[0].status_code == answers[1].status_code == 401
    assert answers[0].get_json() == answers[1].get_json()
    assert "Set-Cookie" not in answers[0].headers


def test_guessing_is_stopped_and_others_still_get_in(server: Server) -> None:
    guesses = [sign_in(server, "olga", f"wrong guess {number}") for number in range(11)]

    assert guesses == [401] * 10 + [429]
    assert sign_in(server, "olga") == 429
    assert sign_in(server, "omar") == 200
    assert sign_in(server, "olga", address="192.0.2.9") == 200


def test_of_many_guesses_at_once_no_more_are_tried_than_one_after_another(server: Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: sign_in(server, "olga", f"guess number {number}"), range(40)))

    assert Counter(answers) == {401: 10, 429: 30}


@pytest.mark.parametrize(("scheme", "is_secure"), [("https", True), ("http", False)])
def test_the_cookie_of_a_visitor_by_https_never_travels_otherwise(server: Server, scheme: str, is_secure: bool) -> None:
    answer = server.visitor().post(
        "/api/v1/session", json={"login": "olga", "password": PASSWORD}, base_url=f"{scheme}://fungi.example"
    )

    assert answer.status_code == 200
    assert ("Secure" in answer.headers["Set-Cookie"]) == is_secure


def test_a_new_password_ends_the_other_sessions(server: Server) -> None:
    here, there = server.signed_in("olga"), server.signed_in("olga")
    new = {"current": PASSWORD, "password": "another sentence for tests"}

    answer = here.client.put("/api/v1/session/password", json=new, headers=here.token)

    assert answer.get_json()["by"] == "session"
    assert here.client.get("/api/v1/session").get_json()["by"] == "session"
    assert there.client.get("/api/v1/session").get_json()["by"] == "nobody"
    assert (sign_in(server, "olga"), sign_in(server, "olga", new["password"])) == (401, 200)


def test_signing_out_everywhere_ends_every_session(server: Server) -> None:
    here, there = server.signed_in("olga"), server.signed_in("olga")

    assert here.client.delete("/api/v1/session?everywhere=true", headers=here.token).status_code == 204

    assert there.client.get("/api/v1/session").get_json()["by"] == "nobody"


def test_the_last_administrator_stays(server: Server) -> None:
    ada = server.signed_in("ada")

    answer = ada.client.patch(f"/api/v1/people/{server.ids['ada']}", json={"role": "expert"}, headers=ada.token)

    assert answer.status_code == 422
    assert "last administrator" in answer.get_json()["detail"]


def test_a_short_password_is_refused_and_an_old_hash_renewed(server: Server) -> None:
    assert sign_in(server, "ada") == 200
    ada = server.signed_in("ada")

    short = ada.client.post("/api/v1/people", json={"login": "new", "password": "short"}, headers=ada.token)

    with server.database.reading() as session:
        renewed = session.get_one(Person, server.ids["ada"]).password_hash
        old = session.get_one(Person, server.ids["olga"]).password_hash
    assert short.status_code == 422
    assert "m=65536" in renewed
    assert "m=8," in old


def test_the_answer_says_what_is_left_and_the_last_one_is_the_last(start: Callable[..., Server]) -> None:
    server = start(policy=Policy(daily_quota=2))
    headers = server.key("olga")

    answers = [server.visitor().post("/api/v1/identify", headers=headers, **encode_photos(FIND)) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    policy, limit = answers[0].headers["RateLimit-Policy"], answers[0].headers["RateLimit"]
    assert policy.startswith('"dailyQuota";q=2;w=86400;pk=:')
    assert limit.startswith('"dailyQuota";r=1;t=43200;pk=:')
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[2].headers["Retry-After"] == "43200"
    assert server.visitor().post("/api/v1/identify", **encode_photos(FIND)).status_code == 200  # open to anybody else


def test_all_keys_of_a_person_share_a_day_and_one_may_have_less(start: Callable[..., Server]) -> None:
    server = start(policy=Policy(daily_quota=3))
    small, other = server.key("olga", daily_quota=1), server.key("olga", label="other")

    def ask(headers: dict[str, str]) -> int:
        return server.visitor().post("/api/v1/identify", headers=headers, **encode_photos(FIND)).status_code

    assert [ask(small), ask(small), ask(other), ask(other), ask(other)] == [200, 429, 200, 200, 429]


def test_what_is_spent_on_a_failure_of_the_server_is_given_back(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(root=tmp_path)  # nothing is published there
    headers = server.key("olga")

    failed = server.visitor().post("/api/v1/identify", headers=headers, **encode_photos(FIND))

    assert failed.status_code == 503
    assert server.visitor().get("/api/v1/quota", headers=headers).get_json()["remaining"] == 500


def test_the_day_ends_at_midnight_utc_and_is_remembered(database: Database) -> None:
    moment = [datetime(2026, 5, 17, 23, 59, 30, tzinfo=UTC)]
    counts = Counts(database=lambda: database, now=lambda: moment[0])

    first = counts.spend("person:1", "identify", 1)
    refused = counts.spend("person:1", "identify", 1)
    moment[0] += timedelta(minutes=1)
    second = counts.spend("person:1", "identify", 1)
    counts.close()

    assert first is not None
    assert (first.remaining, first.reset_seconds) == (0, 30)
    assert refused is None
    assert second is not None
    days = counts.history("person:1", date(2026, 5, 1), date(2026, 5, 31))
    assert days == [(date(2026, 5, 17), "identify", 1), (date(2026, 5, 18), "identify", 1)]


def test_a_restart_forgets_no_use(database: Database) -> None:
    before = Counts(database=lambda: database, now=lambda: NOON)
    before.spend("person:1", "identify", 5, amount=3)
    before.close()

    after = Counts(database=lambda: database, now=lambda: NOON)

    assert after.left("person:1", "identify", 5).remaining == 2
    assert after.spend("person:1", "identify", 5, amount=3) is None
    assert after.spend("person:1", "identify", 5, amount=2) is not None
    after.close()
    with database.reading() as session:
        assert used_on(session, "person:1", NOON.date(), "identify") == 5


def test_workers_without_redis_agree_as_soon_as_they_have_written(database: Database) -> None:
    one, other = (Counts(database=lambda: database, now=lambda: NOON) for _ in range(2))
    for counts in (one, other):
        counts.spend("person:1", "identify", 9, amount=2)
    one.write_history()

    other.write_history()
    other.spend("person:1", "identify", 9)

    assert other.left("person:1", "identify", 9).remaining == 4
    one.close()
    other.close()


def test_of_callers_without_a_key_nothing_is_written(start: Callable[..., Server]) -> None:
    server = start(policy=Policy(anonymous_quota=1))

    answers = [server.visitor().post("/api/v1/identify", **encode_photos(FIND)).status_code for _ in range(2)]
    server.app.extensions["services"].counts.write_history()

    assert answers == [200, 429]
    with server.database.reading() as session:
        assert session.scalars(select(Use)).all() == []


def test_the_secret_is_made_once_and_read_by_nobody_else(tmp_path: Path) -> None:
    file = tmp_path / "data" / "secret"

    first, second = read_secret(file), read_secret(file)

    assert first == second
    assert len(first) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["secret"]
    file.write_bytes(b"short")
    with pytest.raises(SettingsError, match="is not a secret key"):
        read_secret(file)


def test_people_are_found_in_any_spelling(server: Server) -> None:
    with server.database.reading() as session:
        assert person_by_login(session, " OLGA ").role == PEOPLE["olga"]
    assert sign_in(server, "Olga") == 200
