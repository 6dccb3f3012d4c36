from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.gather import gather_pool
from training.pool import Pool

GENERA, INDIVIDUALS, PHOTOS, SIDE = 3, 3, 2, 48
EPITHETS = ("prima", "altera", "tertia", "quarta")


def paint_fungi(folder: Path) -> Iterator[dict[str, str]]:
    """Striped discs of four species in each of three genera: the genus has the colour, the species the stripes."""
    noise = np.random.default_rng(1)
    down, across = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    for genus in range(GENERA):
        colour = noise.integers(60, 200, 3)
        for number, epithet in enumerate(EPITHETS):
            for individual in range(INDIVIDUALS):
                age = noise.normal(0, 8, 3)
                for photo in range(PHOTOS):
                    file = f"{genus}-{epithet}-{individual}-{photo}.png"
                    stripes = np.sin((6 + 9 * number) * (across + noise.normal(0, 0.05)))
                    disc = np.hypot(down, across) < 0.4 + noise.normal(0, 0.02)
                    body = (colour + age) * (1 + 0.3 * stripes[..., None])
                    pixels = np.where(disc[..., None], body, 110) + noise.normal(0, 10, (SIDE, SIDE, 3))
                    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / file)
                    yield {
                        "file": file,
                        "species": f"Genus{genus} {epithet}",
                        "genus": f"Genus{genus}",
                        "family": f"Family{genus}",
                        "observation": f"{genus} {epithet} {individual}",
                        "part": "fungi",
                    }


def paint_things(folder: Path) -> Iterator[dict[str, str]]:
    """Coloured noise of four kinds, of no family."""
    noise = np.random.default_rng(2)
    for number in range(4):
        colour = noise.integers(40, 216, 3)
        for place in range(INDIVIDUALS * PHOTOS):
            file = f"thing-{number}-{place}.png"
            pixels = np.clip(colour + noise.normal(0, 30, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / file)
            yield {
                "file": file,
                "species": f"Thing{number} sp",
                "genus": "",
                "family": "",
                "observation": f"thing {number} {place // PHOTOS}",
                "part": "things",
            }


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """96 small pictures: 12 species of fungi in 3 genera, 4 classes of things."""
    folder = tmp_path_factory.mktemp("pool")
    lines = [*paint_fungi(folder), *paint_things(folder)]
    with (folder / "photos.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return gather_pool(folder / "photos.csv", folder / "gathered", side=SIDE)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch sums in another order with other numbers of threads."""
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")
