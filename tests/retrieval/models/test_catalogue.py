"""The catalogue of known networks is well formed, and lists nothing that the handles cannot open."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.errors import ModelError, UnknownModel
from retrieval.models.catalogue import KnownModel, find_known, known_models, select_models
from retrieval.models.efficientnet_lite import LITES
from retrieval.models.handles import HANDLES

OPEN = ("Apache-2.0", "MIT", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0")
WHOLE = """
[[model]]
name = "one"
handle = "onnx:PATH"
width = 512
side = 224
licence = "MIT"
open = true
trained_on = "photos"
get = "ask"
source = "https://example.org/one"
"""


def test_every_entry_says_what_a_person_needs_to_decide() -> None:
    for model in known_models():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", model.name)
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]*(-[A-Za-z0-9.]+)*", model.licence)
        assert model.open == (model.licence in OPEN)
        assert model.measured or model.published
        assert not re.search(r"\bedible\b|\bsafe\b", f"{model.measured} {model.published} {model.trained_on}")
        if model.parameters and model.megabytes:  # four bytes for each parameter, or less where text is left out
            assert 3.5 <= model.megabytes / model.parameters <= 4.2


def test_every_handle_is_one_that_can_be_opened() -> None:
    kinds = {handle.partition(":")[0] for handle in HANDLES}

    assert {model.handle.partition(":")[0] for model in known_models()} <= kinds
    assert {model.handle for model in known_models()} >= set(LITES)


def test_the_networks_of_pip_are_described_as_they_are() -> None:
    for name, lite in LITES.items():
        known = find_known(name)
        assert (known.side, known.needs_head) == (lite.side, False)
        assert name == "lite0" or lite.requirement in known.get


def test_models_are_chosen_by_licence_and_size() -> None:
    models = known_models()

    assert all(model.open for model in select_models(models, licence="open"))
    assert {model.licence for model in select_models(models, licence="apache")} == {"Apache-2.0"}
    assert len(select_models(models)) == len(models)
    small = select_models(models, megabytes=60)
    assert {"lite0", "danish-fungi-efficientnet-b3"} <= {model.name for model in small}
    assert all(0 < model.megabytes <= 60 for model in small)
    assert not select_models([replace(models[0], megabytes=0)], megabytes=10_000)  # unknown is not small


def test_a_model_is_found_by_name_and_by_handle() -> None:
    for model in known_models():
        assert find_known(model.name) == model
    assert find_known("timm:vit_small_patch14_dinov2.lvd142m").name == "dinov2-small"
    with pytest.raises(UnknownModel, match="no model 'lite9'"):
        find_known("lite9")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (WHOLE.replace("512", '"512"'), "width of 'one' must be int"),
        (WHOLE.replace("512", "true"), "width of 'one' must be int"),
        (WHOLE.replace("512", "-512"), "is negative"),
        (WHOLE.replace("512", "0"), "has no width"),
        (WHOLE.replace('"MIT"', '""'), "has no licence"),
        (WHOLE.replace("open = true", 'open = "yes"'), "open of 'one' must be bool"),
        (WHOLE.replace("https", "http"), "https URL"),
        (WHOLE.replace('get = "ask"', ""), "cannot be read"),
        (WHOLE + 'colour = "red"', "cannot be read"),
        (WHOLE + WHOLE, "has 'one' twice"),
        ("model = 3", "cannot be read"),
        ("[[model", "cannot be read"),
    ],
)
def test_a_damaged_catalogue_is_refused_with_a_sentence(tmp_path: Path, wrong: str, says: str) -> None:
    file = tmp_path / "catalogue.toml"
    file.write_text(wrong, encoding="utf-8")

    with pytest.raises(ModelError, match=says):
        known_models(file)


def test_a_whole_catalogue_is_read(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.toml"
    file.write_text(WHOLE, encoding="utf-8")

    (model,) = known_models(file)

    assert model == KnownModel("one", "onnx:PATH", 512, 224, "MIT", True, "photos", "ask", "https://example.org/one")
    assert model.needs_head
    assert (model.as_json()["parameters"], model.as_json()["trainedOn"]) == (None, "photos")
