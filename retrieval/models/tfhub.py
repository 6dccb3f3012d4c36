"""TF-Hub modules by URL, and SavedModels that OpenVINO cannot read: run by TensorFlow in a child process."""

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
TO_LOAD = 600.0  # seconds: a module may be a download of hundreds of megabytes
TO_INFER = 120.0


def require_tensorflow() -> None:
    """Raise ModelError, with what to install, where TensorFlow or TensorFlow Hub is missing. Imports neither."""
    missing = [package for package in ("tensorflow", "tensorflow_hub") if find_spec(package) is None]
    if missing:
        raise ModelError(
            f"TF-Hub modules by address are loaded by TensorFlow, and {' and '.join(missing)} is missing: "
            "pip install -r requirements-tfhub.txt"
        )


def fetch_module(address: str, cache: Path) -> Path:
    """Download a module with TensorFlow Hub, unless it is cached; returns its folder."""
    require_tensorflow()
    cache.mkdir(parents=True, exist_ok=True)
    child = Child(CHILD, "TensorFlow-Hub")
    try:
        found, _ = child.ask({"do": "fetch", "address": address, "cache": str(cache)}, seconds=TO_LOAD)
    finally:
        child.close()
    return Path(found["path"])


class TensorFlowNetwork:
    """A SavedModel in TensorFlow, in a child process, which is restarted if it dies."""

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
        """End the child process."""
        self._child.close()

    def _open(self) -> None:
        self._child.ask(self._load, seconds=TO_LOAD)


def saved_model_input(path: Path) -> list[int | None]:
    """Return the shape of a SavedModel's input (views, height, width, 3), None for a dynamic dimension."""
    require_tensorflow()
    child = Child(CHILD, f"{path.name} in TensorFlow")
    try:
        found, _ = child.ask({"do": "describe", "path": str(path.resolve())}, seconds=TO_LOAD)
    finally:
        child.close()
    shape: list[int | None] = found["shape"]
    return shape
