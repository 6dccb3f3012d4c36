"""EfficientNet-Lite as an OpenVINO graph, built from its weights: batch norms folded into the convolutions, at f32.

EfficientNet-Lite (Google 2020, after Tan and Le 2019) has no squeeze-and-excitation, clamps activations to 0..6 and
keeps stem and head as they are at every size. Its weights were trained with TensorFlow's padding, where an odd pixel is
added at the bottom and at the right. Planes are pooled by their quadratic mean (generalised mean with exponent 2:
Radenovic et al. 2018), in which what is small and clear in the photo counts for more than in the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import ModelError

Weights: TypeAlias = Mapping[str, NDArray[np.float32]]

EPSILON: Final = 1e-3  # of the batch norms
STRIDES: Final = (1, 2, 2, 2, 1, 2, 1)  # of the first block of each stage
OUTPUT: Final = "features"


def write_lite_graph(weights: Weights, repeats: tuple[int, ...], side: int, out: Path) -> None:
    """Write `out` (.xml, with its .bin) that maps images (n, 3, side, side) to pooled features (n, 1280).

    `repeats` are the blocks of each stage. Raises ModelError where the weights are not those of such a network, or
    OpenVINO is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise ModelError("networks are run by OpenVINO, which is missing: pip install openvino") from error
    try:
        graph = build_graph(weights, repeats, side)
    except (KeyError, RuntimeError, ValueError) as error:
        raise ModelError(f"the weights are not those of an EfficientNet-Lite of {sum(repeats)} blocks") from error
    openvino.save_model(graph, out, compress_to_fp16=False)


def build_graph(weights: Weights, repeats: tuple[int, ...], side: int) -> Any:
    """Build the graph; raises KeyError, ValueError or OpenVINO's RuntimeError for other weights."""
    import openvino
    from openvino import opset13 as ops

    picture = ops.parameter([-1, 3, side, side], np.float32, name="pictures")
    planes = convolve(picture, weights, "_conv_stem", "_bn0", stride=2)
    number = 0
    for stage, count in enumerate(repeats):
        for place in range(count):
            planes = add_block(planes, weights, f"_blocks.{number}.", STRIDES[stage] if place == 0 else 1)
            number += 1
    planes = convolve(planes, weights, "_conv_head", "_bn1")
    squares = ops.reduce_mean(ops.multiply(planes, planes), np.array([2, 3], np.int64), keep_dims=False)
    pooled = ops.sqrt(squares)
    pooled.output(0).set_names({OUTPUT})
    return openvino.Model([pooled], [picture], "efficientnet-lite")


def add_block(planes: Any, weights: Weights, prefix: str, stride: int) -> Any:
    """Add an inverted residual block (Sandler et al. 2018), with a shortcut where it changes no size."""
    start = planes
    if f"{prefix}_expand_conv.weight" in weights:
        planes = convolve(planes, weights, f"{prefix}_expand_conv", f"{prefix}_bn0")
    planes = convolve(planes, weights, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride=stride, each_plane=True)
    planes = convolve(planes, weights, f"{prefix}_project_conv", f"{prefix}_bn2", clamped=False)
    if stride == 1 and start.get_output_partial_shape(0)[1] == planes.get_output_partial_shape(0)[1]:
        from openvino import opset13 as ops

        planes = ops.add(start, planes)
    return planes


def convolve(
    planes: Any,
    weights: Weights,
    convolution: str,
    norm: str,
    *,
    stride: int = 1,
    each_plane: bool = False,
    clamped: bool = True,
) -> Any:
    """Add a convolution with its batch norm folded in, and the clamp to 0..6."""
    from openvino import opset13 as ops

    kernel, bias = fold(weights, convolution, norm)
    nothing, steps = [0, 0], [stride, stride]
    if each_plane:
        kernel = kernel[:, None]
        planes = ops.group_convolution(planes, kernel, steps, nothing, nothing, [1, 1], "SAME_UPPER")
    else:
        planes = ops.convolution(planes, kernel, steps, nothing, nothing, [1, 1], "SAME_UPPER")
    planes = ops.add(planes, bias.reshape(1, -1, 1, 1))
    return ops.clamp(planes, 0.0, 6.0) if clamped else planes


def fold(weights: Weights, convolution: str, norm: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fold a batch norm into the kernel (out, in, k, k) and bias (out,) of the convolution before it."""
    gain, offset, mean, variance = (
        weights[f"{norm}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gain / np.sqrt(variance + EPSILON)
    kernel = weights[f"{convolution}.weight"].astype(np.float64) * scale[:, None, None, None]
    return kernel.astype(np.float32), (offset - mean * scale).astype(np.float32)
