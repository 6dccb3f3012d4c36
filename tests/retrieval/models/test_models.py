"""Handles, cards and networks: what can be opened, names of models, and error messages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import ModelError, UnknownModel
from retrieval.models.card import Preprocessing, digest_model, read_card
from retrieval.models.embedder import View
from retrieval.models.handles import open_model
from retrieval.models.network import crop_square, normalise
from tests.retrieval.models.networks import (
    CARD,
    SIDE,
    write_boundless_network,
    write_card,
    write_network,
    write_silent_network,
)

ROOT = Path(__file__).resolve().parents[3]


def open_beside(folder: Path, name: str = "tiny.onnx", **changes: Any) -> str:
    """The model name of a fresh network with a card."""
    network = write_network(folder / name)
    write_card(network, **changes)
    return open_model(f"onnx:{network}").model


@pytest.mark.parametrize("handle", ["", "resnet", "onnx:", "descriptor:x", "hub"])
def test_an_unknown_handle_is_refused_and_the_known_ones_are_named(handle: str) -> None:
    with pytest.raises(
        UnknownModel, match="no model handle; there are: default, lite0, lite1, lite2, descriptor, onnx:PATH"
    ):
        open_model(handle)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"there is no model at .*gone\.onnx"):
        open_model(f"onnx:{tmp_path / 'gone.onnx'}")


def test_a_folder_that_is_no_hub_module_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"it has no saved_model\.pb"):
        open_model(f"hub:{tmp_path}")


@pytest.mark.parametrize("damage", [b"", b"not a network at all", None])
def test_a_damaged_network_is_refused_in_one_sentence(tmp_path: Path, damage: bytes | None) -> None:
    network = write_network(tmp_path / "tiny.onnx")
    write_card(network)
    network.write_bytes(network.read_bytes()[:5000] if damage is None else damage)

    with pytest.raises(ModelError, match=r"tiny\.onnx is damaged or not a network that OpenVINO reads"):
        open_model(f"onnx:{network}")


def test_a_damaged_hub_module_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"no protobuf")

    with pytest.raises(ModelError, match="damaged or not a network"):
        open_model(f"hub:{tmp_path}")


def test_a_network_of_another_width_is_refused(tmp_path: Path) -> None:
    network = write_network(tmp_path / "tiny.onnx", width=255)
    write_card(network)

    with pytest.raises(ModelError, match="gives 255 numbers per view, and an index holds 256"):
        open_model(f"onnx:{network}")


def test_a_network_that_does_not_take_the_card_s_size_is_refused(tmp_path: Path) -> None:
    network = write_network(tmp_path / "tiny.onnx")
    write_card(network, resize=12, crop=12)

    with pytest.raises(ModelError, match="does not take 12 x 12 pixels in NCHW layout"):
        open_model(f"onnx:{network}")


def test_a_network_that_answers_zeros_breaks_the_promise_and_is_named(tmp_path: Path) -> None:
    network = write_silent_network(tmp_path / "silent.onnx")
    write_card(network)

    with pytest.raises(ModelError, match=r"silent@.* no direction"):
        open_model(f"onnx:{network}").embed([View(np.full((10, 10, 3), 90, np.uint8))])


def test_without_a_card_a_network_of_fixed_size_gets_the_usual_preprocessing(tmp_path: Path) -> None:
    network = write_network(tmp_path / "tiny.onnx")

    model = open_model(f"onnx:{network}")

    assert model.card["preprocessing"]["crop"] == SIDE
    assert model.card["preprocessing"]["mean"] == (0.485, 0.456, 0.406)
    assert model.short_side == round(SIDE / 0.875)


def test_without_a_card_a_network_of_any_size_is_refused_with_an_example(tmp_path: Path) -> None:
    network = write_boundless_network(tmp_path / "any.onnx")

    with pytest.raises(ModelError, match=r"has no card: write any\.onnx\.card\.json beside it") as refused:
        open_model(f"onnx:{network}")

    said = str(refused.value)
    write_card(network).write_text(said[said.index("{") : said.index("}") + 1], encoding="utf-8")
    assert open_model(f"onnx:{network}").short_side == 256


def test_a_card_beside_the_network_is_found_and_another_can_be_named(tmp_path: Path) -> None:
    network = write_boundless_network(tmp_path / "any.onnx")
    write_card(network, resize=20, crop=16)
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**CARD, "resize": 33}), encoding="utf-8")

    assert open_model(f"onnx:{network}").short_side == 20
    assert open_model(f"onnx:{network}", other).short_side == 33


def test_a_named_card_that_is_missing_is_an_error(tmp_path: Path) -> None:
    network = write_network(tmp_path / "tiny.onnx")

    with pytest.raises(ModelError, match=r"there is no model card at .*gone\.json"):
        open_model(f"onnx:{network}", tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("not json", "cannot be used"),
        ("[]", "cannot be used"),
        ("{}", "resize"),
        ('{"resize": 10, "crop": 8, "colour": 1}', "colour"),
        ('{"resize": "10", "crop": 8}', "whole"),
        ('{"resize": 10.5, "crop": 8}', "whole"),
        ('{"resize": 10, "crop": 8, "mean": 3}', "cannot be used"),
        ('{"resize": 10, "crop": 8, "mean": [1, 2]}', "three numbers"),
        ('{"resize": 10, "crop": 8, "mean": [NaN, 0, 0]}', "three numbers"),
        ('{"resize": 10, "crop": 8, "std": [1, 1, 0]}', "above zero"),
        ('{"resize": 8, "crop": 10}', "between 1 and its resize"),
        ('{"resize": 10, "crop": 8, "layout": "HWC"}', "NCHW or NHWC"),
    ],
)
def test_a_card_that_cannot_be_used_says_why(tmp_path: Path, body: str, says: str) -> None:
    card = tmp_path / "card.json"
    card.write_text(body, encoding="utf-8")

    with pytest.raises(ModelError, match=says):
        read_card(card)


def test_another_weight_preprocessing_or_file_name_is_another_model(tmp_path: Path) -> None:
    names = [open_beside(tmp_path)]
    names += [open_beside(tmp_path, mean=[0.4, 0.5, 0.5]), open_beside(tmp_path, resize=12)]
    other = write_network(tmp_path / "tiny.onnx", seed=2)
    write_card(other)
    names.append(open_model(f"onnx:{other}").model)

    assert len(set(names)) == 4
    assert open_beside(tmp_path) == names[0]


def test_what_a_card_says_for_people_does_not_change_the_model(tmp_path: Path) -> None:
    assert open_beside(tmp_path) == open_beside(tmp_path, licence="CC0-1.0", suitable="mosses", unsuitable="stars")


def test_the_folder_a_model_lies_in_does_not_change_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    assert open_beside(tmp_path / "a") == open_beside(tmp_path / "b")


def test_the_digest_of_a_folder_depends_on_names_and_bytes(tmp_path: Path) -> None:
    digests = set()
    for name, body in (("a", b"1"), ("a", b"2"), ("b", b"1")):
        folder = tmp_path / f"{name}{body.decode()}"
        (folder / "variables").mkdir(parents=True)
        (folder / "variables" / name).write_bytes(body)
        digests.add(digest_model(folder))

    assert len(digests) == 3


def test_the_output_is_chosen_by_name_then_by_width_and_never_by_position(tmp_path: Path) -> None:
    network = write_network(tmp_path / "two.onnx", width=255, outputs=("inner", "outer"))
    write_card(network)
    wide = open_model(f"onnx:{network}")  # `outer` has 256
    write_card(network, output="outer")
    named = open_model(f"onnx:{network}")
    view = View(np.random.default_rng(5).integers(0, 256, (10, 10, 3)).astype(np.uint8))

    assert np.array_equal(wide.embed([view]), named.embed([view]))


def test_an_output_that_is_not_there_is_refused_and_the_others_named(tmp_path: Path) -> None:
    network = write_network(tmp_path / "two.onnx", outputs=("inner", "outer"))
    write_card(network, output="logits")

    with pytest.raises(ModelError, match="no output 'logits'; it has: inner, outer"):
        open_model(f"onnx:{network}")


def test_several_outputs_without_a_fitting_one_must_be_named(tmp_path: Path) -> None:
    network = write_network(tmp_path / "two.onnx", width=100, outputs=("inner", "outer"))
    write_card(network)

    with pytest.raises(ModelError, match="several outputs; name one in its card: inner, outer"):
        open_model(f"onnx:{network}")


def test_the_centre_is_cut_and_scaled_as_the_card_says() -> None:
    pixels = np.zeros((10, 14, 3), np.uint8)
    pixels[1:9, 3:11] = (255, 51, 0)

    card = Preprocessing(10, 8, "NHWC", mean=(0.5, 0.0, 0.5), std=(0.5, 0.1, 0.25))

    square = normalise(crop_square(View(pixels), card), card)

    assert square.shape == (8, 8, 3)
    assert np.allclose(square, (1.0, 2.0, -2.0))


def test_a_network_gets_its_pixels_in_the_layout_of_its_card(tmp_path: Path) -> None:
    first = write_network(tmp_path / "first.onnx")
    last = write_network(tmp_path / "last.onnx", layout="NHWC")
    write_card(first)
    write_card(last, layout="NHWC")
    view = View(np.asarray(Image.effect_noise((10, 10), 90).convert("RGB")))
    card = Preprocessing(10, 8, "NHWC", mean=(0.5,) * 3, std=(0.25,) * 3)
    square = normalise(crop_square(view, card), card)
    matrix = np.random.default_rng(1).normal(size=(3 * SIDE * SIDE, 256)).astype(np.float32)

    found = [open_model(f"onnx:{network}").embed([view])[0] for network in (first, last)]

    for embedding, flat in zip(found, (square.transpose(2, 0, 1).ravel(), square.ravel()), strict=True):
        expected = flat @ matrix + 0.1
        assert np.allclose(embedding, expected / np.linalg.norm(expected), atol=1e-5)


def test_where_openvino_is_missing_the_error_names_the_package(tmp_path: Path) -> None:
    network = write_network(tmp_path / "tiny.onnx")
    write_card(network)
    program = (
        "import sys; sys.modules['openvino'] = None\n"
        "from retrieval.models.handles import open_model\n"
        f"open_model({f'onnx:{network}'!r})"
    )

    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    assert "ModelError: networks are run by OpenVINO, which is missing: pip install openvino" in ran.stderr


def test_the_descriptor_needs_no_runtime(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from retrieval.models.handles import open_model\n"
        "open_model('descriptor')\n"
        "assert not {'openvino', 'faiss', 'tensorflow'} & set(sys.modules)"
    )

    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
