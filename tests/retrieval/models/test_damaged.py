"""A damaged network gives one sentence and no other output of the runtime, also in a separate process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.retrieval.models.networks import write_card, write_network

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("kept", [0.1, 0.6])
def test_a_truncated_network_says_one_sentence_and_nothing_else(tmp_path: Path, kept: float) -> None:
    network = write_network(tmp_path / "short.onnx")
    write_card(network)
    whole = network.read_bytes()
    network.write_bytes(whole[: int(kept * len(whole))])
    command = [sys.executable, "-m", "fungarium", "model", "describe", f"onnx:{network}"]

    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ran.returncode == 1
    assert ran.stdout == ""
    advice = "copy or export it again, and compare its length"
    assert ran.stderr == f"error: {network} is damaged or not a network that OpenVINO reads: {advice}\n"
