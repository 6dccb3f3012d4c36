"""Which shard holds which references: by chance, by genus, or by what is likely to be confused. NumPy alone.

A query looks at the species whose means it resembles. Where these lie together, few shards are asked; where popular
ones lie together, one shard does all the work. So species are grouped by the similarity of their means under two
bounds: no shard may hold, or be expected to scan, more than `SLACK` above its fair share. A species that is larger than
a fair share is cut into sub-lists.
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
SHARES: Final = 1 << 20  # a sub-list's borders are given in these parts of its species
SLACK: Final = 0.1  # above the fair share of memory or load
ROUNDS: Final = 12  # of k-means
PASSES: Final = 6  # of moving single species to where those are that they are confused with
NEIGHBOURS: Final = 24  # species that a species may be confused with
WARMTH: Final = 0.05  # of similarity: how quickly confusion falls
ASKED: Final = 4_096  # species asked for to learn what is scanned
BLOCK: Final = 2_048


@dataclass(frozen=True, eq=False)
class Lists:
    """The lists of a snapshot, a line each. `means` have length 1."""

    species: NDArray[np.int64]  # ascending
    sizes: NDArray[np.int64]  # references
    genera: NDArray[np.int64]
    means: NDArray[np.float32]  # (species, 256)


@dataclass(frozen=True, eq=False)
class Placement:
    """Where each species' references lie: from share `first` up to `last` of its rows, of SHARES, on `shard`."""

    shards: int
    species: NDArray[np.int64]  # ascending; more than once where a species is cut
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    shard: NDArray[np.int64]

    @cached_property
    def id(self) -> str:
        """Named after its content."""
        digest = sha256(str(self.shards).encode())
        for column in (self.species, self.first, self.last, self.shard):
            digest.update(column.astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    def of_shard(self, number: int) -> Placement:
        """What one shard holds."""
        own = self.shard == number
        return Placement(self.shards, self.species[own], self.first[own], self.last[own], self.shard[own])

    def holds(self, species: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which shards hold any references of the given species, in any order; (shards, species)."""
        order = np.argsort(self.species, kind="stable")
        first = np.searchsorted(self.species[order], species, side="left")
        end = np.searchsorted(self.species[order], species, side="right")
        table = np.zeros((self.shards, len(species)), dtype=np.bool_)
        column = np.repeat(np.arange(len(species)), end - first)
        lot = order[np.arange(len(column)) - np.repeat(np.cumsum(end - first) - end, end - first)]
        table[self.shard[lot], column] = True
        return table

    def rows(self, lists: Lists) -> NDArray[np.int64]:
        """References of each shard, (shards,)."""
        sizes = lists.sizes[np.searchsorted(lists.species, self.species)]
        held = sizes * self.last // SHARES - sizes * self.first // SHARES
        return np.bincount(self.shard, held, minlength=self.shards).astype(np.int64)


@dataclass(frozen=True, eq=False)
class PlacementUnits:
    """What is placed: whole lists, or pieces of large ones."""

    line: NDArray[np.int64]  # of Lists
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    weights: Rows  # (lots, 2): share of all memory, share of all expected load


def make_units(lists: Lists, loads: Rows, shards: int) -> PlacementUnits:
    """The lists as lots, those above a fair share cut into pieces of equal size."""
    fair = max(1.0, float(lists.sizes.sum()) / shards)
    pieces = np.maximum(1, np.ceil(lists.sizes / fair)).astype(np.int64)
    line = np.repeat(np.arange(len(lists.sizes)), pieces)
    number = np.arange(len(line)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    of = pieces[line]
    weights = np.stack([lists.sizes / max(1, lists.sizes.sum()), loads / max(1e-12, loads.sum())], axis=1)
    return PlacementUnits(line, SHARES * number // of, SHARES * (number + 1) // of, weights[line] / of[:, None])


def expect_loads(lists: Lists, probes: int = 32, seed: int = 7) -> Rows:
    """How many rows of each list a query is expected to have scanned, if species are asked for as often as shown.

    Each of a sample of species, drawn by its references, asks with its mean for the `probes` nearest lists.
    """
    if not len(lists.sizes):
        return np.zeros(0)
    draw = np.random.default_rng(seed)
    asked = draw.choice(len(lists.sizes), ASKED, p=lists.sizes / lists.sizes.sum())
    counts = np.bincount(asked, minlength=len(lists.sizes))
    near = nearest(lists.means, np.flatnonzero(counts), min(probes, len(lists.sizes)))[0]
    hits = np.bincount(near.ravel(), np.repeat(counts[counts > 0], near.shape[1]), minlength=len(lists.sizes))
    return np.asarray((hits + 1e-3) * lists.sizes, dtype=np.float64)


def nearest(
    means: NDArray[np.float32], asked: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The `count` lines nearest to each line asked, itself among them, and their similarities; in no order."""
    found = np.empty((len(asked), count), dtype=np.int64)
    near = np.empty((len(asked), count), dtype=np.float32)
    for start in range(0, len(asked), BLOCK):
        similarities = means[asked[start : start + BLOCK]] @ means.T
        best = np.argpartition(-similarities, count - 1, axis=1)[:, :count]
        found[start : start + len(best)] = best
        near[start : start + len(best)] = np.take_along_axis(similarities, best, axis=1)
    return found, near


def place(lists: Lists, shards: int, method: str = CONFUSION, *, seed: int = 7) -> Placement:
    """Place all lists anew; the same input gives the same placement on one machine."""
    if shards < 1:
        raise ClusterError(f"there must be at least 1 shard, not {shards}")
    if method not in METHODS:
        raise ClusterError(f"lists are placed by {', '.join(METHODS)}, not by {method!r}")
    lots = make_units(lists, expect_loads(lists), shards)
    draw = np.random.default_rng(seed)
    if shards == 1 or not len(lots.line):
        found = np.zeros(len(lots.line), dtype=np.int64)
    elif method == RANDOM:
        found = pack(lots.weights, draw.permutation(len(lots.line)), shards)
    elif method == GENUS:
        found = place_genera(lists, lots, shards)
    else:
        found = place_confused(lists, lots, shards, draw)
    return make_placement(lists, lots, found, shards)


def make_placement(lists: Lists, lots: PlacementUnits, found: NDArray[np.int64], shards: int) -> Placement:
    """Put the columns together."""
    return Placement(shards, lists.species[lots.line], lots.first, lots.last, found.astype(np.int64))


def pack(weights: NDArray[np.floating], order: NDArray[np.int64], shards: int) -> NDArray[np.int64]:
    """Put lots, in the given order, each where most room is left."""
    held, found = np.zeros((shards, 2)), np.empty(len(weights), dtype=np.int64)
    for lot in order.tolist():
        shard = int(np.argmin((held + weights[lot]).max(axis=1)))
        found[lot] = shard
        held[shard] += weights[lot]
    return found


def place_genera(lists: Lists, lots: PlacementUnits, shards: int) -> NDArray[np.int64]:
    """Whole genera, the heaviest first, each where most room is left; pieces of cut species are on their own."""
    cut = np.bincount(lots.line, minlength=len(lists.sizes))[lots.line] > 1
    _, genus = np.unique(lists.genera[lots.line], return_inverse=True)
    genus[cut] = genus.max(initial=0) + 1 + np.arange(int(cut.sum()))
    weights = np.stack([np.bincount(genus, lots.weights[:, column]) for column in (0, 1)], axis=1).astype(np.float64)
    return pack(weights, np.argsort(-weights.max(axis=1), kind="stable").astype(np.int64), shards)[genus]


def place_confused(lists: Lists, lots: PlacementUnits, shards: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """Species that resemble each other together: k-means under bounds, then moves on the graph of confusions."""
    means = lists.means[lots.line]
    room = (1 + SLACK) / shards
    centres = spread_centres(means, shards, draw)
    found = np.zeros(len(means), dtype=np.int64)
    for _ in range(ROUNDS):
        before, found = found, assign(means @ centres.T, lots.weights, room)
        if np.array_equal(before, found):
            break
        for shard in range(shards):
            own = found == shard
            if own.any():
                centre = (means[own] * np.sqrt(lots.weights[own, :1])).sum(axis=0)
                centres[shard] = centre / max(float(np.linalg.norm(centre)), 1e-12)
    return refine(lots, found, *confusion(lists), shards)


def spread_centres(means: NDArray[np.float32], shards: int, draw: np.random.Generator) -> NDArray[np.float32]:
    """Beginnings far from each other (k-means++: Arthur and Vassilvitskii 2007)."""
    chosen = [int(draw.integers(len(means)))]
    far = 1 - means @ means[chosen[0]]
    while len(chosen) < shards:
        odds = np.maximum(far, 1e-9).astype(np.float64) ** 2
        chosen.append(int(draw.choice(len(means), p=odds / odds.sum())))
        far = np.minimum(far, 1 - means @ means[chosen[-1]])
    return np.array(means[chosen])


def assign(similarities: NDArray[np.float32], weights: Rows, room: float) -> NDArray[np.int64]:
    """Each lot to its most similar shard that has room, those that would lose most by another first."""
    best = np.sort(similarities, axis=1)
    order = np.argsort(best[:, -2] - best[:, -1], kind="stable")
    held, found = np.zeros((similarities.shape[1], 2)), np.empty(len(weights), dtype=np.int64)
    for lot in order.tolist():
        filled = (held + weights[lot]).max(axis=1)
        fits = filled <= room
        shard = int(np.argmax(np.where(fits, similarities[lot], -np.inf))) if fits.any() else int(np.argmin(filled))
        found[lot] = shard
        held[shard] += weights[lot]
    return found


def confusion(lists: Lists) -> tuple[NDArray[np.int64], Rows]:
    """The species that each is most likely to be taken for, and how likely: (species, NEIGHBOURS) each.

    Weighed by how often the species are asked for, so that what is confused often stays together first.
    """
    count = min(NEIGHBOURS + 1, len(lists.sizes))
    found, near = nearest(lists.means, np.arange(len(lists.sizes)), count)
    likely = np.exp((near.astype(np.float64) - 1) / WARMTH) * np.sqrt(lists.sizes[:, None] * lists.sizes[found])
    likely[found == np.arange(len(found))[:, None]] = 0
    return found, likely


def refine(
    lots: PlacementUnits, found: NDArray[np.int64], near: NDArray[np.int64], likely: Rows, shards: int
) -> NDArray[np.int64]:
    """Move single species to the shard that holds most of what they are confused with, where it has room."""
    found = found.copy()
    held = np.stack([np.bincount(found, lots.weights[:, column], minlength=shards) for column in (0, 1)], axis=1)
    room = (1 + SLACK) / shards
    home = np.zeros(len(near), dtype=np.int64)
    home[lots.line] = found
    single = np.flatnonzero(np.bincount(lots.line, minlength=len(near))[lots.line] == 1)
    for _ in range(PASSES):
        moved = 0
        for lot in single.tolist():
            line, here = lots.line[lot], found[lot]
            drawn = np.bincount(home[near[line]], likely[line], minlength=shards)
            full = (held + lots.weights[lot]).max(axis=1) > room
            full[here] = False
            there = int(np.argmax(np.where(full, -np.inf, drawn)))
            if drawn[there] > drawn[here]:
                held[here] -= lots.weights[lot]
                held[there] += lots.weights[lot]
                found[lot] = home[line] = there
                moved += 1
        if not moved:
            break
    return found


def rebalance(old: Placement, lists: Lists, *, tolerance: float = 2 * SLACK) -> Placement:
    """Place the lists of a later snapshot so that little moves: what has a place keeps it.

    New species go to what they resemble, where there is room. Then the shards that are more than `tolerance` above
    their fair share give away the lists that belong there least, until they are not.
    """
    shards = old.shards
    lots = make_units(lists, expect_loads(lists), shards)
    columns = (old.species, old.first, old.last, old.shard)
    kept = {tuple(key): shard for *key, shard in zip(*(column.tolist() for column in columns), strict=True)}
    species = lists.species[lots.line]
    keys = zip(species.tolist(), lots.first.tolist(), lots.last.tolist(), strict=True)
    found = np.array([kept.get(key, -1) for key in keys], dtype=np.int64)
    centres = np.zeros((shards, lists.means.shape[1]), dtype=np.float32)
    np.add.at(centres, found[found >= 0], lists.means[lots.line[found >= 0]])
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    similar = lists.means[lots.line] @ centres.T
    held = np.zeros((shards, 2))
    np.add.at(held, found[found >= 0], lots.weights[found >= 0])
    room = (1 + tolerance) / shards
    for lot in np.flatnonzero(found < 0).tolist():
        move(lot, similar, lots.weights, held, found, room)
    for _ in range(len(found)):
        shard = int(np.argmax(held.max(axis=1)))
        own = np.flatnonzero((found == shard) & (lots.weights[:, int(np.argmax(held[shard]))] > 0))
        if held[shard].max() <= room or len(own) < 2:
            break
        others = np.where(np.arange(shards) == shard, -np.inf, similar[own]).max(axis=1)
        for lot in own[np.argsort(similar[own, shard] - others, kind="stable")].tolist():
            held[shard] -= lots.weights[lot]
            if move(lot, similar, lots.weights, held, found, room) != shard:
                break
        else:
            break  # none of them has a better place
    return make_placement(lists, lots, found, shards)


def move(
    lot: int, similar: NDArray[np.float32], weights: Rows, held: Rows, found: NDArray[np.int64], room: float
) -> int:
    """Give a lot to the most similar shard that has room, or to the emptiest; gives which."""
    filled = (held + weights[lot]).max(axis=1)
    fits = filled <= room
    shard = int(np.argmax(np.where(fits, similar[lot], -np.inf))) if fits.any() else int(np.argmin(filled))
    found[lot] = shard
    held[shard] += weights[lot]
    return shard
