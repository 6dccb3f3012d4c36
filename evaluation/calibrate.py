"""Learns a snapshot's calibration and writes it to a new snapshot beside it, which shares all segments."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from evaluation.gallery import ask_itself, read_gallery
from evaluation.learn import learn
from evaluation.scoring import Method
from retrieval.domain import WORLD
from retrieval.errors import BuildError
from retrieval.learned import METRIC, write_sums
from retrieval.manifest import seal_file, verify_files
from retrieval.snapshot import Snapshot

STAGING = ".calibrating"


def calibrate_snapshot(
    root: Path, snapshot: Snapshot, *, seed: int = 1, say: Callable[[str], object] = lambda text: None
) -> str:
    """Learn from the snapshot's own observations; gives the name of the calibrated snapshot, not yet published."""
    gallery = read_gallery(snapshot, snapshot.flora(WORLD))
    if not ask_itself(gallery).count:
        raise BuildError("no species has two observations, so that nothing can be held out and learned from")
    return write_calibrated(root, snapshot, learn(gallery, seed=seed, say=say))


def write_calibrated(root: Path, snapshot: Snapshot, method: Method) -> str:
    """Write a snapshot with what was learned; all its own files are copied, and sealed anew with the new ones."""
    manifest = snapshot.manifest
    folder = root / STAGING
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(root / "snapshots" / manifest.name, folder)
    (folder / "manifest.json").unlink()
    card = folder / "card.md"
    note = card.read_text(encoding="utf-8") if card.exists() else None
    card.unlink(missing_ok=True)
    write_sums(folder, snapshot.sums)
    (folder / METRIC).unlink(missing_ok=True)
    if method.metric is not None:
        np.save(folder / METRIC, method.metric)
    shared = [seal for seal in manifest.files if seal.path.startswith("segments/")]
    own = [seal_file(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()]
    written = replace(
        manifest, files=(*shared, *own), voting=asdict(method.voting), calibration=method.calibration.as_json()
    )
    (folder / "manifest.json").write_text(written.text(), encoding="utf-8")
    if note is not None:
        (folder / "card.md").write_text(note, encoding="utf-8")
    place = root / "snapshots" / written.name
    if place.exists():
        shutil.rmtree(folder)
    else:
        folder.rename(place)
    verify_files(root, written)
    return written.name
