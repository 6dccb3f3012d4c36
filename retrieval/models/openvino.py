"""Networks in OpenVINO on the CPU: ONNX, OpenVINO IR, TF1-Hub modules and TF2 SavedModels, without TensorFlow."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.errors import ModelError
from retrieval.models.card import Preprocessing
from retrieval.models.embedder import DIM, Pixels
from retrieval.models.network import Features

HINTS = {"f32": "f32", "bf16": "bf16", "int8": "f32"}
"""Inference precision by card precision. Set explicitly: OpenVINO's default is bf16 on some processors, f32 on others.
An int8 network has its own quantised operations; the remaining ones run at f32."""


class OpenVinoNetwork:
    """A network in OpenVINO on the CPU. Threads share one request in turn, since each inference uses all cores."""

    runtime = "openvino"

    def __init__(self, path: Path, preprocessing: Preprocessing, threads: int = 0) -> None:
        """Compile the network; `threads` is the number of CPU threads, 0 means one for each core."""
        self.path, self._preprocessing = path, preprocessing
        compiled, self._output = compile_network(path, preprocessing, threads)
        self.threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    def infer(self, squares: Pixels) -> Features:
        try:
            with self._lock:
                found = self._request.infer({0: np.ascontiguousarray(squares)})
                return np.array(found[self._output], dtype=np.float32).reshape(len(squares), -1)
        except RuntimeError as error:  # some wrong shapes are detected only at inference
            raise wrong_size(self.path, self._preprocessing) from error


def open_network(path: Path) -> Any:
    """Read a network file or folder; raises ModelError where it is unreadable or OpenVINO is not installed."""
    try:
        import openvino
    except ImportError as error:
        raise ModelError("networks are run by OpenVINO, which is missing: pip install openvino") from error
    damaged = f"{path} is damaged or not a network that OpenVINO reads: copy or export it again, and compare its length"
    if path.suffix == ".onnx" and not is_onnx(path):  # else OpenVINO tries other formats, which print to stderr
        raise ModelError(damaged)
    try:
        return openvino.Core().read_model(path)
    except Exception as error:  # OpenVINO raises bare RuntimeErrors with a page of C++ context
        raise ModelError(damaged) from error


def is_onnx(path: Path) -> bool:
    """Whether OpenVINO's ONNX frontend recognises the file by its beginning and its end."""
    from openvino.frontend import FrontEndManager

    return bool(FrontEndManager().load_by_framework("onnx").supported(str(path)))


def network_input(network: Any) -> tuple[list[int | None], str]:
    """Return the shape of the network's only input (None for a dynamic dimension) and its probable layout.

    Raises ModelError where there is not exactly one input, of four dimensions.
    """
    if len(network.inputs) != 1:
        raise ModelError(f"the network has {len(network.inputs)} inputs; an embedder has one")
    shape = [None if dim.is_dynamic else dim.get_length() for dim in network.input(0).partial_shape]
    if len(shape) != 4:
        raise ModelError(f"the network's input has {len(shape)} dimensions; a batch of images has four")
    return shape, "NHWC" if shape[3] == 3 else "NCHW"


def compile_network(path: Path, preprocessing: Preprocessing, threads: int = 0) -> tuple[Any, Any]:
    """Compile for the CPU at the card's precision and input size; returns the compiled network and its output.

    With fewer threads than cores, pinning is disabled: OpenVINO in every process would pin the same cores.
    """
    network = open_network(path)  # first: raises ModelError where OpenVINO is not installed
    import openvino

    show_output(network, preprocessing.output)
    share = {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False} if threads else {}
    try:
        compiled = openvino.Core().compile_model(
            prepare_network(network, preprocessing),
            "CPU",
            {"INFERENCE_PRECISION_HINT": HINTS[preprocessing.precision], "PERFORMANCE_HINT": "LATENCY", **share},
        )
    except ModelError:
        raise
    except Exception as error:  # as above
        raise wrong_size(path, preprocessing) from error
    return compiled, choose_output(compiled, preprocessing.output, path.name)


def prepare_network(network: Any, preprocessing: Preprocessing) -> Any:
    """Set the card's input size, and add the normalisation to the network so that it takes uint8 NHWC pixels."""
    import openvino
    from openvino.preprocess import PrePostProcessor

    network_input(network)
    side = preprocessing.crop
    network.reshape([-1, 3, side, side] if preprocessing.layout == "NCHW" else [-1, side, side, 3])
    steps = PrePostProcessor(network)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout(preprocessing.layout))
    steps.input().preprocess().convert_element_type(openvino.Type.f32).mean(
        [255.0 * mean for mean in preprocessing.mean]
    ).scale([255.0 * std for std in preprocessing.std])
    return steps.build()


def show_output(network: Any, wanted: str) -> None:
    """Make an inner tensor an output, so that the backbone of a classifier can be used."""
    if wanted and wanted not in {name for output in network.outputs for name in output.get_names()}:
        with suppress(Exception):  # no tensor of that name: `choose_output` raises the error
            network.add_outputs([wanted])


def wrong_size(path: Path, preprocessing: Preprocessing) -> ModelError:
    """Make the error for a network whose input does not fit its card."""
    side = preprocessing.crop
    return ModelError(
        f"{path.name} does not take {side} x {side} pixels in {preprocessing.layout} layout: correct its card"
    )


def choose_output(compiled: Any, wanted: str, name: str) -> Any:
    """Return the output named `wanted`; without one, `default` (as in TF1-Hub), the only one of width 256, or the only.

    Never by position: TF1-Hub modules list their inner endpoints first. Raises ModelError where there is no such
    output or the choice is ambiguous.
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
