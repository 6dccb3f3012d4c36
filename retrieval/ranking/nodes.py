"""The classification of species as arrays, and sums of scores by node.

Species of one genus have the same lineage above them. Each lineage is stored once, as a unit, with the unit of each
species: summing by rank is one pass over the species to units, and a short one over units.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

UPPER = 6  # ranks above the species, from kingdom to genus


def add_species(scores: NDArray[np.float64], multiplicity: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Sum scores over species, (..., species) to (...).

    `multiplicity` (..., species) is how many species each column stands for where scores are of a sample of species, as
    in learning; None: each for itself.
    """
    return np.asarray((scores if multiplicity is None else scores * multiplicity).sum(axis=-1))


@dataclass(frozen=True, eq=False)
class Classification:
    """The lineages of species."""

    species: NDArray[np.int64]  # (species,) taxon ids
    unit: NDArray[np.int32]  # (species,): its row of `lines`
    lines: NDArray[np.int64]  # (units, 6): taxon ids from kingdom to genus, -1 where a rank is not known

    @property
    def lineages(self) -> NDArray[np.int64]:
        """Taxon ids from kingdom to species, (species, 7); -1 where unknown."""
        return np.column_stack([self.lines[self.unit], self.species])

    def of(self, places: NDArray[np.int64]) -> Classification:
        """Return the classification of some of the species."""
        return Classification(self.species[places], self.unit[places], self.lines)

    def nodes(self, rank: int) -> NDArray[np.int64]:
        """Return the taxon id of each species' node at a rank, 0 for kingdom to 6 for species; -1 if unknown."""
        return self.species if rank == UPPER else self.lines[self.unit, rank]

    @cached_property
    def ranks(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """For each rank above the species: the units with a known node, the nodes, and the node of each unit."""
        found = []
        for rank in range(UPPER):
            known = np.flatnonzero(self.lines[:, rank] >= 0)
            found.append((known, *np.unique(self.lines[known, rank], return_inverse=True)))
        return found

    def sum_units(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum scores (species,) by unit, (units,)."""
        return np.asarray(np.bincount(self.unit, weights=scores, minlength=len(self.lines)), dtype=np.float64)

    def sum_rank(self, units: NDArray[np.float64], rank: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Sum the result of `sum_units`, (units,), by the nodes of a rank above the species.

        Returns taxon ids, ascending, and sums, (nodes,). Species with an unknown node are left out.
        """
        known, taxa, at = self.ranks[rank]
        return taxa, np.asarray(np.bincount(at, weights=units[known], minlength=len(taxa)), dtype=np.float64)

    @cached_property
    def _by_unit(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The species in the order of their units, and the bounds of each unit in it, (units + 1,)."""
        order = np.argsort(self.unit, kind="stable")
        return order, np.searchsorted(self.unit[order], np.arange(len(self.lines) + 1))

    def below(self, rank: int, place: int) -> NDArray[np.int64]:
        """Return the species below the node at a place of the result of `sum_rank`."""
        known, _, at = self.ranks[rank]
        order, bounds = self._by_unit
        units = known[at == place].tolist()
        return np.concatenate([order[bounds[unit] : bounds[unit + 1]] for unit in units])

    def under(self, taxa: Collection[int]) -> NDArray[np.bool_]:
        """Return a mask of the species that belong to any of the taxa, (species,)."""
        wanted = list(taxa)
        above: NDArray[np.bool_] = np.asarray(np.isin(self.lines, wanted).any(axis=1))
        return np.asarray(above[self.unit] | np.isin(self.species, wanted))

    def depth(self, taxon: int) -> int:
        """Return the depth of a taxon, kingdom 1 to species 7; 0 for a taxon without species."""
        at = np.argwhere(self.lines == taxon)
        if len(at):
            return int(at[0, 1]) + 1
        return UPPER + 1 if (self.species == taxon).any() else 0


def classify(lineages: NDArray[np.int64]) -> Classification:
    """Return the classification of species from their lineages, (species, 7)."""
    lines, unit = np.unique(lineages[:, :UPPER], axis=0, return_inverse=True)
    return Classification(lineages[:, UPPER], unit.reshape(-1).astype(np.int32), lines)
