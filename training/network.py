"""The trained network: a trunk with an embedding head."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from retrieval.errors import FungariumError

DIM = 256
"""Width of every embedding in Fungarium."""


class TrainingError(FungariumError):
    """A training is not possible as requested."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The architecture of a network: with its weights, all that is needed to rebuild it."""

    trunk: str = "residual"  # or timm:NAME, where timm is installed
    widths: tuple[int, ...] = (32, 48, 96, 160)

    def __post_init__(self) -> None:
        if min(self.widths, default=0) < 1:
            raise TrainingError(f"the trunk's stages are 1 plane wide at least, not {min(self.widths, default=0)}")

    def described(self) -> dict[str, Any]:
        """Return the fields as checkpoints and cards store them."""
        return asdict(self)


class Residual(nn.Module):
    """A residual block of two 3 x 3 convolutions (He et al. 2016), with pooling in the shortcut (He et al. 2019)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        nn.init.zeros_(self.body[4].weight)  # the block starts as the identity
        self.round: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            narrow = [nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)] if stride != 1 else []
            self.round = nn.Sequential(*narrow, nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after))

    def forward(self, planes: Tensor) -> Tensor:
        """Map planes (n, before, h, w) to (n, after, h / stride, w / stride)."""
        return torch.relu(self.body(planes) + self.round(planes))


class Trunk(nn.Module):
    """Pooled features of every stage: means of all stages, and standard deviations of the last two.

    Early stages are included because edges and colours tell species apart too.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 4, 4, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        )
        stages, before = [], widths[0]
        for place, width in enumerate(widths):
            stride = 1 if place == 0 else 2
            stages.append(nn.Sequential(Residual(before, width, stride), Residual(width, width, 1)))
            before = width
        self.stages = nn.ModuleList(stages)
        self.width = sum(widths) + sum(widths[-2:])

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, 3, side, side) to (n, `width`)."""
        planes = self.stem(pictures)
        found = []
        for place, stage in enumerate(self.stages):
            planes = stage(planes)
            wide = planes.float()  # variances are differences of large numbers
            mean = wide.mean(dim=(2, 3))
            found.append(mean)
            if place >= len(self.stages) - 2:
                spread = (wide * wide).mean(dim=(2, 3)) - mean * mean
                found.append(torch.sqrt(spread.clamp_min(0) + 1e-4))
        return torch.cat(found, dim=1)


class Network(nn.Module):
    """Maps images (n, 3, side, side) in [0, 1] to embeddings (n, 256) of length 1."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.trunk, width = build_trunk(shape)
        self.spread = nn.BatchNorm1d(width)
        self.head = nn.Linear(width, DIM)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the embeddings, (n, 256)."""
        features = self.trunk((pictures - 0.45) * 4.0)
        return functional.normalize(self.head(self.spread(features.float())).float(), dim=1)


def build_trunk(shape: Shape) -> tuple[nn.Module, int]:
    """Build the trunk that a shape names; returns it with its number of features."""
    if shape.trunk == "residual":
        trunk = Trunk(tuple(shape.widths))
        return trunk, trunk.width
    kind, _, name = shape.trunk.partition(":")
    if kind != "timm" or not name:
        raise TrainingError(f"{shape.trunk!r} is no trunk; there are: residual, timm:NAME")
    try:
        import timm
    except (ImportError, RuntimeError) as error:
        raise TrainingError(f"{shape.trunk} needs timm, which cannot be imported here ({error})") from error
    backbone = timm.create_model(name, pretrained=True, num_classes=0)
    return backbone, int(backbone.num_features)
