"""Two people change the same things: what changed meanwhile is shown, and nobody overwrites what they have not seen."""

from __future__ import annotations

import html
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from werkzeug.test import TestResponse

from database.field.records import observation_by_key
from tests.snapshots import EMETICA, MUSCARIA, draw_photo
from tests.web.conftest import encode_photos
from tests.web.people import Browser, Server

pytestmark = pytest.mark.parametrize("system", ["sqlite"])
PLACE = {"decimalLatitude": "55.676098", "decimalLongitude": "12.568337"}
FORM = ("eventDate", *PLACE, "coordinateUncertaintyInMeters", "locality", "habitat", "substrate", "remarks", "licence")


@pytest.fixture
def found(server: Server) -> dict[str, Any]:
    """An observation of Olga's, with everything said of it."""
    said = {"eventDate": "2026-05-03", "habitat": "under birch", "licence": "CC-BY-4.0", "obscured": "true"}
    photos = encode_photos([draw_photo(MUSCARIA, 7)], suggest="false", **PLACE, **said)
    answer = server.visitor().post("/api/v1/observations", headers=server.key("olga"), **photos)
    body: dict[str, Any] = answer.get_json()
    return body


def show(server: Server, path: str, login: str = "olga") -> TestResponse:
    return server.visitor().get(path, headers=server.key(login))


def patch(server: Server, path: str, login: str = "olga", etag: str = "", **change: Any) -> TestResponse:
    headers = server.key(login) | ({"If-Match": etag} if etag else {})
    return server.visitor().patch(path, json=change, headers=headers)


def hidden_values(page: str) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}


def open_form(browser: Browser, address: str) -> dict[str, str]:
    """A form of the page as a browser would send it, untouched."""
    hidden = hidden_values(browser.client.get(address).get_data(as_text=True))
    shown: dict[str, str] = json.loads(hidden["was"])
    return {name: value for name, value in shown.items() if value} | {"was": hidden["was"]}


def send_form(browser: Browser, address: str, form: Mapping[str, str], **headers: str) -> TestResponse:
    return browser.client.post(address, data=form, headers=browser.token | headers)


def test_an_answer_says_what_version_it_shows(server: Server, found: dict[str, Any]) -> None:
    first, again = show(server, found["url"]), show(server, found["url"])

    etag = first.headers["ETag"]
    assert first.get_json()["version"] == found["version"]
    assert etag.strip('"').startswith(found["version"])
    assert etag == again.headers["ETag"]
    for known in (etag, f"W/{etag}", f'"other", W/{etag}'):
        headers = server.key("olga") | {"If-None-Match": known}
        assert server.visitor().get(found["url"], headers=headers).status_code == 304


@pytest.mark.parametrize("weak", [False, True])
def test_a_change_made_from_what_is_there_is_kept(server: Server, found: dict[str, Any], weak: bool) -> None:
    etag = show(server, found["url"]).headers["ETag"]

    answer = patch(server, found["url"], etag=f"W/{etag}" if weak else etag, habitat="under oak")
    next_one = patch(server, found["url"], etag=answer.headers["ETag"], habitat="under pine")

    assert (answer.status_code, next_one.status_code) == (200, 200)
    assert show(server, found["url"]).get_json()["habitat"] == "under pine"


CHANGES: tuple[dict[str, Any], ...] = (
    {"obscured": False},
    {"licence": "CC0-1.0"},
    {"decimalLatitude": 56.0, "decimalLongitude": 10.0},
    {"eventDate": None},
)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", ["If-Match", "version"])
def test_a_change_made_from_an_older_version_changes_nothing(
    server: Server, found: dict[str, Any], change: dict[str, Any], way: str
) -> None:
    etag = show(server, found["url"], "ada").headers["ETag"]
    assert patch(server, found["url"], version=found["version"], **change).status_code == 200
    before = show(server, found["url"]).get_json()

    stale = {"etag": etag} if way == "If-Match" else {"version": found["version"]}
    answer = patch(server, found["url"], "ada", habitat="under oak", **stale)

    assert answer.status_code == 412
    assert answer.get_json()["type"].endswith("#changed-meanwhile")
    assert answer.headers["ETag"].strip('"') == before["version"]
    assert show(server, found["url"]).get_json() == before


@pytest.mark.parametrize("said", [{}, {"version": None}, {"version": ""}, {"etag": "*"}])
def test_a_change_that_does_not_say_what_it_was_made_from_is_refused(
    server: Server, found: dict[str, Any], said: dict[str, Any]
) -> None:
    answer = patch(server, found["url"], habitat="under oak", **said)

    assert answer.status_code == 428
    assert show(server, found["url"]).get_json()["habitat"] == "under birch"


def test_removing_and_adding_photos_obey_if_match_too(server: Server, found: dict[str, Any]) -> None:
    etag = show(server, found["url"]).headers["ETag"]
    patch(server, found["url"], etag=etag, habitat="under oak")
    headers, ask = server.key("olga") | {"If-Match": etag}, server.visitor()

    answers = [
        ask.delete(found["url"], headers=headers),
        ask.delete(found["photos"][0]["url"], headers=headers),
        ask.post(f"{found['url']}/photos", headers=headers, **encode_photos([draw_photo(EMETICA, 3)])),
    ]

    assert [answer.status_code for answer in answers] == [412] * 3
    assert len(show(server, found["url"]).get_json()["photos"]) == 1


def test_if_match_is_refused_where_it_would_be_overlooked(server: Server) -> None:
    olga = server.signed_in("olga")

    answer = olga.client.post("/api/v1/keys", json={"scopes": ["read"]}, headers=olga.token | {"If-Match": '"1"'})

    assert answer.status_code == 412
    assert olga.client.get("/api/v1/keys").get_json()["keys"] == []


@pytest.mark.parametrize("weak", ["", "W/"])
def test_a_picture_that_the_caller_has_is_not_sent_again(server: Server, found: dict[str, Any], weak: str) -> None:
    address = found["photos"][0]["url"]
    etag = server.visitor().get(address).headers["ETag"]

    again = server.visitor().get(address, headers={"If-None-Match": f'"other", {weak}{etag}'})

    assert (again.status_code, again.get_data()) == (304, b"")


# --- forms


def test_a_form_sends_what_was_changed_only(server: Server, found: dict[str, Any]) -> None:
    olga, address = server.signed_in("olga"), f"/observations/{found['id']}/edit"

    patch(server, found["url"], version=found["version"], remarks="two\nlines")
    form = open_form(olga, address)

    assert send_form(olga, address, form | {"remarks": "two\r\nlines", "habitat": "moss"}).status_code == 303
    assert send_form(olga, address, open_form(olga, address)).status_code == 303  # untouched

    after = show(server, found["url"]).get_json()
    same = [name for name in found if name not in ("remarks", "habitat", "modified", "version")]
    assert (after["remarks"], after["habitat"]) == ("two\nlines", "moss")  # browsers write the ends of lines anew
    assert {name: after[name] for name in same} == {name: found[name] for name in same}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"obscured": False}, "Obscure location: now no, before yes"),
        ({"licence": "CC0-1.0"}, "Licence: now “CC0-1.0”, before “CC-BY-4.0”"),
        ({"decimalLatitude": 56.0}, "Latitude: now “56.0”, before “55.676098”"),
        ({"eventDate": None}, "Date observed: now empty, before “2026-05-03”"),
    ],
)
def test_a_stale_form_comes_back_with_what_changed_and_what_was_typed(
    server: Server, found: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    ada, address = server.signed_in("ada"), f"/observations/{found['id']}/edit"
    form = open_form(ada, address) | {"habitat": "under oak"}
    patch(server, found["url"], version=found["version"], **change)
    before = show(server, found["url"]).get_json()

    answer = send_form(ada, address, form)

    page = html.unescape(answer.get_data(as_text=True))
    assert answer.status_code == 412
    assert said in page
    assert 'value="under oak"' in page
    assert show(server, found["url"]).get_json() == before
    again = open_form_of(page) | {"habitat": "under oak"}
    assert send_form(ada, address, again).status_code == 303
    after = show(server, found["url"]).get_json()
    assert after["habitat"] == "under oak"
    assert {name: after[name] for name in change} == change


def open_form_of(page: str) -> dict[str, str]:
    was = re.search(r'name="was" value="(.*)">', page)
    assert was is not None
    shown: dict[str, str] = json.loads(was.group(1))
    return {name: value for name, value in shown.items() if value} | {"was": was.group(1)}


@pytest.mark.parametrize("was", [None, "", "nothing", "[]", "3"])
def test_a_form_that_does_not_say_what_it_was_made_from_is_refused(
    server: Server, found: dict[str, Any], was: str | None
) -> None:
    olga = server.signed_in("olga")
    form = {"habitat": "under oak"} | ({} if was is None else {"was": was})

    answer = send_form(olga, f"/observations/{found['id']}/edit", form)

    assert answer.status_code == 428
    assert show(server, found["url"]).get_json()["obscured"]


def test_what_is_removed_is_what_was_shown(server: Server, found: dict[str, Any]) -> None:
    ada, address = server.signed_in("ada"), f"/observations/{found['id']}/remove"
    stale = hidden_values(ada.client.get(address).get_data(as_text=True))
    patch(server, found["url"], version=found["version"], habitat="under oak")

    assert send_form(ada, address, {"version": stale["version"]}).status_code == 412
    assert send_form(ada, address, {}).status_code == 428
    assert show(server, found["url"]).status_code == 200
    fresh = hidden_values(ada.client.get(address).get_data(as_text=True))
    assert send_form(ada, address, {"version": fresh["version"]}).status_code == 303


def test_an_old_form_of_the_account_shows_no_places_again(server: Server, found: dict[str, Any]) -> None:
    olga = server.signed_in("olga")
    form = open_form(olga, "/me")
    olga.client.patch("/api/v1/session/person", json={"obscures": True}, headers=olga.token)

    answer = send_form(olga, "/me", form | {"name": "Olga the Great"})

    assert answer.status_code == 412
    assert "Obscure all locations: now yes, before no" in answer.get_data(as_text=True)
    person = olga.client.get("/api/v1/session").get_json()["person"]
    assert (person["name"], person["obscures"]) == ("Olga", True)


def test_an_old_form_of_a_person_gives_no_role_back(server: Server) -> None:
    ada, omar = server.signed_in("ada"), server.ids["omar"]
    form = open_form(ada, f"/administration/people/{omar}")
    ada.client.patch(f"/api/v1/people/{omar}", json={"active": False, "dailyQuota": 5}, headers=ada.token)

    answer = send_form(ada, f"/administration/people/{omar}", form | {"role": "expert"})

    assert answer.status_code == 412
    person = ada.client.get("/api/v1/people").get_json()["people"][omar - 1]
    assert (person["role"], person["active"], person["dailyQuota"]) == ("observer", False, 5)


# --- by chance

WORDS = ("under birch", "under oak", "in moss", "")
VALUES: dict[str, Callable[[random.Random], Any]] = {
    "habitat": lambda chance: chance.choice(WORDS),
    "licence": lambda chance: chance.choice(["CC0-1.0", "CC-BY-4.0", ""]),
    "obscured": lambda chance: chance.random() < 0.5,
    "remarks": lambda chance: chance.choice(WORDS),
    "place": lambda chance: round(chance.uniform(-80, 80), 4),
}


@dataclass
class Editor:
    """Somebody who reads an observation, thinks, and changes something, in one of three ways."""

    server: Server
    login: str
    browser: Browser
    path: str
    way: str = ""
    seen: dict[str, Any] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)  # the form, or the ETag

    @property
    def address(self) -> str:
        return f"/observations/{self.path.rpartition('/')[2]}/edit"

    def read(self, way: str) -> None:
        self.way = way
        if way == "API":
            answer = show(self.server, self.path, self.login)
            self.seen, self.held = state_of(answer.get_json()), {"etag": answer.headers["ETag"]}
        else:
            self.held = open_form(self.browser, self.address)
            shown = json.loads(self.held["was"])
            self.seen = state_of(shown | {"obscured": bool(shown["obscured"])})

    def write(self, change: dict[str, Any]) -> int:
        if self.way == "API":
            return patch(self.server, self.path, self.login, self.held["etag"], **change).status_code
        form = {name: value for name, value in self.held.items() if name not in change}
        form |= {name: "true" if value is True else str(value) for name, value in change.items() if value is not False}
        headers = {"X-Fragment": "yes"} if self.way == "script" else {}
        return send_form(self.browser, self.address, form, **headers).status_code


def state_of(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in ("habitat", "licence", "obscured", "remarks")} | {
        "place": float(body["decimalLatitude"])
    }


def kept_state(server: Server, key: str) -> dict[str, Any]:
    """The same from the tables."""
    with server.database.reading() as session:
        kept = observation_by_key(session, key)
        names = ("habitat", "licence", "obscured", "remarks")
        return {name: getattr(kept, name) for name in names} | {"place": kept.decimal_latitude}


def as_change(chosen: Mapping[str, Any]) -> dict[str, Any]:
    change = {name: value for name, value in chosen.items() if name != "place"}
    return change | ({"decimalLatitude": chosen["place"]} if "place" in chosen else {})


def test_five_hundred_edits_of_two_people_interleaved_by_chance_undo_nothing_unseen(
    server: Server, found: dict[str, Any]
) -> None:
    chance = random.Random(20)
    people = [Editor(server, login, server.signed_in(login), found["url"]) for login in ("olga", "ada")]
    now, outcomes = state_of(found), Counter[int]()

    for number in range(500):
        editor = chance.choice(people)
        if not editor.held or chance.random() < 0.5:
            editor.read(chance.choice(["API", "API", "form", "script"]))
            assert editor.seen == now
            editor = chance.choice([one for one in people if one.held])
        chosen = {name: VALUES[name](chance) for name in chance.sample(list(VALUES), chance.randint(1, 2))}
        meant = {name: value for name, value in chosen.items() if editor.way == "API" or value != editor.seen[name]}
        status = editor.write(as_change(chosen))
        after = kept_state(server, found["id"])
        outcomes[status] += 1
        changed = {name for name in now if after[name] != now[name]}
        if status in (200, 303):
            assert changed <= set(meant), (number, editor.way, chosen)
            assert {name: after[name] for name in meant} == meant, (number, editor.way)
            assert all(editor.seen[name] == now[name] for name in changed), (number, editor.way, "undid the unseen")
        else:
            assert (status, changed) == (412, set()), (number, editor.way, chosen)
        now = after

    assert min(outcomes[412], outcomes[200], outcomes[303]) > 30, outcomes
