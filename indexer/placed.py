"""References in the order that segments hold them, on disk: to be gone through several times in the memory of a few."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from retrieval.segment import ReferenceEntry

PORTION = 500  # references in a line


class PlacedReferences:
    """References by their `place`, in a file without a name, which is gone as soon as nobody holds it open.

    A line of the file is a list of references in JSON. Close it when it is no longer needed.
    """

    def __init__(self, folder: Path, entries: Iterable[ReferenceEntry]) -> None:
        """Keep entries that come in order, in `folder`, since the system's own may be memory."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - held open
        self._count = 0
        coming = iter(entries)
        try:
            while some := list(islice(coming, PORTION)):
                self._file.write(json.dumps([list_entry(entry) for entry in some]).encode() + b"\n")
                self._count += len(some)
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[ReferenceEntry]:
        place = 0
        while True:
            self._file.seek(place)  # others may have read in between
            line = self._file.readline()
            if not line:
                return
            place += len(line)
            for fields in json.loads(line):
                yield ReferenceEntry(*fields)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


def list_entry(entry: ReferenceEntry) -> list[str | int]:
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
