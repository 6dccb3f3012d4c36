"""Training losses: one per taxonomic rank, summed (multi-level softmax, as in Pl@ntNet)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.network import TrainingError

KINDS = ("softmax", "arcface", "proxy-anchor")
UNKNOWN = -1
"""The class of an image whose name at a rank is unknown: it is ignored there."""


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss function and the ranks it applies to."""

    kind: str = "softmax"
    ranks: tuple[str, ...] = ("species",)
    weights: tuple[float, ...] = ()  # of the ranks; none: 1 each
    scale: float = 24.0  # of the cosine, for softmax and arcface
    margin: float = 0.2  # arcface: radians; proxy-anchor: cosine
    smoothing: float = 0.0  # of labels, for softmax and arcface

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise TrainingError(f"{self.kind!r} is no loss; there are: {', '.join(KINDS)}")
        if not self.ranks:
            raise TrainingError("a training needs at least one rank to learn")
        if self.scale <= 0:
            raise TrainingError(f"the scale of cosines must lie above 0, not {self.scale}")
        if self.weights and len(self.weights) != len(self.ranks):
            raise TrainingError(f"{len(self.weights)} weights do not fit {len(self.ranks)} ranks")


class RankHead(nn.Module):
    """The class directions of one rank, and the loss of embeddings against them."""

    def __init__(self, objective: Objective, classes: int, width: int) -> None:
        super().__init__()
        self.objective = objective
        self.directions = nn.Parameter(random_directions(classes, width))

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Return cosine similarities, (n, classes)."""
        return functional.linear(embeddings, functional.normalize(self.directions, dim=1))

    def forward(self, embeddings: Tensor, classes: Tensor) -> Tensor:
        """Return the mean loss over the images with a known class."""
        known = classes != UNKNOWN
        if not bool(known.any()):
            return embeddings.sum() * 0
        return self.loss(self.cosines(embeddings[known]), classes[known])

    def loss(self, cosines: Tensor, classes: Tensor) -> Tensor:
        """Return the objective's loss."""
        kind, objective = self.objective.kind, self.objective
        if kind == "proxy-anchor":
            return proxy_anchor(cosines, classes, margin=objective.margin)
        if kind == "arcface":
            cosines = add_margin(cosines, classes, objective.margin)
        return functional.cross_entropy(objective.scale * cosines, classes, label_smoothing=objective.smoothing)


class RankHeads(nn.Module):
    """The heads of all ranks of an objective."""

    def __init__(self, objective: Objective, classes: Sequence[int], width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(RankHead(objective, count, width) for count in classes)
        self.weights = objective.weights or (1.0,) * len(classes)

    def forward(self, embeddings: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted sum over ranks, and the loss of each; `classes` is (n, ranks)."""
        parts = torch.stack([head(embeddings, classes[:, place]) for place, head in enumerate(self.heads)])
        return (parts * torch.tensor(self.weights, device=parts.device)).sum(), parts.detach()


def random_directions(classes: int, width: int) -> Tensor:
    """Draw directions of length about 1 from torch's global generator."""
    return torch.randn(classes, width) / math.sqrt(width)


def add_margin(cosines: Tensor, classes: Tensor, margin: float) -> Tensor:
    """Add an angular margin of `margin` radians to each image's own class (ArcFace, Deng et al. 2019).

    Beyond pi the cosine is continued linearly, as in the authors' code. Computed in f32: in bf16 the cosine of a
    well-learned image rounds to 1, where the square root has no finite gradient.
    """
    cosines = cosines.float()
    own = cosines.gather(1, classes[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
    turned = own * math.cos(margin) - torch.sqrt(1 - own * own) * math.sin(margin)
    turned = torch.where(own > math.cos(math.pi - margin), turned, own - margin * math.sin(math.pi - margin))
    return cosines.scatter(1, classes[:, None], turned)


def proxy_anchor(cosines: Tensor, classes: Tensor, *, margin: float, sharpness: float = 32.0) -> Tensor:
    """Pull images to their classes' proxies, the hardest most strongly, and push others away (Kim et al. 2020).

    Computed in f32, since bf16 rounds sums of exponentials over a batch to three digits.
    """
    cosines = cosines.float()
    own = functional.one_hot(classes, cosines.shape[1]).bool()
    present = own.any(dim=0)
    pulls = torch.where(own, -sharpness * (cosines - margin), torch.full_like(cosines, -math.inf))
    pushes = torch.where(own, torch.full_like(cosines, -math.inf), sharpness * (cosines + margin))
    pull = functional.softplus(torch.logsumexp(pulls[:, present], dim=0)).mean()
    return pull + functional.softplus(torch.logsumexp(pushes, dim=0)).mean()


def transfer_directions(parents: Tensor, parent_of: NDArray[np.int64], share: float, random: Tensor) -> Tensor:
    """Initialise species from genera: w = sqrt(a) w_genus + sqrt(1 - a) w_random (hierarchical transfer).

    `parents` is (genera, width), `random` (species, width); both are normalised to length 1, so that the sum
    has length 1 on average. A species without a known genus (-1) is initialised at random.
    """
    if not 0 <= share <= 1:
        raise TrainingError(f"the share of the genus must lie between 0 and 1, not {share}")
    places = torch.as_tensor(parent_of, device=random.device)
    above = functional.normalize(parents, dim=1)[places.clamp_min(0)]
    drawn = functional.normalize(random, dim=1)
    mixed = math.sqrt(share) * above + math.sqrt(1 - share) * drawn
    return torch.where((places >= 0)[:, None], mixed, drawn)
