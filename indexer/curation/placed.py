"""Rows that are gone through several times in the memory of a few: references in their places, photos to embed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from retrieval.segments.segment import ReferenceEntry

Fields: TypeAlias = list[str | int]

PORTION = 500  # rows in a line


class Spool:
    """Rows in a file without a name, which is gone as soon as nobody holds it open.

    A line of the file is a list of rows in JSON. Close it when it is no longer needed.
    """

    def __init__(self, folder: Path, rows: Iterable[Fields]) -> None:
        """Keep the rows in `folder`, since the system's own may be memory."""
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
        """The rows in their order; several may go through them in turns."""
        place = 0
        while True:
            self._file.seek(place)  # others may have read in between
            line = self._file.readline()
            if not line:
                return
            place += len(line)
            yield from json.loads(line)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


class PlacedReferences(Spool):
    """References by their `place`, in the order that segments hold them."""

    def __init__(self, folder: Path, entries: Iterable[ReferenceEntry]) -> None:
        """Keep entries that come in order."""
        super().__init__(folder, map(list_entry, entries))

    def __iter__(self) -> Iterator[ReferenceEntry]:
        for fields in self.rows():
            yield ReferenceEntry(*fields)  # type: ignore[arg-type] # as `list_entry` wrote them


def list_entry(entry: ReferenceEntry) -> Fields:
    """An entry's fields in their order."""
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
