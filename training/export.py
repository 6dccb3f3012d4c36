"""From a trained network to what the product runs: an ONNX file and its card."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.network import DIM, Network, TrainingError

OPSET = 18
OUTPUT = "embedding"
LIKENESS = 1e-3
"""How far an embedding of the ONNX file may lie from the network's own."""


def export_network(network: Network, path: Path, *, side: int, card: dict[str, Any]) -> Path:
    """Write the network as ONNX for pictures of `side` pixels, any number at once, and its card beside it.

    The file is opened again by OpenVINO and asked for random pictures; nothing is kept that answers otherwise than
    the network did.
    """
    network.eval().cpu()
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}")
    example = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    write_onnx(network, beside, example)
    with torch.no_grad():
        wanted = network(example).numpy()
    apart = float(np.abs(run_onnx(beside, example.numpy()) - wanted).max())
    if apart > LIKENESS:
        beside.unlink()
        raise TrainingError(f"the exported network answers otherwise than the trained one (by {apart:.2g})")
    beside.replace(path)
    body = {"resize": side, "crop": side, "layout": "NCHW", "mean": [0, 0, 0], "std": [1, 1, 1], "output": OUTPUT}
    text = json.dumps({**body, **card}, indent=1, ensure_ascii=False)
    path.with_name(f"{path.name}.card.json").write_text(text + "\n", encoding="utf-8")
    return path


def write_onnx(network: Network, path: Path, example: torch.Tensor) -> None:
    """Write one self-contained file; torch's exporter talks to nobody but its log."""
    batch = torch.export.Dim("pictures", min=1, max=1024)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter's own making
        torch.onnx.export(
            network,
            (example,),
            str(path),
            dynamo=True,
            opset_version=OPSET,
            input_names=["pictures"],
            output_names=[OUTPUT],
            dynamic_shapes=({0: batch},),
            external_data=False,
            verbose=False,
        )


def run_onnx(path: Path, pictures: np.ndarray) -> np.ndarray:
    """Embeddings that OpenVINO, at f32, gives for pictures (n, 3, side, side)."""
    from retrieval.models.card import Preprocessing
    from retrieval.models.openvino import compile_network

    side = pictures.shape[-1]
    compiled, output = compile_network(path, Preprocessing(side, side, output=OUTPUT))
    found = np.asarray(compiled.create_infer_request().infer({0: pictures})[output])
    if found.shape != (len(pictures), DIM):
        raise TrainingError(f"the exported network gives {found.shape}, not {DIM} numbers a picture")
    return found
