"""Networks of timm, exported to ONNX once and cached. OpenVINO runs them; PyTorch is needed for the export only."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from retrieval.errors import ModelError
from retrieval.models.card import card_path
from retrieval.models.pipe import ROOT

TO_EXPORT = 1800.0  # seconds: the weights may be a download of gigabytes


def export_timm(name: str, cache: Path, *, trained: bool = True) -> Path:
    """Return the ONNX file of a timm network, exporting it if it is not cached; its card is beside it.

    Both files are moved into place together at the end, so that an interrupted export leaves nothing incomplete.
    Raises ModelError where a package is missing or the export fails.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", name.removeprefix("hf-hub:"))
    folder = cache / "timm" / (stem if trained else f"{stem}-untrained")
    network = folder / f"{stem}.onnx"
    if network.is_file() and card_path(network).is_file():
        return network
    missing = [package for package in ("torch", "timm", "onnxscript") if find_spec(package) is None]
    if missing:
        raise ModelError(
            f"networks of timm are exported by {', '.join(missing)}, which is missing here: "
            "pip install -r requirements-timm.txt, or bring an ONNX file (onnx:PATH)"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as draft:
        drafted = Path(draft) / "network"
        drafted.mkdir()
        card = run_export(name, drafted / network.name, trained=trained)
        card_path(drafted / network.name).write_text(card, encoding="utf-8")
        if not folder.exists():
            drafted.rename(folder)
    return network


def run_export(name: str, out: Path, *, trained: bool) -> str:
    """Export in a child process; returns the card as JSON text."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [
        sys.executable,
        "-m",
        "retrieval.models.timm_child",
        name,
        str(out),
        *([] if trained else ["--untrained"]),
    ]
    try:
        ran = subprocess.run(  # noqa: S603 - our own module, and a name that it looks up
            command,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            check=False,
            timeout=TO_EXPORT,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"timm did not export {name} to ONNX within {TO_EXPORT / 60:.0f} minutes") from error
    lines = ran.stdout.strip().splitlines()
    if ran.returncode or not lines or not out.is_file():
        said = (ran.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ModelError(
            f"timm cannot export {name} to ONNX ({said}): check the name, and that its weights can be fetched"
        )
    return json.dumps(json.loads(lines[-1]), indent=2) + "\n"
