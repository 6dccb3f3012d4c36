from __future__ import annotations

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from database.field.models import FieldObservation, ObscuredTaxon, Proposal, Verdict
from database.field.records import missing, sweep
from database.models import Taxon
from database.session import Database, Session
from database.tables import Base
from database.taxonomy.taxa import TaxonEntry, TaxonRegister
from tests.snapshots import EMETICA, MUSCARIA, draw_photo
from tests.web.conftest import encode_photos
from tests.web.people import Server
from web.services import PhotoRetention

SPOT = {"decimalLatitude": "55.676098", "decimalLongitude": "12.568337", "coordinateUncertaintyInMeters": "8"}
GPS = 0x8825


@pytest.fixture
def taxa(database: Database) -> dict[str, int]:
    """Names in the catalogue, by their ids."""
    names = ["Amanita muscaria", "Amanita phalloides", "Russula emetica"]
    with database.writing() as session:
        register = TaxonRegister()
        return {name: register.file(session, TaxonEntry(name)) for name in names}


def located_photo() -> bytes:
    """A photo that says where and when it was taken."""
    exif = Image.Exif()
    exif[0x010F] = "Camera of Somebody"
    exif.get_ifd(0x8769)[0x9003] = "2026:05:03 10:11:12"
    place = {1: "N", 2: (55.0, 40.0, 33.95), 3: "E", 4: (12.0, 34.0, 6.01)}
    exif.get_ifd(GPS).update(place)
    stream = io.BytesIO()
    Image.open(io.BytesIO(draw_photo(MUSCARIA, 7))).save(stream, "JPEG", exif=exif, comment=b"55.676098")
    return stream.getvalue()


def record(server: Server, login: str = "olga", photos: Any = None, **form: Any) -> TestResponse:
    form = {"suggest": "false"} | form
    photos = photos if photos is not None else [draw_photo(MUSCARIA, 7)]
    return server.visitor().post("/api/v1/observations", headers=server.key(login), **encode_photos(photos, **form))


def show(server: Server, key: str, login: str = "") -> dict[str, Any]:
    headers = server.key(login) if login else {}
    answer: dict[str, Any] = server.visitor().get(f"/api/v1/observations/{key}", headers=headers).get_json()
    return answer


def count(session: Session, table: type[Base]) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def files_of(server: Server) -> list[str]:
    return [name for name, _ in server.files.everything()]


def test_an_observation_comes_back_as_it_was_recorded(server: Server, taxa: dict[str, int]) -> None:
    said = {"eventDate": "2026-05-03", "habitat": "under birch", "substrate": "soil", "locality": "by the lake"}

    answer = record(server, scientificName="Amanita muscaria", certainty="probable", **SPOT, **said)

    body = answer.get_json()
    assert answer.status_code == 201, body
    assert {name: body[name] for name in said} == said
    assert (body["decimalLatitude"], body["coordinateUncertaintyInMeters"]) == (55.676098, 8)
    assert body["taxon"]["taxonID"] == taxa["Amanita muscaria"]
    assert body["recordedBy"] == {"id": server.ids["olga"], "name": "Olga"}
    assert [(one["kind"], one["certainty"]) for one in body["proposals"][0]["supporters"]] == [("propose", "probable")]
    assert show(server, body["id"]) == body | {"proposals": show(server, body["id"])["proposals"]}
    picture = server.visitor().get(body["photos"][0]["url"] + "?size=320")
    assert Image.open(io.BytesIO(picture.get_data())).format == "JPEG"


def test_the_engines_suggestion_is_kept_with_its_snapshot_and_model(server: Server) -> None:
    body = record(server, suggest="true", flora="north").get_json()

    said = body["suggestion"]
    assert said["candidates"][0]["taxonID"] == MUSCARIA
    assert (said["flora"], said["model"]) == ("north", "descriptor@1")
    assert said["snapshot"]
    assert said["notice"]


def test_an_observation_is_recorded_though_nothing_is_published(start: Callable[..., Server], tmp_path: Path) -> None:
    answer = record(start(root=tmp_path), suggest="true")

    assert answer.status_code == 201
    assert answer.get_json()["suggestion"] is None


@pytest.mark.parametrize("originals", [False, True])
def test_no_place_and_no_camera_is_kept_in_a_photo(start: Callable[..., Server], originals: bool) -> None:
    server = start(keeping=PhotoRetention(side=64, originals=originals))

    body = record(server, photos=[located_photo()]).get_json()

    kept = [server.files.get(name) for name in files_of(server)]
    assert len(kept) == 1 + originals
    for photo in kept:
        assert Image.open(io.BytesIO(photo)).getexif() == {}
        assert not any(word in photo for word in (b"Exif", b"Somebody", b"55.676098"))
    assert (body["eventDate"], body["decimalLatitude"]) == (None, None)


def test_day_and_place_are_read_from_a_photo_only_where_that_was_asked_for(server: Server) -> None:
    body = record(server, photos=[located_photo()], readMetadata="true").get_json()
    typed = record(server, photos=[located_photo()], readMetadata="true", eventDate="2026-05-01", **SPOT).get_json()

    assert body["eventDate"] == "2026-05-03"
    assert (body["decimalLatitude"], body["decimalLongitude"]) == pytest.approx((55.676097, 12.568336), abs=1e-5)
    assert (typed["eventDate"], typed["decimalLatitude"]) == ("2026-05-01", 55.676098)


@pytest.mark.parametrize("reason", ["observation", "person", "taxon"])
def test_an_obscured_place_is_seen_by_its_person_and_by_experts_alone(
    server: Server, taxa: dict[str, int], reason: str
) -> None:
    with server.database.writing() as session:
        if reason == "taxon":
            genus = session.get_one(Taxon, taxa["Amanita muscaria"]).parent_id
            session.add(ObscuredTaxon(taxon_id=genus or taxa["Amanita muscaria"]))
    said = {"locality": "behind the old mill", "scientificName": "Amanita muscaria", **SPOT}
    key = record(server, obscured=str(reason == "observation"), **said).get_json()["id"]
    if reason == "person":  # who hides their places hides those of long ago too
        olga = server.signed_in("olga")
        olga.client.patch("/api/v1/session/person", json={"obscures": True}, headers=olga.token)

    seen = {who: show(server, key, who) for who in ("", "omar", "olga", "erna", "ada")}

    exact = {who for who, body in seen.items() if body["decimalLatitude"] == 55.676098}
    assert exact == {"olga", "erna", "ada"}
    for who in ("", "omar"):
        text = json.dumps(seen[who])
        assert (seen[who]["decimalLatitude"], seen[who]["decimalLongitude"]) == (55.7, 12.5)
        assert seen[who]["coordinateUncertaintyInMeters"] > 10_000
        assert seen[who]["placeObscured"]
        assert not any(word in text for word in ("55.676", "12.568", "old mill"))
    listed = server.visitor().get("/api/v1/observations", headers=server.key("omar"))
    assert "55.676" not in listed.get_data(as_text=True)


def test_an_obscured_place_cannot_be_searched_out(server: Server) -> None:
    record(server, obscured="true", **SPOT)

    def find(query: str) -> list[Any]:
        found: list[Any] = server.visitor().get(f"/api/v1/observations?{query}").get_json()["observations"]
        return found

    assert find("box=12.56,55.67,12.57,55.68") == []
    assert find("near=55.676098,12.568337&radius=1") == []
    assert len(find("box=12.4,55.6,12.6,55.8")) == 1
    assert len(find("near=55.7,12.5&radius=1")) == 1


def test_what_was_obscured_is_shown_again_when_nobody_asks_any_more(server: Server) -> None:
    body = record(server, obscured="true", **SPOT).get_json()
    change = {"obscured": False, "version": body["version"]}

    server.visitor().patch(body["url"], json=change, headers=server.key("olga"))

    assert show(server, body["id"])["decimalLatitude"] == 55.676098


def test_others_can_neither_change_nor_remove_an_observation(server: Server) -> None:
    body = record(server).get_json()
    path, photo = body["url"], body["photos"][0]["url"]
    ask = server.visitor()

    for headers in (server.key("omar"), server.key("erna")):
        assert ask.patch(path, json={"habitat": "mine"}, headers=headers).status_code == 403
        assert ask.delete(path, headers=headers).status_code == 403
        assert ask.delete(photo, headers=headers).status_code == 403
        more = ask.post(f"{path}/photos", headers=headers, **encode_photos([draw_photo(EMETICA, 3)]))
        assert more.status_code == 403
    assert show(server, body["id"]) == body
    assert ask.delete(path, headers=server.key("ada")).status_code == 204


def test_photos_really_go_with_the_last_observation_that_shows_them(server: Server) -> None:
    photo, other = draw_photo(MUSCARIA, 7), draw_photo(EMETICA, 3)
    first, second = record(server, photos=[photo, other]).get_json(), record(server, "omar", photos=[photo]).get_json()
    assert len(files_of(server)) == 2

    assert server.visitor().delete(first["url"], headers=server.key("olga")).status_code == 204
    assert files_of(server) == [second["photos"][0]["sha256"]]
    assert server.visitor().get(second["photos"][0]["url"]).status_code == 200
    assert server.visitor().delete(second["url"], headers=server.key("omar")).status_code == 204
    assert files_of(server) == []
    assert server.visitor().get(second["url"]).status_code == 404
    with server.database.reading() as session:
        assert count(session, FieldObservation) == count(session, Verdict) == 0


def test_photos_are_added_and_removed_but_for_the_last(server: Server) -> None:
    body = record(server).get_json()
    headers, path = server.key("olga"), body["url"]

    more = server.visitor().post(f"{path}/photos", headers=headers, **encode_photos([draw_photo(EMETICA, 3)]))
    fewer = server.visitor().delete(body["photos"][0]["url"], headers=headers)
    last = server.visitor().delete(more.get_json()["photos"][1]["url"], headers=headers)

    assert [len(answer.get_json()["photos"]) for answer in (more, fewer)] == [2, 1]
    assert last.status_code == 422
    assert files_of(server) == [more.get_json()["photos"][1]["sha256"]]


def test_the_same_request_sent_again_records_nothing_twice(server: Server) -> None:
    key = str(uuid4())

    answers = [record(server, id=key) for _ in range(2)]
    foreign = record(server, "omar", id=key)

    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].get_json() == answers[1].get_json()
    assert foreign.status_code == 403


IMPOSSIBLE: tuple[dict[str, str], ...] = (
    {"decimalLatitude": "55"},
    {"decimalLatitude": "91", "decimalLongitude": "0"},
    {"eventDate": "2999-01-01"},
    {"scientificName": "Nomen nescio"},
    {"taxonID": "99999"},
    {"certainty": "surely"},
    {"obscurd": "true"},
    {"id": "1"},
    {"habitat": "a\0b"},
    {"aspects": "gills"},
    {"licence": "mine"},
)


def test_what_cannot_be_is_refused_and_leaves_nothing(server: Server) -> None:
    answers = [record(server, **form) for form in IMPOSSIBLE]

    for form, answer in zip(IMPOSSIBLE, answers, strict=True):
        assert (answer.status_code, answer.mimetype) == (422, "application/problem+json"), (form, answer.get_json())
    assert files_of(server) == []
    with server.database.reading() as session:
        assert count(session, FieldObservation) == 0


def test_an_observation_needs_a_photo_that_is_one(server: Server) -> None:
    assert record(server, photos=[]).status_code == 400
    assert record(server, photos=[b"no photo"]).status_code == 415
    assert record(server, photos=[draw_photo(MUSCARIA, 7)] * 4).status_code == 422


def test_observations_are_found_by_what_is_known_of_them(server: Server, taxa: dict[str, int]) -> None:
    def make(login: str, name: str, day: str, latitude: float, longitude: float) -> str:
        place = {"decimalLatitude": str(latitude), "decimalLongitude": str(longitude)}
        return str(record(server, login, scientificName=name, eventDate=day, **place).get_json()["id"])

    fly = make("olga", "Amanita muscaria", "2026-05-01", 10, 179.95)
    cap = make("olga", "Amanita phalloides", "2026-05-03", 10, -179.95)
    brittle = make("omar", "Russula emetica", "2026-05-05", -45, 0)
    with server.database.reading() as session:
        genus = session.get_one(Taxon, taxa["Amanita muscaria"]).parent_id

    def find(query: str) -> list[str]:
        answer = server.visitor().get(f"/api/v1/observations?{query}")
        assert answer.status_code == 200, answer.get_json()
        return [one["id"] for one in answer.get_json()["observations"]]

    assert find("") == [brittle, cap, fly]
    assert find(f"taxon={taxa['Amanita muscaria']}") == [fly]
    assert find(f"taxon={genus}") == [cap, fly]
    assert find("from=2026-05-02&to=2026-05-04") == [cap]
    assert find(f"person={server.ids['omar']}") == [brittle]
    assert find("box=179,5,-179,15") == [cap, fly]
    assert find("box=-179,-50,179,15") == [brittle]
    assert find("near=10,179.99&radius=50") == [fly, cap]
    assert find("status=suggestion&status=approved") == [brittle, cap, fly]
    assert find("status=approved") == []


@pytest.mark.parametrize("query", ["", "near=10,10&radius=200&"])
def test_pages_follow_each_other_without_gaps(server: Server, query: str) -> None:
    place = {"decimalLatitude": "10", "decimalLongitude": "10"}
    recorded = [record(server, **place).get_json()["id"] for _ in range(5)]

    found, address = [], f"/api/v1/observations?{query}limit=2"
    while address:
        page = server.visitor().get(address).get_json()
        found += [one["id"] for one in page["observations"]]
        address = page["next"]

    assert found == recorded[::-1]


@pytest.mark.parametrize(
    "query", ["box=1,2,3", "near=a,b", "after=x", "after=WzFlOTk5XQ==", "flora=nowhere", "box=nan,1,2,3"]
)
def test_a_question_that_cannot_be_meant_is_refused(server: Server, query: str) -> None:
    assert server.visitor().get(f"/api/v1/observations?{query}").status_code in (400, 404)


# --- verdicts


def verdict(server: Server, login: str, key: str, **form: Any) -> TestResponse:
    return server.visitor().post(f"/api/v1/observations/{key}/verdicts", json=form, headers=server.key(login))


def test_agreement_adds_and_alternatives_stand_beside(server: Server, taxa: dict[str, int]) -> None:
    key = record(server, scientificName="Amanita muscaria").get_json()["id"]

    alone = show(server, key)["score"]
    agreed = verdict(server, "omar", key, scientificName="Amanita muscaria").get_json()
    other = verdict(server, "erna", key, taxonID=taxa["Russula emetica"], certainty="possible").get_json()

    assert (alone, agreed["score"]) == (1, 2)  # ceil(100 * 1 / 101), ceil(100 * 2 / 102)
    names = [(one["taxon"]["scientificName"], one["score"]) for one in other["proposals"]]
    assert names == [("Amanita muscaria", 2), ("Russula emetica", 1)]
    assert (other["status"], other["stars"]) == ("suggestion", 1)


def test_an_expert_settles_the_matter_and_the_mark_says_who(server: Server, taxa: dict[str, int]) -> None:
    key = record(server, scientificName="Amanita muscaria").get_json()["id"]
    path, erna = f"/api/v1/observations/{key}/approval", server.key("erna")
    ask = server.visitor()

    by_observer = ask.put(path, json={"scientificName": "Russula emetica"}, headers=server.key("olga"))
    settled = ask.put(path, json={"scientificName": "Russula emetica"}, headers=erna).get_json()
    taken_back = ask.delete(path, headers=erna).get_json()

    assert by_observer.status_code == 403
    assert (settled["status"], settled["stars"], settled["byExpert"]) == ("approved", 3, True)
    assert settled["taxon"]["taxonID"] == taxa["Russula emetica"]
    assert settled["proposals"][0]["expert"]["name"] == "Erna"
    assert (taken_back["status"], taken_back["byExpert"], len(taken_back["proposals"])) == ("suggestion", False, 1)
    said = ask.get(f"/api/v1/observations/{key}/verdicts").get_json()["verdicts"]
    assert [one["kind"] for one in said] == ["propose", "approve", "unapprove"]


def test_what_a_person_has_shown_to_know_counts(server: Server, taxa: dict[str, int]) -> None:
    erna = server.key("erna")
    for _ in range(3):
        key = record(server, scientificName="Amanita muscaria").get_json()["id"]
        server.visitor().put(
            f"/api/v1/observations/{key}/approval", json={"scientificName": "Amanita muscaria"}, headers=erna
        )

    same = record(server, scientificName="Amanita muscaria").get_json()["proposals"][0]["ingredients"]
    sister = record(server, scientificName="Amanita phalloides").get_json()["proposals"][0]["ingredients"]
    stranger = record(server, "omar", scientificName="Amanita muscaria").get_json()["proposals"][0]["ingredients"]

    assert (same["records"], same["people"][0]["approvedRecords"], same["people"][0]["weight"]) == (3, 3, 16)
    assert (sister["records"], sister["people"][0]["groupSpecies"], sister["people"][0]["weight"]) == (0, 1, 3)
    assert stranger["people"][0]["weight"] == 1


def test_a_new_opinion_supersedes_and_the_history_keeps_both(server: Server, taxa: dict[str, int]) -> None:
    key = record(server, scientificName="Amanita muscaria").get_json()["id"]

    changed = verdict(server, "olga", key, scientificName="Amanita phalloides", remarks="the ring").get_json()
    ask = server.visitor()
    gone = ask.delete(f"/api/v1/observations/{key}/verdicts", headers=server.key("olga")).get_json()
    again = ask.delete(f"/api/v1/observations/{key}/verdicts", headers=server.key("olga"))

    assert [one["taxon"]["scientificName"] for one in changed["proposals"]] == ["Amanita phalloides"]
    assert (gone["status"], gone["proposals"], gone["taxon"]) == ("unidentified", [], None)
    assert again.status_code == 422
    said = ask.get(f"/api/v1/observations/{key}/verdicts").get_json()["verdicts"]
    assert [(one["kind"], one["superseded"] is None) for one in said] == [
        ("propose", False),
        ("propose", False),
        ("withdraw", False),
    ]
    assert said[1]["remarks"] == "the ring"


def test_verdicts_at_once_are_all_heard(server: Server, taxa: dict[str, int]) -> None:
    key = record(server, scientificName="Amanita muscaria").get_json()["id"]
    headers = {login: server.key(login) for login in ("omar", "erna", "ada")}
    names = ["Amanita muscaria", "Amanita phalloides", "Amanita muscaria"]

    def say(login: str) -> list[int]:
        path = f"/api/v1/observations/{key}/verdicts"
        return [
            server.visitor().post(path, json={"scientificName": name}, headers=headers[login]).status_code
            for name in names * 3
        ]

    with ThreadPoolExecutor(3) as pool:
        statuses = [status for one in pool.map(say, headers) for status in one]

    body = show(server, key)
    assert set(statuses) == {200}
    assert [one["taxon"]["scientificName"] for one in body["proposals"]] == ["Amanita muscaria"]
    assert len(body["proposals"][0]["supporters"]) == 4
    assert body["score"] == 4  # ceil(100 * 4 / 104)
    with server.database.reading() as session:
        assert count(session, Verdict) == 1 + 3 * 7  # the same twice on end, at each turn of the names, is kept once
        assert count(session, Proposal) == 1


def test_an_orphan_is_swept_and_what_is_shown_stays(server: Server) -> None:
    shown = record(server).get_json()["photos"][0]["sha256"]
    orphan = server.files.put(b"left by a killed worker")
    leftover = Path(server.files.root) / shown[:2] / ".unfinished-x"
    leftover.write_bytes(b"half")

    young = sweep(server.database, server.files)
    old = sweep(server.database, server.files, now=datetime.now(UTC) + timedelta(hours=2))

    assert young == []
    assert sorted(old) == sorted([orphan, str(leftover)])
    assert files_of(server) == [shown]
    assert missing(server.database, server.files) == []
