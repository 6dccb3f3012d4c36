"""Several published lines in one server: a request names one, and switching them fails and mixes no answer."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from retrieval.models.descriptor import Descriptor
from retrieval.snapshots.lines import promote_line, retire_line
from retrieval.snapshots.manifest import read_current, switch_current
from retrieval.snapshots.withdrawals import withdraw_photos
from tests.snapshots import drawn_references
from tests.web.conftest import encode_photos
from tests.web.lines import NEW, Mirrored, make_app_of_lines, make_lines

PHOTOS = [item for item in drawn_references()[2].items() if item[0] != NEW]  # (SHA-256, bytes) of all lines


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two lines that no test changes."""
    folder = tmp_path_factory.mktemp("lines")
    make_lines(folder)
    return folder


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[FlaskClient]:
    with serving_lines(root) as app:
        yield app.test_client()


@pytest.fixture
def changing(tmp_path: Path) -> Iterator[Flask]:
    """A server over two lines of a test's own, in its `tmp_path`."""
    make_lines(tmp_path)
    with serving_lines(tmp_path) as app:
        yield app


@contextmanager
def serving_lines(root: Path) -> Iterator[Flask]:
    app = make_app_of_lines(root)
    yield app
    app.extensions["serving"].close()
    app.extensions["services"].published.close()


def identify(client: FlaskClient, number: int = 0, **form: str) -> TestResponse:
    """Ask for a reference photo itself, which its own model finds at similarity 1."""
    return client.post("/api/v1/identify", **encode_photos([PHOTOS[number][1]], noReject="true", **form))


def is_whole(answer: Any, photo: str) -> bool:
    """Whether the photo was embedded by the model of the references that it was compared with."""
    found = answer["species"][0]["evidence"][0]
    return bool(found["photo"] == photo and found["similarity"] > 0.999)


@pytest.mark.parametrize("number", [0, 7])
def test_a_request_names_the_line_that_answers_it(client: FlaskClient, root: Path, number: int) -> None:
    forms: tuple[dict[str, str], ...] = ({}, {"model": "stable"}, {"model": "candidate"})
    plain, stable, other = (identify(client, number, **form) for form in forms)

    assert plain.get_json() == stable.get_json()
    assert (plain.get_json()["model"], other.get_json()["model"]) == (Descriptor().model, Mirrored().model)
    assert "line" not in plain.get_json()
    assert other.get_json()["line"] == "candidate"
    assert other.get_json()["snapshot"] == read_current(root, "candidate")
    assert all(is_whole(found.get_json(), PHOTOS[number][0]) for found in (plain, other))


@pytest.mark.parametrize("name", ["unheard-of", "../CURRENT", "CURRENT", "x" * 32])
def test_an_unknown_line_is_a_404_that_leaves_the_others_alone(client: FlaskClient, name: str) -> None:
    refused = identify(client, model=name)

    assert refused.status_code == 404
    assert refused.get_json()["type"].endswith("unknown-model")
    assert identify(client).status_code == 200


def test_a_batch_and_embeddings_name_a_line_too(client: FlaskClient) -> None:
    line = json.dumps({"id": "one", "photos": ["a.jpg"]})
    form = encode_photos([PHOTOS[0][1]], part="a.jpg", observations=line)

    batch = client.post("/api/v1/identify/batch?model=candidate", **form).data.splitlines()
    embedded = client.post("/api/v1/embeddings", **encode_photos([PHOTOS[0][1]], model="candidate"))

    assert json.loads(batch[0])["identification"]["model"] == Mirrored().model
    assert (json.loads(batch[-1])["model"], json.loads(batch[-1])["line"]) == (Mirrored().model, "candidate")
    assert (embedded.get_json()["model"], embedded.get_json()["line"]) == (Mirrored().model, "candidate")


def test_contracts_name_a_line_in_their_own_words(client: FlaskClient, root: Path) -> None:
    photo = PHOTOS[0][1]

    plantnet = client.post("/v2/identify/all?type=candidate&no-reject=true", **encode_photos([photo], part="images"))
    usual = client.post("/v2/identify/all?type=legacy&no-reject=true", **encode_photos([photo], part="images"))
    strange = client.post("/v2/identify/all?type=unheard-of", **encode_photos([photo], part="images"))
    inaturalist = client.post("/v1/computervision/score_image?model=candidate", **encode_photos([photo], part="image"))

    assert plantnet.get_json()["version"] == f"{read_current(root, 'candidate')} ({Mirrored().model})"
    assert usual.get_json()["version"] == f"{read_current(root)} ({Descriptor().model})"
    assert strange.status_code == 400
    assert inaturalist.get_json()["model"] == Mirrored().model


def test_a_photo_that_only_one_line_has_is_shown_and_one_of_no_line_is_not(client: FlaskClient) -> None:
    assert [client.get(f"/api/v1/photos/{photo}").status_code for photo in (NEW, PHOTOS[0][0])] == [200, 200]
    assert client.get(f"/api/v1/photos/{'0' * 64}").status_code == 404


def test_health_and_metrics_tell_lines_apart(changing: Flask, tmp_path: Path) -> None:
    client = changing.test_client()
    before = client.get("/healthz").get_json()["lines"]
    identify(client)
    identify(client, model="candidate")

    health, metrics = client.get("/healthz"), client.get("/metrics").text

    assert health.get_json()["model"] == Descriptor().model
    assert [(line["line"], line["status"], line["model"]) for line in health.get_json()["lines"]] == [
        ("candidate", "ok", Mirrored().model)
    ]
    name = read_current(tmp_path, "candidate")
    assert [(line["status"], line["snapshot"], line["model"]) for line in before] == [("idle", name, None)]
    assert f'fungarium_line{{line="candidate",model="{Mirrored().model}",snapshot="{name}"}} 1.0' in metrics
    assert f'fungarium_identifications_total{{line="candidate",model="{Mirrored().model}"}} 1.0' in metrics
    assert f'fungarium_identifications_total{{line="stable",model="{Descriptor().model}"}} 1.0' in metrics
    assert f'fungarium_snapshot{{model="{Mirrored().model}"' not in metrics


def test_the_page_offers_lines_and_shows_which_answered(client: FlaskClient) -> None:
    form = client.get("/").text
    page = client.post("/", **encode_photos([PHOTOS[0][1]], model="candidate")).text
    plain = client.post("/", **encode_photos([PHOTOS[0][1]], model="")).text

    assert '<option value="candidate">candidate</option>' in form
    assert '<option value="candidate" selected>candidate</option>' in page
    assert "Answered by the model “candidate”." in page
    assert Mirrored().model in page
    assert "Answered by the model" not in plain


def test_withdrawn_photos_are_found_by_no_line(changing: Flask, tmp_path: Path) -> None:
    client, gone = changing.test_client(), PHOTOS[0][0]
    answers = [identify(client, model=line).get_json() for line in ("stable", "candidate")]
    withdraw_photos(tmp_path, [gone])
    after = [identify(client, model=line).get_json() for line in ("stable", "candidate")]

    assert all(gone in json.dumps(answer) for answer in answers)
    assert all(gone not in json.dumps(answer) for answer in after)


def test_lines_come_and_go_without_the_stable_one_noticing(changing: Flask, tmp_path: Path) -> None:
    client, published = changing.test_client(), changing.extensions["services"].published
    switch_current(tmp_path, "0123456789abcdef", "broken")
    assert identify(client, model="broken").status_code == 503
    health = client.get("/healthz")
    assert (health.status_code, health.get_json()["status"]) == (200, "ok")
    assert {line["line"]: line["status"] for line in health.get_json()["lines"]}["broken"] == "unavailable"

    with published.lease("candidate") as running:
        for line in ("candidate", "broken"):
            retire_line(tmp_path, line)
        assert identify(client, model="candidate").status_code == 404
        assert running.taxonomy.find("Amanita muscaria") is not None  # who began with it ends with it
    with pytest.raises(Exception, match="closed"):
        running.taxonomy.find("Amanita muscaria")

    assert identify(client).status_code == 200
    assert "lines" not in client.get("/healthz").get_json()
    assert 'name="model"' not in client.get("/").text


@pytest.mark.slow
def test_promotions_under_load_fail_and_mix_no_answer(
    changing: Flask, tmp_path: Path, rounds: Callable[..., int]
) -> None:
    switch_current(tmp_path, read_current(tmp_path), "before")
    snapshots = {read_current(tmp_path, line): line for line in ("before", "candidate")}
    models = {"before": Descriptor().model, "candidate": Mirrored().model}
    ended, failures, counts = threading.Event(), list[str](), Counter[tuple[str, str]]()

    def keep_asking(asker: int) -> None:
        client, turn = changing.test_client(), asker
        while not ended.is_set():
            turn += 1
            asked = ("", "before", "candidate")[turn % 3]
            try:
                answer = identify(client, turn % len(PHOTOS), **({"model": asked} if asked else {}))
                body = answer.get_json()
                assert answer.status_code == 200, body
                line = snapshots[body["snapshot"]]
                assert body["model"] == models[line], body["model"]
                assert line == asked or not asked, (line, asked)
                assert body.get("line", "") == asked
                assert is_whole(body, PHOTOS[turn % len(PHOTOS)][0]), body["species"][0]
                counts[asked, line] += 1
            except BaseException as error:
                failures.append(repr(error))
                return
            ended.wait(0.005)  # a steady load, not as much as the machine can bear

    askers = [threading.Thread(target=keep_asking, args=(number,)) for number in range(3)]

    def wait_until(seen: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not seen() and not failures:
            assert time.monotonic() < deadline, counts
            ended.wait(0.002)

    for asker in askers:
        asker.start()
    try:
        for turn in range(rounds(12, exhaustively=500)):
            line = ("candidate", "before")[turn % 2]
            answered = counts["", line]
            promote_line(tmp_path, line)
            wait_until(lambda line=line, answered=answered: counts["", line] > answered)  # type: ignore[misc]
        wait_until(lambda: min(counts["before", "before"], counts["candidate", "candidate"]) > 0)
    finally:
        ended.set()
        for asker in askers:
            asker.join()

    assert failures == []
    assert set(counts) == {("", "before"), ("", "candidate"), ("before", "before"), ("candidate", "candidate")}
