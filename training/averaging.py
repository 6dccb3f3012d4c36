"""The exponential moving average of a network's weights, which is evaluated, saved and exported."""

from __future__ import annotations

import copy

import torch

from training.network import Network


class Average:
    """Moving average of a network's weights, with a lower decay in early steps, to forget the random initialisation."""

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.network.requires_grad_(False)
        self.network.eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, network: Network, step: int) -> None:
        """Update the average after a step; integer buffers, such as counts of batches, are copied."""
        decay = min(self.decay, (1 + step) / (10 + step)) if self.decay else 0.0
        for mine, theirs in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)
