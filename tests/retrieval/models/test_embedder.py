"""One test suite for every implementation of the embedder protocol."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import ImageOps

from retrieval.models.embedder import DIM, Embedder, Embeddings, View, unit_rows
from retrieval.models.handles import open_model
from retrieval.photos.views import decode_view
from tests.retrieval.models.networks import write_card, write_network
from tests.retrieval.photos.oddities import save, scene


@given(arrays.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 8)), elements=st.floats(-1e6, 1e6)))
def test_unit_rows_keep_their_direction_and_have_length_1(rows: NDArray[np.float64]) -> None:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    assume(bool(np.all(lengths > 1e-6)))
    before = rows.copy()

    unit = unit_rows(rows)

    assert unit.dtype == np.float32
    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    assert np.allclose(unit * lengths, rows, rtol=1e-5, atol=1e-5 * lengths.max())
    assert np.array_equal(rows, before)


def test_unit_rows_of_unit_rows_are_the_same() -> None:
    rows = unit_rows(np.random.default_rng(3).normal(size=(50, DIM)))

    assert np.allclose(unit_rows(rows), rows, atol=1e-7)


@pytest.mark.parametrize("odd", [0.0, np.nan, np.inf, -np.inf])
def test_a_row_without_a_direction_is_refused(odd: float) -> None:
    with pytest.raises(ValueError, match="no direction"):
        unit_rows(np.array([[3.0, 4.0], [odd, odd]]))


def open_descriptor(_: Path) -> Embedder:
    return open_model("descriptor")


def open_default(folder: Path) -> Embedder:
    return open_model("default")


def open_channels_first(folder: Path) -> Embedder:
    network = write_network(folder / "tiny.onnx")
    write_card(network)
    return open_model(f"onnx:{network}")


def open_channels_last(folder: Path) -> Embedder:
    network = write_network(folder / "tiny.onnx", layout="NHWC")
    write_card(network, layout="NHWC")
    return open_model(f"onnx:{network}")


@pytest.fixture(
    scope="module",
    params=[open_descriptor, open_default, open_channels_first, open_channels_last],
    ids=["descriptor", "default", "onnx-nchw", "onnx-nhwc"],
)
def embedder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    make: Callable[[Path], Embedder] = request.param
    return make(tmp_path_factory.mktemp("model"))


def some_views(embedder: Embedder, count: int = 20) -> list[View]:
    noise = np.random.default_rng(4)
    side = embedder.short_side
    sizes = [(side, side), (side, side + 3), (side + 7, side)]
    return [View(noise.integers(0, 256, (*sizes[number % 3], 3)).astype(np.uint8)) for number in range(count)]


def test_every_embedding_has_256_numbers_and_length_1(embedder: Embedder) -> None:
    embeddings = embedder.embed(some_views(embedder))

    assert embeddings.shape == (20, DIM)
    assert embeddings.dtype == np.float32
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)


def test_the_same_views_give_the_same_embeddings(embedder: Embedder) -> None:
    views = some_views(embedder)

    assert np.array_equal(embedder.embed(views), embedder.embed(views))


def test_a_batch_gives_what_each_view_alone_gives_in_the_same_order(embedder: Embedder) -> None:
    views = some_views(embedder)

    together = embedder.embed(views)
    alone = np.concatenate([embedder.embed([view]) for view in views])

    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(embedder.embed(views[::-1]), together[::-1], atol=1e-5)
    assert np.array_equal((together @ alone.T).argmax(axis=1), np.arange(len(views)))


def test_no_views_give_no_embeddings(embedder: Embedder) -> None:
    nothing = embedder.embed([])

    assert nothing.shape == (0, DIM)
    assert nothing.dtype == np.float32


def test_views_are_not_changed(embedder: Embedder) -> None:
    views = some_views(embedder, 3)
    before = [view.pixels.copy() for view in views]

    embedder.embed(views)

    assert all(np.array_equal(view.pixels, old) for view, old in zip(views, before, strict=True))


def test_embeddings_of_an_earlier_call_stay_as_they_are(embedder: Embedder) -> None:
    views = some_views(embedder, 4)

    first = embedder.embed(views[:2])
    kept = first.copy()
    embedder.embed(views[2:])

    assert np.array_equal(first, kept)


def test_many_threads_get_what_one_gets(embedder: Embedder) -> None:
    views = some_views(embedder, 24)
    expected = embedder.embed(views)

    def embed_one(number: int) -> Embeddings:
        return embedder.embed([views[number]])

    with ThreadPoolExecutor(8) as pool:
        found = np.concatenate(list(pool.map(embed_one, range(len(views)))))

    assert np.allclose(found, expected, atol=1e-5)


def test_a_view_of_another_size_is_brought_to_the_right_one(embedder: Embedder) -> None:
    photo = save(scene(640, 480))

    fitting = embedder.embed([decode_view(photo, embedder.short_side)])
    larger = embedder.embed([decode_view(photo, 3 * embedder.short_side)])

    assert float(fitting[0] @ larger[0]) > 0.97


@pytest.mark.parametrize("colour", [0, 255, 127])
def test_a_plain_picture_has_an_embedding_too(embedder: Embedder, colour: int) -> None:
    side = embedder.short_side

    embedding = embedder.embed([View(np.full((side, side, 3), colour, np.uint8))])

    assert np.isclose(np.linalg.norm(embedding), 1, atol=1e-6)


def test_the_card_names_the_model_and_is_json(embedder: Embedder) -> None:
    card = json.loads(json.dumps(dict(embedder.card)))

    assert card["model"] == embedder.model
    assert card["dimension"] == DIM
    assert card["precision"] == "f32"


def test_the_descriptor_tells_scenes_apart_and_knows_the_same_scene_at_another_size() -> None:
    descriptor = open_model("descriptor")
    photos = [save(scene(640, 480)), save(scene(400, 300)), save(ImageOps.invert(ImageOps.mirror(scene())))]

    embeddings = descriptor.embed([decode_view(photo, descriptor.short_side) for photo in photos])

    same, other = float(embeddings[0] @ embeddings[1]), float(embeddings[0] @ embeddings[2])
    assert same > 0.98
    assert other < same - 0.1


def test_the_network_of_the_shared_folder_keeps_the_promise(shared: Path, tmp_path: Path) -> None:
    path = shared / "models" / "efficientnet_b4_imagenet_256.onnx"
    if not path.exists():
        pytest.skip(f"no model: {path} is absent")
    card = tmp_path / "card.json"
    card.write_text(
        json.dumps(
            {
                "resize": 405,
                "crop": 380,
                "layout": "NCHW",
                "mean": [0.485, 0.456, 0.406],
                "std": [0.229, 0.224, 0.225],
            }
        ),
        encoding="utf-8",
    )
    network = open_model(f"onnx:{path}", card)
    views = [decode_view(save(scene(640, 480)), network.short_side), View(np.zeros((405, 405, 3), np.uint8))]

    embeddings = network.embed(views)

    assert network.card["precision"] == "f32"
    assert embeddings.shape == (2, DIM)
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    assert np.allclose(network.embed(views[:1]), embeddings[:1], atol=1e-4)
