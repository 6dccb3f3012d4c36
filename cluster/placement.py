"""Assigns references to shards: at random, by genus, or by likely confusion. Imports NumPy only.

A query probes the species whose means are most similar to it. If these are on the same shard, few shards are queried;
but if popular species are together, one shard does all the work. So species are clustered by the similarity of their
means under two constraints: no shard may hold, or be expected to scan, more than `SLACK` above its fair share. A
species larger than a fair share is split into sub-lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import ClusterError

Rows = NDArray[np.float64]

RANDOM, GENUS, CONFUSION = "random", "genus", "confusion"
METHODS: Final = (RANDOM, GENUS, CONFUSION)
SHARES: Final = 1 << 20  # resolution of a sub-list's borders, as fractions of its species
SLACK: Final = 0.1  # above the fair share of memory or load
ROUNDS: Final = 12  # of k-means
PASSES: Final = 6  # of local search that moves single species to the species they are confused with
NEIGHBOURS: Final = 24  # edges for each species in the confusion graph
TEMPERATURE: Final = 0.05  # how quickly confusion falls with similarity
SAMPLED_QUERIES: Final = 4_096  # simulated queries that estimate the load
BLOCK: Final = 2_048


@dataclass(frozen=True, eq=False)
class Lists:
    """The inverted lists of a snapshot, one row for each species. `means` have length 1."""

    species: NDArray[np.int64]  # ascending
    sizes: NDArray[np.int64]  # references
    genera: NDArray[np.int64]
    means: NDArray[np.float32]  # (species, 256)


@dataclass(frozen=True, eq=False)
class Placement:
    """The shard of each sub-list: rows from fraction `first` up to `last` (in SHARES) of a species are on `shard`."""

    shards: int
    species: NDArray[np.int64]  # ascending; repeated if a species is split
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    shard: NDArray[np.int64]

    @cached_property
    def id(self) -> str:
        """A digest of the content."""
        digest = sha256(str(self.shards).encode())
        for column in (self.species, self.first, self.last, self.shard):
            digest.update(column.astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    def of_shard(self, number: int) -> Placement:
        """Return the part of the placement on one shard."""
        own = self.shard == number
        return Placement(self.shards, self.species[own], self.first[own], self.last[own], self.shard[own])

    def holds(self, species: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which shards hold references of the given species, in any order, as a table (shards, species)."""
        order = np.argsort(self.species, kind="stable")
        first = np.searchsorted(self.species[order], species, side="left")
        end = np.searchsorted(self.species[order], species, side="right")
        table = np.zeros((self.shards, len(species)), dtype=np.bool_)
        column = np.repeat(np.arange(len(species)), end - first)
        unit = order[np.arange(len(column)) - np.repeat(np.cumsum(end - first) - end, end - first)]
        table[self.shard[unit], column] = True
        return table

    def rows(self, lists: Lists) -> NDArray[np.int64]:
        """Count the references of each shard, (shards,)."""
        sizes = lists.sizes[np.searchsorted(lists.species, self.species)]
        held = sizes * self.last // SHARES - sizes * self.first // SHARES
        return np.bincount(self.shard, held, minlength=self.shards).astype(np.int64)


@dataclass(frozen=True, eq=False)
class PlacementUnits:
    """The units of placement: whole lists, or pieces of large ones."""

    row: NDArray[np.int64]  # row of Lists
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    weights: Rows  # (units, 2): share of total memory, share of total expected load


def make_units(lists: Lists, loads: Rows, shards: int) -> PlacementUnits:
    """Make one unit of each list; lists above a fair share are split into pieces of equal size."""
    fair = max(1.0, float(lists.sizes.sum()) / shards)
    pieces = np.maximum(1, np.ceil(lists.sizes / fair)).astype(np.int64)
    row = np.repeat(np.arange(len(lists.sizes)), pieces)
    number = np.arange(len(row)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    of = pieces[row]
    weights = np.stack([lists.sizes / max(1, lists.sizes.sum()), loads / max(1e-12, loads.sum())], axis=1)
    return PlacementUnits(row, SHARES * number // of, SHARES * (number + 1) // of, weights[row] / of[:, None])


def expect_loads(lists: Lists, probes: int = 32, seed: int = 7) -> Rows:
    """Estimate how many rows of each list are scanned, (species,), if species are queried as often as photographed.

    Species are sampled in proportion to their references; each queries the `probes` nearest lists with its mean.
    """
    if not len(lists.sizes):
        return np.zeros(0)
    draw = np.random.default_rng(seed)
    queried = draw.choice(len(lists.sizes), SAMPLED_QUERIES, p=lists.sizes / lists.sizes.sum())
    counts = np.bincount(queried, minlength=len(lists.sizes))
    near = nearest(lists.means, np.flatnonzero(counts), min(probes, len(lists.sizes)))[0]
    hits = np.bincount(near.ravel(), np.repeat(counts[counts > 0], near.shape[1]), minlength=len(lists.sizes))
    return np.asarray((hits + 1e-3) * lists.sizes, dtype=np.float64)


def nearest(
    means: NDArray[np.float32], queried: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the `count` rows nearest to each given row, itself included, and their similarities; unsorted."""
    found = np.empty((len(queried), count), dtype=np.int64)
    near = np.empty((len(queried), count), dtype=np.float32)
    for start in range(0, len(queried), BLOCK):
        similarities = means[queried[start : start + BLOCK]] @ means.T
        best = np.argpartition(-similarities, count - 1, axis=1)[:, :count]
        found[start : start + len(best)] = best
        near[start : start + len(best)] = np.take_along_axis(similarities, best, axis=1)
    return found, near


def place(lists: Lists, shards: int, method: str = CONFUSION, *, seed: int = 7) -> Placement:
    """Place all lists; deterministic on one machine. Raises ClusterError for an unknown method or no shards."""
    if shards < 1:
        raise ClusterError(f"there must be at least 1 shard, not {shards}")
    if method not in METHODS:
        raise ClusterError(f"there is no placement method {method!r}; use one of {', '.join(METHODS)}")
    units = make_units(lists, expect_loads(lists), shards)
    draw = np.random.default_rng(seed)
    if shards == 1 or not len(units.row):
        found = np.zeros(len(units.row), dtype=np.int64)
    elif method == RANDOM:
        found = pack(units.weights, draw.permutation(len(units.row)), shards)
    elif method == GENUS:
        found = place_genera(lists, units, shards)
    else:
        found = place_confused(lists, units, shards, draw)
    return make_placement(lists, units, found, shards)


def make_placement(lists: Lists, units: PlacementUnits, found: NDArray[np.int64], shards: int) -> Placement:
    """Assemble a placement from the shard of each unit."""
    return Placement(shards, lists.species[units.row], units.first, units.last, found.astype(np.int64))


def pack(weights: NDArray[np.floating], order: NDArray[np.int64], shards: int) -> NDArray[np.int64]:
    """Assign units greedily, in the given order, each to the shard with the most room left."""
    held, found = np.zeros((shards, 2)), np.empty(len(weights), dtype=np.int64)
    for unit in order.tolist():
        shard = int(np.argmin((held + weights[unit]).max(axis=1)))
        found[unit] = shard
        held[shard] += weights[unit]
    return found


def place_genera(lists: Lists, units: PlacementUnits, shards: int) -> NDArray[np.int64]:
    """Assign whole genera greedily, heaviest first; pieces of split species are assigned one by one."""
    cut = np.bincount(units.row, minlength=len(lists.sizes))[units.row] > 1
    _, genus = np.unique(lists.genera[units.row], return_inverse=True)
    genus[cut] = genus.max(initial=0) + 1 + np.arange(int(cut.sum()))
    weights = np.stack([np.bincount(genus, units.weights[:, column]) for column in (0, 1)], axis=1).astype(np.float64)
    return pack(weights, np.argsort(-weights.max(axis=1), kind="stable").astype(np.int64), shards)[genus]


def place_confused(lists: Lists, units: PlacementUnits, shards: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """Group similar species: balanced k-means, followed by local search on the confusion graph."""
    means = lists.means[units.row]
    room = (1 + SLACK) / shards
    centres = spread_centres(means, shards, draw)
    found = np.zeros(len(means), dtype=np.int64)
    for _ in range(ROUNDS):
        before, found = found, assign(means @ centres.T, units.weights, room)
        if np.array_equal(before, found):
            break
        for shard in range(shards):
            own = found == shard
            if own.any():
                centre = (means[own] * np.sqrt(units.weights[own, :1])).sum(axis=0)
                centres[shard] = centre / max(float(np.linalg.norm(centre)), 1e-12)
    return refine(units, found, *confusion(lists), shards)


def spread_centres(means: NDArray[np.float32], shards: int, draw: np.random.Generator) -> NDArray[np.float32]:
    """Choose initial centres far from each other (k-means++: Arthur and Vassilvitskii 2007)."""
    chosen = [int(draw.integers(len(means)))]
    far = 1 - means @ means[chosen[0]]
    while len(chosen) < shards:
        odds = np.maximum(far, 1e-9).astype(np.float64) ** 2
        chosen.append(int(draw.choice(len(means), p=odds / odds.sum())))
        far = np.minimum(far, 1 - means @ means[chosen[-1]])
    return np.array(means[chosen])


def assign(similarities: NDArray[np.float32], weights: Rows, room: float) -> NDArray[np.int64]:
    """Assign each unit to the most similar shard with room, in order of what a second choice would cost."""
    best = np.sort(similarities, axis=1)
    order = np.argsort(best[:, -2] - best[:, -1], kind="stable")
    held, found = np.zeros((similarities.shape[1], 2)), np.empty(len(weights), dtype=np.int64)
    for unit in order.tolist():
        filled = (held + weights[unit]).max(axis=1)
        fits = filled <= room
        shard = int(np.argmax(np.where(fits, similarities[unit], -np.inf))) if fits.any() else int(np.argmin(filled))
        found[unit] = shard
        held[shard] += weights[unit]
    return found


def confusion(lists: Lists) -> tuple[NDArray[np.int64], Rows]:
    """Return the species that each species is most likely to be confused with, and weights: (species, neighbours) each.

    Weights grow with the number of references of both species, so that frequent confusions count most.
    """
    count = min(NEIGHBOURS + 1, len(lists.sizes))
    found, near = nearest(lists.means, np.arange(len(lists.sizes)), count)
    likely = np.exp((near.astype(np.float64) - 1) / TEMPERATURE) * np.sqrt(lists.sizes[:, None] * lists.sizes[found])
    likely[found == np.arange(len(found))[:, None]] = 0
    return found, likely


def refine(
    units: PlacementUnits, found: NDArray[np.int64], near: NDArray[np.int64], likely: Rows, shards: int
) -> NDArray[np.int64]:
    """Move unsplit species to the shard that holds most of their likely confusions, if it has room."""
    found = found.copy()
    held = np.stack([np.bincount(found, units.weights[:, column], minlength=shards) for column in (0, 1)], axis=1)
    room = (1 + SLACK) / shards
    home = np.zeros(len(near), dtype=np.int64)
    home[units.row] = found
    single = np.flatnonzero(np.bincount(units.row, minlength=len(near))[units.row] == 1)
    for _ in range(PASSES):
        moved = 0
        for unit in single.tolist():
            row, here = units.row[unit], found[unit]
            drawn = np.bincount(home[near[row]], likely[row], minlength=shards)
            full = (held + units.weights[unit]).max(axis=1) > room
            full[here] = False
            there = int(np.argmax(np.where(full, -np.inf, drawn)))
            if drawn[there] > drawn[here]:
                held[here] -= units.weights[unit]
                held[there] += units.weights[unit]
                found[unit] = home[row] = there
                moved += 1
        if not moved:
            break
    return found


def rebalance(old: Placement, lists: Lists, *, tolerance: float = 2 * SLACK) -> Placement:
    """Place the lists of a later snapshot with few moves: placed lists stay where they are.

    New species go to the most similar shard with room. Then shards more than `tolerance` above their fair share give
    away the lists that fit them least, until they are within it.
    """
    shards = old.shards
    units = make_units(lists, expect_loads(lists), shards)
    columns = (old.species, old.first, old.last, old.shard)
    kept = {tuple(key): shard for *key, shard in zip(*(column.tolist() for column in columns), strict=True)}
    species = lists.species[units.row]
    keys = zip(species.tolist(), units.first.tolist(), units.last.tolist(), strict=True)
    found = np.array([kept.get(key, -1) for key in keys], dtype=np.int64)
    centres = np.zeros((shards, lists.means.shape[1]), dtype=np.float32)
    np.add.at(centres, found[found >= 0], lists.means[units.row[found >= 0]])
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    similar = lists.means[units.row] @ centres.T
    held = np.zeros((shards, 2))
    np.add.at(held, found[found >= 0], units.weights[found >= 0])
    room = (1 + tolerance) / shards
    for unit in np.flatnonzero(found < 0).tolist():
        move(unit, similar, units.weights, held, found, room)
    for _ in range(len(found)):
        shard = int(np.argmax(held.max(axis=1)))
        own = np.flatnonzero((found == shard) & (units.weights[:, int(np.argmax(held[shard]))] > 0))
        if held[shard].max() <= room or len(own) < 2:
            break
        others = np.where(np.arange(shards) == shard, -np.inf, similar[own]).max(axis=1)
        for unit in own[np.argsort(similar[own, shard] - others, kind="stable")].tolist():
            held[shard] -= units.weights[unit]
            if move(unit, similar, units.weights, held, found, room) != shard:
                break
        else:
            break  # no list can be moved
    return make_placement(lists, units, found, shards)


def move(
    unit: int, similar: NDArray[np.float32], weights: Rows, held: Rows, found: NDArray[np.int64], room: float
) -> int:
    """Assign a unit to the most similar shard with room, or else to the emptiest; returns that shard."""
    filled = (held + weights[unit]).max(axis=1)
    fits = filled <= room
    shard = int(np.argmax(np.where(fits, similar[unit], -np.inf))) if fits.any() else int(np.argmin(filled))
    found[unit] = shard
    held[shard] += weights[unit]
    return shard
