"""What is stored of a region beside the database: how it was made, its counts, and what was chosen for it."""

from __future__ import annotations

import csv
import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from database.field.photo_files import write_whole
from database.keys import check_id
from retrieval.errors import BuildError

MONTHS = tuple(range(1, 13))
COUNTS_HEADER = ("gbifKey", "scientificName", "records", "withPhotos", *(f"month{month}" for month in MONTHS))


@dataclass(frozen=True, slots=True)
class RegionPlan:
    """How a region was asked for, so that it can be asked for again."""

    name: str
    title: str
    area: tuple[tuple[str, str], ...]  # parameters of GBIF's occurrence search
    groups: tuple[tuple[str, int], ...]  # (name, GBIF key) of the groups of organisms
    created: str  # date
    countries: tuple[str, ...] = ()  # ISO 3166-1 alpha-2
    geometry: Mapping[str, Any] | None = None  # GeoJSON
    lichens: bool = True
    languages: tuple[str, ...] = ()
    records: int = 1  # least number for a species to count as present
    years: int = 1
    datasets: int = 1
    checklists: tuple[str, ...] = ()  # united with it


@dataclass(frozen=True, slots=True)
class SpeciesCounts:
    """The occurrences of a species in a region."""

    key: int
    name: str
    records: int
    with_photos: int
    months: tuple[int, ...] = field(default=(0,) * 12)


class RegionFolder:
    """The folder of a region: `region.json`, `counts.csv`, `checklist/`, and a folder for each service."""

    def __init__(self, data: Path, name: str) -> None:
        self.path = data / "regions" / check_id("region", name)
        self.name = name
        self.counts_file = self.path / "counts.csv"
        self.checklist = self.path / "checklist"
        self.replies = self.path / "replies"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock, which the system releases if the process ends. Raises BuildError if it is taken."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BuildError(f"another command is at work on region {self.name!r}; wait for it to end") from error
            yield

    def write_plan(self, plan: RegionPlan) -> None:
        """Write how the region was asked for; written last, so that a region with a plan is whole."""
        write_whole(self.path / "region.json", (json.dumps(asdict(plan), indent=1, ensure_ascii=False) + "\n").encode())

    def read_plan(self) -> RegionPlan:
        """Read how the region was asked for. Raises BuildError for a region that was not created."""
        try:
            read = json.loads((self.path / "region.json").read_bytes())
        except FileNotFoundError as error:
            raise BuildError(
                f"there is no region {self.name!r} yet: `fungarium region create {self.name} --country ISO` makes one"
            ) from error
        for pairs in ("area", "groups"):
            read[pairs] = tuple((first, second) for first, second in read[pairs])
        for texts in ("countries", "languages", "checklists"):
            read[texts] = tuple(read[texts])
        return RegionPlan(**read)

    def write_counts(self, counts: Sequence[SpeciesCounts]) -> None:
        """Write the occurrences of each species."""
        rows = [[one.key, one.name, one.records, one.with_photos, *one.months] for one in counts]
        write_table(self.counts_file, COUNTS_HEADER, rows)

    def read_counts(self) -> list[SpeciesCounts]:
        """Read the occurrences of each species, in order of their keys."""
        with self.counts_file.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))[1:]
        return [
            SpeciesCounts(int(key), name, int(records), int(with_photos), tuple(map(int, months)))
            for key, name, records, with_photos, *months in rows
        ]


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a CSV file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.new")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    unfinished.replace(path)
