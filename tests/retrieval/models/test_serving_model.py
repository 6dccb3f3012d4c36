"""A model server over HTTP: correct embeddings, retries, and an error message if it keeps failing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.embedding.embed import PhotoToEmbed, embed_photos
from indexer.embedding.embeddings import EmbeddingStore
from retrieval.errors import ModelError, ModelUnavailable
from retrieval.models.card import Preprocessing
from retrieval.models.embedder import View, unit_rows
from retrieval.models.handles import open_model
from retrieval.models.network import Backbone, NetworkEmbedder
from retrieval.models.serving import TRIES, ServedNetwork
from tests.retrieval.models.serving import MATRIX, Served, serve
from tests.retrieval.photos.oddities import save, scene

CARD = Preprocessing(16, 16, seconds=5.0)


@pytest.fixture
def served() -> Iterator[Served]:
    with serve() as told:
        yield told


def open_served(told: Served, card: Preprocessing = CARD) -> NetworkEmbedder:
    network = ServedNetwork(told.address, card, pause=0.001)
    return NetworkEmbedder(Backbone(network, network.identity, card))


def some_views(count: int = 3) -> list[View]:
    noise = np.random.default_rng(2)
    return [View(noise.integers(0, 256, (16, 16, 3)).astype(np.uint8)) for _ in range(count)]


def test_the_rows_of_a_server_are_those_of_the_very_pixels(served: Served) -> None:
    views = some_views(20)

    rows = open_served(served).embed(views)

    expected = unit_rows(np.stack([(view.pixels / 255.0).mean(axis=(0, 1)) for view in views]) @ MATRIX)
    assert np.allclose(rows, expected, atol=1e-5)


def test_the_version_that_is_available_is_asked_for_and_stands_in_the_name(served: Served) -> None:
    third = open_served(served)
    served.versions[1]["state"] = "AVAILABLE"
    fourth = open_served(served)

    assert third.card["handle"] == "serving:fungi/versions/3"
    assert third.model != fourth.model
    assert third.model.startswith("fungi@")
    assert served.asked[-1] == "POST /v1/models/fungi/versions/4:predict"


def test_a_handle_opens_a_server_and_the_card_is_needed(served: Served, tmp_path: Path) -> None:
    card = tmp_path / "card.json"
    card.write_text('{"resize": 16, "crop": 16}', encoding="utf-8")

    assert open_model(f"serving:{served.address}", card).card["runtime"] == "tensorflow-serving"
    with pytest.raises(ModelError, match="a served model needs a card"):
        open_model(f"serving:{served.address}")


def test_a_server_that_fails_twice_is_asked_again(served: Served) -> None:
    model = open_served(served)
    served.broken = TRIES - 1

    rows = model.embed(some_views())

    assert rows.shape == (3, 256)
    assert served.broken == 0


def test_a_server_that_keeps_failing_is_given_up_in_one_sentence(served: Served) -> None:
    model = open_served(served)
    served.broken = 100

    with pytest.raises(ModelUnavailable, match=rf"answers with status 503, .*: see its log \(asked {TRIES} times\)"):
        model.embed(some_views())

    assert served.broken == 100 - TRIES


def test_a_server_that_answers_drop_by_drop_is_late(served: Served) -> None:
    model = open_served(served, Preprocessing(16, 16, seconds=0.2))
    served.dribble = threading.Event()

    with pytest.raises(ModelUnavailable, match=r"sent no complete answer within 0\.2 seconds"):
        model.embed(some_views(1))


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1/models/fungi"
        with pytest.raises(ModelUnavailable, match=rf"{address} does not answer: is it running"):
            ServedNetwork(address, CARD, pause=0.001)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"predictions": [[1.0] * 256]}, r"was asked for 3 rows of numbers and gave something of shape \(1, 256\)"),
        ({"predictions": [[1.0], [2.0, 3.0], [4.0]]}, "without rows of numbers"),
        ({"predictions": "none"}, "without rows of numbers"),
        ({"outputs": []}, "without rows of numbers"),
        ([], "without rows of numbers"),
        ({"predictions": [[float("nan")] * 256] * 3}, r"returned NaN or infinite numbers"),
        ({"predictions": [{"a": [1.0], "b": [2.0]}] * 3}, "several outputs; name one in its card: a, b"),
    ],
)
def test_a_wrong_answer_is_refused_in_one_sentence(served: Served, answer: Any, says: str) -> None:
    model = open_served(served)
    served.answer = lambda squares: answer

    with pytest.raises(ModelError, match=says):
        model.embed(some_views())


def test_an_answer_that_is_no_json_is_refused(served: Served) -> None:
    model = open_served(served)
    served.raw = b"<html>"

    with pytest.raises(ModelUnavailable, match="not JSON: is this TensorFlow Serving"):
        model.embed(some_views())


def test_a_refusal_is_not_repeated_and_says_what_the_server_said(served: Served) -> None:
    model = open_served(served)
    served.status, served.raw = 400, b'{"error": "input is no image"}'
    served.asked.clear()

    with pytest.raises(ModelError, match="refused the request: status 400, input is no image"):
        model.embed(some_views())

    assert len(served.asked) == 1


def test_a_model_of_the_wrong_width_is_refused_before_anything_is_embedded(served: Served) -> None:
    served.answer = lambda squares: {"predictions": [[1.0, 2.0]] * len(squares)}

    with pytest.raises(ModelError, match="gives 2 numbers per view, and an index holds 256"):
        open_served(served)


def test_the_named_output_of_several_is_taken(served: Served) -> None:
    served.answer = lambda squares: {"predictions": [{"a": [1.0], "b": [2.0] * 256}] * len(squares)}

    assert open_served(served, Preprocessing(16, 16, output="b", seconds=5.0)).embed(some_views()).shape == (3, 256)


def test_no_version_at_all_is_said(served: Served) -> None:
    served.versions = []

    with pytest.raises(ModelUnavailable, match=r"no version of the model .* is available yet"):
        open_served(served)


@pytest.mark.parametrize("address", ["fungi", "ftp://host/v1/models/fungi", "http://", "file:///etc/passwd"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ModelError, match="is not the URL of a served model"):
        ServedNetwork(address, CARD)


def test_photos_are_not_blamed_for_a_server_that_went_away(served: Served, tmp_path: Path) -> None:
    model = open_served(served)
    photo = save(scene(640, 480))
    served.broken = 10_000

    with EmbeddingStore(tmp_path, model.model) as store:
        with pytest.raises(ModelUnavailable):
            embed_photos([PhotoToEmbed("a" * 64, lambda: photo), PhotoToEmbed("b" * 64, lambda: photo)], store, model)
        kept, failures = len(store), store.failures()
        served.broken = 0
        report = embed_photos([PhotoToEmbed("a" * 64, lambda: photo)], store, model)

    assert (kept, failures) == (0, {})
    assert report.embedded == 1
