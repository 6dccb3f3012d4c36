"""The order of species in code files and in the coarse quantiser, such that each flora is a few long ranges.

Starting a scan at every species of a flora costs more than the scan. Species of the same floras are adjacent, and
similar sets of floras follow each other (seriation by the greedy nearest-neighbour tour; Rosenkrantz, Stearns and
Lewis 1977).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking.prototypes import SpeciesSums
from retrieval.search.faiss_coarse import SPECIES, write_coarse_quantiser


def order_species(floras: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return an order of species, (species,), from their membership in floras, (species, floras)."""
    if not len(floras):
        return np.zeros(0, dtype=np.int64)
    packed = np.packbits(floras, axis=1) if floras.shape[1] else np.zeros((len(floras), 1), np.uint8)
    sets, of_species = np.unique(packed, axis=0, return_inverse=True)
    steps, left, here = [], np.ones(len(sets), dtype=np.bool_), int(np.argmax(np.bitwise_count(sets).sum(axis=1)))
    while True:
        steps.append(here)
        left[here] = False
        if not left.any():
            break
        apart = np.bitwise_count(sets ^ sets[here]).sum(axis=1, dtype=np.int64)
        here = int(np.argmin(np.where(left, apart, np.iinfo(np.int64).max)))
    rank = np.empty(len(sets), dtype=np.int64)
    rank[steps] = np.arange(len(sets))
    return np.argsort(rank[of_species.reshape(-1)], kind="stable").astype(np.int64)


def lay_out(folder: Path, sums: SpeciesSums) -> NDArray[np.int64]:
    """Write the coarse quantiser of a snapshot under construction; returns its species in order.

    An order already in the folder, from the previous snapshot, is kept, with new species after it.
    """
    held = sums.species[sums.observations > 0]
    if (folder / SPECIES).exists():
        known = np.load(folder / SPECIES)
        order = np.concatenate([known[np.isin(known, held)], held[~np.isin(held, known)]])
    else:
        species = np.load(folder / "species.npy")
        bits = [np.fromfile(path, dtype=np.uint8) for path in sorted((folder / "floras").iterdir())]
        floras = np.zeros((len(species), len(bits)), dtype=np.bool_)
        for column, packed in enumerate(bits):
            floras[:, column] = np.unpackbits(packed, count=len(species))
        order = held[order_species(floras[np.searchsorted(species, held)])]
    write_coarse_quantiser(folder, order, sums.sums, np.searchsorted(sums.species, order))
    return order
