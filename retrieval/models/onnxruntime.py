"""ONNX files on an NVIDIA GPU, with ONNX Runtime's CUDA provider, at f32 as on the CPU."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.errors import ModelError
from retrieval.models.card import Preprocessing
from retrieval.models.embedder import DIM, Pixels
from retrieval.models.network import Features, normalise

log = logging.getLogger(__name__)

CUDA = ("CUDAExecutionProvider", {"use_tf32": "0"})  # TF32 rounds mantissas to 10 bits: not f32
CPU: tuple[str, dict[str, str]] = ("CPUExecutionProvider", {})


class OnnxRuntimeNetwork:
    """A network in ONNX Runtime. Thread-safe: sessions may run concurrently."""

    def __init__(self, path: Path, preprocessing: Preprocessing, provider: tuple[str, dict[str, str]] = CUDA) -> None:
        import onnxruntime

        self._preprocessing = preprocessing
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # an unusable device is expected, and reported by the exception
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
        except Exception as error:  # ONNX Runtime raises classes of its own
            raise ModelError(f"{path} cannot be run by ONNX Runtime: {error}") from error
        if self._session.get_providers()[0] != provider[0]:  # it falls back to the CPU without an error
            raise ModelError(f"ONNX Runtime cannot use {provider[0]} here")
        self.runtime = f"onnxruntime {provider[0].removesuffix('ExecutionProvider').lower()}"
        self._input = self._session.get_inputs()[0].name
        self._output = choose_output(self._session.get_outputs(), preprocessing.output, path.name)

    def infer(self, squares: Pixels) -> Features:
        given = {self._input: normalise(squares, self._preprocessing)}
        try:
            (rows,) = self._session.run([self._output], given)
        except Exception as error:
            raise ModelError(f"the network cannot be run on pixels of shape {squares.shape}: {error}") from error
        return np.asarray(rows, dtype=np.float32).reshape(len(squares), -1)


def choose_output(outputs: list[Any], wanted: str, name: str) -> str:
    """Return the output named `wanted`; without one, the only output of width 256, or the only output.

    Raises ModelError where there is no such output or the choice is ambiguous; `name` is the model's, for the message.
    """
    names = [str(output.name) for output in outputs]
    if wanted in names:
        return wanted
    wide = [str(output.name) for output in outputs if list(output.shape[1:]) == [DIM]]
    if wanted or (len(wide) != 1 and len(names) != 1):
        raise ModelError(f"{name} has the outputs {', '.join(names)}; name one in its card")
    return wide[0] if len(wide) == 1 else names[0]


def open_on_gpu(path: Path, preprocessing: Preprocessing) -> OnnxRuntimeNetwork | None:
    """Open the network on a GPU; None where there is none, or (with a warning) where it cannot run the network."""
    if preprocessing.precision != "f32" or path.suffix != ".onnx" or find_spec("onnxruntime") is None:
        return None
    try:
        import onnxruntime

        if CUDA[0] not in onnxruntime.get_available_providers():
            return None
        network = OnnxRuntimeNetwork(path, preprocessing)
        side = preprocessing.crop
        network.infer(np.zeros((1, side, side, 3), dtype=np.uint8))  # fail now rather than on the first photo
    except Exception as error:
        log.warning("%s is run on the CPU: %s", path.name, error)
        return None
    return network
