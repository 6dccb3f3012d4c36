"""Measures recall of species not seen in training, with the voting rules of the product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.ranking.votes import Voting, vote_shares
from training.augment import PLAIN, augment
from training.network import Network
from training.pool import Pool

RESAMPLES = 1000
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class RankedObservations:
    """For each query observation: whether its species ranked first, and among the first five."""

    first: NDArray[np.bool_]
    five: NDArray[np.bool_]

    @property
    def top1(self) -> float:
        """Recall@1: share of observations whose species ranked first."""
        return float(self.first.mean()) if len(self.first) else 0.0

    @property
    def top5(self) -> float:
        """Recall@5: share of observations whose species ranked among the first five."""
        return float(self.five.mean()) if len(self.five) else 0.0

    def interval(self, *, seed: int = 1) -> tuple[float, float]:
        """Return the 95 % bootstrap interval of `top1` over observations."""
        draw = np.random.default_rng(seed)
        means = self.first[draw.integers(len(self.first), size=(RESAMPLES, len(self.first)))].mean(axis=1)
        low, high = np.quantile(means, (0.025, 0.975))
        return float(low), float(high)


def find_species(
    embeddings: NDArray[np.float32],
    observations: Sequence[str],
    species: Sequence[str],
    *,
    photos: int | None = None,
    asked: NDArray[np.bool_] | None = None,
    answering: NDArray[np.bool_] | None = None,
    voting: Voting | None = None,
) -> RankedObservations:
    """Identify every observation with its own images excluded; `photos` limits how many of them are used as queries.

    `asked` and `answering` mask the images used as queries and in the gallery; by default all. `species`
    may be names of any rank. Observations whose species no other observation has are skipped. Ties count
    as wrong. The result is in the order of the observations' names.
    """
    votes = voting or Voting()
    _, homes = np.unique(np.asarray(observations), return_inverse=True)
    _, columns = np.unique(np.asarray(species), return_inverse=True)
    owner = np.zeros(homes.max() + 1, np.int64)
    owner[homes] = columns
    width = int(columns.max()) + 1
    gallery = np.arange(len(homes)) if answering is None else np.flatnonzero(answering)
    questions = np.arange(len(homes)) if asked is None else np.flatnonzero(asked)
    there = np.zeros(len(owner), bool)
    there[homes[gallery]] = True
    others = np.bincount(owner[there], minlength=width)[owner] - there  # others of its species in the gallery
    alike = embeddings[questions] @ embeddings[gallery].T
    alike[homes[questions, None] == homes[None, gallery]] = -np.inf
    near = min(votes.neighbours, len(gallery))
    order = np.argsort(-alike, axis=1, kind="stable")[:, :near]
    similarities = np.take_along_axis(alike, order, axis=1)
    known = np.where(np.isfinite(similarities), columns[gallery[order]], -1)
    seen = homes[gallery[order]]
    shares = vote_shares(np.where(known >= 0, similarities, -1), seen, known, width, votes.temperature)
    first, five = [], []
    for observation in np.unique(homes[questions]).tolist():
        if others[observation] < 1:
            continue
        rows = np.flatnonzero(homes[questions] == observation)[:photos]
        fused = shares[rows].mean(axis=0)
        own = fused[owner[observation]]
        rank = int((fused >= own).sum()) if own > 0 else width
        first.append(rank <= 1)
        five.append(rank <= 5)
    return RankedObservations(np.array(first, bool), np.array(five, bool))


@torch.no_grad()
def embed_pool(network: Network, pool: Pool, numbers: NDArray[np.int64], *, side: int) -> NDArray[np.float32]:
    """Embed images of a pool, resized but not augmented: (images, 256)."""
    network.eval()
    device = next(network.parameters()).device
    plain = type(PLAIN)(side=side, smallest=1.0, mirror=False, brightness=0, contrast=0, saturation=0, hue=0)
    rows = []
    for start in range(0, len(numbers), _AT_ONCE):
        pictures = augment(pool.pictures(numbers[start : start + _AT_ONCE]), plain, (0,))
        rows.append(network(pictures.to(device)).float().cpu().numpy())
    return np.concatenate(rows) if rows else np.zeros((0, 256), np.float32)


@dataclass(frozen=True, slots=True)
class Judge:
    """Held-out images, by part of the pool, and the image size for evaluation."""

    pool: Pool
    numbers: NDArray[np.int64]
    side: int

    def measure(self, network: Network) -> dict[str, float]:
        """Return recall@1 by observation, with all images and with one, in each part of the pool."""
        found: dict[str, float] = {}
        parts = self.pool.names["part"][self.numbers]
        for part in sorted(set(parts.tolist())):
            chosen = self.numbers[parts == part]
            embeddings = embed_pool(network, self.pool, chosen, side=self.side)
            observations = self.pool.names["observation"][chosen].tolist()
            species = self.pool.names["species"][chosen].tolist()
            prefix = part.replace(" ", "_") or "pictures"
            found[f"{prefix}_all"] = find_species(embeddings, observations, species).top1
            found[f"{prefix}_one"] = find_species(embeddings, observations, species, photos=1).top1
        return found
