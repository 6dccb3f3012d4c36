"""The records of a download of GBIF, by species: the same choice is made from them as from the pages of a search."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from indexer.archives.container import open_container
from indexer.archives.descriptor import KeyedRow, Table, read_table, read_tables
from indexer.archives.dwca import MEDIA
from indexer.archives.shelf import write_json
from indexer.harvesting.choosing import fold_person
from indexer.harvesting.gbif_photos import KEPT, GbifPhotos
from indexer.harvesting.stored import SpeciesCounts
from retrieval.errors import ArchiveError

MOST = 10_000  # records of a species to choose from; of more, those that show most observers and months
DECIMALS = frozenset({"decimalLatitude", "decimalLongitude", "coordinateUncertaintyInMeters"})
WHOLE = frozenset({"year", "month", "day"})
KEPT_OF_PHOTOS = frozenset({"type", "format", "identifier", "references", "created", "creator", "license",
                            "rightsHolder", "title"})  # fmt: skip
SPREAD = """
SELECT key, fields FROM (
    SELECT key, fields,
        row_number() OVER (PARTITION BY observer ORDER BY key * 2654435761 % 4294967296) AS of_observer,
        row_number() OVER (PARTITION BY month ORDER BY key * 2654435761 % 4294967296) AS of_month
    FROM records WHERE species = ?)
ORDER BY min(of_observer, of_month), key LIMIT ?
"""  # neighbouring keys often come from one observer, hence the scattered order


class DownloadedRecords:
    """The records of an archive, on disk in a temporary database that goes with the process."""

    def __init__(self, archive: Path) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)
        try:
            self._rows.execute("PRAGMA journal_mode = OFF")
            self._rows.execute(
                "CREATE TABLE records "
                "(key INTEGER PRIMARY KEY, species INTEGER, observer TEXT, month TEXT, fields TEXT)"
            )
            self._rows.execute("CREATE TABLE photos (key INTEGER, fields TEXT)")
            self._rows.execute("BEGIN")
            self._fill(archive)
            self._rows.execute("CREATE INDEX of_species ON records (species)")
            self._rows.execute("CREATE INDEX of_record ON photos (key)")
            self._rows.execute("COMMIT")
        except BaseException:
            self._rows.close()
            raise

    def __enter__(self) -> DownloadedRecords:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database, which removes it."""
        self._rows.close()

    def of_species(self, species: int) -> list[Mapping[str, Any]]:
        """Return at most MOST records of a species, in the form of GBIF's search."""
        found = self._rows.execute(SPREAD, (species, MOST)).fetchall()
        return [self._whole(key, fields) for key, fields in sorted(found)]

    def by_keys(self, keys: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Yield those records that there are, in the form of GBIF's search."""
        for key in keys:
            found = self._rows.execute("SELECT key, fields FROM records WHERE key = ?", (int(key),)).fetchone()
            if found:
                yield self._whole(*found)

    def _whole(self, key: int, fields: str) -> dict[str, Any]:
        photos = self._rows.execute("SELECT fields FROM photos WHERE key = ? ORDER BY rowid", (key,))
        return {**json.loads(fields), "media": [json.loads(photo) for (photo,) in photos]}

    def _fill(self, path: Path) -> None:
        with open_container(path) as archive:
            core, *extensions = read_tables(archive)
            if core.row_type != "occurrence":
                raise ArchiveError(f"{path}: the core of a download is of occurrences, this one of {core.row_type!r}")
            for key, fields in read_members(read_table(archive, core), core, KEPT):
                record = {"key": key, **fields}
                species, observer = str(fields.get("speciesKey", "")), fold_person(str(fields.get("recordedBy", "")))
                self._rows.execute(
                    "INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?)",
                    (key, int(species) if species.isdecimal() else 0, observer, str(fields.get("month", "")),
                     write_json(record)),
                )  # fmt: skip
            for table in extensions:
                if table.row_type in MEDIA:
                    for key, fields in read_members(read_table(archive, table), table, KEPT_OF_PHOTOS):
                        self._rows.execute("INSERT INTO photos VALUES (?, ?)", (key, write_json(fields)))


def read_members(rows: Iterator[Any], table: Table, kept: frozenset[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (gbifID, members) of the rows of a table, in the form of GBIF's search; empty cells are left out."""
    names = [term.rsplit("/", 1)[-1] for term in table.terms]
    for row in rows:
        if isinstance(row, KeyedRow) and row.key.isdecimal():
            cells = zip(names, row.cells, strict=True)
            yield int(row.key), {name: read_cell(name, cell) for name, cell in cells if cell and name in kept}


def read_cell(name: str, cell: str) -> object:
    """Return a cell as GBIF's search gives it: numbers as such."""
    try:
        return float(cell) if name in DECIMALS else int(cell) if name in WHOLE else cell
    except ValueError:
        return cell


@dataclass(frozen=True, slots=True)
class DownloadedPhotos(GbifPhotos):
    """A download as a service of photos of a region; it is opened when the first species is chosen from it."""

    open_records: Callable[[], DownloadedRecords]

    def list_records(self, species: SpeciesCounts) -> Sequence[Mapping[str, Any]]:
        """Return the records of a species with photos, or a spread of them where they are very many."""
        return self.open_records().of_species(species.key)

    def ask_again(self, species: SpeciesCounts, keys: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Yield those records that are in the download, as they are now."""
        return self.open_records().by_keys(keys)
