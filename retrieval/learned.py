"""The arrays that a snapshot keeps beside its manifest for scoring: sums of species, and the metric of prototypes.

prototypes.npz   species, sums and observations of `SpeciesSums`; written when the snapshot is built
metric.npy       (256, 256) float32; written when the snapshot is calibrated
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retrieval.arrays import load_array, load_arrays
from retrieval.embedder import DIM
from retrieval.errors import DamagedSnapshot
from retrieval.prototypes import Metric, SpeciesSums, sum_observations
from retrieval.segment import Segment

SUMS = "prototypes.npz"
METRIC = "metric.npy"


def sum_segments(segments: Sequence[Segment]) -> SpeciesSums:
    """Add up the references of all segments; an observation that lies in two counts in each for its photos there."""
    listed = [np.zeros(0, np.int64), *(np.asarray(segment.species) for segment in segments)]
    species = np.unique(np.concatenate(listed))
    sums = np.zeros((len(species), DIM))
    observations = np.zeros(len(species), dtype=np.int64)
    for segment in segments:
        embeddings, rows = segment.index.embeddings(np.arange(len(segment.species), dtype=np.int64))
        lists = np.searchsorted(segment.offsets, rows, side="right") - 1
        columns = np.searchsorted(species, np.asarray(segment.species)[lists])
        some, counts = sum_observations(embeddings, columns, np.asarray(segment.observations)[rows], len(species))
        sums += some
        observations += counts
    return SpeciesSums(species, sums, observations)


def write_sums(folder: Path, sums: SpeciesSums) -> None:
    """Write the sums to a snapshot's folder."""
    np.savez(folder / SUMS, species=sums.species, sums=sums.sums, observations=sums.observations)


def read_sums(folder: Path) -> SpeciesSums | None:
    """Read the sums of a snapshot's folder; None where there are none."""
    path = folder / SUMS
    if not path.exists():
        return None
    try:
        held = load_arrays(path)
        return SpeciesSums(held["species"], held["sums"], held["observations"])
    except (OSError, ValueError, KeyError) as error:
        raise DamagedSnapshot(f"{path.name} cannot be read") from error


def read_metric(path: Path) -> Metric:
    """Read the metric; raises DamagedSnapshot where it is missing or of another shape."""
    try:
        metric = load_array(path)
    except (OSError, ValueError) as error:
        raise DamagedSnapshot(f"{path.name} cannot be read") from error
    if metric.shape != (DIM, DIM):
        raise DamagedSnapshot(f"{path.name} has shape {metric.shape}, not {(DIM, DIM)}")
    return np.asarray(metric, dtype=np.float32)
