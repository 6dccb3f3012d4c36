"""Colour profiles made here byte by byte, as ICC.1 lays them out, and what their colours are in sRGB."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

D50: Final = (0.9642, 1.0, 0.8249)
D65: Final = (0.3127, 0.3290)
BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
WORKING: Final[Mapping[str, tuple[tuple[float, ...], tuple[float, float], float]]] = {
    "display-p3": ((0.680, 0.320, 0.265, 0.690, 0.150, 0.060), D65, 0.0),  # 0: the curve of sRGB
    "adobe-rgb": ((0.64, 0.33, 0.21, 0.71, 0.15, 0.06), D65, 563 / 256),
    "prophoto": ((0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001), (0.3457, 0.3585), 1.8),
}
"""Primaries (x, y of red, green, blue), white point and gamma of working spaces, from their standards."""


def matrix_of(name: str) -> Numbers:
    """From linear RGB of a working space to XYZ under D50, by Bradford's adaptation."""
    primaries, white, _ = WORKING[name]
    return adapted(np.array(primaries).reshape(3, 2), white)


def adapted(primaries: Numbers, white: tuple[float, float]) -> Numbers:
    """The matrix of primaries (3, 2) under a white point, brought to D50."""
    tristimulus = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    source = np.array([white[0] / white[1], 1, (1 - sum(white)) / white[1]])
    whole = tristimulus * np.linalg.solve(tristimulus, source)
    cones = np.diag((BRADFORD @ np.array(D50)) / (BRADFORD @ source))
    return np.asarray(np.linalg.inv(BRADFORD) @ cones @ BRADFORD @ whole)


SRGB: Final = adapted(np.array([[0.64, 0.33], [0.30, 0.60], [0.15, 0.06]]), D65)


def linear(values: Numbers, gamma: float) -> Numbers:
    """Levels (0 to 1) of a working space as amounts of light."""
    if gamma:
        return np.asarray(values**gamma)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb_levels(xyz: Numbers) -> NDArray[np.uint8]:
    """XYZ under D50 (..., 3) as levels of sRGB; what it cannot show is clipped."""
    light = np.clip(xyz @ np.linalg.inv(SRGB).T, 0, 1)
    levels = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * levels), dtype=np.uint8)


def reference_rgb(pixels: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Pixels of a working space (height, width, 3) in sRGB, by the formulas of the standards."""
    return srgb_levels(linear(pixels / 255, WORKING[name][2]) @ matrix_of(name).T)


def reference_grey(pixels: NDArray[np.uint8], gamma: float) -> NDArray[np.uint8]:
    """Grey pixels (height, width) of a gamma in sRGB."""
    return srgb_levels(linear(pixels / 255, gamma)[..., None] * np.array(D50))


def fixed(*numbers: float) -> bytes:
    """Numbers as ICC's s15Fixed16."""
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))


def xyz_tag(values: Any) -> bytes:
    return b"XYZ \0\0\0\0" + fixed(*(float(value) for value in values))


def curve_tag(gamma: float) -> bytes:
    if gamma:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    table = np.rint(65535 * linear(np.linspace(0, 1, 1024), 0)).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(table)) + table.tobytes()


def profile(space: str, tags: Mapping[str, bytes], *, pcs: str = "XYZ ", kind: str = "mntr", version: int = 2) -> bytes:
    """A whole profile of a colour space (`RGB `, `GRAY`, `CMYK`) with these tags."""
    start, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += name.encode() + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xB3x", start + len(body), version) + kind.encode() + space.encode() + pcs.encode()
    head += struct.pack(">6H", 2026, 11, 30, 0, 0, 0) + b"acsp" + bytes(28) + fixed(*D50)
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + body


def rgb_profile(name: str) -> bytes:
    """The profile of a working space, by matrix and curves."""
    columns = matrix_of(name).T
    curve = curve_tag(WORKING[name][2])
    colorants = {f"{letter}XYZ": xyz_tag(column) for letter, column in zip("rgb", columns, strict=True)}
    return profile("RGB ", {"wtpt": xyz_tag(D50), **colorants, **{f"{letter}TRC": curve for letter in "rgb"}})


def grey_profile(gamma: float) -> bytes:
    return profile("GRAY", {"wtpt": xyz_tag(D50), "kTRC": curve_tag(gamma)})


def lab_of(xyz: Numbers) -> Numbers:
    scaled = xyz / np.array(D50)
    root = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.stack(
        [116 * root[..., 1] - 16, 500 * (root[..., 0] - root[..., 1]), 200 * (root[..., 1] - root[..., 2])], -1
    )


def lut_profile(space: str, to_xyz: Callable[[Numbers], Numbers], grid: int, kind: str = "prtr") -> bytes:
    """A profile by a table of `grid` steps a channel, from levels (0 to 1) to Lab; as printers and cameras have."""
    channels = 4 if space == "CMYK" else 3
    corners = np.array(list(product(np.linspace(0, 1, grid), repeat=channels)))
    lab = lab_of(to_xyz(corners))
    coded = np.clip(
        np.rint(np.stack([lab[:, 0] * 652.8, (lab[:, 1] + 128) * 256, (lab[:, 2] + 128) * 256], -1)), 0, 65535
    )
    ramp = np.array([0, 65535], dtype=">u2").tobytes()
    table = (
        b"mft2\0\0\0\0" + bytes([channels, 3, grid, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + struct.pack(">HH", 2, 2)
    )
    table += ramp * channels + coded.astype(">u2").tobytes() + ramp * 3
    return profile(space, {"wtpt": xyz_tag(D50), "A2B0": table}, pcs="Lab ", kind=kind)


def inks_to_xyz(inks: Numbers) -> Numbers:
    """What four inks (0 to 1) let through, darker and less pure than screens: a press of our own."""
    cyan, magenta, yellow, black = np.moveaxis(inks, -1, 0)
    light = np.stack(
        [1 - 0.85 * cyan, (1 - 0.85 * magenta) * (1 - 0.25 * cyan), (1 - 0.9 * yellow) * (1 - 0.2 * magenta)], -1
    )
    return np.asarray((light * (1 - 0.95 * black)[..., None]) ** 1.8 @ SRGB.T)


def camera_to_xyz(levels: Numbers) -> Numbers:
    """A camera of our own that sees weaker colours than sRGB shows, by a table."""
    mean = levels.mean(axis=-1, keepdims=True)
    return np.asarray(np.clip(mean + 1.3 * (levels - mean), 0, 1) ** 2.2 @ SRGB.T)
