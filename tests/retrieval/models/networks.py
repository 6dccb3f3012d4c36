"""Tiny ONNX networks, made by tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 8
CARD = {"resize": 10, "crop": SIDE, "layout": "NCHW", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}


def write_network(
    path: Path, *, width: int = 256, layout: str = "NCHW", outputs: tuple[str, ...] = ("embedding",), seed: int = 1
) -> Path:
    """A network that flattens its pixels and multiplies them by a fixed matrix, plus one where all pixels are zero."""
    shape = ["views", 3, SIDE, SIDE] if layout == "NCHW" else ["views", SIDE, SIDE, 3]
    noise = np.random.default_rng(seed)
    weights, nodes = [], [helper.make_node("Flatten", ["pixels"], ["flat"], axis=1)]
    for number, output in enumerate(outputs):
        wide = width if number == 0 else width + number
        matrix = noise.normal(size=(3 * SIDE * SIDE, wide)).astype(np.float32)
        weights += [
            numpy_helper.from_array(matrix, f"matrix{number}"),
            numpy_helper.from_array(np.full(wide, 0.1, np.float32), f"bias{number}"),
        ]
        nodes.append(helper.make_node("Gemm", ["flat", f"matrix{number}", f"bias{number}"], [output]))
    described = [
        helper.make_tensor_value_info(output, TensorProto.FLOAT, ["views", width + number])
        for number, output in enumerate(outputs)
    ]
    entry = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)
    return save_network(path, nodes, entry, described, weights)


def write_silent_network(path: Path) -> Path:
    """A network that answers zeros to everything: it breaks the promise of a direction."""
    matrix = numpy_helper.from_array(np.zeros((3 * SIDE * SIDE, 256), np.float32), "matrix")
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "matrix"], ["embedding"]),
    ]
    entry = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["views", 3, SIDE, SIDE])
    described = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["views", 256])]
    return save_network(path, nodes, entry, described, [matrix])


def write_boundless_network(path: Path) -> Path:
    """A network that takes images of any size: it averages them and repeats the mean colour."""
    matrix = numpy_helper.from_array(np.random.default_rng(2).normal(size=(3, 256)).astype(np.float32), "matrix")
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "matrix"], ["embedding"]),
    ]
    entry = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["views", 3, "height", "width"])
    described = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["views", 256])]
    return save_network(path, nodes, entry, described, [matrix])


def save_network(path: Path, nodes: Any, entry: Any, outputs: Any, weights: Any) -> Path:
    graph = helper.make_graph(nodes, "tiny", [entry], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def write_card(network: Path, **changes: Any) -> Path:
    """The card beside a network; `None` leaves an entry out."""
    body = {name: value for name, value in {**CARD, **changes}.items() if value is not None}
    path = network.with_name(network.name + ".card.json")
    path.write_text(json.dumps(body), encoding="utf-8")
    return path
