"""The child process that exports a timm network to ONNX: `python -m retrieval.models.timm_child NAME OUT.onnx`.

PyTorch is kept out of the serving processes: under load its threads spin, and it becomes fifty times slower.
No other module imports this one.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any


def import_timm() -> Any:
    """Import timm, where needed with declarations for missing operators of torchvision.

    timm imports torchvision, whose import fails with PyTorch's CPU build if its operators were compiled for CUDA.
    timm needs none of them, so declaring their names is enough.
    """
    import torch

    try:
        import timm
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] in {"timm", "torchvision"}]:
            del sys.modules[name]
        missing = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            missing.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import timm

        timm.declared = missing  # keeps the declarations alive
    return timm


def export(name: str, out: Path, *, pretrained: bool = True) -> dict[str, Any]:
    """Export the network without its classifier to ONNX; returns the entries of its card.

    Raises ValueError where its input is not square.
    """
    timm = import_timm()
    import torch

    model = timm.create_model(name, pretrained=pretrained, num_classes=0).eval()
    about = timm.data.resolve_model_data_config(model)
    _, height, width = about["input_size"]
    if height != width:
        raise ValueError(f"it takes {width} x {height} pixels, which is not square")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(2, 3, height, width),),
            str(out),
            input_names=["pixels"],
            output_names=["embedding"],
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    return {
        "resize": round(height / about["crop_pct"]),
        "crop": height,
        "layout": "NCHW",
        "mean": list(about["mean"]),
        "std": list(about["std"]),
        "output": "embedding",
        "licence": str(model.pretrained_cfg.get("license") or "not stated"),
        "suitable": "see the page of the network",
    }


def main(arguments: list[str]) -> int:
    """Export the network and print its card; an error is the last line on stderr. Returns the exit code."""
    pretrained = "--untrained" not in arguments
    name, out = [argument for argument in arguments if not argument.startswith("--")]
    try:
        card = export(name, Path(out), pretrained=pretrained)
    except Exception as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        print(said, file=sys.stderr)
        return 1
    print(json.dumps(card))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
