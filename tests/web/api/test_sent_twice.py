"""What is sent twice is kept once, and what is taken out is gone: by form, by script and by API."""

from __future__ import annotations

import html
import io
import re
from typing import Any

import pytest
from sqlalchemy import func, select
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from database.field.models import FieldObservation, FieldPhoto, Verdict
from database.session import Database
from database.tables import Base
from database.taxonomy.taxa import TaxonEntry, TaxonRegister
from tests.snapshots import EMETICA, MUSCARIA, draw_photo
from tests.web.conftest import encode_photos
from tests.web.people import Browser, Server

pytestmark = pytest.mark.parametrize("system", ["sqlite"])
SPOT = {"decimalLatitude": "55.676098", "decimalLongitude": "12.568337", "coordinateUncertaintyInMeters": "8"}
SAID: dict[str, Any] = {
    **SPOT,
    "eventDate": "2026-05-03",
    "locality": "by the lake",
    "habitat": "under birch",
    "substrate": "soil",
    "remarks": "smells of flour",
    "licence": "CC-BY-4.0",
    "obscured": "true",
}


@pytest.fixture
def taxa(database: Database) -> dict[str, int]:
    with database.writing() as session:
        register = TaxonRegister()
        return {name: register.file(session, TaxonEntry(name)) for name in ("Amanita muscaria", "Russula emetica")}


def count(server: Server, table: type[Base]) -> int:
    with server.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def record(server: Server, login: str = "olga", photo: bytes = b"", **form: Any) -> TestResponse:
    photos = encode_photos([photo or draw_photo(MUSCARIA, 7)], **{"suggest": "false", **form})
    return server.visitor().post("/api/v1/observations", headers=server.key(login), **photos)


def id_of_form(browser: Browser) -> str:
    page = browser.client.get("/observations/new").get_data(as_text=True)
    found = re.search(r'name="id" value="([0-9a-f-]{36})"', page)
    assert found is not None
    return found.group(1)


def send(browser: Browser, seed: int = 7, **form: str) -> TestResponse:
    file = FileStorage(io.BytesIO(draw_photo(MUSCARIA, seed)), "photo.jpg")
    boundary, body = encode_multipart({"photos": file, **form})
    headers = browser.token | {name: form[name] for name in ("X-Fragment",) if name in form}
    kind = f"multipart/form-data; boundary={boundary}"
    return browser.client.post("/observations/new", data=body, content_type=kind, headers=headers)


@pytest.mark.parametrize("way", ["form", "script"])
def test_a_form_sent_twice_records_one_observation(server: Server, way: str) -> None:
    olga = server.signed_in("olga")
    own: dict[str, Any] = {"id": id_of_form(olga)}
    if way == "script":
        olga.token["X-Fragment"] = "yes"

    answers = [send(olga, **own, habitat="under birch") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303 if way == "form" else 200] * 2
    assert own["id"] in (answers[1].location or answers[1].get_data(as_text=True))
    assert count(server, FieldObservation) == count(server, FieldPhoto) == 1


def test_every_new_form_has_an_id_of_its_own_and_keeps_it_when_it_is_refused(server: Server) -> None:
    olga = server.signed_in("olga")
    first, second = id_of_form(olga), id_of_form(olga)

    refused = send(olga, id=first, eventDate="2999-01-01").get_data(as_text=True)

    assert first != second
    assert f'name="id" value="{first}"' in refused


@pytest.mark.parametrize("way", ["form", "API"])
def test_another_find_under_the_same_id_is_not_lost_without_a_word(server: Server, way: str) -> None:
    olga = server.signed_in("olga")
    own = id_of_form(olga)
    assert send(olga, id=own).status_code == 303

    answer = send(olga, seed=8, id=own) if way == "form" else record(server, photo=draw_photo(EMETICA, 3), id=own)

    assert answer.status_code == 409
    assert "already saved with this id" in answer.get_data(as_text=True)
    assert len(list(server.files.everything())) == 1


def test_the_same_request_is_known_after_changes_and_more_photos(server: Server) -> None:
    body = record(server).get_json()
    headers = server.key("olga")
    server.visitor().patch(body["url"], json={"habitat": "moss", "version": body["version"]}, headers=headers)
    server.visitor().post(f"{body['url']}/photos", headers=headers, **encode_photos([draw_photo(EMETICA, 3)]))

    again = record(server, id=body["id"])

    assert again.status_code == 200
    assert (again.get_json()["habitat"], len(again.get_json()["photos"])) == ("moss", 2)


def test_photos_added_twice_are_shown_once(server: Server) -> None:
    body = record(server).get_json()

    for _ in range(2):
        answer = server.visitor().post(
            f"{body['url']}/photos", headers=server.key("olga"), **encode_photos([draw_photo(EMETICA, 3)])
        )

    assert len(answer.get_json()["photos"]) == 2


def test_the_same_opinion_and_approval_again_are_kept_once(server: Server, taxa: dict[str, int]) -> None:
    path = record(server).get_json()["url"]
    ask, opinion = server.visitor(), {"taxonID": taxa["Amanita muscaria"], "remarks": "volva"}

    for _ in range(2):
        assert ask.post(f"{path}/verdicts", json=opinion, headers=server.key("omar")).status_code == 200
        assert ask.put(f"{path}/approval", json=opinion, headers=server.key("erna")).status_code == 200
    assert count(server, Verdict) == 2

    ask.post(f"{path}/verdicts", json=opinion | {"certainty": "possible"}, headers=server.key("omar"))
    assert count(server, Verdict) == 3


# --- taking back


def taken_out() -> dict[str, Any]:
    """What each field says when nothing is said of it."""
    texts = dict.fromkeys(("locality", "habitat", "substrate", "remarks", "licence"), "")
    return {"eventDate": None, "coordinateUncertaintyInMeters": None, "obscured": False, **texts}


@pytest.mark.parametrize("name", taken_out())
@pytest.mark.parametrize("value", [None, ""])
def test_null_and_empty_take_a_value_out(server: Server, name: str, value: str | None) -> None:
    body = record(server, **SAID).get_json()
    change = {name: value, "version": body["version"]}

    answer = server.visitor().patch(body["url"], json=change, headers=server.key("olga"))

    assert answer.status_code == 200, answer.get_json()
    assert answer.get_json()[name] == taken_out()[name]
    assert server.visitor().get(body["url"], headers=server.key("olga")).get_json()[name] == taken_out()[name]


@pytest.mark.parametrize("value", [None, ""])
def test_a_place_is_taken_out_with_its_accuracy_and_never_by_half(server: Server, value: str | None) -> None:
    body = record(server, **SAID).get_json()
    ask, headers, names = server.visitor(), server.key("olga"), ("decimalLatitude", "decimalLongitude")

    half = [ask.patch(body["url"], json={name: value, "version": body["version"]}, headers=headers) for name in names]
    whole = ask.patch(body["url"], json={**dict.fromkeys(names, value), "version": body["version"]}, headers=headers)

    assert [answer.status_code for answer in half] == [422, 422]
    assert whole.status_code == 200
    assert [whole.get_json()[name] for name in (*names, "coordinateUncertaintyInMeters")] == [None] * 3


@pytest.mark.parametrize("licence", ["", "CC0-1.0"])
def test_a_form_can_say_that_the_licence_is_not_stated(server: Server, licence: str) -> None:
    body = record(server, **SAID).get_json()
    olga, address = server.signed_in("olga"), f"/observations/{body['id']}/edit"
    page = olga.client.get(address).get_data(as_text=True)
    found = re.search(r'name="was" value="([^"]*)"', page)
    assert found is not None
    form = {**SAID, "was": html.unescape(found.group(1)), "licence": licence}
    form |= {"decimalLatitude": "55.676098", "coordinateUncertaintyInMeters": "8.0"}

    answer = olga.client.post(address, data=form, headers=olga.token)

    assert answer.status_code == 303, answer.get_data(as_text=True)
    after = server.visitor().get(body["url"], headers=server.key("olga")).get_json()
    assert (after["licence"], after["obscured"], after["habitat"]) == (licence, True, "under birch")


def test_an_observation_can_be_recorded_with_nothing_said_at_all(server: Server) -> None:
    empty: dict[str, Any] = dict.fromkeys(SAID, "")

    body = record(server, **empty).get_json()

    assert {name: body[name] for name in taken_out()} == taken_out()
