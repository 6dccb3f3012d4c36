"""What an answer reads of every species, as arrays: its place in the tree, its number of observations, how it looks.

species_arrays.npz      of all species of `species.npy`: unit (int32) and lines as in `Classification`, observations,
                        and their places in the order of their names; and centre, the mean of all observations;
                        written by every build
species_prototypes.npy  (species with references, 256) float32, mapped into memory; written where a calibrated snapshot
                        has more than EXACT species with references: of fewer, they are made anew at float64

A snapshot from before there were such files has them worked out from its taxonomy and sums when it is first asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import RANKS
from retrieval.errors import DamagedSnapshot
from retrieval.models.embedder import DIM
from retrieval.ranking.calibration import read_calibration
from retrieval.ranking.nodes import Classification, classify
from retrieval.ranking.prototypes import Metric, SpeciesSums, make_prototypes
from retrieval.search.arrays import load_array, load_arrays
from retrieval.snapshots.learned_arrays import METRIC, read_metric
from retrieval.snapshots.taxonomy import Taxonomy

FILE = "species_arrays.npz"
PROTOTYPES = "species_prototypes.npy"
EXACT = 4_096  # species up to which prototypes are kept at float64: 8 MB, which caches hold
GENUS = RANKS.index("genus")
ARRAYS = ("unit", "lines", "observations", "centre", "by_name")


@dataclass(frozen=True, slots=True)
class SpeciesArrays:
    """Of all species of a snapshot, with references or on a list."""

    tree: Classification
    observations: NDArray[np.int64]  # (species,) in the gallery
    centre: NDArray[np.float64]  # (256,)
    by_name: NDArray[np.int32]  # (species,): places in the order of their names, then of their ids

    def with_sums(self, sums: SpeciesSums) -> SpeciesArrays:
        """The same where other references answer: with other sums of the species' observations."""
        return SpeciesArrays(self.tree, count_observations(self.tree.species, sums), sums.centre, self.by_name)


def make_species_arrays(species: NDArray[np.int64], taxonomy: Taxonomy, sums: SpeciesSums) -> SpeciesArrays:
    """Work the arrays out from the taxonomy and the sums of the species' observations."""
    tree = classify(find_lineages(species, taxonomy))
    named = taxonomy.by_name()
    by_name = np.searchsorted(species, named[np.isin(named, species)]).astype(np.int32)
    return SpeciesArrays(tree, count_observations(species, sums), sums.centre, by_name)


def count_observations(species: NDArray[np.int64], sums: SpeciesSums) -> NDArray[np.int64]:
    """Observations of each of all species, (species,)."""
    observations = np.zeros(len(species), dtype=np.int64)
    observations[np.searchsorted(species, sums.species)] = sums.observations
    return observations


def find_lineages(species: NDArray[np.int64], taxonomy: Taxonomy) -> NDArray[np.int64]:
    """Taxon ids of the species and of all above them, (species, 7) by rank; -1 where a rank is not known.

    All species climb together, a parent at a time.
    """
    ids, ranks, parents = taxonomy.nodes()
    table = np.full((len(species), len(RANKS)), -1, dtype=np.int64)
    rows, here = np.arange(len(species)), np.asarray(species)
    for _ in range(len(RANKS) + 1):
        at = np.minimum(np.searchsorted(ids, here), max(len(ids) - 1, 0))
        known = ids[at] == here if len(ids) else np.zeros(len(here), dtype=np.bool_)
        rows, here, at = rows[known], here[known], at[known]
        rank = ranks[at]
        fresh = (rank >= 0) & (table[rows, rank] < 0)  # of two taxa of one rank, the narrower
        table[rows[fresh], rank[fresh]] = here[fresh]
        above = parents[at]
        rows, here = rows[above >= 0], above[above >= 0]
    table[:, -1] = species
    return table


def write_species_arrays(folder: Path, arrays: SpeciesArrays) -> None:
    """Write them to a snapshot's folder."""
    np.savez(
        folder / FILE,
        unit=arrays.tree.unit,
        lines=arrays.tree.lines,
        observations=arrays.observations,
        centre=arrays.centre,
        by_name=arrays.by_name,
    )


def read_species_arrays(folder: Path, species: NDArray[np.int64]) -> SpeciesArrays | None:
    """Read those of a snapshot's folder; None where there are none. Raises DamagedSnapshot."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        held = load_arrays(path)
        if not set(ARRAYS) <= set(held):  # written before one of them was
            return None
        tree = Classification(species, held["unit"], held["lines"])
        found = SpeciesArrays(tree, held["observations"], held["centre"], held["by_name"])
    except (OSError, ValueError, KeyError) as error:
        raise DamagedSnapshot(f"{path.name} cannot be read") from error
    if {len(tree.unit), len(found.observations), len(found.by_name)} != {len(species)}:
        raise DamagedSnapshot(f"{path.name} is of {len(tree.unit)} species, and the snapshot has {len(species)}")
    return found


def number_genera(tree: Classification) -> NDArray[np.int64]:
    """Genera of the species as numbers from 0 in the order of their ids, -1 where unknown."""
    genera = tree.nodes(GENUS)
    known = np.unique(genera[genera >= 0])
    return np.where(genera >= 0, np.searchsorted(known, genera), -1)


def write_prototypes(
    folder: Path, tree: Classification, sums: SpeciesSums, *, shrinkage: float, metric: Metric | None
) -> None:
    """Write the prototypes of all species with observations, where there are more than EXACT.

    `tree` is of all species of the snapshot.
    """
    held = sums.observations > 0
    if np.count_nonzero(held) <= EXACT:
        return
    own = tree.of(np.searchsorted(tree.species, sums.species))
    made = np.lib.format.open_memmap(
        folder / PROTOTYPES, mode="w+", dtype=np.float32, shape=(int(np.count_nonzero(held)), DIM)
    )
    every = bool(held.all())  # then the sums, which are mapped, need not be copied
    make_prototypes(
        sums.sums if every else sums.sums[held],
        sums.observations[held],
        number_genera(own)[held],
        shrinkage=shrinkage,
        centre=sums.centre,
        metric=metric,
        out=made,
    )
    made.flush()


def write_learned_prototypes(
    folder: Path, tree: Classification, sums: SpeciesSums, calibration: Mapping[str, Any]
) -> None:
    """The same as a calibration says whose files lie in the folder; nothing where that is empty."""
    learned = read_calibration(calibration)
    if learned.calibrated:
        metric = read_metric(folder / METRIC) if learned.metric else None
        write_prototypes(folder, tree, sums, shrinkage=learned.shrinkage, metric=metric)


def read_prototypes(folder: Path, species: int) -> NDArray[np.float32] | None:
    """The prototypes of so many species, mapped into memory; None where there is no such file."""
    path = folder / PROTOTYPES
    if not path.exists():
        return None
    try:
        made = load_array(path, mapped=True)
    except (OSError, ValueError, EOFError) as error:
        raise DamagedSnapshot(f"{path.name} cannot be read") from error
    if made.shape != (species, DIM):
        raise DamagedSnapshot(f"{path.name} has shape {made.shape}, not {(species, DIM)}")
    return made
