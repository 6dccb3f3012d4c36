"""Makes a pool of training images from a table of photos, to train on one's own collection."""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.errors import PhotoTooLarge, UnreadablePhoto, UnsupportedPhoto
from retrieval.photos.views import decode_view
from retrieval.progress import Progress, silent
from training.pool import COLUMNS, Pool, PoolError, fill_pool, write_shard

PHOTOS_PER_SHARD = 256
NEEDED = ("file", "species", "observation")


def gather_pool(table: Path, folder: Path, *, side: int, progress: Progress = silent) -> Pool:
    """Decode the photos of a table into a pool, each cut to its middle square; an interrupted run goes on.

    The table is CSV with the columns `file` (relative to it), `species` and `observation`; `genus`, `family` and
    `aspect` are taken where they are there, and a genus that is missing is the first word of the species. A photo that
    cannot be read is named on stderr and left out. `fungarium model table` writes such a table of a catalogue.
    """
    lines = read_table(table)
    chunks = [lines[start : start + PHOTOS_PER_SHARD] for start in range(0, len(lines), PHOTOS_PER_SHARD)]
    shards = {f"shard-{number:05d}": chunk for number, chunk in enumerate(chunks)}
    plan = {"side": side, "table": hashlib.sha256(table.read_bytes()).hexdigest()}

    def read(wanted: Sequence[str]) -> None:
        with ThreadPoolExecutor(4) as readers:  # Pillow lets go of the interpreter while it decodes
            for name in wanted:
                chunk = shards[name]
                pictures = list(readers.map(lambda line: read_square(table.parent, line["file"], side), chunk))
                kept = [(line, picture) for line, picture in zip(chunk, pictures, strict=True) if picture is not None]
                stacked = [picture for _, picture in kept] or [np.zeros((side, side, 3), np.uint8)][:0]
                pixels = np.stack(stacked) if stacked else np.zeros((0, side, side, 3), np.uint8)
                write_shard(folder, name, pixels, [name_line(line) for line, _ in kept])
                progress("gather", len(chunk), len(lines))

    return fill_pool(folder, plan, list(shards), read, total=len(lines), progress=progress)


def read_table(table: Path) -> list[dict[str, str]]:
    """Read the lines of a table of photos. Raises PoolError if it is missing or malformed."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            lines = [{key: value or "" for key, value in line.items() if key} for line in csv.DictReader(file)]
    except FileNotFoundError as error:
        raise PoolError(f"there is no table of photos at {table}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PoolError(f"{table} is no table of photos in CSV and UTF-8 ({error})") from error
    missing = [column for column in NEEDED if not lines or column not in lines[0]]
    if missing:
        raise PoolError(
            f"{table} needs a header with {', '.join(NEEDED)} and a line per photo; {missing[0]} is missing"
        )
    return lines


def read_square(home: Path, file: str, side: int) -> NDArray[np.uint8] | None:
    """Return the centre square of a photo, or None if it cannot be read."""
    try:
        view = decode_view((home / file).read_bytes(), side)
    except (OSError, UnreadablePhoto, UnsupportedPhoto, PhotoTooLarge) as error:
        print(f"{file} is left out: {error}", file=sys.stderr)
        return None
    return square(view.pixels, side)


def square(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Crop the centre square of an image and scale it to `side`."""
    height, width = pixels.shape[:2]
    short = min(height, width)
    left, top = (width - short) // 2, (height - short) // 2
    cut = Image.fromarray(pixels[top : top + short, left : left + short])
    if short != side:
        cut = cut.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.asarray(cut)


def name_line(line: dict[str, str]) -> dict[str, str]:
    """Return the labels of a photo as a pool stores them."""
    names = {column: line.get(column, "") for column in COLUMNS}
    names["genus"] = names["genus"] or names["species"].partition(" ")[0]
    return names | {"part": line.get("part", "") or "photos"}
