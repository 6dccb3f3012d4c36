"""timm's networks, exported to ONNX with random weights, run in OpenVINO. Skipped without timm."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from retrieval.models.card import card_path
from retrieval.models.handles import open_backbone
from retrieval.models.timm import export_timm

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("timm", "torch", "onnxscript")),
    reason="timm is not installed: requirements-timm.txt",
)


def test_an_exported_network_takes_any_number_of_views_and_is_kept(tmp_path: Path) -> None:
    network = export_timm("resnet18", tmp_path, trained=False)
    written = network.stat().st_mtime_ns
    card = json.loads(card_path(network).read_text(encoding="utf-8"))

    backbone, _ = open_backbone(f"onnx:{network}", None)
    squares = np.random.default_rng(1).integers(0, 256, (3, card["crop"], card["crop"], 3), dtype=np.uint8)
    together = backbone.network.infer(squares)
    alone = np.concatenate([backbone.network.infer(square[None]) for square in squares])

    assert (backbone.width, card["crop"], card["layout"]) == (512, 224, "NCHW")
    assert np.abs(together - alone).max() < 1e-4 * np.abs(together).max()
    assert export_timm("resnet18", tmp_path, trained=False).stat().st_mtime_ns == written
    assert not list(tmp_path.rglob(".export-*"))
