"""`fungarium index publish --line`, `promote` and `retire`: a collection moves to an ensemble while it is served."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from fungarium.cli import main
from retrieval.snapshots.manifest import read_current, read_manifest
from settings import read_settings
from tests.indexer.collections import line, write_table
from tests.retrieval.models.networks import write_card, write_network
from tests.web.conftest import encode_photos
from web.application import create_app
from web.services import make_services

NAMES = ("Boletus edulis", "Boletus edulis", "Amanita muscaria", "Amanita muscaria")


@contextmanager
def serving() -> Iterator[FlaskClient]:
    """The server of the settings in the environment."""
    services = make_services(read_settings())
    app = create_app(services)
    yield app.test_client()
    app.extensions["serving"].close()
    services.counts.close()
    services.published.close()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command over a collection of four photos, with the descriptor; gives what it printed, or its error."""
    for name in ("CLUSTER", "DATABASE", "MODEL_CARD", "LINE_MODELS"):
        monkeypatch.delenv(f"FUNGARIUM_{name}", raising=False)
    settings = {"DATA": tmp_path / "data", "FLORA_INDEXES": tmp_path / "indexes", "MODEL": "descriptor"}
    for name, value in settings.items():
        monkeypatch.setenv(f"FUNGARIUM_{name}", str(value))

    def run_command(*words: str, code: int = 0) -> str:
        assert main(list(words)) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    return run_command


def test_a_collection_moves_to_an_ensemble_beside_what_is_served(
    tmp_path: Path, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write_table(tmp_path / "walks", [line(f"{place}.png", name) for place, name in enumerate(NAMES)])
    network = write_network(tmp_path / "tiny.onnx")
    write_card(network)
    ensemble = f"ensemble:descriptor+onnx:{network}"
    photo = tmp_path / "walks" / "0.png"
    run("collection", "import", "csv", str(table), "--dataset", "walks", "--copy")
    run("index", "embed")
    run("index", "build")
    run("index", "publish", "--no-atlas")

    run("index", "embed", "--model", ensemble)
    run("index", "build", "--model", ensemble)
    published = run("index", "publish", "--line", "candidate")
    assert published.startswith("published ")
    assert published.endswith(" as candidate\n")
    refused = run("index", "promote", "candidate", code=1)
    assert "FUNGARIUM_LINE_MODELS" in refused

    monkeypatch.setenv("FUNGARIUM_LINE_MODELS", ensemble)
    lines = json.loads(run("index", "lines", "--json"))
    assert [(row["line"], row["model"].partition("@")[0]) for row in lines] == [
        ("stable", "descriptor"),
        ("candidate", "descriptor+tiny"),
    ]
    assert f"candidate: {lines[1]['snapshot']}, 4 references" in run("doctor")
    answer = json.loads(run("identify", str(photo), "--snapshot", "candidate", "--no-reject", "--json"))
    assert answer["model"] == lines[1]["model"]

    with serving() as client:
        assert ask(client, photo)["model"] == "descriptor@1"
        asked = ask(client, photo, model="candidate")
        assert (asked["model"], asked["line"]) == (lines[1]["model"], "candidate")
        assert asked["species"][0]["evidence"][0]["similarity"] > 0.999
        run("index", "promote", "candidate", "--no-atlas")
        assert ask(client, photo)["model"] == lines[1]["model"]
        assert "retired candidate" in run("index", "retire", "candidate")
        assert ask(client, photo)["model"] == lines[1]["model"]
        run("index", "rollback")
        assert ask(client, photo)["model"] == "descriptor@1"
    assert "there is no published line 'candidate'" in run("index", "promote", "candidate", code=1)


def test_publishing_and_going_back_ask_or_say_which_setting_to_change_where_they_change_the_model(
    tmp_path: Path, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_table(tmp_path / "walks", [line(f"{place}.png", name) for place, name in enumerate(NAMES)])
    network = write_network(tmp_path / "tiny.onnx")
    write_card(network)
    handle = f"onnx:{network}"
    root = tmp_path / "indexes"
    run("collection", "import", "csv", str(table), "--dataset", "walks", "--copy")
    for options in ((), ("--model", handle)):
        run("index", "embed", *options)
        run("index", "build", *options)
    built = [row["name"] for row in json.loads(run("index", "list", "--json"))]
    first, second = sorted(built, key=lambda name: read_manifest(root, name).model["model"])
    models = [read_manifest(root, name).model["model"] for name in (first, second)]

    def run_and_hear(*words: str, code: int = 0) -> str:
        assert main(list(words)) == code
        return capsys.readouterr().err

    quiet = run_and_hear("index", "publish", first, "--no-atlas")
    assert "FUNGARIUM_MODEL" not in quiet, "nothing was published before"
    said = run_and_hear("index", "publish", second, "--no-atlas")  # nobody at the terminal: it says so and goes on
    assert f"{second} was made with the model {models[1]}, and {first}, which is published, with {models[0]}" in said
    assert f"the settings here name {models[0]}, so change them" in said
    assert read_current(root) == second

    asked: list[str] = []

    def answer(question: str, **_: object) -> bool:
        asked.append(question)
        return agreed

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", answer)
    agreed = False
    assert f"nothing was changed: {second} stays published" in run_and_hear("index", "rollback", code=1)
    assert f"nothing was changed: {second} stays published" in run_and_hear("index", "publish", first, code=1)
    assert read_current(root) == second
    assert len(asked) == 2
    assert "the settings here do" in run_and_hear("index", "rollback", "--yes")
    assert read_current(root) == first
    run_and_hear("index", "publish", second, "--line", "candidate")
    run_and_hear("index", "publish", second, "--yes", "--no-atlas")
    agreed = True
    run_and_hear("index", "rollback")
    assert read_current(root) == first
    assert len(asked) == 3


def ask(client: FlaskClient, photo: Path, **form: str) -> dict[str, Any]:
    answer = client.post("/api/v1/identify", **encode_photos([photo.read_bytes()], noReject="true", **form))
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.get_json()
    return body
