"""`fungarium model`, run on the drawn collection and tiny networks."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.reports.views_table import format_views
from fungarium.cli import main
from indexer.embedding.advice import HeadAdvice, write_advice
from indexer.embedding.embeddings import EmbeddingStore
from indexer.embedding.features import has_features, open_feature_store
from indexer.embedding.fit_head import write_model
from indexer.embedding.held_out import RecallGain
from indexer.embedding.projection import fit_pca
from retrieval.models.card import Preprocessing
from retrieval.models.descriptor import Descriptor
from retrieval.models.embedder import unit_rows
from retrieval.models.handles import open_backbone, open_model
from retrieval.photos.crops import decode_crops
from retrieval.photos.views import PhotoLimits
from retrieval.snapshots.manifest import read_current, read_manifest
from tests.retrieval.models.networks import CARD, write_boundless_network, write_card, write_network
from tests.retrieval.photos.oddities import save, scene
from tests.snapshots import COLOURS, MUSCARIA, TAXA, draw_photo

NAMES = {taxon.id: taxon.name.replace(" ", "_") for taxon, _ in TAXA}
Say = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Say:
    def read() -> str:
        captured = capsys.readouterr()
        return captured.out + captured.err

    return read


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "photo.jpg"
    path.write_bytes(save(scene(320, 240)))
    return str(path)


def test_the_handles_are_listed(said: Say) -> None:
    assert main(["model", "list"]) == 0

    text = said()
    for handle in ("descriptor", "onnx:PATH", "hub:PATH_OR_URL", "timm:NAME", "serving:URL"):
        assert handle in text


def test_known_networks_are_listed_with_their_licences(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "catalogue", "--licence", "open", "--megabytes", "100", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "lite0" in {one["name"] for one in found}
    assert all(one["open"] and one["megabytes"] <= 100 for one in found)

    assert main(["model", "catalogue"]) == 0
    table = capsys.readouterr().out
    assert all(text in table for text in ("lite0", "CC-BY-NC-4.0", "Danish Fungi 2020"))

    assert main(["model", "catalogue", "bioclip"]) == 0
    one = capsys.readouterr().out
    assert all(text in one for text in ("fit a head", "open_clip", "published", "not with this program"))


def test_a_card_is_described_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = write_network(tmp_path / "tiny.onnx")
    write_card(network, licence="CC0-1.0")

    assert main(["model", "describe", f"onnx:{network}"]) == 0

    card = json.loads(capsys.readouterr().out)
    assert (card["dimension"], card["precision"], card["preprocessing"]["licence"]) == (256, "f32", "CC0-1.0")
    assert len(card["digest"]) == 64


def test_a_model_is_checked_with_a_photo(photo: str, tmp_path: Path, said: Say) -> None:
    network = write_network(tmp_path / "tiny.onnx")
    write_card(network)

    assert main(["model", "check", f"onnx:{network}", photo]) == 0

    text = said()
    assert "length        1.000000 over 256 numbers" in text
    assert "deterministic yes" in text
    assert "ms a view" in text


def test_what_cannot_be_checked_is_one_sentence(photo: str, tmp_path: Path, said: Say) -> None:
    narrow = write_network(tmp_path / "narrow.onnx", width=255)
    write_card(narrow)
    cut_short = write_network(tmp_path / "short.onnx")
    write_card(cut_short)
    cut_short.write_bytes(cut_short.read_bytes()[:4000])
    no_network = tmp_path / "text.onnx"
    no_network.write_text("no network", encoding="utf-8")
    write_card(no_network)
    unknown = write_network(tmp_path / "unknown.onnx")
    (tmp_path / "unknown.onnx.card.json").write_text(json.dumps({**CARD, "resise": 3}), encoding="utf-8")

    for handle, shown, says in (
        (f"onnx:{no_network}", photo, "is damaged or not a network"),
        (f"onnx:{unknown}", photo, "it has an entry 'resise'"),
        (f"onnx:{tmp_path}/gone.onnx", photo, "there is no model at"),
        (f"onnx:{narrow}", photo, "gives 255 numbers per view"),
        (f"onnx:{cut_short}", photo, "is damaged or not a network"),
        ("descriptor", f"{tmp_path}/gone.jpg", "cannot be read"),
        ("timm:no-such-thing", photo, "requirements-timm.txt" if find_spec("timm") is None else "timm cannot export"),
    ):
        assert main(["model", "check", handle, shown]) == 1
        text = said()
        assert text.startswith("error: ")
        assert says in text
        assert text.count("\n") == 1


def draw_apart(species: int, observation: int) -> bytes:
    """A drawing that nobody takes for a copy of another of its species: leaves lie about, each find has its own."""
    with Image.open(io.BytesIO(draw_photo(species, observation))) as drawn:
        pixels = np.array(drawn)
    noise = np.random.default_rng([species, observation, 99])
    for _ in range(12):
        top, left = noise.integers(0, pixels.shape[0] - 30), noise.integers(0, pixels.shape[1] - 30)
        pixels[top : top + 30, left : left + 30] = noise.integers(0, 256, 3)
    photo = io.BytesIO()
    Image.fromarray(pixels).save(photo, "JPEG", quality=90)
    return photo.getvalue()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of drawings, drawn and imported once."""
    base = tmp_path_factory.mktemp("catalogue")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUNGARIUM_DATA", str(base / "data"))
        patch.setenv("FUNGARIUM_FLORA_INDEXES", str(base / "flora_indexes"))
        for species, observation in product(COLOURS, range(5)):
            place = base / "drawn" / NAMES[species] / str(observation)
            place.mkdir(parents=True)
            (place / "photo.jpg").write_bytes(draw_apart(species, observation))
        assert (
            main(["collection", "import", "folder", str(base / "drawn"), "--dataset", "drawings", "--licences", "any"])
            == 0
        )
    return base


@pytest.fixture
def collection(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the settings pointing at the catalogue."""
    monkeypatch.setenv("FUNGARIUM_DATA", str(drawn / "data"))
    monkeypatch.setenv("FUNGARIUM_FLORA_INDEXES", str(drawn / "flora_indexes"))
    return tmp_path


def test_one_command_makes_a_model_of_a_network_of_another_width_and_builds_with_it(
    collection: Path, said: Say, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNGARIUM_FLORA_INDEXES", str(collection / "flora_indexes"))
    network = write_network(collection / "wide.onnx", width=300)
    write_card(network)
    handle = ["--model", f"onnx:{network}"]
    assert main(["model", "check", f"onnx:{network}", photo]) == 1
    said()

    assert main(["model", "fit-head", *handle, "--build", "--out", str(collection / "mine")]) == 0
    text = said()

    assert "principal components" in text
    assert "held-out observations" in text
    assert "30 embedded from stored features, without decoding their photos" in text
    assert ": 0 embedded, 30 already, 0 failed" in text
    assert "not calibrated: too few" in text
    card = collection / "mine.card.json"
    assert f"FUNGARIUM_MODEL_CARD={card}" in text
    model = open_model(f"onnx:{network}", card)
    assert model.card["head"]["width"] == 300
    assert model.card["head"]["heldOut"]["pca"]["observations"] > 20
    name = text.rstrip().rpartition("index publish ")[2].partition("`")[0]
    made = read_manifest(collection / "flora_indexes", name).model
    assert made["model"] == model.model
    assert made["head"]["taught"]["photos"] == 22  # of 30 observations, a quarter is held out
    assert main(["index", "publish", name]) == 0
    assert main(["identify", *handle, "--card", str(card), photo]) == 0
    body = json.loads(card.read_text(encoding="utf-8"))
    (collection / "mine.head.npz").unlink()
    said()
    assert body["head"] == "mine.head.npz"
    assert main(["model", "check", f"onnx:{network}", photo, "--card", str(card)]) == 1
    assert "there is no head at" in said()


def test_features_are_kept_where_the_setting_says_so(
    drawn: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNGARIUM_DATA", str(collection / "data"))
    shutil.copytree(drawn / "data", collection / "data", ignore=shutil.ignore_patterns("embeddings"))
    network = write_network(collection / "wide.onnx", width=300, seed=6)
    write_card(network)
    rows = np.random.default_rng(1).normal(size=(400, 300))
    card = write_model(collection / "mine", fit_pca(unit_rows(rows)), Preprocessing(10, 8))
    backbone, _ = open_backbone(f"onnx:{network}", card)
    embed = ["index", "embed", "--model", f"onnx:{network}", "--card", str(card)]
    folder = collection / "data" / "embeddings"

    monkeypatch.setenv("FUNGARIUM_FEATURES", "no")
    assert main(embed) == 0
    assert not has_features(folder, backbone)
    for path in folder.glob("*.sqlite*"):
        path.unlink()
    monkeypatch.setenv("FUNGARIUM_FEATURES", "yes")
    assert main([*embed, "--views", "mirrored"]) == 0
    assert not has_features(folder, backbone)  # several views are averaged after the head
    assert main(embed) == 0
    with open_feature_store(folder, backbone) as features:
        assert len(features) == 30


def test_build_and_doctor_say_that_a_head_would_help(
    collection: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNGARIUM_FLORA_INDEXES", str(collection / "flora_indexes"))
    network = write_network(collection / "own.onnx", seed=7)
    write_card(network)
    monkeypatch.setenv("FUNGARIUM_MODEL", f"onnx:{network}")
    assert main(["index", "embed"]) == 0
    capsys.readouterr()
    assert main(["index", "build"]) == 0
    assert "fit-head" not in capsys.readouterr().out  # 30 observations are too few to say

    backbone, _ = open_backbone(f"onnx:{network}")
    folder = Path(os.environ["FUNGARIUM_DATA"]) / "embeddings"
    pays = HeadAdvice(backbone.name, 30, 30, 6, 30, "learned", RecallGain(0.4, 0.5, 0.1, 0.02, 0.18))
    write_advice(folder, pays)

    assert main(["index", "build"]) == 0
    assert "would name 0.500 of the species first instead of 0.400" in capsys.readouterr().out
    main(["doctor", "--json"])
    findings = {one["name"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert findings["head"]["state"] == "note"
    assert "model fit-head --build" in findings["head"]["advice"]
    write_advice(folder, replace(pays, gain=replace(pays.gain, low=-0.01)))
    assert main(["index", "build"]) == 0
    assert "fit-head" not in capsys.readouterr().out
    main(["doctor", "--json"])
    assert {one["name"]: one["state"] for one in json.loads(capsys.readouterr().out)["checks"]}["head"] == "ok"


def test_several_views_are_measured_on_the_collection(collection: Path, said: Say) -> None:
    network = write_network(collection / "own.onnx", seed=8)
    write_card(network)
    measure = ["evaluate", "views", "--model", f"onnx:{network}", "--most", "15"]

    assert main([*measure, "--json", str(collection / "views.json")]) == 0

    found = json.loads((collection / "views.json").read_text(encoding="utf-8"))
    assert found["photos"] == 15  # of whole species, five each
    assert found["rows"][0]["top1"]["observations"] == 15
    assert set(found["milliseconds"]) == {"none", "mirrored", "two-scale", "full"}
    table = said()
    assert all(word in table for word in ("two-scale", "mode", "sum", "recall@1"))
    assert len(format_views([found, {}])) == len(found["rows"]) + 10


def test_a_head_that_the_network_does_better_without_is_not_written(collection: Path, said: Say) -> None:
    code = main(["model", "fit-head", "--model", "default", "--out", str(collection / "needless")])
    text = said()

    assert "the network's own" in text
    if code:
        assert "nothing was written; use the network as it is" in text
        assert not list(collection.glob("needless*"))
    assert main(["model", "fit-head", "--model", "default", "--kind", "pca", "--out", str(collection / "asked")]) == 0
    assert (collection / "asked.card.json").is_file()


def test_bf16_is_written_with_what_the_gate_measured_and_is_another_model(collection: Path, said: Say) -> None:
    network = write_boundless_network(collection / "any.onnx")
    card = write_card(network, resize=32, crop=32)

    assert main(["model", "lower", f"onnx:{network}", "--precision", "bf16", "--out", str(collection / "low")]) == 0

    lowered = open_model(f"onnx:{network}", collection / "low.card.json")
    exact = open_model(f"onnx:{network}")
    assert lowered.card["precision"] == "bf16"
    assert lowered.card["preprocessing"]["gate"]["observations"] > 0  # a network of chance recalls none
    assert lowered.model != exact.model
    body = json.loads((collection / "low.card.json").read_text(encoding="utf-8"))
    for gate, says in (
        (None, "without a measured recall"),
        ({**body["gate"], "recall": body["gate"]["recall_f32"] - 0.006}, "by more than 0.005"),
        ({**body["gate"], "model": "other@1"}, "measured with another network"),
    ):
        (collection / "bad.json").write_text(json.dumps({**body, "gate": gate}), encoding="utf-8")
        said()
        assert main(["model", "describe", f"onnx:{network}", "--card", str(collection / "bad.json")]) == 1
        assert says in said()
    assert card.is_file()


def test_a_query_of_another_precision_preprocessing_or_head_than_the_index_is_refused(
    collection: Path, said: Say, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNGARIUM_FLORA_INDEXES", str(collection / "flora_indexes"))
    network = write_boundless_network(collection / "any.onnx")
    write_card(network, resize=32, crop=32)
    handle = ["--model", f"onnx:{network}"]
    assert main(["model", "lower", f"onnx:{network}", "--precision", "bf16", "--out", str(collection / "low")]) == 0
    assert main(["model", "fit-head", *handle, "--kind", "pca", "--out", str(collection / "headed")]) == 0
    other = {**CARD, "resize": 40, "crop": 32}
    (collection / "resized.card.json").write_text(json.dumps(other), encoding="utf-8")
    for command in ("embed", "build"):
        assert main(["index", command, *handle]) == 0
    assert main(["index", "publish"]) == 0

    assert main(["identify", *handle, photo]) == 0
    said()
    for card in ("low", "headed", "resized"):
        assert main(["identify", *handle, "--card", str(collection / f"{card}.card.json"), photo]) == 1
        text = said()
        assert text.startswith("error: ")
        assert "made with the model any@" in text
        assert text.count("\n") == 1


def test_references_of_several_views_are_a_recipe_of_their_own_and_the_card_names_it(
    drawn: Path, collection: Path, said: Say, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNGARIUM_FLORA_INDEXES", str(collection / "flora_indexes"))
    handle = ["--model", "descriptor"]

    assert main(["index", "embed", *handle, "--views", "mirrored"]) == 0
    assert "model descriptor@1+mirrored: 30 embedded" in said()
    drawing = draw_apart(MUSCARIA, 0)
    crops = Descriptor().embed(decode_crops(drawing, Descriptor().short_side, PhotoLimits(), augmentation="mirrored"))
    with EmbeddingStore(drawn / "data" / "embeddings", "descriptor@1+mirrored") as store:
        row = store.read([hashlib.sha256(drawing).hexdigest()])
    assert np.allclose(row, unit_rows(crops.mean(axis=0, keepdims=True)), atol=1e-3)
    assert main(["index", "build", *handle]) == 1, "the references of one recipe are none of another"
    assert "there is nothing to build" in said()
    assert main(["index", "build", *handle, "--views", "mirrored"]) == 0
    assert main(["index", "publish"]) == 0

    card = read_manifest(collection / "flora_indexes", read_current(collection / "flora_indexes")).model
    assert (card["model"], card["views"]) == ("descriptor@1", "mirrored")
    for views in ("none", "mirrored", "full"):  # the photos that are asked with may be looked at otherwise
        assert main(["identify", *handle, "--views", views, photo]) == 0


@pytest.mark.skipif(find_spec("nncf") is None, reason="NNCF is not installed: requirements-int8.txt")
def test_int8_is_written_behind_the_gate_and_opens(collection: Path, said: Say) -> None:
    network = write_network(collection / "tiny.onnx")
    write_card(network)

    code = main(["model", "lower", f"onnx:{network}", "--precision", "int8", "--out", str(collection / "low")])

    if code == 0:
        assert open_model(f"openvino:{collection}/low.xml").card["precision"] == "int8"
    else:
        assert "by more than 0.005: nothing was written" in said()
        assert not list(collection.glob("low*"))


def test_int8_without_nncf_says_what_to_install(collection: Path, said: Say) -> None:
    if find_spec("nncf") is not None:
        pytest.skip("NNCF is installed")
    network = write_network(collection / "tiny.onnx")
    write_card(network)

    assert main(["model", "lower", f"onnx:{network}", "--precision", "int8", "--out", str(collection / "low")]) == 1

    assert "pip install -r requirements-int8.txt" in said()
    assert not list(collection.glob("low*"))
