"""Exports a trained network to an ONNX file and its card."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from retrieval.models.embedder import View
from retrieval.models.handles import open_model
from training.checkpoint import read_checkpoint
from training.network import Network, Shape, TrainingError

OPSET = 18
OUTPUT = "embedding"
LIKENESS = 1e-3
"""Maximum difference between a number of the ONNX file's embeddings and the network's."""


def open_network(checkpoint: Path) -> Network:
    """Load the averaged network of a training."""
    found = read_checkpoint(checkpoint)
    network = Network(Shape(**found.recipe["shape"]))
    network.load_state_dict(found.average)
    return network.eval()


def export_network(network: Network, path: Path, *, side: int, card: dict[str, Any]) -> Path:
    """Write the network as ONNX for images of `side` pixels, with a dynamic batch size, and its card beside it.

    The file is opened as the product does and compared with the network on random images. Raises TrainingError,
    without leaving files, if the embeddings differ.
    """
    network.eval().cpu()
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {"resize": side, "crop": side, "layout": "NCHW", "mean": [0, 0, 0], "std": [1, 1, 1], "output": OUTPUT}
    text = json.dumps({**body, **card}, indent=1, ensure_ascii=False) + "\n"
    beside, beside_card = (path.with_name(f".{path.name}{ending}") for ending in ("", ".card.json"))
    beside_card.write_text(text, encoding="utf-8")
    pixels = np.random.default_rng(1).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    example = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    write_onnx(network, beside, example)
    with torch.no_grad():
        wanted = network(example).numpy()
    apart = float(np.abs(run_onnx(beside, pixels) - wanted).max())
    if apart > LIKENESS:
        beside.unlink()
        beside_card.unlink()
        raise TrainingError(f"the exported network answers otherwise than the trained one (by {apart:.2g})")
    beside.replace(path)
    beside_card.replace(path.with_name(f"{path.name}.card.json"))
    return path


def write_onnx(network: Network, path: Path, example: torch.Tensor) -> None:
    """Write one self-contained ONNX file, with the output and warnings of torch's exporter suppressed."""
    batch = torch.export.Dim("pictures", min=1, max=1024)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")  # raised by the exporter about its own code
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
    forget_where_it_was_made(path)


def forget_where_it_was_made(path: Path) -> None:
    """Remove the exporter's metadata from an ONNX file: the source file and line of each node.

    They contain paths of the training machine, and would give the same weights a different digest on every machine.
    """
    model = onnx.load(path)
    graph = model.graph
    for noted in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        noted.ClearField("metadata_props")
        noted.ClearField("doc_string")
    for function in model.functions:
        for noted in (function, *function.node):
            noted.ClearField("metadata_props")
            noted.ClearField("doc_string")
    onnx.save(model, path)


def run_onnx(path: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Embed images (n, side, side, 3) with the exported model and its card, as the product does."""
    return open_model(f"onnx:{path}").embed([View(picture) for picture in pixels])
