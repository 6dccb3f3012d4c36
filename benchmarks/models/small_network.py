"""Writes a small network with random weights, of the size of mobile networks, for measuring cost only.

python -m benchmarks.models.small_network FILE.onnx
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 224
CHANNELS = (3, 32, 64, 128, 256)
CARD = {
    "resize": 256,
    "crop": SIDE,
    "layout": "NCHW",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "suitable": "measuring what serving costs",
    "unsuitable": "anything else: its weights are random",
}


def write_small_network(path: Path, seed: int = 1) -> Path:
    """Write four convolutions of stride 2 to 256 numbers, with a card beside it; returns the path."""
    noise = np.random.default_rng(seed)
    nodes, weights, last = [], [], "pixels"
    for number, (before, after) in enumerate(pairwise(CHANNELS)):
        kernel = noise.normal(0, (2 / (9 * before)) ** 0.5, (after, before, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"kernel{number}"))
        convolution = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        nodes.append(helper.make_node("Conv", [last, f"kernel{number}"], [f"seen{number}"], **convolution))
        nodes.append(helper.make_node("Relu", [f"seen{number}"], [f"kept{number}"]))
        last = f"kept{number}"
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["rows"]),
    ]
    entry = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["views", 3, SIDE, SIDE])
    answer = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["views", CHANNELS[-1]])
    graph = helper.make_graph(nodes, "small", [entry], [answer], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    path.with_name(path.name + ".card.json").write_text(json.dumps(CARD), encoding="utf-8")
    return path


if __name__ == "__main__":
    print(write_small_network(Path(sys.argv[1])))
