"""Hand-made entries for the tests of the catalogue."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from database.collection.imports import start_run
from database.collection.observations import FiledPhoto, ObservationEntry, PhotoEntry, RefusedPhoto, file_photos
from database.session import Database
from database.taxonomy.taxa import TaxonEntry, TaxonRegister


def photo(record: str, observation: str, species: int, content: str = "", **said: Any) -> PhotoEntry:
    """An entry whose bytes are its record key, unless `content` says otherwise."""
    about = {name: said.pop(name) for name in list(said) if name in ObservationEntry.__slots__}
    return PhotoEntry(
        record_key=record,
        observation=ObservationEntry(key=observation, species=species, **about),
        sha256=sha256((content or record).encode()).hexdigest(),
        location=f"/photos/{record}",
        byte_count=100,
        width=8,
        height=6,
        media_format="JPEG",
        **said,
    )


@pytest.fixture
def species(database: Database) -> Callable[[str], int]:
    """Gives the id of a species, which is created when it is new."""

    def find(name: str) -> int:
        with database.writing() as session:
            return TaxonRegister().file(session, TaxonEntry(name))

    return find


@pytest.fixture
def run(database: Database) -> Callable[..., list[FiledPhoto | RefusedPhoto]]:
    """Files entries as one import run of a dataset."""

    def file(*entries: PhotoEntry, dataset: str = "walks") -> list[FiledPhoto | RefusedPhoto]:
        with database.writing() as session:
            number = start_run(session, dataset, archive="archive")
            return file_photos(session, dataset, number, entries)

    return file
