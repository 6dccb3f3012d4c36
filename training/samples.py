"""Training and held-out samples of a pool, and the order of batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.losses import UNKNOWN
from training.network import TrainingError
from training.pool import COLUMNS, Pool

RANKS = tuple(column for column in COLUMNS if column not in ("observation", "aspect"))
"""Taxonomic ranks that can be learned."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Images by number in a pool, with their classes at each rank."""

    pool: Pool
    numbers: NDArray[np.int64]  # (pictures,)
    classes: NDArray[np.int64]  # (pictures, ranks); UNKNOWN where a name is empty
    names: tuple[tuple[str, ...], ...]  # of the classes, per rank
    ranks: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def parents(self, rank: str, of: str) -> NDArray[np.int64]:
        """Return, for each class of rank `of`, its class at the higher `rank`, UNKNOWN if there is none."""
        above, below = self.ranks.index(rank), self.ranks.index(of)
        found = np.full(len(self.names[below]), UNKNOWN, np.int64)
        known = self.classes[:, below] != UNKNOWN
        found[self.classes[known, below]] = self.classes[known, above]
        return found


def split_observations(
    pool: Pool, numbers: NDArray[np.int64], share: float, *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split images into training and held-out ones, keeping each observation on one side.

    The split hashes the observation's name with the seed, so that it is stable when a collection grows.
    """
    if not 0 <= share < 1:
        raise TrainingError(f"the share held out must lie between 0 and 1, not {share}")
    observations = pool.names["observation"][numbers]
    away = {name: _draw(name, seed) < share for name in set(observations.tolist())}
    judged = np.array([away[name] for name in observations.tolist()], dtype=bool)
    return numbers[~judged], numbers[judged]


def _draw(name: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def choose_parts(pool: Pool, parts: Sequence[str]) -> NDArray[np.int64]:
    """Return the images of some parts of a pool, or of all if none is given."""
    if not parts:
        return np.arange(len(pool), dtype=np.int64)
    there = set(pool.names["part"].tolist())
    missing = [part for part in parts if part not in there]
    if missing:
        raise TrainingError(f"the pool has no part {missing[0]!r}; it has: {', '.join(sorted(there))}")
    return np.flatnonzero(np.isin(pool.names["part"], list(parts))).astype(np.int64)


def make_samples(pool: Pool, numbers: NDArray[np.int64], ranks: Sequence[str]) -> Samples:
    """Number the classes of images alphabetically. Raises TrainingError for fewer than two classes at a rank."""
    columns, names = [], []
    for rank in ranks:
        if rank not in RANKS:
            raise TrainingError(f"{rank!r} is no rank that can be learned; there are: {', '.join(RANKS)}")
        values = pool.names[rank][numbers]
        known = tuple(sorted({str(value) for value in values.tolist()} - {""}))
        if len(known) < 2:
            raise TrainingError(f"the pictures have {len(known)} different names at the rank {rank}: nothing to learn")
        places = {name: place for place, name in enumerate(known)}
        columns.append(np.array([places.get(str(value), UNKNOWN) for value in values.tolist()], np.int64))
        names.append(known)
    return Samples(pool, numbers, np.stack(columns, axis=1), tuple(names), tuple(ranks))


def batches(
    samples: Samples, batch: int, *, balanced: bool, seed: int, start: int, rank: int = 0, world: int = 1
) -> Iterator[NDArray[np.int64]]:
    """Yield endless batches of positions among the samples from step `start`; each process takes its part of a batch.

    By default every image is used once per epoch, in a new order. If `balanced`, classes of the first rank are
    sampled equally often. Batches depend only on seed and step, so that a training can resume at any step.
    """
    if batch % world:
        raise TrainingError(f"a batch of {batch} cannot be shared by {world} processes; choose a multiple of {world}")
    part = batch // world
    step = start
    if balanced:
        members = _members(samples.classes[:, 0])
        while True:
            draw = np.random.default_rng([seed, 1, step])
            chosen = draw.integers(len(members), size=batch)
            within = draw.random(batch)
            positions = np.array(
                [members[k][int(w * len(members[k]))] for k, w in zip(chosen.tolist(), within.tolist(), strict=True)]
            )
            yield positions[rank * part : (rank + 1) * part]
            step += 1
    order, epoch = np.empty(0, np.int64), -1
    while True:
        places = np.arange(step * batch + rank * part, step * batch + (rank + 1) * part)
        positions = np.empty(part, np.int64)
        for here in np.unique(places // len(samples)).tolist():
            if here != epoch:
                epoch, order = here, np.random.default_rng([seed, 2, here]).permutation(len(samples))
            inside = places // len(samples) == here
            positions[inside] = order[places[inside] % len(samples)]
        yield positions
        step += 1


def _members(classes: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the positions of each class's images; images of unknown class form a class of their own."""
    return [np.flatnonzero(classes == number) for number in np.unique(classes).tolist()]
