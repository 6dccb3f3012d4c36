"""A pool of training images on disk, all of the same size, with their labels."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from evaluation.specimens.collection import VERSION as DRAWINGS
from retrieval.errors import FungariumError
from retrieval.progress import Progress, silent
from training.drawn.drawing import PoolPart, draw_unit

VERSION = 1
"""Version of the pool format: raised whenever the same plan gives other pixels or labels."""

COLUMNS = ("observation", "species", "genus", "family", "seen", "aspect")
UNITS_PER_SHARD = 4
_DONE = "pool.json"
_BEGUN = ".pool.json"


class PoolError(FungariumError):
    """A folder is not a pool, or not the requested one."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Images and labels, read from disk on demand."""

    folder: Path
    side: int
    shards: tuple[NDArray[np.uint8], ...]  # each (pictures, side, side, 3), mapped from its file
    starts: NDArray[np.int64]  # of each shard among all pictures
    names: dict[str, NDArray[np.str_]]  # a column per entry of COLUMNS, and `part`

    def __len__(self) -> int:
        return len(self.names["species"])

    def pictures(self, wanted: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return images by number: (wanted, side, side, 3)."""
        found = np.empty((len(wanted), self.side, self.side, 3), np.uint8)
        homes = np.searchsorted(self.starts, wanted, side="right") - 1
        for place, (home, number) in enumerate(zip(homes.tolist(), wanted.tolist(), strict=True)):
            found[place] = self.shards[home][number - self.starts[home]]
        return found


def draw_pool(
    folder: Path,
    parts: Sequence[PoolPart],
    *,
    seed: int,
    side: int,
    processes: int | None = None,
    progress: Progress = silent,
) -> Pool:
    """Draw a pool, or go on where an earlier run was stopped; a finished one is opened as it is.

    Raises PoolError where the folder holds anything else.
    """
    plan = {
        "seed": seed,
        "side": side,
        "parts": [asdict(part) for part in parts],
        "versions": {"pool": VERSION, "drawings": DRAWINGS, "numpy": np.__version__, "pillow": PIL.__version__},
    }
    jobs = [
        (f"shard-{number:05d}", part, tuple(range(first, min(first + UNITS_PER_SHARD, part.units))))
        for number, (part, first) in enumerate(
            (part, first) for part in parts for first in range(0, part.units, UNITS_PER_SHARD)
        )
    ]

    total = sum(part.units for part in parts)

    def draw(wanted: Sequence[str]) -> None:
        todo = [job for job in jobs if job[0] in set(wanted)]
        count = processes or len(os.sched_getaffinity(0))
        if count == 1 or len(todo) < 2:
            for job in todo:
                progress("drawing", _draw_shard(folder, seed, side, *job), total)
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(count, len(todo)), mp_context=context) as workers:
            running = [workers.submit(_draw_shard, folder, seed, side, *job) for job in todo]
            try:
                for task in running:
                    progress("drawing", task.result(), total)
            except BaseException:
                workers.shutdown(wait=False, cancel_futures=True)
                raise

    return fill_pool(folder, plan, [job[0] for job in jobs], draw, total=total, progress=progress)


def fill_pool(
    folder: Path,
    plan: dict[str, Any],
    shards: Sequence[str],
    draw: Callable[[Sequence[str]], object],
    *,
    total: int,
    progress: Progress,
) -> Pool:
    """Make the shards of a plan that are not there yet, and mark the pool as finished."""
    found = _read(folder / _DONE) or _read(folder / _BEGUN)
    if found is None and folder.exists() and any(folder.iterdir()):
        raise PoolError(f"{folder} is not empty and holds no pool of pictures; choose another folder")
    if found is not None and {name: found.get(name) for name in plan} != plan:
        raise PoolError(f"{folder} holds a pool of another plan; choose another folder, or remove it")
    if not (folder / _DONE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _BEGUN).write_text(json.dumps(plan), encoding="utf-8")
        wanted = [name for name in shards if not (folder / f"{name}.json").exists()]
        progress("drawing", total * (len(shards) - len(wanted)) // max(1, len(shards)), total)
        draw(wanted)
        (folder / _DONE).write_text(json.dumps({**plan, "shards": list(shards)}, indent=1) + "\n", encoding="utf-8")
        (folder / _BEGUN).unlink()
    return open_pool(folder)


def _draw_shard(folder: Path, seed: int, side: int, name: str, part: PoolPart, units: tuple[int, ...]) -> int:
    drawn = [picture for unit in units for picture in draw_unit(part, seed, unit, side)]
    rows = [{column: str(getattr(picture, column)) for column in COLUMNS} | {"part": part.name} for picture in drawn]
    write_shard(folder, name, np.stack([picture.pixels for picture in drawn]), rows)
    return len(units)


def write_shard(folder: Path, name: str, pixels: NDArray[np.uint8], rows: list[dict[str, str]]) -> None:
    """Write the images, then their labels: a shard with labels is complete."""
    beside = folder / f".{name}.npy"
    with beside.open("wb") as file:
        np.save(file, pixels)
    beside.replace(folder / f"{name}.npy")
    beside = folder / f".{name}.json"
    beside.write_text(json.dumps(rows), encoding="utf-8")
    beside.replace(folder / f"{name}.json")


def open_pool(folder: Path) -> Pool:
    """Open a finished pool. Raises PoolError if there is none."""
    plan = _read(folder / _DONE)
    if plan is None:
        raise PoolError(f"there is no finished pool of pictures in {folder}: draw or gather one first")
    shards, names = [], [row for name in plan["shards"] for row in _rows(folder / f"{name}.json")]
    for name in plan["shards"]:
        shards.append(np.load(folder / f"{name}.npy", mmap_mode="r"))
    starts = np.cumsum([0, *(len(shard) for shard in shards)])[:-1].astype(np.int64)
    columns = {column: np.array([row.get(column, "") for row in names]) for column in (*COLUMNS, "part")}
    return Pool(folder, int(plan["side"]), tuple(shards), starts, columns)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    yield from json.loads(path.read_text(encoding="utf-8"))


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PoolError(f"{path} is damaged ({error}); remove the folder and make it again") from error
    return content
