"""The moving average of a network's weights: what is judged, kept and exported."""

from __future__ import annotations

import copy

import torch

from training.network import Network


class Average:
    """Follows a network; early on it follows faster, so that its first steps do not keep what was drawn at random."""

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.network.requires_grad_(False)
        self.network.eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, network: Network, step: int) -> None:
        """Take in the weights after a step; counts of batches and other whole numbers are taken as they are."""
        decay = min(self.decay, (1 + step) / (10 + step)) if self.decay else 0.0
        for mine, theirs in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)
