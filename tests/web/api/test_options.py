"""Options of an identification over HTTP: parsed, validated, and passed to the engine."""

from __future__ import annotations

import html
import io
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from evaluation.learning.calibrate import calibrate_snapshot
from retrieval.domain import HABITATS, SUBSTRATES
from retrieval.errors import BuildError
from retrieval.models.embedder import DIM, unit_rows
from retrieval.snapshots.manifest import switch_current
from tests.snapshots import CITRINA, draw_photo, drawn_references, make_snapshot
from tests.web.conftest import make_app


def ask(client: FlaskClient, **options: Any) -> tuple[int, dict[str, Any]]:
    """Identify one photo with the wishes given; status and body."""
    form = {"photos": [(io.BytesIO(draw_photo(CITRINA, 9)), "photo.jpg")], **options}
    answer = client.post("/api/v1/identify", data=form, content_type="multipart/form-data")
    return answer.status_code, answer.get_json()


def test_without_wishes_the_answer_says_how_it_was_made(client: FlaskClient) -> None:
    status, body = ask(client)

    assert status == 200
    assert (body["fusion"], body["priorsApplied"], body["calibrated"]) == ("mean", [], False)
    assert body["specificity"]["target"] == 0.9
    assert body["decidingPhoto"] == 0
    assert body["photoRankings"][0][0]["scientificName"] == body["species"][0]["taxon"]["scientificName"]


def test_a_taxon_that_is_sure_keeps_the_answer_within_it(client: FlaskClient) -> None:
    status, body = ask(client, within="5")  # the genus Russula, which the photo does not look like

    assert status == 200
    assert {candidate["taxon"]["genus"] for candidate in body["species"]} == {"Russula"}


def test_the_target_is_that_of_the_request(client: FlaskClient) -> None:
    assert ask(client, target="0.75")[1]["specificity"]["target"] == 0.75


@pytest.mark.parametrize(
    ("options", "status", "part"),
    [
        ({"latitude": "55.6"}, 400, "both latitude and longitude"),
        ({"latitude": "95", "longitude": "12"}, 422, "latitude"),
        ({"date": "yesterday"}, 422, "date"),
        ({"habitat": "sea"}, 422, "habitat"),
        ({"substrate": "garden"}, 422, "substrate"),
        ({"fusion": "sum"}, 422, "fusion"),
        ({"priors": "moon"}, 422, "priors"),
        ({"aspects": ["cap", "stipe"]}, 400, "2 aspects were given for 1 photos"),
        ({"within": "999999"}, 404, "999999"),
        ({"within": "9" * 400}, 422, "within"),
        ({"target": "1"}, 422, "target"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_impossible_wish_is_refused_in_words(
    client: FlaskClient, options: dict[str, Any], status: int, part: str
) -> None:
    found, body = ask(client, **options)

    assert found == status
    assert part in body["detail"] or part in str(body.get("errors"))


def test_too_few_observations_calibrate_nothing(tmp_path: Path) -> None:
    with (
        closing(make_snapshot(tmp_path).open()) as snapshot,
        pytest.raises(BuildError, match=r"only \d observations .* at least 20 are needed"),
    ):
        calibrate_snapshot(tmp_path, snapshot)


def test_a_calibrated_snapshot_answers_with_scores_and_words(tmp_path: Path) -> None:
    entries, embeddings, photos = drawn_references(observations=4)
    noise = np.random.default_rng(1).normal(0, 0.3 / np.sqrt(DIM), embeddings.shape)  # no two finds are copies
    embeddings = unit_rows(embeddings + noise)
    with closing(make_snapshot(tmp_path, entries, embeddings).open()) as snapshot:
        switch_current(tmp_path, calibrate_snapshot(tmp_path, snapshot))
    client = make_app(tmp_path, photos).test_client()

    status, body = ask(client)
    form = {"photos": [(io.BytesIO(draw_photo(CITRINA, 9)), "photo.jpg")]}
    page = client.post("/", data=form, content_type="multipart/form-data").get_data(as_text=True)

    assert (status, body["calibrated"]) == (200, True)
    total = sum(candidate["score"] for candidate in body["species"]) + body["rejection"]["noneOfThese"]
    assert total == pytest.approx(1, abs=1e-4)
    assert "calibrated probability" in body["scoreMeaning"]
    rejected, specificity = body["rejection"]["rejected"], body["specificity"]
    said = body["rejection"]["reason"] if rejected else specificity["taxon"]["scientificName"]
    decision = re.search(r'<h1 id="answer-title"(.*?)<div class="hero">', page, re.DOTALL)
    assert decision
    assert said in html.unescape(decision[1])
    sure = "over 99" if 0.99 < specificity["probability"] < 1 else f"{specificity['probability']:.0%}".rstrip("%")
    assert rejected or sure in decision[1]


def test_the_page_asks_for_habitat_and_substrate_by_chips_and_keeps_what_was_chosen(client: FlaskClient) -> None:
    page = client.get("/?habitat=bog", headers={"Accept-Language": "de"}).get_data(as_text=True)

    for name, classes in (("habitat", HABITATS), ("substrate", SUBSTRATES)):
        chips = re.findall(rf'<input type="radio" name="{name}" value="([^"]*)"( checked)?>', page)
        assert [value for value, _ in chips] == ["", *classes]
        assert [value for value, checked in chips if checked] == (["bog"] if name == "habitat" else [""])
    assert "Moor oder Sumpf" in page
