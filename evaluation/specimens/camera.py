"""From a scene to a file: light, white balance, lens, sensor. The same for every species."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from evaluation.specimens.canvas import TILE, Light, Picture, Pixels, grain_tile
from evaluation.specimens.ground import leaf_sprite, turned

STATEMENT = "A drawing by a program, of a species that does not exist."
"""Written into every file that could be taken for an observation."""


@dataclass(frozen=True, slots=True)
class Camera:
    """Parameters of one photo."""

    light: Light
    gains: tuple[float, float, float]
    exposure: float
    contrast: float
    vignette: float
    blur: float  # pixels
    depth_blur: float  # of the background, pixels
    noise: float  # of the sensor, in grey levels of 255


def sample_camera(rng: np.random.Generator) -> Camera:
    """Draw a light and a camera."""
    angle, height = float(rng.uniform(-2.6, -0.5)), float(rng.uniform(0.55, 0.9))
    flat = math.sqrt(1 - height * height)
    warmth = float(rng.normal(0, 0.035))
    return Camera(
        light=Light(flat * math.cos(angle), flat * math.sin(angle), height),
        gains=(1 + warmth, 1 + float(rng.normal(0, 0.012)), 1 - warmth),
        exposure=float(np.clip(rng.normal(1.14, 0.1), 0.88, 1.4)),
        contrast=float(rng.uniform(0.9, 1.12)),
        vignette=float(rng.uniform(0, 0.35)),
        blur=float(rng.uniform(0.3, 0.75) if rng.random() < 0.85 else rng.uniform(0.8, 1.6)),
        depth_blur=float(rng.choice([0.0, 0.8, 1.8])),
        noise=float(rng.uniform(1.0, 5.0)),
    )


def open_canvas(ground: Image.Image, camera: Camera) -> Picture:
    """Turn a ground into a canvas, out of focus as the camera has it."""
    if camera.depth_blur:
        ground = ground.filter(ImageFilter.BoxBlur(camera.depth_blur))
    return np.asarray(ground, np.float32) * np.float32(1 / 255)


def occlude(rng: np.random.Generator, picture: Image.Image, count: int) -> None:
    """Draw leaves at the edges of the view."""
    for _ in range(count):
        sprite = turned(leaf_sprite(int(rng.integers(24))), float(rng.uniform(0, 360)), float(rng.uniform(0.5, 1.0)))
        side, along = int(rng.integers(3)), float(rng.random())
        x = (-0.4 * sprite.width, picture.width - 0.6 * sprite.width, along * picture.width)[side]
        y = (along * picture.height, along * picture.height, picture.height - 0.6 * sprite.height)[side]
        picture.paste(sprite, (int(x), int(y)), sprite)


def expose(rng: np.random.Generator, canvas: Picture, camera: Camera, leaves: int) -> Pixels:
    """Take the photo of a finished canvas: (height, width, 3), uint8."""
    height, width = canvas.shape[:2]
    picture = Image.fromarray(np.clip(canvas * 255, 0, 255).astype(np.uint8))
    occlude(rng, picture, leaves)
    if camera.blur > 0.35:
        picture = picture.filter(ImageFilter.BoxBlur(camera.blur))
    gains = np.array(camera.gains, np.float32) * np.float32(camera.exposure * camera.contrast)
    taken = np.asarray(picture, np.float32) * gains
    across, down = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    far = across[None, :] ** 2 + down[:, None] ** 2
    taken *= (1 - np.float32(camera.vignette * 0.5) * far)[..., None]
    x, y = (int(part) for part in rng.integers(0, TILE, 2))
    rows, columns = (np.arange(height) + y) & (TILE - 1), (np.arange(width) + x) & (TILE - 1)
    grain = grain_tile(0)[rows[:, None], columns[None, :]]
    taken += (grain * np.float32(camera.noise) + np.float32(128 * (1 - camera.contrast)))[..., None]
    return np.clip(taken, 0, 255).astype(np.uint8)


def encode(pixels: Pixels, quality: int) -> bytes:
    """Return JPEG bytes without metadata except the statement."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, comment=STATEMENT)
    return buffer.getvalue()
