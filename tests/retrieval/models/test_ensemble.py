"""Several models as one: what each gives by itself, side by side, brought to 256 numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fungarium.cli import main
from retrieval.errors import ModelError
from retrieval.models.embedder import DIM, View, unit_rows
from retrieval.models.handles import absolute_handle, open_backbone, open_model
from retrieval.models.head import Head, write_head
from retrieval.models.provenance import hide_digests, note_taught, read_taught
from tests.retrieval.models.networks import write_card, write_network


@pytest.fixture(scope="module")
def handles(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two networks whose preprocessing differs."""
    folder = tmp_path_factory.mktemp("members")
    small, large = write_network(folder / "small.onnx", seed=1), write_network(folder / "large.onnx", seed=2)
    write_card(small)
    write_card(large, resize=80, taught=note_taught(["ab" * 32]))
    return [f"onnx:{small}", f"onnx:{large}"]


def make_views(sides: tuple[int, ...] = (80, 80)) -> list[View]:
    noise = np.random.default_rng(5)
    return [View(noise.integers(0, 256, (side, side + 31, 3), dtype=np.uint8)) for side in sides]


def test_each_member_sees_a_view_by_its_own_preprocessing_and_gives_its_leading_numbers(handles: list[str]) -> None:
    members = [open_model(handle) for handle in handles]
    joined = open_model("ensemble:" + "+".join(handles))
    views = make_views()

    parts = [member.embed(views)[:, : DIM // 2] for member in members]

    assert joined.short_side == max(member.short_side for member in members) == 80
    assert np.allclose(joined.embed(views), unit_rows(np.concatenate(parts, axis=1)), atol=1e-6)
    assert open_backbone("ensemble:" + "+".join(handles))[0].width == 2 * DIM


def test_three_members_share_the_numbers(handles: list[str]) -> None:
    joined = open_model("ensemble:descriptor+" + "+".join(handles))

    row = joined.embed(make_views((96,)))[0]

    descriptor = open_model("descriptor").embed(make_views((96,)))[0][:86]
    assert row.shape == (DIM,)
    assert np.allclose(row[:86] / np.linalg.norm(row[:86]), descriptor / np.linalg.norm(descriptor), atol=1e-5)


def test_a_fitted_head_takes_the_place_of_the_leading_numbers(handles: list[str], tmp_path: Path) -> None:
    matrix = np.random.default_rng(3).normal(size=(2 * DIM, DIM)).astype(np.float32)
    head = Head(np.zeros(2 * DIM, np.float32), matrix, {"kind": "pca", "temperature": 0.06})
    write_head(tmp_path / "own.head.npz", head)
    card = tmp_path / "own.card.json"
    card.write_text(json.dumps({"resize": 80, "crop": 80, "head": "own.head.npz"}), encoding="utf-8")
    handle, views = "ensemble:" + "+".join(handles), make_views()

    fitted, plain = open_model(handle, card), open_model(handle)

    features = np.concatenate([open_model(member).embed(views) for member in handles], axis=1)
    assert np.allclose(fitted.embed(views), unit_rows(head.project(features)), atol=1e-6)
    assert fitted.model != plain.model
    assert fitted.card["head"]["temperature"] == 0.06


def test_the_name_and_the_card_say_all_that_the_numbers_depend_on(handles: list[str]) -> None:
    one, other = handles
    names = {open_model(f"ensemble:{first}+{second}").model[-12:] for first, second in ((one, other), (other, one))}
    card = open_model(f"ensemble:{one}+{other}").card

    assert len(names) == 2  # the leading numbers of the first come first
    assert card["handle"] == "ensemble:onnx:small.onnx+onnx:large.onnx"
    assert [member["model"] for member in card["members"]] == [open_model(handle).model for handle in handles]
    assert read_taught(card).tolist() == [0xABABABAB]  # a member's photos do not judge the ensemble
    assert "digests" not in json.dumps(hide_digests(card))


def test_a_relative_path_of_a_member_is_made_absolute_for_other_processes(tmp_path: Path) -> None:
    assert absolute_handle("ensemble:lite0+onnx:a.onnx") == f"ensemble:lite0+onnx:{Path('a.onnx').absolute()}"


@pytest.mark.parametrize("handle", ["ensemble:descriptor", "ensemble:descriptor+descriptor"])
def test_an_ensemble_needs_different_members(handle: str) -> None:
    with pytest.raises(ModelError, match="two or more different models"):
        open_model(handle)


@pytest.mark.parametrize("handle", ["ensemble:", "ensemble:descriptor+", "ensemble:descriptor+unheard-of"])
def test_a_member_that_is_no_handle_is_named(handle: str) -> None:
    with pytest.raises(ModelError, match="no model handle"):
        open_model(handle)


def test_an_ensemble_as_a_whole_cannot_be_brought_to_a_lower_precision(
    handles: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["model", "lower", "ensemble:" + "+".join(handles), "--precision", "bf16", "--out", str(tmp_path / "low")]

    assert main(words) == 1
    assert "only a network at f32 that OpenVINO runs" in capsys.readouterr().err
