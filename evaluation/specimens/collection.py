"""Draw the whole demo collection into a folder, in parallel, and resume an interrupted run."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from evaluation.specimens.archive import (
    AUTHOR,
    TITLE,
    held_out_folder,
    photo_path,
    write_answers,
    write_archive,
    write_checklist,
    write_text,
)
from evaluation.specimens.camera import STATEMENT, encode
from evaluation.specimens.not_fungi import THINGS, draw_thing
from evaluation.specimens.photo import draw_photo
from evaluation.specimens.traits import sample_individual
from evaluation.specimens.world import REGIONS, Find, World, make_world
from retrieval.errors import FungariumError
from retrieval.progress import Progress, silent

VERSION = 1
"""Version of the drawings; raised when the same seed gives other pixels or other tables."""

_DONE = "collection.json"
_BEGUN = ".drawing.json"
_OTHERS_PER_THING = 3
_CHUNK = 24
_SHAPES = ((1.0, 0.75), (0.75, 1.0), (1.0, 1.0), (1.0, 0.67))
"""Width and height of photos relative to their longer side."""


class CollectionError(FungariumError):
    """The folder cannot be used for the collection."""


@dataclass(frozen=True, slots=True)
class DemoCollection:
    """A drawn collection on disk."""

    folder: Path
    seed: int
    species: int
    observations: int
    photos: int  # in the archive
    drawn: int  # by this call: 0 if everything existed

    @property
    def archive(self) -> Path:
        """Return the Darwin Core Archive's folder."""
        return self.folder / "archive"

    @property
    def checklists(self) -> dict[str, Path]:
        """Return the folder of each region's checklist."""
        return {region: self.folder / "checklists" / region for region in REGIONS}

    @property
    def held_out(self) -> Path:
        """Return the folder of the observations that are not in the archive."""
        return self.folder / "held_out"

    @property
    def not_fungi(self) -> Path:
        """Return the folder of drawings without a fungus."""
        return self.folder / "not_fungi"


@dataclass(frozen=True, slots=True)
class _Job:
    path: str  # below the collection's folder
    find: Find | None  # None: no fungus
    position: int  # of the photo in its observation, or of the object among those of its kind
    thing: str = ""


def draw_collection(
    folder: Path, *, seed: int = 1, species: int = 60, processes: int | None = None, progress: Progress = silent
) -> DemoCollection:
    """Draw the demo collection for a seed; the same seed gives the same bytes, whatever the number of processes.

    Safe to call twice: a finished collection is left as it is, an interrupted one is finished. `processes` None uses
    every processor. Raises CollectionError if the folder holds anything else.
    """
    if species < 1:
        raise CollectionError(f"a collection of {species} species cannot be drawn; ask for at least one")
    done = _read(folder / _DONE)
    if done is not None:
        _refuse_other(folder, done, seed, species)
        return DemoCollection(folder, seed, species, done["observations"], done["photos"], drawn=0)
    world = make_world(seed, species)
    jobs = list(_jobs(world))
    begun = _read(folder / _BEGUN)
    if begun is None and folder.exists() and any(folder.iterdir()):
        raise CollectionError(f"{folder} is not empty and holds no collection; choose another folder")
    if begun is not None:
        _refuse_other(folder, begun, seed, species)
    folder.mkdir(parents=True, exist_ok=True)
    plan = _plan(seed, species)
    keep = begun == plan  # drawings of another version or library are drawn again
    write_text(folder / _BEGUN, json.dumps(plan))
    wanted = [k for k, job in enumerate(jobs) if not (keep and (folder / job.path).exists())]
    _draw_all(folder, seed, species, wanted, processes or _processors(), progress)
    write_archive(folder / "archive", world)
    for region in REGIONS:
        write_checklist(folder / "checklists" / region, world, region)
    write_answers(folder / "held_out" / "answers.json", world)
    photos = sum(len(find.aspects) for find in world.finds)
    write_text(folder / "README.txt", _readme(world, photos))
    counts = {
        "families": len({member.genus.family.name for member in world.species}),
        "genera": len({member.genus.name for member in world.species}),
        "observations": len(world.finds),
        "photos": photos,
        "held_out": len(world.held_out),
        "not_fungi": len(THINGS) * _OTHERS_PER_THING,
    }
    write_text(folder / _DONE, json.dumps({"title": TITLE, "statement": STATEMENT, **plan, **counts}, indent=2) + "\n")
    (folder / _BEGUN).unlink()
    return DemoCollection(folder, seed, species, len(world.finds), photos, drawn=len(wanted))


def _plan(seed: int, species: int) -> dict[str, Any]:
    versions = {"drawings": VERSION, "numpy": np.__version__, "pillow": PIL.__version__}
    return {"seed": seed, "species": species, "versions": versions}


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CollectionError(f"{path} is damaged ({error}): remove the folder and draw again") from error
    if not isinstance(content, dict):
        raise CollectionError(f"{path} is damaged (not a JSON object): remove the folder and draw again")
    return content


def _refuse_other(folder: Path, found: dict[str, Any], seed: int, species: int) -> None:
    if (found.get("seed"), found.get("species")) != (seed, species):
        raise CollectionError(
            f"{folder} holds a collection of {found.get('species')} species with seed {found.get('seed')}, "
            f"not of {species} with seed {seed}; choose another folder"
        )


def _jobs(world: World) -> Iterator[_Job]:
    for find in world.finds:
        for position in range(len(find.aspects)):
            yield _Job(f"archive/{photo_path(find, position)}", find, position)
    for place, find in enumerate(world.held_out):
        for position, aspect in enumerate(find.aspects):
            yield _Job(f"held_out/{held_out_folder(place)}/{aspect}.jpg", find, position)
    for thing in THINGS:
        for number in range(_OTHERS_PER_THING):
            yield _Job(f"not_fungi/{thing}-{number + 1}.jpg", None, number, thing)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _draw_all(folder: Path, seed: int, species: int, wanted: list[int], processes: int, progress: Progress) -> None:
    chunks = [wanted[start : start + _CHUNK] for start in range(0, len(wanted), _CHUNK)]
    if processes == 1 or len(chunks) == 1:
        for chunk in chunks:
            progress("drawing", _draw_some(folder, seed, species, chunk), len(wanted))
        return
    # spawn: the caller may have threads, which a fork would break
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(chunks)), mp_context=context) as pool:
        running = [pool.submit(_draw_some, folder, seed, species, chunk) for chunk in chunks]
        try:
            for task in running:
                progress("drawing", task.result(), len(wanted))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _draw_some(folder: Path, seed: int, species: int, wanted: list[int]) -> int:
    """Draw some of a collection's photos, given by position. Returns how many."""
    jobs = list(_jobs(make_world(seed, species)))
    for index in wanted:
        path = folder / jobs[index].path
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".part")
        beside.write_bytes(_draw(seed, jobs[index]))
        beside.replace(path)
    return len(wanted)


def _draw(seed: int, job: _Job) -> bytes:
    if job.find is None:
        rng = np.random.default_rng([seed, 8, THINGS.index(job.thing), job.position])
        return encode(draw_thing(job.thing, rng, _size(rng)), 85)
    assert job.find.species.traits is not None
    individual = sample_individual(np.random.default_rng([seed, 9, job.find.number]))
    rng = np.random.default_rng([seed, 10, job.find.number, job.position])
    size, quality = _size(rng), int(rng.integers(82, 90))
    aspect = job.find.aspects[job.position]
    pixels = draw_photo(job.find.species.traits, individual, aspect, rng, size, habitat=job.find.habitat)
    return encode(pixels, quality)


def _size(rng: np.random.Generator) -> tuple[int, int]:
    longer = int(rng.integers(480, 641))
    width, height = _SHAPES[int(rng.choice(len(_SHAPES), p=[0.5, 0.25, 0.1, 0.15]))]
    return int(longer * width), int(longer * height)


def _readme(world: World, photos: int) -> str:
    return f"""{TITLE}

{STATEMENT}
All {len(world.species)} species here are invented, and so are their names, finds, places, dates and checklists.
The {photos} pictures are drawings made by the {AUTHOR} (evaluation/specimens) with seed {world.seed}.
They are for trying out and testing Fungarium. Nothing in this folder says anything about a real fungus.

archive/      Darwin Core Archive of the drawn finds, with the drawings in archive/photos/
checklists/   invented checklists of three overlapping regions: {", ".join(REGIONS)}
held_out/     finds that are not in the archive; answers.json says what they are
not_fungi/    drawings with no fungus in them
collection.json  seed, counts and versions; written last

Licence of everything here: CC0 1.0. Author: {AUTHOR}.
"""
