"""Networks read by OpenVINO: ONNX files, TF1-Hub modules and TF2 SavedModels, without TensorFlow."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.embedder import DIM, Embeddings, View, unit_rows
from retrieval.errors import ModelError
from retrieval.models.card import Preprocessing, digest_model, name_model

BATCH = 16  # views in one call: more gains nothing on a CPU and only takes memory
PRECISION = "f32"  # said to OpenVINO explicitly: its own choice is bf16 on some processors and f32 on others


class OpenVinoEmbedder:
    """A network in OpenVINO at f32. One request serves all threads in turn: each uses all cores anyway."""

    def __init__(self, path: Path, handle: str, preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing
        self._digest = digest_model(path)
        self._handle = handle
        self._model = name_model(path, self._digest, preprocessing, PRECISION)
        compiled, self._output = compile_network(path, preprocessing)
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()
        try:
            probe = self._infer(np.zeros((1, preprocessing.crop, preprocessing.crop, 3), dtype=np.float32))
        except RuntimeError as error:  # some shapes are only found out to be wrong when they are computed
            raise wrong_size(path, preprocessing) from error
        if probe.shape != (1, DIM):
            raise ModelError(
                f"{path.name} gives {probe.shape[-1]} numbers a view, and an index holds {DIM}: "
                "choose an output of that width in its card, or add a head to the network"
            )

    @property
    def model(self) -> str:
        return self._model

    @property
    def short_side(self) -> int:
        return self._preprocessing.resize

    @property
    def card(self) -> Mapping[str, Any]:
        return {
            "model": self._model,
            "handle": self._handle,
            "runtime": "openvino",
            "digest": self._digest,
            "dimension": DIM,
            "precision": PRECISION,
            "preprocessing": asdict(self._preprocessing),
        }

    def embed(self, views: Sequence[View]) -> Embeddings:
        if not views:
            return np.zeros((0, DIM), dtype=np.float32)
        blocks = []
        for start in range(0, len(views), BATCH):
            batch = np.stack([crop_centre(view, self._preprocessing) for view in views[start : start + BATCH]])
            blocks.append(self._infer(batch))
        try:
            return unit_rows(np.concatenate(blocks))
        except ValueError as error:
            raise ModelError(f"the model {self._model} cannot be used: {error}") from error

    def _infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(views, crop, crop, 3) pixels, normalised, to (views, width)."""
        if self._preprocessing.layout == "NCHW":
            batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        with self._lock:
            found = self._request.infer({0: batch})
            return np.array(found[self._output], dtype=np.float32).reshape(len(batch), -1)


def crop_centre(view: View, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Cut the centre square of a view and bring its pixels to the network's range; (crop, crop, 3)."""
    pixels, side = view.pixels, preprocessing.crop
    height, width = pixels.shape[:2]
    if min(height, width) != preprocessing.resize:
        factor = preprocessing.resize / min(height, width)
        size = (max(side, round(width * factor)), max(side, round(height * factor)))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
        height, width = pixels.shape[:2]
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side].astype(np.float32) / 255.0
    mean = np.asarray(preprocessing.mean, dtype=np.float32)
    std = np.asarray(preprocessing.std, dtype=np.float32)
    return np.asarray((square - mean) / std, dtype=np.float32)


def open_network(path: Path) -> Any:
    """Read a network file or folder; raises ModelError, which names the package where OpenVINO is missing."""
    try:
        import openvino
    except ImportError as error:
        raise ModelError("networks are run by OpenVINO, which is missing: pip install openvino") from error
    try:
        return openvino.Core().read_model(path)
    except Exception as error:  # OpenVINO raises bare RuntimeErrors with a page of C++ context
        raise ModelError(f"{path} is damaged or no network that OpenVINO reads") from error


def network_input(network: Any) -> tuple[list[int | None], str]:
    """Shape of the network's only input, None where it is free, and the layout it suggests."""
    if len(network.inputs) != 1:
        raise ModelError(f"the network has {len(network.inputs)} inputs; an embedder has one")
    shape = [None if dim.is_dynamic else dim.get_length() for dim in network.input(0).partial_shape]
    if len(shape) != 4:
        raise ModelError(f"the network's input has {len(shape)} dimensions; a batch of images has four")
    return shape, "NHWC" if shape[3] == 3 else "NCHW"


def compile_network(path: Path, preprocessing: Preprocessing) -> tuple[Any, Any]:
    """Compile for the CPU at f32 and for the card's input size; gives the network and its chosen output."""
    network = open_network(path)  # first, since it says so where OpenVINO is missing
    import openvino

    network_input(network)
    side = preprocessing.crop
    shape = [-1, 3, side, side] if preprocessing.layout == "NCHW" else [-1, side, side, 3]
    try:
        network.reshape(shape)
        compiled = openvino.Core().compile_model(
            network, "CPU", {"INFERENCE_PRECISION_HINT": PRECISION, "PERFORMANCE_HINT": "LATENCY"}
        )
    except Exception as error:  # as above
        raise wrong_size(path, preprocessing) from error
    return compiled, choose_output(compiled, preprocessing.output, path.name)


def wrong_size(path: Path, preprocessing: Preprocessing) -> ModelError:
    """The network and its card do not belong together."""
    side = preprocessing.crop
    return ModelError(f"{path.name} does not take {side} x {side} pixels in {preprocessing.layout} layout")


def choose_output(compiled: Any, wanted: str, name: str) -> Any:
    """The output of the wanted name; else `default` (TF1-Hub's word), else the only one of the right width.

    Never by position: TF1-Hub modules list their inner endpoints first.
    """
    named = {alias: output for output in compiled.outputs for alias in output.get_names()}
    if wanted:
        if wanted not in named:
            raise ModelError(f"{name} has no output {wanted!r}; it has: {', '.join(sorted(named))}")
        return named[wanted]
    if "default" in named:
        return named["default"]
    fitting = [output for output in compiled.outputs if output.partial_shape.rank.get_length() == 2]
    wide = [output for output in fitting if output.partial_shape[1] == DIM]
    if len(wide) == 1:
        return wide[0]
    if len(compiled.outputs) == 1:
        return compiled.outputs[0]
    raise ModelError(f"{name} has several outputs; name one in its card: {', '.join(sorted(named))}")
