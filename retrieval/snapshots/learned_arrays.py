"""The arrays that a snapshot keeps beside its manifest for scoring: sums of species, and the metric of prototypes.

prototypes.npz   species, sums and observations of `SpeciesSums`; written by every build, and kept up as it grows
metric.npy       (256, 256) float32; written when the snapshot is calibrated
typical.npz      species and, for each, how similar its observations are to their closest other one; written likewise
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import ASPECTS
from retrieval.errors import DamagedSnapshot
from retrieval.models.embedder import DIM
from retrieval.ranking.aspects import AspectClassifier
from retrieval.ranking.prototypes import Metric, SpeciesSums, sum_observations
from retrieval.search.arrays import load_array, load_arrays, map_array
from retrieval.segments.segment import Segment

ASPECTS_FILE = "aspects.npz"
SUMS = "prototypes.npz"
METRIC = "metric.npy"
TYPICAL = "typical.npz"
LEARNED = (METRIC, ASPECTS_FILE, TYPICAL)  # that calibration writes; a snapshot made from a calibrated one has them too
AT_ONCE = 1 << 22  # numbers that are added up together: 32 MB
BLOCK = AT_ONCE // DIM  # rows read together, but for a species that has more


def sum_segments(segments: Sequence[Segment], only: NDArray[np.int64] | None = None) -> SpeciesSums:
    """Add up the references of all segments, or those of some species (ascending).

    An observation that lies in two segments counts in each for its photos there.
    """
    held = np.unique(np.concatenate([np.zeros(0, np.int64), *(np.asarray(s.species) for s in segments)]))
    species = held if only is None else np.unique(only)
    sums = np.zeros((len(species), DIM))
    observations = np.zeros(len(species), dtype=np.int64)
    for segment in segments:
        for lists in blocks_of_lists(segment, segment.lists_of(species)):
            rows = segment.active_rows(lists)
            own = np.searchsorted(species, np.asarray(segment.species)[lists])
            columns = np.searchsorted(lists, np.searchsorted(segment.offsets, rows, side="right") - 1)
            seen = np.asarray(segment.observations)[rows]
            wide = max(1, AT_ONCE // max(1, len(rows)))  # a part of the axes at a time: sums of axes are apart
            for axis in range(0, DIM, wide):
                stored = segment.store.part(rows, axis, axis + wide)
                some, counts = sum_observations(stored, columns, seen, len(lists))
                sums[own, axis : axis + wide] += some
            observations[own] += counts
    return SpeciesSums(species, sums, observations)


def blocks_of_lists(segment: Segment, lists: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Lists that are read together, so that memory stays small."""
    rows = np.cumsum(segment.offsets[lists + 1] - segment.offsets[lists])
    return np.split(lists, np.unique(np.searchsorted(rows, np.arange(BLOCK, rows[-1], BLOCK)))) if len(lists) else []


def add_sums(one: SpeciesSums, other: SpeciesSums) -> SpeciesSums:
    """What both hold together."""
    species = np.union1d(one.species, other.species)
    sums, observations = np.zeros((len(species), DIM)), np.zeros(len(species), dtype=np.int64)
    for part in (one, other):
        places = np.searchsorted(species, part.species)
        sums[places] += part.sums
        observations[places] += part.observations
    return SpeciesSums(species, sums, observations)


def replace_sums(known: SpeciesSums, anew: SpeciesSums) -> SpeciesSums:
    """The known sums with those of some species exchanged."""
    kept = ~np.isin(known.species, anew.species)
    return add_sums(SpeciesSums(known.species[kept], known.sums[kept], known.observations[kept]), anew)


def write_sums(folder: Path, sums: SpeciesSums) -> None:
    """Write the sums to a snapshot's folder."""
    np.savez(folder / SUMS, species=sums.species, sums=sums.sums, observations=sums.observations)


def read_sums(folder: Path) -> SpeciesSums | None:
    """Read the sums of a snapshot's folder, mapped; None where there are none."""
    path = folder / SUMS
    if not path.exists():
        return None
    try:
        species, observations = (map_array(path, name).copy() for name in ("species", "observations"))
        return SpeciesSums(species, map_array(path, "sums"), observations)
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


def write_typical(folder: Path, species: NDArray[np.int64], similarities: NDArray[np.floating]) -> None:
    """Write how similar observations of each species (ascending taxon ids) are; those without a value are left out."""
    known = np.isfinite(similarities)
    np.savez(folder / TYPICAL, species=species[known], similarities=similarities[known].astype(np.float32))


def read_typical(folder: Path, species: NDArray[np.int64]) -> NDArray[np.float32]:
    """The same for the species given (ascending taxon ids), NaN where there is no value or no such file."""
    similarities = np.full(len(species), np.nan, dtype=np.float32)
    path = folder / TYPICAL
    if not path.exists():
        return similarities
    try:
        held = load_arrays(path)
        there = np.isin(held["species"], species)
        places = np.searchsorted(species, held["species"][there])
        similarities[places] = held["similarities"][there]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise DamagedSnapshot(f"{TYPICAL} cannot be read") from error
    return similarities


def write_aspect_classifier(folder: Path, model: AspectClassifier) -> None:
    """Write it to a snapshot's folder."""
    np.savez(folder / ASPECTS_FILE, codes=model.codes, weights=model.weights, constants=model.constants)


def read_aspect_classifier(folder: Path) -> AspectClassifier:
    """Read it from a snapshot's folder; raises DamagedSnapshot."""
    try:
        held = load_arrays(folder / ASPECTS_FILE)
        found = AspectClassifier(held["codes"], held["weights"], held["constants"])
    except (OSError, ValueError, KeyError) as error:
        raise DamagedSnapshot(f"{ASPECTS_FILE} cannot be read") from error
    if found.weights.shape[0] != len(found.codes) or found.codes.max(initial=0) >= len(ASPECTS):
        raise DamagedSnapshot(f"{ASPECTS_FILE} does not hold what it should")
    return found
