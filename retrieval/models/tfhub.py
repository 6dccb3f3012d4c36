"""TF-Hub modules by address, and SavedModels that OpenVINO refuses: run by TensorFlow in a process of its own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.errors import ModelError
from retrieval.models.card import Preprocessing
from retrieval.models.embedder import Pixels
from retrieval.models.network import Features
from retrieval.models.pipe import Child

CHILD = "retrieval.models.tfhub_child"
TO_LOAD = 600.0  # seconds: a module of hundreds of megabytes may be on its way
TO_INFER = 120.0


def require_tensorflow() -> None:
    """Raise ModelError, with what to install, where TensorFlow or TensorFlow-Hub is missing. Loads neither."""
    missing = [package for package in ("tensorflow", "tensorflow_hub") if find_spec(package) is None]
    if missing:
        raise ModelError(
            f"TF-Hub modules by address are loaded by TensorFlow, and {' and '.join(missing)} is missing: "
            "pip install -r requirements-tfhub.txt"
        )


def fetch_module(address: str, cache: Path) -> Path:
    """Let TensorFlow-Hub fetch a module into the cache, unless it lies there; gives its folder."""
    require_tensorflow()
    cache.mkdir(parents=True, exist_ok=True)
    child = Child(CHILD, "TensorFlow-Hub")
    try:
        found, _ = child.ask({"do": "fetch", "address": address, "cache": str(cache)}, seconds=TO_LOAD)
    finally:
        child.close()
    return Path(found["path"])


class TensorFlowNetwork:
    """A SavedModel in TensorFlow, in a process of its own. It starts again by itself should it die."""

    runtime = "tensorflow"

    def __init__(self, path: Path, preprocessing: Preprocessing) -> None:
        require_tensorflow()
        self._load: dict[str, Any] = {
            "do": "load",
            "path": str(path.resolve()),
            "output": preprocessing.output,
            "layout": preprocessing.layout,
            "mean": preprocessing.mean,
            "std": preprocessing.std,
        }
        self._child = Child(CHILD, f"{path.name} in TensorFlow")
        self._open()

    def infer(self, squares: Pixels) -> Features:
        if not self._child.running:
            self._open()
        header = {"do": "infer", "shape": squares.shape}
        found, rows = self._child.ask(header, np.ascontiguousarray(squares).tobytes(), seconds=TO_INFER)
        return np.frombuffer(rows, dtype="<f4").reshape(found["shape"])

    def close(self) -> None:
        """End the process."""
        self._child.close()

    def _open(self) -> None:
        self._child.ask(self._load, seconds=TO_LOAD)


def saved_model_input(path: Path) -> list[int | None]:
    """Shape of a SavedModel's input (views, height, width, 3), None where it is free, as TensorFlow reads it."""
    require_tensorflow()
    child = Child(CHILD, f"{path.name} in TensorFlow")
    try:
        found, _ = child.ask({"do": "describe", "path": str(path.resolve())}, seconds=TO_LOAD)
    finally:
        child.close()
    shape: list[int | None] = found["shape"]
    return shape
