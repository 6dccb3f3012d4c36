"""Networks read by OpenVINO: ONNX files, its own format, TF1-Hub modules and TF2 SavedModels, without TensorFlow."""

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
"""Said to OpenVINO explicitly: its own choice is bf16 on some processors and f32 on others.
A network of int8 carries its integers in its own operations; what is left of it stays f32."""


class OpenVinoNetwork:
    """A network in OpenVINO on the CPU. One request serves all threads in turn: each uses all its cores anyway."""

    runtime = "openvino"

    def __init__(self, path: Path, preprocessing: Preprocessing, threads: int = 0) -> None:
        """It computes with so many `threads`; 0: with one for each core."""
        self._path, self._preprocessing = path, preprocessing
        compiled, self._output = compile_network(path, preprocessing, threads)
        self.threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    def infer(self, squares: Pixels) -> Features:
        try:
            with self._lock:
                found = self._request.infer({0: np.ascontiguousarray(squares)})
                return np.array(found[self._output], dtype=np.float32).reshape(len(squares), -1)
        except RuntimeError as error:  # some shapes are only found out to be wrong when they are computed
            raise wrong_size(self._path, self._preprocessing) from error


def open_network(path: Path) -> Any:
    """Read a network file or folder; raises ModelError, which names the package where OpenVINO is missing."""
    try:
        import openvino
    except ImportError as error:
        raise ModelError("networks are run by OpenVINO, which is missing: pip install openvino") from error
    damaged = f"{path} is damaged or no network that OpenVINO reads: copy or export it anew, and compare its length"
    if path.suffix == ".onnx" and not is_onnx(path):  # else OpenVINO tries other formats, which complain on stderr
        raise ModelError(damaged)
    try:
        return openvino.Core().read_model(path)
    except Exception as error:  # OpenVINO raises bare RuntimeErrors with a page of C++ context
        raise ModelError(damaged) from error


def is_onnx(path: Path) -> bool:
    """Whether OpenVINO's reader of ONNX knows the file by its beginning and its end."""
    from openvino.frontend import FrontEndManager

    return bool(FrontEndManager().load_by_framework("onnx").supported(str(path)))


def network_input(network: Any) -> tuple[list[int | None], str]:
    """Shape of the network's only input, None where it is free, and the layout it suggests."""
    if len(network.inputs) != 1:
        raise ModelError(f"the network has {len(network.inputs)} inputs; an embedder has one")
    shape = [None if dim.is_dynamic else dim.get_length() for dim in network.input(0).partial_shape]
    if len(shape) != 4:
        raise ModelError(f"the network's input has {len(shape)} dimensions; a batch of images has four")
    return shape, "NHWC" if shape[3] == 3 else "NCHW"


def compile_network(path: Path, preprocessing: Preprocessing, threads: int = 0) -> tuple[Any, Any]:
    """Compile for the CPU at the card's precision and input size; gives the network and its chosen output.

    A share of the cores is not pinned: OpenVINO of every process would choose the same ones.
    """
    network = open_network(path)  # first, since it says so where OpenVINO is missing
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
    """Give a network the card's input size, and let it take pixels as they are and normalise them itself."""
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
    """Make an inner tensor an output, so that a backbone can be taken out of a network with another head."""
    if wanted and wanted not in {name for output in network.outputs for name in output.get_names()}:
        with suppress(Exception):  # there is none of that name: `choose_output` says which there are
            network.add_outputs([wanted])


def wrong_size(path: Path, preprocessing: Preprocessing) -> ModelError:
    """The network and its card do not belong together."""
    side = preprocessing.crop
    return ModelError(
        f"{path.name} does not take {side} x {side} pixels in {preprocessing.layout} layout: correct its card"
    )


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
