"""Learns a snapshot's calibration, and writes a new snapshot with it that shares all segments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.galleries.gallery import Gallery, read_gallery, read_lists
from evaluation.learning.learn import learn
from evaluation.learning.priors import earth_rings
from evaluation.learning.scoring import Method
from retrieval.domain import WORLD
from retrieval.errors import BuildError
from retrieval.progress import Progress, silent
from retrieval.ranking.calibration import Calibration
from retrieval.snapshots.learned_arrays import METRIC, write_aspect_classifier, write_typical
from retrieval.snapshots.lineage import write_calibrated_copy
from retrieval.snapshots.snapshot import Snapshot
from retrieval.snapshots.staging import writing

MIN_OBSERVATIONS = 20  # observations: with fewer, the calibration is too noisy for scores to be probabilities


def calibrate_snapshot(root: Path, snapshot: Snapshot, *, seed: int = 1, progress: Progress = silent) -> str:
    """Fit the calibration on the snapshot's own observations. Returns the name of the new snapshot, not yet published.

    Raises BuildError if there are too few observations.
    """
    gallery = read_gallery(snapshot, snapshot.flora(WORLD))
    lists = read_lists(snapshot, gallery)
    refuse_too_few(gallery)
    method = learn(gallery, lists=list(lists.values()), seed=seed, rings_of=earth_rings(), progress=progress)
    refuse_infinite(method.calibration.as_json())
    return write_calibrated(root, snapshot, method)


def refuse_too_few(gallery: Gallery) -> None:
    """Raise BuildError if too few observations can be held out."""
    held_out = len(np.unique(gallery.groups[np.isin(gallery.observations, gallery.evaluable)]))
    if held_out >= MIN_OBSERVATIONS:
        return
    words = (
        f"too few: only {held_out} observations can be held out, because their species has another one; "
        f"at least {MIN_OBSERVATIONS} are needed before scores may be called probabilities"
    )
    if gallery.trained_on is not None and gallery.trained_on.any():
        trained_on = len(np.unique(gallery.observations[gallery.trained_on]))
        words += (
            f". The model was trained on {trained_on} observations, which cannot be used: fit it with a part held out "
            "(--held-out), or import photos that it has not seen"
        )
    raise BuildError(words)


def refuse_infinite(values: object) -> None:
    """Raise BuildError if a learned number is not finite."""
    if isinstance(values, Mapping):
        for value in values.values():
            refuse_infinite(value)
    elif isinstance(values, list | tuple):
        for value in values:
            refuse_infinite(value)
    elif isinstance(values, float) and not math.isfinite(values):
        raise BuildError("a learned number is not finite; nothing was written: are the embeddings damaged?")


def write_calibrated(root: Path, snapshot: Snapshot, method: Method) -> str:
    """Write a snapshot with the calibration; it shares everything else with `snapshot`."""

    def write_learned(folder: Path) -> dict[str, Any]:
        if method.metric is not None:
            np.save(folder / METRIC, method.metric)
        if method.typical:
            species = np.array(sorted(method.typical), dtype=np.int64)
            write_typical(folder, species, np.array([method.typical[taxon] for taxon in species.tolist()]))
        if method.aspect_model is not None:
            write_aspect_classifier(folder, method.aspect_model)
        return note_source(method, snapshot).as_json()

    with writing(root):
        return write_calibrated_copy(root, snapshot.manifest, asdict(method.voting), write_learned)


def note_source(method: Method, snapshot: Snapshot) -> Calibration:
    """Return the calibration with a note of its source, because a build carries it over to later snapshots."""
    source = {
        "snapshot": snapshot.name,
        "references": snapshot.references,
        "observations": snapshot.observation_count,
        "species": snapshot.floras[0].covered,
    }
    return method.calibration.changed(fitted={**method.calibration.fitted, "learnedFrom": source})
