"""A pool of training images on disk, all of the same size, with their labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import FungariumError
from retrieval.progress import Progress

COLUMNS = ("observation", "species", "genus", "family", "aspect")
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


def fill_pool(
    folder: Path,
    plan: dict[str, Any],
    shards: Sequence[str],
    make: Callable[[Sequence[str]], object],
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
        progress("gather", total * (len(shards) - len(wanted)) // max(1, len(shards)), total)
        make(wanted)
        (folder / _DONE).write_text(json.dumps({**plan, "shards": list(shards)}, indent=1) + "\n", encoding="utf-8")
        (folder / _BEGUN).unlink()
    return open_pool(folder)


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
        raise PoolError(f"there is no finished pool of pictures in {folder}: gather one first")
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
