"""Data augmentation of whole batches, with a seeded generator for each training step."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from training.network import TrainingError

SMALLEST_SIDE = 16


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Strengths of the augmentations. Images are never flipped upside down."""

    side: int = 112  # pixels of the output
    smallest: float = 0.4  # minimum area of a crop, as a share of the image
    mirror: bool = True
    turn: float = 0.0  # maximum rotation in degrees, either way
    brightness: float = 0.125
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.2  # turns of the colour wheel, either way
    warmth: float = 0.0  # white balance: gain of red against blue
    blur: float = 0.0  # share of images that are blurred
    noise: float = 0.0  # maximum standard deviation of sensor noise, in [0, 1]
    erase: float = 0.0  # share of images in which a rectangle is erased
    jpeg: float = 0.0  # share of images with strong JPEG compression

    def __post_init__(self) -> None:
        if self.side < SMALLEST_SIDE:
            raise TrainingError(f"pictures need a side of {SMALLEST_SIDE} pixels at least, not {self.side}")
        if not 0 < self.smallest <= 1:
            raise TrainingError(f"a crop keeps a share above 0 and up to 1 of a picture, not {self.smallest}")
        for name in ("blur", "erase", "jpeg"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainingError(f"{name} is a share of pictures, from 0 to 1, not {getattr(self, name)}")
        for name in ("turn", "brightness", "contrast", "saturation", "hue", "warmth", "noise"):
            if not getattr(self, name) >= 0:
                raise TrainingError(f"{name} says how far a picture may be changed, and is not {getattr(self, name)}")


PLAIN = Augmentation(mirror=False, smallest=1.0, brightness=0, contrast=0, saturation=0, hue=0)
"""Only resizes."""


def augment(pictures: NDArray[np.uint8], how: Augmentation, seed: tuple[int, ...]) -> Tensor:
    """Augment images (n, size, size, 3), uint8, to (n, 3, side, side), float32 in [0, 1].

    Deterministic for a given seed, so that a resumed training sees the same images as an uninterrupted one.
    """
    draw = np.random.default_rng(seed)
    if how.jpeg > 0:
        pictures = compress(pictures, how.jpeg, draw)
    batch = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float().div_(255)
    batch = crop(batch, how, draw)
    batch = recolour(batch, how, draw)
    if how.blur > 0:
        batch = soften(batch, how.blur, draw)
    if how.erase > 0:
        cover(batch, how.erase, draw)
    if how.noise > 0:
        amounts = _column(draw.uniform(0, how.noise, len(batch)))
        grain = torch.randn(batch.shape, generator=torch.Generator().manual_seed(int(draw.integers(2**62))))
        batch = batch + grain * amounts
    return batch.clamp_(0, 1)


def compress(pictures: NDArray[np.uint8], share: float, draw: np.random.Generator) -> NDArray[np.uint8]:
    """Compress a share of the images with low-quality JPEG."""
    changed = pictures.copy()
    qualities = draw.integers(25, 80, len(pictures))
    for place in np.flatnonzero(draw.random(len(pictures)) < share).tolist():
        buffer = io.BytesIO()
        Image.fromarray(pictures[place]).save(buffer, "JPEG", quality=int(qualities[place]))
        changed[place] = np.asarray(Image.open(buffer))
    return changed


def crop(batch: Tensor, how: Augmentation, draw: np.random.Generator) -> Tensor:
    """Crop, rotate, mirror and scale in one bilinear sampling."""
    count = len(batch)
    area = draw.uniform(how.smallest, 1.0, count)
    ratio = np.exp(draw.uniform(math.log(3 / 4), math.log(4 / 3), count)) if how.smallest < 1 else np.ones(count)
    wide, high = np.minimum(1, np.sqrt(area * ratio)), np.minimum(1, np.sqrt(area / ratio))
    x, y = draw.uniform(-1, 1, count) * (1 - wide), draw.uniform(-1, 1, count) * (1 - high)
    angle = np.radians(draw.uniform(-1, 1, count) * how.turn)
    flip = np.where(draw.random(count) < 0.5 * how.mirror, -1.0, 1.0)
    cos, sin = np.cos(angle), np.sin(angle)
    turned = np.stack([wide * cos * flip, -high * sin, x, wide * sin * flip, high * cos, y], axis=1)
    places = torch.from_numpy(turned.reshape(count, 2, 3).astype(np.float32))
    grid = functional.affine_grid(places, [count, 3, how.side, how.side], align_corners=False)
    return functional.grid_sample(batch, grid, padding_mode="reflection", align_corners=False)


def recolour(batch: Tensor, how: Augmentation, draw: np.random.Generator) -> Tensor:
    """Change hue, saturation, contrast, brightness and white balance by one 3 x 3 matrix and offset per image."""
    count = len(batch)
    angle = draw.uniform(-1, 1, count) * how.hue * math.tau
    saturation = draw.uniform(1 - how.saturation, 1 + how.saturation, count)
    contrast = draw.uniform(1 - how.contrast, 1 + how.contrast, count)
    brightness = draw.uniform(-how.brightness, how.brightness, count)
    warmth = draw.uniform(-how.warmth, how.warmth, count)
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    turns = np.zeros((count, 3, 3))
    turns[:, 0, 0] = 1
    turns[:, 1, 1] = turns[:, 2, 2] = saturation * np.cos(angle)
    turns[:, 2, 1] = saturation * np.sin(angle)
    turns[:, 1, 2] = -turns[:, 2, 1]
    gains = np.stack([1 + warmth, np.ones(count), 1 - warmth], axis=1)
    matrices = gains[:, :, None] * (np.linalg.inv(to_yiq) @ turns @ to_yiq) * contrast[:, None, None]
    mixed = torch.bmm(torch.from_numpy(matrices.astype(np.float32)), batch.flatten(2)).view_as(batch)
    means = batch.mean(dim=(1, 2, 3)).numpy()
    return mixed + _column(means * (1 - contrast) + brightness)


def soften(batch: Tensor, share: float, draw: np.random.Generator) -> Tensor:
    """Blur a share of the images with a Gaussian kernel, one width per batch."""
    chosen = torch.from_numpy(np.flatnonzero(draw.random(len(batch)) < share))
    width = float(draw.uniform(0.5, 1.6))
    bell = torch.exp(-(torch.arange(-3.0, 4.0) ** 2) / (2 * width * width))
    bell = (bell / bell.sum())[None, None].repeat(3, 1, 1)
    if len(chosen):
        some = functional.pad(batch[chosen], (3, 3, 3, 3), mode="reflect")
        some = functional.conv2d(functional.conv2d(some, bell[:, :, :, None], groups=3), bell[:, :, None, :], groups=3)
        batch = batch.index_copy(0, chosen, some)
    return batch


def cover(batch: Tensor, share: float, draw: np.random.Generator) -> None:
    """Cover a rectangle of a share of the images with one colour, in place."""
    side = batch.shape[-1]
    for place in np.flatnonzero(draw.random(len(batch)) < share).tolist():
        high, wide = (int(part) for part in draw.integers(side // 8, side // 2, 2))
        top, left = int(draw.integers(side - high)), int(draw.integers(side - wide))
        colour = torch.from_numpy(draw.random(3).astype(np.float32))
        batch[place, :, top : top + high, left : left + wide] = colour[:, None, None]


def _column(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))[:, None, None, None]
