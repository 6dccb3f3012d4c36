"""TF-Hub modules and SavedModels: TensorFlow and OpenVINO agree, and TensorFlow takes over where OpenVINO refuses.

Needs TensorFlow (2 GB), which no other test does: `make test-tfhub` makes it an environment of its own.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from retrieval.errors import ModelError
from retrieval.models.card import Preprocessing
from retrieval.models.embedder import View
from retrieval.models.handles import open_model
from retrieval.models.openvino import OpenVinoNetwork
from retrieval.models.tfhub import TensorFlowNetwork
from tests.retrieval.models.modules import SIDE

ROOT = Path(__file__).resolve().parents[3]
CARD = Preprocessing(SIDE, SIDE, "NHWC")

pytestmark = pytest.mark.skipif(
    any(find_spec(package) is None for package in ("tensorflow", "tensorflow_hub")),
    reason="TensorFlow is not installed; `make test-tfhub` runs this with it",
)


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    base = tmp_path_factory.mktemp("modules")

    def make(kind: str) -> Path:
        folder = base / kind
        if not folder.exists():
            command = [sys.executable, "-m", "tests.retrieval.models.modules", kind, str(folder)]
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return folder

    return make


def some_squares(count: int = 5) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, SIDE, SIDE, 3)).astype(np.uint8)


@pytest.mark.parametrize("kind", ["tf1", "tf2"])
def test_tensorflow_hub_and_openvino_agree_to_a_ten_thousandth(kind: str, module: Callable[[str], Path]) -> None:
    path = module(kind)
    in_tensorflow = TensorFlowNetwork(path, CARD)

    expected = in_tensorflow.infer(some_squares())
    found = OpenVinoNetwork(path, CARD).infer(some_squares())
    in_tensorflow.close()

    assert found.shape == expected.shape == (5, 256)
    assert expected.std() > 0.1
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    print(f"{kind}: largest difference {difference:.1e} of the largest number")
    assert difference < 1e-4


@pytest.mark.parametrize("kind", ["tf1", "tf2"])
def test_a_module_on_disk_is_read_without_tensorflow(kind: str, module: Callable[[str], Path]) -> None:
    program = (
        "import sys\n"
        "sys.modules['tensorflow'] = sys.modules['tensorflow_hub'] = None\n"
        "from retrieval.models.handles import open_model\n"
        f"model = open_model({f'hub:{module(kind)}'!r})\n"
        "assert model.card['runtime'] == 'openvino' and model.short_side == 32, model.card\n"
    )

    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr


def test_a_model_that_openvino_refuses_is_run_by_tensorflow(module: Callable[[str], Path]) -> None:
    model = open_model(f"hub:{module('refused')}")

    rows = model.embed([View(square) for square in some_squares(20)])

    assert model.card["runtime"] == "tensorflow"
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert np.array_equal(rows, model.embed([View(square) for square in some_squares(20)]))


def test_a_process_that_died_is_started_again(module: Callable[[str], Path]) -> None:
    network = TensorFlowNetwork(module("tf2"), CARD)
    first = network.infer(some_squares())
    process = network._child._process
    assert process is not None

    process.kill()
    process.wait()
    second = network.infer(some_squares())
    network.close()

    assert np.array_equal(first, second)


def test_what_no_runtime_can_read_is_one_sentence_with_both_reasons(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"no protobuf")

    with pytest.raises(ModelError, match=r"not a network that OpenVINO reads.*; TensorFlow cannot use") as refused:
        open_model(f"hub:{tmp_path}")

    assert "\n" not in str(refused.value)


@pytest.fixture
def address(module: Callable[[str], Path], tmp_path: Path) -> Iterator[str]:
    """The TF1-Hub module behind HTTP, packed as TensorFlow Hub did."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(module("tf1"), arcname=".")
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "1").write_bytes(packed.getvalue())

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - the name of its base
            pass

        def translate_path(self, path: str) -> str:
            return str(tmp_path / "served" / urlsplit(path).path.rpartition("/")[2])

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/fungi/1"
        server.shutdown()


def test_a_module_by_address_is_fetched_once_and_then_kept(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    model = open_model(f"hub:{address}")
    (tmp_path / "served" / "1").unlink()
    again = open_model(f"hub:{address}")

    assert model.model == again.model
    assert model.model.startswith("fungi-1@")
    assert model.card["handle"] == "hub:fungi-1"
    assert any((tmp_path / "cache" / "fungarium" / "models" / "tfhub").iterdir())


def test_an_address_without_a_module_is_one_sentence_and_leaves_nothing(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    with pytest.raises(ModelError, match=r"TensorFlow cannot use http://127\.0\.0\.1.*gone") as refused:
        open_model(f"hub:{address.rpartition('/')[0]}/gone")

    assert "\n" not in str(refused.value)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.name == "saved_model.pb"]
