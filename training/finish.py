"""Finishes a trained network before export: fits the fixed statistics and sets their share of the embedding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.augment import PLAIN, augment
from training.checkpoint import read_checkpoint
from training.measure import Judge
from training.network import DIM, Network, Shape, TrainingError
from training.pool import Pool
from training.statistics import learn_words

SAMPLE = 8400
"""Images to which the discriminant of the statistics is fitted."""

WORD_SAMPLE = 1000
"""Images from which the patch dictionary is learned."""


def open_network(checkpoint: Path) -> Network:
    """Load the averaged network of a training."""
    found = read_checkpoint(checkpoint)
    network = Network(Shape(**found.recipe["shape"]))
    network.load_state_dict(found.average)
    return network.eval()


def with_share(network: Network, share: float) -> Network:
    """Copy a network with another share of statistics in its embeddings."""
    other = Network(replace(network.shape, statistics_share=share))
    other.load_state_dict(network.state_dict())
    return other.eval()


@torch.no_grad()
def learn_statistics(network: Network, pool: Pool, *, side: int, seed: int) -> None:
    """Fit the patch dictionary and the discriminant of a network's statistics to a sample of a pool, in place."""
    if network.statistics is None or network.rotation is None:
        raise TrainingError(f"the network learned all {DIM} numbers of its embedding: there is no room for statistics")
    plain = replace(PLAIN, side=side)
    network.cpu().eval()
    some = np.sort(np.random.default_rng([seed, 5]).permutation(len(pool))[:WORD_SAMPLE])
    learn_words(network.statistics, augment(pool.pictures(some), plain, (0,)), seed=seed)
    sample, classes = sample_classes(pool, seed=seed)
    rows: list[Tensor] = []
    for start in range(0, len(sample), 64):
        rows.append(network.statistics(augment(pool.pictures(sample[start : start + 64]), plain, (0,))))
    network.rotation.learn(torch.cat(rows), torch.from_numpy(classes))


def sample_classes(pool: Pool, *, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sample whole classes of a pool at random, up to SAMPLE images: their numbers, and their classes from 0.

    A class is what looks the same: the same visible traits in the same aspect if known, otherwise the species.
    """
    seen, species, aspect = (pool.names[column] for column in ("seen", "species", "aspect"))
    names = np.where(seen != "", np.char.add(np.char.add(seen, " "), aspect), species)
    _, classes, counts = np.unique(names, return_inverse=True, return_counts=True)
    order = np.random.default_rng([seed, 6]).permutation(len(counts))
    order = order[counts[order] > 1]
    if len(order) < 2:
        raise TrainingError("statistics are learned from classes with several pictures each, and the pool has too few")
    taken = order[: max(2, int(np.searchsorted(np.cumsum(counts[order]), SAMPLE)))]
    places = np.full(len(counts), -1, np.int64)
    places[taken] = np.arange(len(taken))
    numbers = np.flatnonzero(places[classes] >= 0).astype(np.int64)
    return numbers, places[classes[numbers]]


def compare_shares(network: Network, judge: Judge, shares: Iterable[float]) -> dict[float, dict[str, float]]:
    """Evaluate several shares of statistics on held-out images."""
    return {share: judge.measure(with_share(network, share)) for share in shares}
