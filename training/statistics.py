"""Fixed image statistics of colour, texture and layout, which transfer from drawings to photographs.

Nothing here is trained by gradient descent: the dictionary is found by k-means and the discriminant in closed form. A
soft round window separates the centre of the image, where the fungus usually is, from the border. Each block is
normalised to shares and square-rooted (Hellinger), so that dot products compare distributions on equal terms.

Colour: a joint soft histogram in an opponent space (Swain and Ballard 1991, softened). Texture: energies of oriented
derivatives of three opponent planes at four scales (after Malik and Perona 1990), and a dictionary of small patches
that every pixel votes for (Coates, Ng and Lee 2011). Layout: light and colour over a 4 x 4 grid.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

LIGHT, RED_GREEN, BLUE_YELLOW = 4, 5, 7
"""Bins of the colour histogram."""

SCALES, TURNS = 4, 6
PATCH, WORDS = 5, 96
WEIGHTS = {"colour": 1.0, "rim": 0.5, "gradients": 0.8, "patches": 0.8, "layout": 0.5}


class Statistics(nn.Module):
    """Maps images (n, 3, side, side) in [0, 1] to statistics (n, `width`), each row of length 1."""

    width = 2 * LIGHT * RED_GREEN * BLUE_YELLOW + 3 * SCALES * TURNS * 2 + 4 * TURNS * 2 + 2 * 2 * WORDS + 48

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("words", torch.zeros(WORDS, 3, PATCH, PATCH))  # whitened: see `learn_words`
        self.register_buffer("offsets", torch.zeros(WORDS))

    def forward(self, pictures: Tensor) -> Tensor:
        """Compute and concatenate the blocks."""
        planes = opponents(pictures)
        halved = functional.avg_pool2d(pictures, 2)
        middle = window(halved)
        colours = count_colours(halved, torch.cat([middle, 1 - middle], dim=1))
        blocks = [
            WEIGHTS["colour"] * hellinger(colours[:, 0]),
            WEIGHTS["rim"] * hellinger(colours[:, 1]),
            WEIGHTS["gradients"] * hellinger(count_gradients(planes)),
            WEIGHTS["patches"] * self.count_patches(planes),
            WEIGHTS["layout"] * lay_out(planes),
        ]
        return functional.normalize(torch.cat(blocks, dim=1), dim=1)

    def count_patches(self, planes: Tensor) -> Tensor:
        """Count the dictionary's words at the centre and the border, at two scales: 4 x WORDS numbers."""
        found = []
        for level in (1, 2):
            seen = functional.avg_pool2d(planes, 2**level)
            mean = functional.avg_pool2d(seen, PATCH, 1)
            spread = (functional.avg_pool2d(seen * seen, PATCH, 1) - mean * mean).mean(dim=1, keepdim=True)
            likeness = functional.conv2d(seen, self.words) / torch.sqrt(spread.clamp_min(0) + 4e-4)
            likeness = likeness + self.offsets[None, :, None, None]
            votes = torch.relu(likeness - likeness.mean(dim=1, keepdim=True))
            middle, rim = pool(votes)
            found += [hellinger(middle), 0.5 * hellinger(rim)]
        return torch.cat(found, dim=1) * 0.6


def opponents(pictures: Tensor) -> Tensor:
    """Convert RGB to opponent colours: luminance, red-green and blue-yellow, (n, 3, side, side)."""
    red, green, blue = pictures[:, 0:1], pictures[:, 1:2], pictures[:, 2:3]
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.cat([light, red - green, 0.5 * (red + green) - blue], dim=1)


def window(planes: Tensor) -> Tensor:
    """Return a Gaussian window of the planes' size: (1, 1, side, side), near 1 at the centre, near 0 in the corners."""
    side = planes.shape[-1]
    place = torch.linspace(-1 + 1 / side, 1 - 1 / side, side)
    far = place[:, None] ** 2 + place[None, :] ** 2
    return torch.exp(-far / (2 * 0.45**2))[None, None]


def pool(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Average each plane, weighted by the window and by its complement: (n, planes) twice."""
    middle = window(planes).flatten()
    both = torch.stack([middle / middle.sum(), (1 - middle) / (1 - middle).sum()], dim=1)
    found = planes.flatten(2) @ both
    return found[:, :, 0], found[:, :, 1]


def hellinger(block: Tensor) -> Tensor:
    """Take square roots of shares, which gives rows of length 1."""
    return torch.sqrt(block / (block.sum(dim=1, keepdim=True) + 1e-6) + 1e-8)


def _hats(plane: Tensor, low: float, high: float, bins: int) -> Tensor:
    """Assign pixels of a plane (n, 1, h, w) to soft bins: (n, bins, h, w), summing to 1 at each pixel."""
    place = ((plane - low) / (high - low)).clamp(0, 1) * (bins - 1)
    centres = torch.arange(bins, dtype=plane.dtype)[None, :, None, None]
    return torch.relu(1 - torch.abs(place - centres))


def _root(plane: Tensor) -> Tensor:
    """Signed cube root: expands colours near grey, where most fungi are."""
    return torch.sign(plane) * (torch.abs(plane) + 1e-6) ** (1 / 3)


def count_colours(pictures: Tensor, windows: Tensor) -> Tensor:
    """Compute joint colour histograms under each window: (n, windows, bins)."""
    planes = opponents(pictures)
    light = _hats(planes[:, 0:1], 0.08, 0.92, LIGHT)
    red_green = _hats(_root(planes[:, 1:2]), -0.5, 0.8, RED_GREEN)
    blue_yellow = _hats(_root(planes[:, 2:3]), -0.5, 0.9, BLUE_YELLOW).flatten(2)
    pairs = (light[:, :, None] * red_green[:, None, :]).flatten(1, 2).flatten(2)  # (n, light x red-green, pixels)
    blue_yellow = blue_yellow.transpose(1, 2)  # (n, pixels, bins)
    found = [
        torch.bmm(pairs, blue_yellow * windows[:, number].flatten()[None, :, None]).flatten(1)
        for number in range(windows.shape[1])
    ]
    return torch.stack(found, dim=1)


def count_gradients(planes: Tensor) -> Tensor:
    """Energies of oriented derivatives: centre and border by scale and plane; 2 x 2 luminance cells at two scales."""
    found = []
    bars = _derivatives().repeat(3, 1, 1, 1)
    strength = torch.tensor([1.0, 0.7, 0.7]).repeat_interleave(TURNS)[None, :]
    seen = planes
    for scale in range(SCALES):
        turned = torch.abs(functional.conv2d(seen, bars, groups=3))
        middle, rim = pool(turned)
        found += [strength * middle, 0.5 * strength * rim]
        if scale in (0, 2):
            found.append(0.25 * functional.adaptive_avg_pool2d(turned[:, :TURNS], 2).flatten(1))
        seen = functional.avg_pool2d(seen, 2)
    return torch.cat(found, dim=1)


def _derivatives() -> Tensor:
    """Central differences along TURNS directions of a half circle: (TURNS, 1, 3, 3)."""
    bars = torch.zeros(TURNS, 1, 3, 3)
    for turn in range(TURNS):
        cos, sin = math.cos(math.pi * turn / TURNS), math.sin(math.pi * turn / TURNS)
        bars[turn, 0, 1, 2], bars[turn, 0, 1, 0] = cos, -cos
        bars[turn, 0, 2, 1], bars[turn, 0, 0, 1] = sin, -sin
    return bars


def lay_out(planes: Tensor) -> Tensor:
    """Luminance and colour on a 4 x 4 grid, centred on their means; 48 numbers of length 1."""
    side = planes.shape[-1] // 4
    grid = functional.avg_pool2d(planes, side)
    spread = (grid - grid.mean(dim=(2, 3), keepdim=True)).flatten(1)
    spread = spread / (spread.abs().sum(dim=1, keepdim=True) + 1e-4)
    return torch.sign(spread) * torch.sqrt(torch.abs(spread) + 1e-8)


@torch.no_grad()
def learn_words(
    statistics: Statistics, pictures: Tensor, *, seed: int, patches: int = 60_000, rounds: int = 12
) -> None:
    """Learn the patch dictionary from images (n, 3, side, side): whitened patches, spherical k-means."""
    random = torch.Generator().manual_seed(seed)
    planes = functional.avg_pool2d(opponents(pictures), 2)
    windows = planes.unfold(2, PATCH, 3).unfold(3, PATCH, 3).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * PATCH * PATCH)
    chosen = windows[torch.randperm(len(windows), generator=random)[:patches]]
    by_plane = chosen.reshape(len(chosen), 3, -1)
    centred = (by_plane - by_plane.mean(dim=2, keepdim=True)).flatten(1)
    spread = by_plane.var(dim=2, correction=0).mean(dim=1, keepdim=True)
    rows = centred / torch.sqrt(spread + 4e-4)
    covariance = rows.T @ rows / len(rows)
    values, vectors = torch.linalg.eigh(covariance)
    whiten = vectors @ torch.diag((values.clamp_min(0) + 0.02).rsqrt()) @ vectors.T
    white = functional.normalize(rows @ whiten, dim=1)
    words = white[torch.randperm(len(white), generator=random)[:WORDS]]
    for _ in range(rounds):
        nearest = (white @ words.T).argmax(dim=1)
        sums = torch.zeros_like(words).index_add_(0, nearest, white)
        words = functional.normalize(torch.where(sums.norm(dim=1, keepdim=True) > 0, sums, words), dim=1)
    filters = (words @ whiten).reshape(WORDS, 3, -1)
    filters = filters - filters.mean(dim=2, keepdim=True)  # so that flat patches match no word
    statistics.words.copy_(filters.reshape(WORDS, 3, PATCH, PATCH))
    statistics.offsets.zero_()


class Rotation(nn.Module):
    """A linear discriminant: high variance between classes, low variance within them (Fisher 1936, shrunk)."""

    def __init__(self, width: int, kept: int) -> None:
        super().__init__()
        self.register_buffer("axes", torch.zeros(width, kept))

    def forward(self, rows: Tensor) -> Tensor:
        """Project rows (n, width) to (n, kept), of length 1."""
        return functional.normalize(rows @ self.axes, dim=1)

    @torch.no_grad()
    def learn(self, rows: Tensor, classes: Tensor, *, shrink: float = 1.0) -> None:
        """Fit to rows (n, width) with classes (n,); light, background and position vary within a class.

        Whitens the within-class covariance, with `shrink` times its mean eigenvalue added, then keeps the directions of
        greatest total variance. It generalises to other kinds of drawings and to photographs (docs/training.md).
        """
        wide = rows.double()
        counts = torch.bincount(classes).double()
        means = torch.zeros(len(counts), wide.shape[1], dtype=torch.float64).index_add_(0, classes, wide)
        apart = wide - (means / counts.clamp_min(1)[:, None])[classes]
        values, vectors = torch.linalg.eigh(apart.T @ apart / len(wide))
        evened = vectors @ torch.diag((values.clamp_min(0) + shrink * values.mean()).rsqrt()) @ vectors.T
        _, found = torch.linalg.eigh(evened @ torch.cov(wide.T, correction=0) @ evened)
        axes = evened @ found.flip(1)[:, : self.axes.shape[1]]
        signs = torch.sign(axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)))
        self.axes.copy_((axes * signs / axes.norm(dim=0).mean()).float())
