"""The suggestion kept with an observation is the one that the identify page gives for the same find."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from retrieval.domain import ASPECTS
from tests.snapshots import EMETICA, MUSCARIA, draw_photo
from tests.web.conftest import encode_photos
from tests.web.people import Server
from web.inference.kept_answers import KeptAnswers

pytestmark = pytest.mark.parametrize("system", ["sqlite"])
CIRCUMSTANCES: dict[str, dict[str, str]] = {
    "day": {"date": "2026-01-15"},
    "place": {"latitude": "-40.5", "longitude": "175.5"},
    "aspects": {"aspects": ASPECTS[0]},
    "all": {"date": "2026-01-15", "latitude": "-40.5", "longitude": "175.5", "aspects": ASPECTS[0]},
}
TERMS = {"date": "eventDate", "latitude": "decimalLatitude", "longitude": "decimalLongitude"}


def identified(server: Server, **said: str) -> list[tuple[int, float]]:
    photos = encode_photos([draw_photo(MUSCARIA, 7)], **said)
    answer = server.visitor().post("/api/v1/identify", headers=server.key("olga"), **photos).get_json()
    return [(one["taxon"]["taxonID"], one["score"]) for one in answer["species"]]


def suggested(server: Server, **said: str) -> list[tuple[int, float]]:
    photos = encode_photos([draw_photo(MUSCARIA, 7)], **{TERMS.get(name, name): value for name, value in said.items()})
    answer = server.visitor().post("/api/v1/observations", headers=server.key("olga"), **photos).get_json()
    return [(one["taxonID"], one["score"]) for one in answer["suggestion"]["candidates"]]


@pytest.mark.parametrize("name", CIRCUMSTANCES)
def test_a_kept_suggestion_asks_with_day_place_and_aspects_of_the_observation(server: Server, name: str) -> None:
    said, known = CIRCUMSTANCES[name], server.app.extensions["serving"].answers

    bare = suggested(server)
    asked = identified(server, **said)
    before = len(known)
    kept = suggested(server, **said)

    assert len(known) == before == 2, "the same question is answered from memory, another one is not"
    assert [taxon for taxon, _ in kept] == [taxon for taxon, _ in asked] == [taxon for taxon, _ in bare]
    assert [score for _, score in kept] == pytest.approx([score for _, score in asked], abs=2e-6)


def test_a_kept_suggestion_is_the_same_wherever_in_its_cell_an_observation_was_made(server: Server) -> None:
    known = server.app.extensions["serving"].answers

    for latitude, longitude in ((-40.5, 175.5), (-40.41, 175.59), (-40.5999, 175.4001)):
        suggested(server, latitude=str(latitude), longitude=str(longitude))

    assert len(known) == 1, "the engine was asked about the same place"


@pytest.fixture
def keeping(start: Callable[..., Server], tmp_path: Path) -> Server:
    """A server that keeps answers at links."""
    return start(answers=KeptAnswers(tmp_path / "answers", days=30))


def multipart(photos: int = 0, **form: Any) -> dict[str, Any]:
    files = [FileStorage(io.BytesIO(draw_photo(taxon, 7)), "a.jpg") for taxon in (MUSCARIA, EMETICA)[:photos]]
    boundary, body = encode_multipart({"photos": files, **form})
    return {"data": body, "content_type": f"multipart/form-data; boundary={boundary}"}


def test_an_answer_saved_as_an_observation_keeps_aspects_name_and_licence(keeping: Server) -> None:
    olga = keeping.signed_in("olga")
    aspects = list(ASPECTS[:2])
    earlier = encode_photos([draw_photo(MUSCARIA, 9)], suggest="false", licence="CC-BY-SA-4.0")
    keeping.visitor().post("/api/v1/observations", headers=keeping.key("olga"), **earlier)
    kept = olga.client.post("/", **multipart(2, aspects=aspects, known="Amanita", keep="true", flora="world"))
    link = re.search(r'id="save-find" href="([^"]*)"', olga.client.get(kept.location).get_data(as_text=True))
    assert link is not None

    form = olga.client.get(html.unescape(link.group(1))).get_data(as_text=True)
    saved = olga.client.post(
        "/observations/new", headers=olga.token, **multipart(answer=kept.location.rpartition("/")[2], licence="CC0-1.0")
    )

    assert 'name="scientificName" maxlength="255" autocomplete="off" spellcheck="false" value="Amanita"' in form
    assert '<option value="CC-BY-SA-4.0" selected>' in form
    key = saved.location.partition("?")[0].rpartition("/")[2]
    body = keeping.visitor().get(f"/api/v1/observations/{key}").get_json()
    assert [photo["aspect"] for photo in body["photos"]] == aspects
    assert body["licence"] == "CC0-1.0"


def test_the_aspects_of_the_form_count_before_those_of_the_answer(keeping: Server) -> None:
    olga = keeping.signed_in("olga")
    kept = olga.client.post("/", **multipart(1, aspects=ASPECTS[0], keep="true"))
    name = kept.location.rpartition("/")[2]

    saved = olga.client.post("/observations/new", headers=olga.token, **multipart(answer=name, aspects=[ASPECTS[1]]))

    key = saved.location.partition("?")[0].rpartition("/")[2]
    photos = keeping.visitor().get(f"/api/v1/observations/{key}").get_json()["photos"]
    assert [photo["aspect"] for photo in photos] == [ASPECTS[1]]
