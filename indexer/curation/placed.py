"""Rows spooled to disk, for several passes in constant memory: ordered references, photos to embed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from retrieval.segments.segment import ReferenceEntry

Fields: TypeAlias = list[str | int]

PORTION = 500  # rows per line of the file


class Spool:
    """Rows in an anonymous temporary file, each line of which is a JSON list of rows. The caller closes it."""

    def __init__(self, folder: Path, rows: Iterable[Fields]) -> None:
        """Write the rows to a file in `folder`, since the system's temporary folder may be in memory."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - held open
        self._count = 0
        coming = iter(rows)
        try:
            while some := list(islice(coming, PORTION)):
                self._file.write(json.dumps(some).encode() + b"\n")
                self._count += len(some)
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return self._count

    def rows(self) -> Iterator[Fields]:
        """Yield the rows in order; several iterators may be interleaved."""
        place = 0
        while True:
            self._file.seek(place)  # other iterators may have read in between
            line = self._file.readline()
            if not line:
                return
            place += len(line)
            yield from json.loads(line)

    def close(self) -> None:
        """Close and delete the file."""
        self._file.close()


class PlacedReferences(Spool):
    """References ordered by their `place`, as in segments."""

    def __init__(self, folder: Path, entries: Iterable[ReferenceEntry]) -> None:
        """Spool entries, which must be in order."""
        super().__init__(folder, map(list_entry, entries))

    def __iter__(self) -> Iterator[ReferenceEntry]:
        for fields in self.rows():
            yield ReferenceEntry(*fields)  # type: ignore[arg-type] # as `list_entry` wrote them


def list_entry(entry: ReferenceEntry) -> Fields:
    """Return an entry's fields, in order."""
    return [
        entry.photo,
        entry.observation_id,
        entry.observation,
        entry.species,
        entry.author,
        entry.licence,
        entry.source,
        entry.aspect,
    ]
