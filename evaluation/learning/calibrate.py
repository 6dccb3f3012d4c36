"""Learns a snapshot's calibration and writes it to a new snapshot beside it, which shares all segments."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from evaluation.galleries.gallery import ask_itself, read_gallery
from evaluation.learning.expect import earth_rings
from evaluation.learning.learn import learn
from evaluation.learning.scoring import Method
from retrieval.domain import WORLD
from retrieval.errors import BuildError
from retrieval.progress import Progress, silent
from retrieval.ranking.calibration import Calibration
from retrieval.snapshots.card import write_card
from retrieval.snapshots.history import log_event
from retrieval.snapshots.learned_arrays import ASPECTS_FILE as ASPECTS
from retrieval.snapshots.learned_arrays import METRIC, SUMS, write_aspect_classifier, write_sums
from retrieval.snapshots.manifest import SHARED, Manifest, seal_file
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from retrieval.snapshots.staging import building, settle

LEAST = 20  # observations: from fewer, chance decides what is learned, and a score would be no probability


def calibrate_snapshot(root: Path, snapshot: Snapshot, *, seed: int = 1, progress: Progress = silent) -> str:
    """Learn from the snapshot's own observations; gives the name of the calibrated snapshot, not yet published."""
    gallery = read_gallery(snapshot, snapshot.flora(WORLD))
    held_out = ask_itself(gallery).count
    if held_out < LEAST:
        raise BuildError(
            f"only {held_out} observations are of a species that has another one, so that they can be held out and "
            f"learned from; at least {LEAST} are needed before scores may be called probabilities"
        )
    return write_calibrated(root, snapshot, learn(gallery, seed=seed, rings_of=earth_rings(), progress=progress))


def write_calibrated(root: Path, snapshot: Snapshot, method: Method) -> str:
    """Write a snapshot with what was learned; all its own files are copied, and sealed anew with the new ones."""
    manifest = snapshot.manifest
    with building(root) as staging:
        folder = staging / "snapshot"
        left = shutil.ignore_patterns("manifest.json", "card.md", SUMS, METRIC, ASPECTS)
        shutil.copytree(root / "snapshots" / manifest.name, folder, ignore=left)
        write_sums(folder, snapshot.sums)
        if method.metric is not None:
            np.save(folder / METRIC, method.metric)
        if method.aspect_model is not None:
            write_aspect_classifier(folder, method.aspect_model)
        shared = [seal for seal in manifest.files if seal.path.startswith(SHARED)]
        own = [seal_file(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()]
        written = replace(
            manifest, files=(*shared, *own), voting=asdict(method.voting), calibration=noted(method, manifest).as_json()
        )
        (folder / "manifest.json").write_text(written.text(), encoding="utf-8")
        (folder / "card.md").write_text(write_card(written), encoding="utf-8")
        settle(folder, root / "snapshots" / written.name)
        open_snapshot(root, written.name).close()
        log_event(root, "built", written.name)
    return written.name


def noted(method: Method, manifest: Manifest) -> Calibration:
    """What was learned, with a note of what from: a build carries it over to snapshots that it was not learned from."""
    source = {
        "snapshot": manifest.name,
        "references": manifest.references,
        "observations": manifest.observations,
        "species": manifest.species,
    }
    return method.calibration.changed(fitted={**method.calibration.fitted, "learnedFrom": source})
